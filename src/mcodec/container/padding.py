"""The bytes of a file that are in no chunk: zero, all of them (spec/container.md, section 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcodec.container import header as headers
from mcodec.errors import FormatError
from mcodec.limits import MIB

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mcodec.container.rows import Row
    from mcodec.storage import ByteSource


def gaps(header: headers.Header, rows: Iterable[Row]) -> Iterator[tuple[int, int]]:
    """Yield all (start, stop) that is not header, front or chunk, in order."""
    taken = [
        (0, headers.SIZE),
        (header.front_offset, header.front_offset + header.front_length),
        (header.file_length, header.file_length),
    ]
    taken += [(row.offset, row.offset + row.stored) for row in rows if row.stored]
    end = 0
    for start, stop in sorted(taken):
        if end < start:
            yield end, start
        end = stop


def check(source: ByteSource, ranges: Iterable[tuple[int, int]]) -> None:
    """Read ranges of a file that have to be zero.

    Raises
    ------
    FormatError
        ``padding_nonzero``.
    """
    for start, stop in ranges:
        for at in range(start, stop, MIB):
            data = bytes(source.read_at(at, min(MIB, stop - at)))
            if data.count(0) != len(data):
                message = f"padding between {start} and {stop} is not zero"
                raise FormatError(message, code="padding_nonzero", where=source.name)
