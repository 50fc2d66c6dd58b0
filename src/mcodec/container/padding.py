"""The bytes of a file that are in no chunk: zero, all of them (spec/container.md, section 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcodec.container import header as headers
from mcodec.errors import FormatError
from mcodec.limits import MIB

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mcodec.container.rows import Row
    from mcodec.storage import ByteSource


def check(source: ByteSource, header: headers.Header, rows: Iterable[Row]) -> None:
    """Read all that is not header, front or chunk.

    Raises
    ------
    FormatError
        ``padding_nonzero``.
    """
    taken = [
        (0, headers.SIZE),
        (header.front_offset, header.front_offset + header.front_length),
        (header.file_length, header.file_length),
    ]
    taken += [(row.offset, row.offset + row.stored) for row in rows if row.stored]
    end = 0
    for start, stop in sorted(taken):
        for at in range(end, start, MIB):
            data = bytes(source.read_at(at, min(MIB, start - at)))
            if data.count(0) != len(data):
                message = f"padding between {end} and {start} is not zero"
                raise FormatError(message, code="padding_nonzero", where=source.name)
        end = stop
