"""Chunks as they stand in the file: which are read together, and how one becomes its streams.

spec/container.md, sections 4 and 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mcodec import frames
from mcodec.container.rows import STAGGER, raw_length, staggers
from mcodec.errors import FormatError
from mcodec.types import FILL, ZSTD, Fill

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mcodec.container.rows import Row
    from mcodec.types import StreamSpec

GAP: Final = 64  # chunks this close are read as one range

Stream = memoryview | Fill


def ranges(rows: Sequence[Row]) -> Iterator[tuple[int, int, list[Row]]]:
    """Join chunks that follow one another, as (start, stop, rows), so that one read gets them."""
    start = stop = 0
    members: list[Row] = []
    for row in rows:
        if members and row.stored and stop and not 0 <= row.offset - stop <= GAP:
            yield start, stop, members
            members, stop = [], 0
        if row.stored:
            if not stop:
                start = row.offset
            stop = row.offset + row.stored
        members.append(row)
    if members:
        yield start, stop, members


def split(row: Row, stored: memoryview, specs: Sequence[StreamSpec]) -> list[Stream]:
    """Decode a chunk and cut it into its streams, of exact lengths.

    Raises
    ------
    FormatError
        ``chunk_corrupt`` or ``stream_invalid``.
    """
    alone = specs[0] if len(specs) == 1 else None
    length = alone.length if alone else raw_length([spec.length for spec in specs], row.coder)
    if length != row.raw and not (alone and alone.variable and not alone.counted):
        raise _unequal(row)
    if row.coder == FILL:
        if alone:
            return [Fill(row.fill, row.raw)]
        return [Fill(row.fill, spec.length) for spec in specs]
    data = stored
    if row.coder == ZSTD:
        try:
            data = memoryview(frames.decompress(stored, row.raw))
        except frames.FrameError as error:
            raise FormatError(str(error), code="chunk_corrupt") from None
    if alone:
        return [data]
    return cut(data, specs)


def front(row: Row, stored: memoryview, specs: Sequence[StreamSpec]) -> list[Stream]:
    """Cut the first streams, of fixed lengths, off a shared chunk with counted ones behind them.

    Raises
    ------
    FormatError
        ``stream_invalid``.
    """
    if raw_length([*(spec.length for spec in specs), 0], row.coder) > row.raw:
        raise _unequal(row)
    if row.coder == FILL:
        return [Fill(row.fill, spec.length) for spec in specs]
    return cut(stored, specs, last=len(specs))


def cut(data: memoryview, specs: Sequence[StreamSpec], last: int | None = None) -> list[Stream]:
    """Cut a raw chunk into its streams; `last` is the number of the chunk's last stream.

    Raises
    ------
    FormatError
        ``stream_invalid``: a stagger is not zero.
    """
    if last is None:
        last = len(specs) - 1
    streams: list[Stream] = []
    at = 0
    for index, spec in enumerate(specs):
        end = at + spec.length
        streams.append(data[at:end])
        at = end
        if index < last and staggers(index, spec.length):
            if any(data[at : at + STAGGER]):
                raise FormatError("a stagger is not zero", code="stream_invalid")
            at += STAGGER
    return streams


def _unequal(row: Row) -> FormatError:
    message = f"a chunk of {row.raw} bytes is not as long as its streams"
    return FormatError(message, code="stream_invalid")
