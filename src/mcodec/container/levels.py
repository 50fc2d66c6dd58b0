"""Levels of progressive files, and how many of them a file has that is cut off.

spec/container.md, sections 4 and 8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcodec.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mcodec.container.rows import Row
    from mcodec.types import StreamSpec


def chosen(
    rows: list[Row], specs: Sequence[StreamSpec], level: int | None, above: int
) -> list[Row]:
    """Return the chunks of levels over `above`, up to `level`; no chunk has streams of two."""
    if level is None and above < 0:
        return rows
    return [
        row
        for row in rows
        if specs[row.first].level > above and (level is None or specs[row.first].level <= level)
    ]


def whole(chunks: Iterator[tuple[int, int]], size: int) -> int:
    """Return the last level of which all chunks are there, and those of the levels before.

    Parameters
    ----------
    chunks
        Level and end of each.
    size
        Bytes of the file that are there.

    Raises
    ------
    FormatError
        ``file_truncated``: level 0 is not whole.
    """
    missing: set[int] = set()
    levels = {0}
    for level, stop in chunks:
        levels.add(level)
        if stop > size:
            missing.add(level)
    if not missing:
        return max(levels)
    if 0 in missing:
        message = f"the file is cut off in level 0, at {size} bytes"
        raise FormatError(message, code="file_truncated")
    return min(missing) - 1


def changed(size: int, length: int) -> FormatError:
    """Return the error for a download that has become shorter, or longer than the whole."""
    if size > length:
        message = f"the file holds {size} bytes and should have {length}"
        return FormatError(message, code="trailing_data")
    return FormatError(f"the file has become shorter: {size} bytes", code="file_truncated")
