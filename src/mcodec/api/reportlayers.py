"""Charts of a report: sizes and errors by layer, planes and streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mcodec.api import reportcharts as charts
from mcodec.api import reporttext as text
from mcodec.api.listing import StreamRow
from mcodec.api.reportcharts import Cell, Segment
from mcodec.api.reportfigures import GROUPS, group_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mcodec.api.reportfigures import Group, Report, TaskFigures

LAYERS: Final = 40  # drawn for each task, the largest ones
TASKS: Final = 8  # that charts are drawn for
OPEN: Final = 2  # of those, shown without a click
KINDS: Final = 12  # of codecs, the largest ones
SMALL: Final = 0.05  # part of all streams under which a codec's are not shown without a click
_MERGED: Final = ("difference", "positions")  # groups whose streams are too many for a line each
_ELSEWHERE: Final = "<code>mcodec report --json</code> has all."


def sizes(report: Report) -> str:
    """Show each layer's bytes as a stacked bar, task by task."""
    used = {group for codec in report.codecs for group in codec.streams}
    keys = [(f"c-{group}", means) for group, means in GROUPS.items() if group in used]
    note = (
        '<p class="note">What a task reads of each layer. A tensor that several tasks use is shown '
        "with each of them, and a base that no task names with none.</p>"
        if len(report.tasks) > 1
        else ""
    )
    return note + charts.legend(keys) + _by_task(report, [_sizes(task) for task in _drawn(report)])


def _drawn(report: Report) -> Sequence[TaskFigures]:
    return report.tasks[:TASKS]


def _by_task(report: Report, charted: Iterable[str]) -> str:
    """Put each task's chart under its name; those after the first ones closed."""
    if len(report.tasks) == 1:
        return "".join(charted)
    parts = []
    for index, (task, chart) in enumerate(zip(_drawn(report), charted, strict=True)):
        said = (
            f"{text.counted(len(task.layers), 'layer')}, {text.size(task.row.read_bytes)} to read"
        )
        parts.append(
            f"<details{' open' if index < OPEN else ''}><summary>Task {text.name(task.row.name)} "
            f"<span>&ndash; {said}</span></summary>{chart}</details>"
        )
    return "".join(parts) + charts.more(len(report.tasks) - TASKS, "task", _ELSEWHERE)


def _largest(layers: Sequence[Group]) -> tuple[list[Group], list[Group]]:
    """Return the largest layers in the model's order, and the others."""
    if len(layers) <= LAYERS:
        return list(layers), []
    order = sorted(range(len(layers)), key=lambda i: -layers[i].stored_bytes)
    kept = set(order[:LAYERS])
    return (
        [layer for index, layer in enumerate(layers) if index in kept],
        [layer for index, layer in enumerate(layers) if index not in kept],
    )


def _sizes(task: TaskFigures) -> str:
    drawn, others = _largest(task.layers)
    longest = max((layer.stored_bytes for layer in drawn), default=0)
    total = sum(layer.stored_bytes for layer in task.layers)
    rows = [_size_row(layer, longest, total) for layer in drawn]
    foot: list[Cell] = []
    if others:
        stored = sum(layer.stored_bytes for layer in others)
        weights = sum(layer.weights for layer in others)
        foot = [
            Cell(f"{text.counted(len(others), 'smaller layer')} together"),
            Cell(""),
            Cell(text.size(stored)),
            Cell(text.percent(stored, total)),
            Cell(f"{8 * stored / weights:.2f}" if weights else "-"),
        ]
    caption = (
        f"The {LAYERS} largest of {len(task.layers):,} layers, in the model&rsquo;s order."
        if others
        else "In the model&rsquo;s order."
    )
    header = [("layer", "t"), ("bytes by what they are", "b"), ("stored", "n")]
    header += [("of the task", "n"), ("bits a weight", "n")]
    return charts.table(caption, header, rows, css="bars", foot=foot)


def _size_row(layer: Group, longest: int, total: int) -> list[Cell]:
    parts = [
        Segment(f"c-{group}", count, f"{GROUPS[group]}: {text.size(count)}")
        for group, count in layer.streams.items()
    ]
    says = "; ".join(part.says for part in parts if part.value) or "no bytes"
    return [
        Cell(text.name(layer.name, 60)),
        Cell(charts.bar(parts, longest, says)),
        Cell(f'<span title="{layer.stored_bytes:,} bytes">{text.size(layer.stored_bytes)}</span>'),
        Cell(text.percent(layer.stored_bytes, total)),
        Cell(f"{layer.bits_per_weight:.2f}" if layer.weights else "-"),
    ]


def errors(report: Report) -> str:
    """Show each layer's SQNR and largest error, where there is one."""
    lossy = [task for task in report.tasks if task.quality.lossy or task.quality.not_finite]
    if not lossy:
        return "<p>Every tensor of the file is exact: each comes back to the bit.</p>"
    note = (
        '<p class="note">Longer bars are better: 6 dB more is half the error. Layers of which all '
        "is exact have no bar. Errors are those of canonical decodes.</p>"
    )
    highest = max(
        (layer.quality.sqnr_db or 0 for task in _drawn(report) for layer in task.layers), default=0
    )
    return note + _by_task(report, [_errors(task, highest) for task in _drawn(report)])


def _errors(task: TaskFigures, highest: float) -> str:
    layers = [layer for layer in task.layers if layer.quality.lossy or layer.quality.not_finite]
    exact = len(task.layers) - len(layers)
    if not layers:
        return '<p class="note">Every tensor of this task is exact.</p>'
    worst = sorted(layers, key=_noise)[:LAYERS]
    kept = {id(layer) for layer in worst}
    drawn = [layer for layer in layers if id(layer) in kept]
    said = text.counted(exact, "layer") + (" is" if exact == 1 else " are") + " exact."
    if len(layers) > LAYERS:
        said = f"The {LAYERS} layers of least SQNR, of {len(layers):,} with an error. {said}"
    header = [("layer", "t"), ("SQNR", "b"), ("SQNR", "n"), ("largest |error|", "n")]
    header.append(("exact tensors", "n"))
    rows = [_error_row(layer, highest) for layer in drawn]
    quality = task.quality
    foot = [
        Cell("all of the task"),
        Cell(""),
        Cell(text.decibels(quality.sqnr_db)),
        Cell(text.largest(quality)),
        Cell(text.exact(quality)),
    ]
    return charts.table(said, header, rows, css="bars", foot=foot)


def _noise(layer: Group) -> tuple[bool, float]:
    """Order layers by SQNR; first those that have none because they are not finite."""
    return layer.quality.sqnr_db is not None, layer.quality.sqnr_db or 0.0


def _error_row(layer: Group, highest: float) -> list[Cell]:
    quality = layer.quality
    decibels = quality.sqnr_db
    says = f"SQNR {text.decibels(decibels)}"
    return [
        Cell(text.name(layer.name, 60)),
        Cell(charts.bar([Segment("c-mantissa", max(decibels or 0, 0), says)], highest, says)),
        Cell(text.decibels(decibels)),
        Cell(text.largest(quality)),
        Cell(text.exact(quality)),
    ]


def planes(report: Report) -> str:
    """Show what each stream takes of what it is without its coder, codec by codec."""
    kinds: dict[str, list[StreamRow]] = {}
    for one in report.streams:
        kinds.setdefault(one.kind, []).append(one.row)
    stored = {kind: sum(row.stored_bytes for row in rows) for kind, rows in kinds.items()}
    order = sorted(kinds, key=lambda kind: -stored[kind])[:KINDS]
    note = (
        '<p class="note">The coloured part of a bar is what the file holds, the grey part what the '
        "stream&rsquo;s coder saved. Planes are numbered from the lowest bit, 0. A stream "
        "of which all bytes are equal takes no byte.</p>"
    )
    total = sum(stored.values())
    parts = [
        f"<details{' open' if stored[kind] >= SMALL * total else ''}><summary>{text.name(kind)} "
        f"<span>&ndash; {text.size(stored[kind])}, {text.percent(stored[kind], total)} of all "
        f"streams</span></summary>{_planes(_merged(kinds[kind]))}</details>"
        for kind in order
    ]
    return note + "".join(parts) + charts.more(len(kinds) - KINDS, "codec", _ELSEWHERE)


def _merged(rows: Sequence[StreamRow]) -> list[StreamRow]:
    """Join the many streams of differences and positions to one line each kind."""
    found: dict[str, StreamRow] = {}
    for row in rows:
        stem = row.name.partition(" ")[0].partition(".")[0]
        name = f"{stem}.*" if group_of(row.name) in _MERGED and "." in row.name else row.name
        old = found.get(name, StreamRow(name, "", 0, 0))
        coders = sorted({*filter(None, old.coder.split("+")), *row.coder.split("+")})
        found[name] = StreamRow(
            name,
            "+".join(coders),
            old.raw_bytes + row.raw_bytes,
            old.stored_bytes + row.stored_bytes,
        )
    return list(found.values())


def _planes(rows: Sequence[StreamRow]) -> str:
    longest = max((max(row.raw_bytes, row.stored_bytes) for row in rows), default=0)
    header = [("stream", "t"), ("stored of raw", "b"), ("stored", "n"), ("raw", "n")]
    header += [("stored of raw", "n"), ("coder", "t")]
    cells = []
    for row in rows:
        says = f"{text.size(row.stored_bytes)} stored of {text.size(row.raw_bytes)}"
        left = max(row.raw_bytes - row.stored_bytes, 0)
        parts = [Segment(f"c-{group_of(row.name)}", row.stored_bytes, says)]
        parts.append(Segment("c-gap", left, f"{text.size(left)} that the coder saved"))
        cells.append(
            [
                Cell(text.name(row.name)),
                Cell(charts.bar(parts, longest, says)),
                Cell(text.size(row.stored_bytes)),
                Cell(text.size(row.raw_bytes)),
                Cell(text.percent(row.stored_bytes, row.raw_bytes)),
                Cell(text.name(row.coder)),
            ]
        )
    return charts.table("Planes from the highest down.", header, cells, css="bars")
