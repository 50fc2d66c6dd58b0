"""Text of a report's page: names made safe, numbers with units.

Pages are made of `html.escape` and templates of the standard library: a template engine would be a
dependency more for one page, and what has to be escaped here goes through two functions.
"""

from __future__ import annotations

import html
import math
import re
from typing import TYPE_CHECKING, Final

from mcodec.api.words import counted, elide, size

if TYPE_CHECKING:
    from mcodec.api.reportfigures import Quality

__all__ = [
    "WIDEST",
    "attribute",
    "codec",
    "counted",
    "decibels",
    "elide",
    "error",
    "exact",
    "largest",
    "name",
    "percent",
    "plain",
    "shape",
    "size",
]

_LONG: Final = re.compile(r"(?<==)[0-9]\.[0-9]{4,30}(?:e-?[0-9]{1,3})?(?=[,)])")
WIDEST: Final = 96  # characters of one name on the page; a name may have 4,096 bytes


def plain(text: str, width: int = WIDEST) -> str:
    """Escape what is not printable, and leave out the middle of what is long.

    Names come from files. Control characters, and marks that turn the direction of what follows,
    are not printable; half of a surrogate pair, from a file's name, cannot be written at all.
    """
    text = text if len(text) <= 4 * width else f"{text[: 2 * width]}…{text[-2 * width :]}"
    return elide(text, width)


def attribute(text: str, width: int = WIDEST) -> str:
    """Return a name for an attribute in double quotes."""
    return html.escape(plain(text, width))


def name(text: str, width: int = WIDEST) -> str:
    """Return a name as HTML, whose direction of writing does not touch what stands beside it."""
    if not text:
        return "<i>no name</i>"
    return f"<bdi>{html.escape(plain(text, width))}</bdi>"


def codec(text: str) -> str:
    """Return a codec string as HTML: long numbers shortened, which the title has whole.

    It may be broken behind its commas and brackets.
    """
    short = _LONG.sub(lambda match: f"{float(match[0]):.3g}", text)
    shown = html.escape(plain(short, 120)).replace(",", ",<wbr>").replace("(", "(<wbr>")
    whole = f' title="{attribute(text, 300)}"' if short != text else ""
    return f"<code{whole}>{shown}</code>"


def percent(part: float, whole: float) -> str:
    """Write a part of a whole: 37.2 %; a small one is not rounded to nothing."""
    if not whole:
        return "-"
    value = 100 * part / whole
    return "< 0.1 %" if 0 < value < 0.05 else f"{value:.1f} %"


def decibels(value: float | None) -> str:
    """Write an SQNR."""
    return "-" if value is None else f"{value:.1f} dB"


def error(value: float | None) -> str:
    """Write a largest |error|; None of values that are not finite."""
    if value is None or not math.isfinite(value):
        return "not finite"
    return "exact" if value == 0 else f"{value:.3g}"


def largest(quality: Quality) -> str:
    """Write the largest |error| of several tensors, and that some have no measure of it."""
    if not quality.not_finite:
        return error(quality.max_abs_error)
    if not quality.lossy:
        return "not finite"
    return f"{error(quality.max_abs_error)}, {quality.not_finite:,} not finite"


def exact(quality: Quality) -> str:
    """Write how many of some tensors are exact: 18 of 24."""
    return f"{quality.exact:,} of {quality.exact + quality.lossy + quality.not_finite:,}"


def shape(sides: tuple[int, ...]) -> str:
    """Write a shape: 3×3×8."""
    if len(sides) > 8:
        sides_shown = [*map(str, sides[:4]), "…", *map(str, sides[-3:])]
        return "×".join(sides_shown)
    return "×".join(map(str, sides)) or "scalar"
