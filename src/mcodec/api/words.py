"""Numbers and names as people read them, on a terminal and on a page."""

from __future__ import annotations

from typing import Final

_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB")
WIDEST: Final = 100  # characters of one name or value; a name may have 4,096 bytes


def printable(text: str) -> str:
    """Escape what a terminal would act on: names come from files."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in text.encode("utf-8", "backslashreplace").decode()
    )


def elide(text: str, width: int = WIDEST) -> str:
    """Escape a text, and leave out its middle where it is long: names differ at their ends."""
    text = printable(text)
    if len(text) <= width:
        return text
    head = (width - 1) // 2
    return f"{text[:head]}…{text[head + 1 - width :]}"


def size(count: int) -> str:
    """Write a number of bytes: 812 B, 4.21 MB (10^6)."""
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value /= 1000
        unit += 1
    return f"{count} B" if unit == 0 else f"{value:.3g} {_UNITS[unit]}"


def counted(count: int, noun: str) -> str:
    """Write ``1 tensor`` or ``1,234 tensors``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
