"""Tables of a report: tasks, codecs, pairs, tensors."""

from __future__ import annotations

import math
from itertools import islice
from typing import TYPE_CHECKING, Final

from mcodec.api import reportcharts as charts
from mcodec.api import reporttext as text
from mcodec.api.reportcharts import Cell, Segment
from mcodec.api.reportfigures import MOST_BINS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mcodec.api.reportfigures import Bin, Group, Report, TaskFigures, TensorFigures

TASKS: Final = 100  # rows of the tables, at most
CODECS: Final = 24
PAIRS: Final = 200
TENSORS: Final = 2000
WORDS: Final = 20  # of one task
_ELSEWHERE: Final = "<code>mcodec report --json</code> has all."


def tasks(report: Report) -> str:
    """Show what each task reads, and whose bytes those are; then what was said of it."""
    shown = report.tasks[:TASKS]
    family = any(task.row.shared_bytes or task.row.delta_bytes for task in report.tasks)
    longest = max((max(t.row.source_bytes, t.row.read_bytes) for t in shown), default=0)
    keys = [("c-mantissa", "its own"), ("c-difference", "told from a base, read by it alone")]
    keys += [("c-codes", "shared: another task reads it too"), ("c-gap", "saved of its arrays")]
    header = [("task", "t"), ("to read, of its arrays", "b"), ("to read", "n")]
    header += [("arrays", "n"), ("of the arrays", "n")]
    bars = [_task_bar(task, longest) for task in shown]
    figures = [("task", "t"), ("tensors", "n"), ("weights", "n"), ("bits a weight", "n")]
    figures += [("SQNR", "n"), ("largest |error|", "n"), ("exact tensors", "n")]
    figures += [("own", "n"), ("delta", "n"), ("shared", "n")] if family else []
    rows = [_task_row(task, family=family) for task in shown]
    caption = "What a loader reads for a task, beside its arrays as they came."
    return (
        charts.legend(keys if family else [keys[0], keys[3]])
        + charts.table(caption, header, bars, css="bars")
        + charts.wide(charts.table("The same tasks in figures.", figures, rows), "Tasks in figures")
        + charts.more(len(report.tasks) - TASKS, "task", _ELSEWHERE)
        + "".join(_words(task, len(report.tasks)) for task in shown)
    )


def _task_bar(task: TaskFigures, longest: int) -> list[Cell]:
    row = task.row
    parts = [
        Segment("c-mantissa", row.own_bytes, f"its own: {text.size(row.own_bytes)}"),
        Segment("c-difference", row.delta_bytes, f"from a base: {text.size(row.delta_bytes)}"),
        Segment("c-codes", row.shared_bytes, f"shared: {text.size(row.shared_bytes)}"),
    ]
    says = "; ".join(part.says for part in parts if part.value)
    saved = max(row.source_bytes - row.read_bytes, 0)
    parts.append(Segment("c-gap", saved, f"saved: {text.size(saved)}"))
    return [
        Cell(text.name(row.name, 40)),
        Cell(charts.bar(parts, longest, says or "no bytes")),
        Cell(text.size(row.read_bytes)),
        Cell(text.size(row.source_bytes)),
        Cell(text.percent(row.read_bytes, row.source_bytes)),
    ]


def _task_row(task: TaskFigures, *, family: bool) -> list[Cell]:
    row, quality = task.row, task.quality
    bits = 8 * row.read_bytes / row.parameters if row.parameters else 0.0
    sizes = [row.own_bytes, row.delta_bytes, row.shared_bytes] if family else []
    return [
        Cell(text.name(row.name, 40)),
        Cell(f"{row.tensors:,}"),
        Cell(f"{row.parameters:,}"),
        Cell(f"{bits:.2f}"),
        Cell(text.decibels(quality.sqnr_db)),
        Cell(text.largest(quality)),
        Cell(text.exact(quality)),
        *(Cell(text.size(count)) for count in sizes),
    ]


def _words(task: TaskFigures, count: int) -> str:
    """List what a task came from, and the words that are kept with it."""
    found: dict[str, str] = {"came from": task.came_from} if task.came_from else {}
    said = _listed(found, task.row.meta) + _listed({}, task.metadata)
    if not said:
        return ""
    head = f"<h3>Task {text.name(task.row.name)}</h3>" if count > 1 else ""
    return f'{head}<dl class="words">{said}</dl>'


def _listed(first: Mapping[str, str], words: Mapping[str, str]) -> str:
    pairs = [*first.items(), *islice(words.items(), WORDS)]
    listed = "".join(f"<dt>{text.name(k, 60)}</dt><dd>{text.name(v, 300)}</dd>" for k, v in pairs)
    left = len(words) - WORDS
    return listed + (f"<dt>and more</dt><dd>{left:,}, not shown</dd>" if left > 0 else "")


def codecs(report: Report) -> str:
    """Show what the tensors of each codec take of what their arrays had."""
    order = sorted(report.codecs, key=lambda one: one.stored_bytes - one.source_bytes)
    shown, others = order[:CODECS], order[CODECS:]
    longest = max((one.source_bytes for one in shown), default=0)
    header = [("codec", "t"), ("stored, of the arrays", "b"), ("saved", "n"), ("stored", "n")]
    header += [("bits a weight", "n"), ("tensors", "n"), ("SQNR", "n")]
    rows = [_codec_row(one, longest) for one in shown]
    total = sum(one.source_bytes - one.stored_bytes for one in report.codecs)
    foot = [
        Cell("all codecs"),
        Cell(""),
        Cell(_saved(total)),
        Cell(text.size(report.parts["tensors"])),
        Cell(""),
        Cell(f"{sum(one.tensors for one in report.codecs):,}"),
        Cell(text.decibels(report.quality.sqnr_db)),
    ]
    alone = sum(one.row.source_bytes for one in report.tasks)
    alone -= sum(one.source_bytes for one in report.codecs)
    note = (
        f'<p class="note">Another {text.size(alone)} of arrays equal stored ones, and take no '
        "bytes.</p>"
        if alone
        else ""
    )
    caption = "Largest saving first; each stored tensor once, bases not counted to what they serve."
    keys = [("c-mantissa", "stored"), ("c-gap", "saved of the arrays")]
    return (
        note
        + charts.legend(keys)
        + charts.table(caption, header, rows, css="bars codecs", foot=foot)
        + charts.more(len(others), "codec", _ELSEWHERE)
    )


def _saved(count: int) -> str:
    return text.size(count) if count >= 0 else f"−{text.size(-count)}"


def _codec_row(one: Group, longest: int) -> list[Cell]:
    saved = one.source_bytes - one.stored_bytes
    says = f"{text.size(one.stored_bytes)} stored of {text.size(one.source_bytes)}"
    parts = [Segment("c-mantissa", one.stored_bytes, says)]
    parts.append(Segment("c-gap", max(saved, 0), f"{text.size(max(saved, 0))} saved"))
    quality = one.quality
    return [
        Cell(text.codec(one.name)),
        Cell(charts.bar(parts, longest, says)),
        Cell(f'<span title="{text.percent(saved, one.source_bytes)}">{_saved(saved)}</span>'),
        Cell(text.size(one.stored_bytes)),
        Cell(f"{one.bits_per_weight:.2f}" if one.weights else "-"),
        Cell(f"{one.tensors:,}"),
        Cell(text.decibels(quality.sqnr_db) if quality.lossy else _other(one)),
    ]


def _other(one: Group) -> str:
    return "not finite" if one.quality.not_finite else "exact"


def pairs(report: Report) -> str:
    """List the fused tensors, one row a group."""
    names = list(dict.fromkeys(task for pair in report.pairs for task in pair))[:6]
    rows = [
        [Cell(text.name(pair[task])) if task in pair else Cell("-") for task in names]
        for pair in report.pairs[:PAIRS]
    ]
    caption = (
        f"{text.counted(len(report.pairs), 'group')} of tensors whose planes lie side by side, so "
        "that one can be decoded with the other&rsquo;s planes as its low bits."
    )
    header = [(f"task {text.name(task, 40)}", "t") for task in names]
    return charts.wide(charts.table(caption, header, rows), "Fused tensors") + charts.more(
        len(report.pairs) - PAIRS, "group", _ELSEWHERE
    )


def is_open(bins: Sequence[Bin]) -> bool:
    """Tell whether the last bar has all above it too."""
    return len(bins) == MOST_BINS


def span(bins: Sequence[Bin], index: int) -> str:
    """Say which bits a bar is of."""
    one = bins[index]
    if index == MOST_BINS - 1:
        return f"{one.low} bits and more"
    return f"{one.low} to {one.high} bits"


def bins(found: Sequence[Bin]) -> str:
    """List the histogram's bars that are not empty."""
    rows = [
        [
            Cell(span(found, index)),
            Cell(f"{one.other_weights:,}"),
            Cell(f"{one.exact_weights:,}"),
        ]
        for index, one in enumerate(found)
        if one.other_weights or one.exact_weights
    ]
    header = [("bits a weight", "t"), ("weights with an error", "n"), ("exact weights", "n")]
    inside = charts.table("From, and less than.", header, rows)
    return f"<details><summary>As a table</summary>{inside}</details>"


def tensors(report: Report) -> str:
    """List the tensors, in the file's order; of very many only the largest ones."""
    every = report.tensors
    shown: Sequence[TensorFigures] = every
    caption = f"{text.counted(len(every), 'tensor')}, in the file&rsquo;s order."
    if len(every) > TENSORS:
        order = sorted(range(len(every)), key=lambda index: -every[index].stored_bytes)
        shown = [every[index] for index in sorted(order[:TENSORS])]
        caption = (
            f"The {TENSORS:,} largest of {len(every):,} tensors, in the file&rsquo;s order; "
            "<code>mcodec info</code> lists all."
        )
    header = [("tensor", "t"), ("dtype", "t"), ("shape", "t"), ("codec", "t"), ("weights", "n")]
    header += [("stored", "n"), ("bits a weight", "n"), ("largest |error|", "n"), ("SQNR", "n")]
    rows = [_tensor_row(one, several=len(report.tasks) > 1) for one in shown]
    tools = (
        '<div class="tools" id="tools" hidden><label for="filter">Filter by name</label>'
        '<input id="filter" type="search" autocomplete="off" spellcheck="false">'
        '<output id="matches" for="filter" aria-live="polite"></output></div>'
    )
    return tools + charts.wide(
        charts.table(caption, header, rows, ident="tensors"), "All tensors, a table"
    )


def _tensor_row(one: TensorFigures, *, several: bool) -> list[Cell]:
    task = f"{text.name(one.task, 40)}:" if several else ""
    codec = " of ".join([text.codec(one.codec), *(text.name(base) for base in one.bases[:3])])
    if one.same_as:
        codec += f", stored as {text.name(one.same_as)}"
    largest = math.inf if one.max_abs_error is None else one.max_abs_error
    without = math.inf if one.max_abs_error == 0 else -math.inf  # exact, or not finite
    decibels = without if one.sqnr_db is None else one.sqnr_db
    return [
        Cell(task + text.name(one.name)),
        Cell(text.name(one.dtype)),
        Cell(text.shape(one.shape)),
        Cell(codec),
        Cell(f"{one.weights:,}", one.weights),
        Cell(
            f'<span title="{one.stored_bytes:,} bytes">{text.size(one.stored_bytes)}</span>',
            one.stored_bytes,
        ),
        Cell(f"{one.bits_per_weight:.2f}" if one.weights else "-", one.bits_per_weight),
        Cell(text.error(one.max_abs_error), _number(largest)),
        Cell(text.decibels(one.sqnr_db), _number(decibels)),
    ]


def _number(value: float) -> float:
    """Return a number that scripts can read: they do not know "inf"."""
    return max(min(value, 1e308), -1e308)
