"""A report as one HTML page, which asks the network for nothing."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any, Final

import mcodec
from mcodec.api import reportcharts as charts
from mcodec.api import reportlayers, reporttables
from mcodec.api import reporttext as text
from mcodec.api.reportcharts import Cell, Segment
from mcodec.api.reportfigures import GROUPS, PARTS

if TYPE_CHECKING:
    from mcodec.api.reportfigures import Report

# Parts of a file that are no streams of tensors: their colours.
_COLOURS: Final = {
    "bases": "c-base",
    "skeletons": "c-base",
    "unnamed": "c-other",
    "manifest": "c-front",
    "rows": "c-front",
    "header": "c-front",
    "padding": "c-gap",
}


def render(report: Report) -> str:
    """Return the page of a report.

    Style and script are named by their hashes in the page's policy, so that nothing else runs, even
    if a name from the file got past its escaping.
    """
    folder = files("mcodec.api").joinpath("report_page")
    page, style, script = (
        folder.joinpath(f"page.{kind}").read_text(encoding="utf-8")
        for kind in ("html", "css", "js")
    )
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    sections = [one for one in _sections(report) if one is not None]
    return Template(page).substitute(
        policy=policy,
        style=style,
        script=script,
        version=mcodec.__version__,
        title=text.attribute(report.name),
        name=text.name(report.name),
        facts=_facts(report),
        tiles="".join(_tile(*one) for one in _tiles(report)),
        links="".join(f'<li><a href="#{ident}">{title}</a></li>' for ident, title, _ in sections),
        sections="\n".join(
            f'<section id="{ident}" aria-labelledby="{ident}-h">'
            f'<h2 id="{ident}-h">{title}</h2>{content}</section>'
            for ident, title, content in sections
        ),
    )


def _hash(content: str) -> str:
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _sections(report: Report) -> list[tuple[str, str, str] | None]:
    """Return id, title and HTML of each section; None for one that has nothing to say."""
    return [
        ("bytes", "Where the bytes are", _bytes(report)),
        ("tasks", "Tasks", reporttables.tasks(report)),
        ("layers", "Layers", reportlayers.sizes(report)),
        ("error", "Error by layer", reportlayers.errors(report)),
        ("bits", "Bits a weight", _bits(report)) if report.histogram else None,
        ("codecs", "What each codec saved", reporttables.codecs(report)),
        ("planes", "Planes and streams", reportlayers.planes(report)),
        ("fused", "Fused tensors", reporttables.pairs(report)) if report.pairs else None,
        ("all", "Tensors", reporttables.tensors(report)),
    ]


def _facts(report: Report) -> str:
    facts = [
        text.counted(len(report.tasks), "task"),
        text.counted(len(report.tensors), "tensor"),
        f"layout {report.layout}",
        f"written by {text.name(report.written_by, 40)}" if report.written_by else "",
    ]
    return " · ".join(fact for fact in facts if fact)


def _tile(term: str, value: str, exact: str) -> str:
    return f'<div title="{exact}"><dt>{term}</dt><dd>{value}</dd></div>'


def _tiles(report: Report) -> list[tuple[str, str, str]]:
    """Return term, value and exact value (HTML) of the figures that stand on top."""
    weights = sum(codec.weights for codec in report.codecs)
    stored = report.parts["tensors"]
    quality = report.quality
    share = text.percent(report.file_bytes, report.source_bytes)
    tiles = [
        ("the file", text.size(report.file_bytes), f"{report.file_bytes:,} bytes"),
        (
            "the arrays of all tasks",
            text.size(report.source_bytes),
            f"{report.source_bytes:,} bytes",
        ),
        (
            "of the arrays&rsquo; bytes",
            share,
            f"{report.file_bytes:,} of {report.source_bytes:,} bytes",
        ),
        (
            "bits a weight",
            f"{8 * stored / weights:.2f}" if weights else "-",
            f"{stored:,} bytes of streams for {weights:,} weights that are stored",
        ),
        ("stored tensors exact", text.exact(quality), "by their certificates"),
    ]
    if quality.lossy:
        worst = f"largest error {quality.max_abs_error:.3g}"
        tiles.append(("SQNR of the others", text.decibels(quality.sqnr_db), worst))
    return tiles


def _bytes(report: Report) -> str:
    """Show the whole file as one bar, and every byte of it in a table that adds up."""
    streams = dict.fromkeys(GROUPS, 0)
    for codec in report.codecs:
        for group, count in codec.streams.items():
            streams[group] += count
    lines = [(f"c-{group}", GROUPS[group], count) for group, count in streams.items()]
    lines += [
        (_COLOURS[part], PARTS[part], count)
        for part, count in report.parts.items()
        if part != "tensors"
    ]
    lines = [line for line in lines if line[2]]
    total = report.file_bytes
    says = [f"{means}: {text.size(count)}" for _, means, count in lines]
    whole = charts.bar(
        [Segment(line[0], line[2], said) for line, said in zip(lines, says, strict=True)],
        total,
        f"The whole file by what its bytes are: {'; '.join(says)}",
    ).replace('class="bar"', 'class="bar whole"', 1)
    rows = [
        [
            Cell(f"{_key(colour)} {means}"),
            Cell(f"{count:,}", count),
            Cell(text.percent(count, total), count),
        ]
        for colour, means, count in lines
    ]
    foot = [Cell("the file"), Cell(f"{total:,}"), Cell(text.percent(total, total))]
    header = [("what", "t"), ("bytes", "n"), ("of the file", "n")]
    caption = "Every byte of the file; streams of tensors first, each counted once."
    return whole + charts.table(caption, header, rows, foot=foot)


def _key(colour: str) -> str:
    return (
        f'<svg class="key" viewBox="0 0 10 10" aria-hidden="true">'
        f'<rect class="{colour}" width="10" height="10"/></svg>'
    )


def _bits(report: Report) -> str:
    """Show the histogram of stored bits a weight, weighted by weights."""
    bins = report.histogram
    total = sum(one.exact_weights + one.other_weights for one in bins)
    columns = []
    for index, one in enumerate(bins):
        span = reporttables.span(bins, index)
        columns.append(
            [
                Segment(colour, count, f"{span}: {count:,} weights {how}")
                for colour, count, how in (
                    ("c-mantissa", one.other_weights, "with error"),
                    ("c-codes", one.exact_weights, "exact"),
                )
            ]
        )
    most: Any = max(range(len(bins)), key=lambda i: bins[i].exact_weights + bins[i].other_weights)
    peak = bins[most].exact_weights + bins[most].other_weights
    highest = f"{peak:,} of {total:,} weights take {reporttables.span(bins, most)}"
    step = 4 if len(bins) > 12 else 1
    ticks = "".join(
        f"<li>{bins[index].low if index < len(bins) else ''}</li>"
        for index in range(0, -(-len(bins) // step) * step, step)
    )
    columns += [[] for _ in range(-len(bins) % step)]
    keys = [("c-mantissa", "weights with a known error"), ("c-codes", "exact weights")]
    note = (
        "Weights by the stored bits of their tensor, each stored tensor once; in the highest "
        f"column {highest}"
    )
    if reporttables.is_open(bins):
        note += f"; the last column has all of {bins[-1].low} bits and more"
    drawn = charts.histogram(columns, f"Histogram: {highest}")
    return (
        f'<p class="note">{note}.</p>{charts.legend(keys)}{drawn}'
        f'<ul class="ticks" aria-hidden="true">{ticks}</ul>'
        f'<p class="unit">bits a weight</p>{reporttables.bins(bins)}'
    )
