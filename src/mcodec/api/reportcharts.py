"""Bars and tables of a report's page: HTML, and inline SVG without a library.

Bars are a few rectangles each, so a plotting library would bring more than they are. Their text is
HTML beside them: it keeps its size on a small screen. Colours are classes of the style sheet.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mcodec.api.reporttext import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_WIDTH: Final = 1000  # of a bar, in units of its own
_HEIGHT: Final = 100  # of the histogram


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a bar: its colour, a class of the style sheet; its length; what it says."""

    colour: str
    value: float
    says: str


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table: HTML, and what it is sorted by if not by its text."""

    content: str
    key: float | None = None


def bar(segments: Iterable[Segment], longest: float, says: str) -> str:
    """Draw segments side by side, against the longest bar of the chart.

    Parameters
    ----------
    segments
        Those of no length are left out.
    longest
        What fills the whole width.
    says
        The whole bar in words, as plain text, for who does not see it.
    """
    at = 0.0
    drawn = []
    for one in segments:
        width = _WIDTH * (one.value / longest) if longest > 0 else 0.0
        if width > 0:
            drawn.append(
                f'<rect class="{one.colour}" x="{at:.5g}" width="{max(width, 0.4):.5g}" '
                f'height="10"><title>{html.escape(one.says)}</title></rect>'
            )
        at += width
    return (
        f'<svg class="bar" viewBox="0 0 {_WIDTH} 10" preserveAspectRatio="none" role="img" '
        f'aria-label="{html.escape(says)}">{"".join(drawn)}</svg>'
    )


def histogram(columns: Sequence[Sequence[Segment]], says: str) -> str:
    """Draw columns of segments, from the bottom up, against the highest column."""
    highest = max((sum(one.value for one in column) for column in columns), default=0) or 1
    drawn = []
    for index, column in enumerate(columns):
        end = float(_HEIGHT)
        for one in column:
            height = one.value * _HEIGHT / highest
            if height > 0:
                height = max(height, 0.7)  # a few weights are still seen
                end -= height
                drawn.append(
                    f'<rect class="{one.colour}" x="{index * 10 + 1}" width="8" y="{end:.5g}" '
                    f'height="{height:.5g}"><title>{html.escape(one.says)}</title></rect>'
                )
    return (
        f'<svg class="columns" viewBox="0 0 {10 * len(columns)} {_HEIGHT}" '
        f'preserveAspectRatio="none" role="img" aria-label="{html.escape(says)}">'
        f"{''.join(drawn)}</svg>"
    )


def legend(entries: Iterable[tuple[str, str]]) -> str:
    """List colours, each with what it means (HTML)."""
    items = "".join(
        f'<li><svg class="key" viewBox="0 0 10 10" aria-hidden="true"><rect class="{colour}" '
        f'width="10" height="10"/></svg> {means}</li>'
        for colour, means in entries
    )
    return f'<ul class="legend">{items}</ul>'


def table(
    caption: str,
    header: Sequence[tuple[str, str]],
    rows: Iterable[Sequence[Cell]],
    *,
    css: str = "",
    foot: Sequence[Cell] = (),
    ident: str = "",
) -> str:
    """Write a table; a row's first cell is its heading.

    Parameters
    ----------
    caption
        HTML.
    header
        Of each column its title (HTML; in a chart without elements) and its class: ``t`` text,
        ``n`` numbers, ``b`` a bar.
    rows, foot
        Cells with the columns' classes.
    css, ident
        The table's class and id.
    """
    heads = "".join(f'<th scope="col" class="{kind}">{title}</th>' for title, kind in header)
    # On a small screen a chart's columns stand below one another, each under its own title.
    titles = [title if css.startswith("bars") and kind != "b" else "" for title, kind in header]
    kinds = [kind for _, kind in header]
    body = "".join(_row(row, kinds, titles) for row in rows)
    last = f"<tfoot>{_row(foot, kinds, titles)}</tfoot>" if foot else ""
    named = (f' id="{ident}"' if ident else "") + (f' class="{css}"' if css else "")
    return (
        f"<table{named}><caption>{caption}</caption><thead><tr>{heads}</tr></thead>"
        f"<tbody>{body}</tbody>{last}</table>"
    )


def _row(cells: Sequence[Cell], kinds: Sequence[str], titles: Sequence[str]) -> str:
    parts = []
    for index, (cell, kind, title) in enumerate(zip(cells, kinds, titles, strict=True)):
        key = "" if cell.key is None else f' data-v="{cell.key:.12g}"'
        said = f' data-h="{title}"' if title and index and cell.content else ""
        tag, scope = ("td", "") if index else ("th", ' scope="row"')
        parts.append(f'<{tag}{scope} class="{kind}"{key}{said}>{cell.content}</{tag}>')
    return f"<tr>{''.join(parts)}</tr>"


def wide(content: str, label: str) -> str:
    """Let a wide table be moved sideways, by keys too, without moving the page."""
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{html.escape(label)}">'
        f"{content}</div>"
    )


def more(count: int, noun: str, where: str) -> str:
    """Say that a table was cut, and where all of it is (HTML)."""
    return f'<p class="more">{counted(count, noun)} more: {where}</p>' if count > 0 else ""
