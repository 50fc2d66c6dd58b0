"""The row table: where each chunk is, and the check that rows and streams agree.

spec/container.md, section 4, and step 13 of section 6. Rows stay packed (a model of 100 GB has
half a million); a row becomes an object when its chunk is wanted.
"""

from __future__ import annotations

import struct
from array import array
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mcodec.container.header import ROW_SIZE, Header
from mcodec.errors import FormatError
from mcodec.limits import MAX_CHUNK_RAW
from mcodec.types import FILL, RAW, ZSTD, CodecLike, RunSpec, StreamSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mcodec.container.manifest import Checked

    Streams = tuple[StreamSpec, ...]

ROW: Final = struct.Struct("<QIIQ5B3s")
EMPTY_HASH: Final = 0x2D06800538D394C2  # XXH3-64 of no bytes
ZEROS: Final = b"\0\0\0"
STAGGER: Final = 64
STAGGERED: Final = 4096
EACH: Final = 6  # so many planes, exponents and the output fit eight ways of a cache
ALIGNED: Final = 4096  # stored bytes from which a chunk starts at a multiple of 64


class Row(NamedTuple):
    """One row, as its 32 bytes say."""

    offset: int
    stored: int
    raw: int
    hash: int
    coder: int
    fill: int
    first: int
    streams: int
    mode: int
    zero: bytes = ZEROS


def alignment(stored: int) -> int:
    """Return what a chunk's offset is a multiple of."""
    return 64 if stored >= ALIGNED else 8


def raw_length(lengths: Sequence[int], coder: int) -> int:
    """Return the Raw of a chunk of streams of these exact lengths, staggers included."""
    total = sum(lengths)
    if coder == RAW:
        total += STAGGER * sum(map(staggers, range(len(lengths) - 1), lengths))
    return total


def staggers(index: int, length: int) -> bool:
    """Tell whether 64 zero bytes follow a stream inside a shared raw chunk.

    Parameters
    ----------
    index
        Its number in the chunk, from 0.
    length
        Its bytes.
    """
    return index % EACH == EACH - 1 and length > 0 and length % STAGGERED == 0


def _refuse(code: str, index: int, message: str) -> FormatError:
    return FormatError(message, code=code, where=f"row {index}")


def _check_row(index: int, row: Row) -> None:
    if row.coder == FILL:
        good = row.stored == 0 and row.offset == 0 and row.hash == EMPTY_HASH
    elif row.coder == RAW:
        good = row.stored == row.raw and row.fill == 0
    else:
        good = row.coder == ZSTD and row.stored > 0 and row.fill == 0
    if not good or row.zero != ZEROS or row.streams == 0:
        raise _refuse("row_invalid", index, "a field has a value that the format does not allow")
    if row.raw > MAX_CHUNK_RAW:
        raise _refuse("limit_exceeded", index, f"a chunk of {row.raw} bytes")


def _check_length(index: int, row: Row, streams: tuple[StreamSpec, ...]) -> None:
    if len(streams) == 1 and streams[0].variable:
        good = row.raw <= streams[0].length
    elif any(stream.counted for stream in streams):
        most = sum(stream.length for stream in streams)
        most += STAGGER * (len(streams) - 1) if row.coder == RAW else 0
        good = row.raw <= most and not any(
            stream.variable and not stream.counted for stream in streams
        )
    else:
        good = row.raw == raw_length([stream.length for stream in streams], row.coder)
        good = good and not any(stream.variable for stream in streams)
    if not good or (len(streams) > 1 and row.coder == ZSTD):
        raise _refuse("row_length", index, f"{row.raw} bytes are not what its streams need")


class RowTable:
    """The checked rows of a file, found by run and block.

    Block -1 is the head of a run.
    """

    def __init__(self, packed: memoryview, header: Header, checked: Checked) -> None:
        self._packed = packed
        self._header = header
        self._bases = array("Q")  # run -> index into _starts of its head
        self._starts = array("L")  # first row of each head and block, and one past the last
        self._rowless: set[int] = set()  # runs whose blocks have no streams
        # The Raw of plain chunks, by the streams of a block: blocks are alike, and codecs give the
        # same tuple for each, which is held here so that its id stays its own.
        self._lengths: dict[int, tuple[Streams, dict[tuple[int, int, int], int | None]]] = {}
        claims: list[int] = []
        index = 0
        for run, spec in enumerate(checked.runs):
            self._bases.append(len(self._starts))
            codec, blocks = checked.codec(run), spec.blocks
            if blocks and codec.roles(spec.dtype) and not codec.block_streams(spec, 0, 0):
                # Nothing in the file bounds their number yet: no work and no memory for each.
                self._rowless.add(run)
                blocks = 0
            for block in range(-1, blocks):
                self._starts.append(index)
                index = self._walk(index, codec, spec, block, claims)
        self._starts.append(index)
        if index != header.row_count:
            raise _refuse("row_order", index, "rows are left over behind the last run")
        _check_overlap(claims, header)
        self._lengths.clear()

    def get(self, index: int) -> Row:
        """Return row `index`."""
        return Row._make(ROW.unpack_from(self._packed, index * ROW_SIZE))

    def packed(self, run: int, block: int) -> memoryview:
        """Return the rows of a block as they stand in the file."""
        if block >= 0 and run in self._rowless:
            return self._packed[:0]
        at = self._bases[run] + block + 1
        return self._packed[self._starts[at] * ROW_SIZE : self._starts[at + 1] * ROW_SIZE]

    def rows(self, run: int, block: int) -> Iterator[Row]:
        """Yield the rows of a block, or of the head with block -1."""
        if block >= 0 and run in self._rowless:
            return iter(())
        at = self._bases[run] + block + 1
        return map(self.get, range(self._starts[at], self._starts[at + 1]))

    def _walk(
        self, index: int, codec: CodecLike, spec: RunSpec, block: int, claims: list[int]
    ) -> int:
        """Check the rows of one block from row `index` on, and return the next row's index."""
        packed, unpack = self._packed, ROW.unpack_from
        count, end = self._header.row_count, self._header.file_length
        streams: tuple[StreamSpec, ...] | None = None
        covered, mode = 0, 0
        lengths: dict[tuple[int, int, int], int | None] = {}
        if block < 0:
            streams = codec.head_streams(spec)
            if not streams:
                return index
        while streams is None or covered < len(streams):
            if index >= count:
                raise _refuse("row_order", index, "rows are missing")
            row = unpack(packed, index * ROW_SIZE)
            offset, stored, raw, _, coder, _, first, number, its_mode, _ = row
            if streams is None:
                mode = its_mode
                streams = codec.block_streams(spec, block, mode)
                lengths = self._lengths_of(streams)
            key = (first, number, coder)
            if key not in lengths:
                lengths[key] = _plain_length(streams or (), *key)
            # Most rows are plainly good, and a file has many: the rest is for `_check`, which
            # knows the rules in their order.
            if not (
                first == covered
                and its_mode == mode
                and raw == lengths[key]
                and row[9] == ZEROS
                and (_stores(row, end) if stored else _fills(row))
            ):
                self._check(index, Row._make(row), streams, covered, mode)
            covered += number
            if stored:
                claims.append(offset << 32 | stored)
            index += 1
        return index

    def _lengths_of(self, streams: Streams | None) -> dict[tuple[int, int, int], int | None]:
        if streams is None:
            return {}
        return self._lengths.setdefault(id(streams), (streams, {}))[1]

    def _check(
        self,
        index: int,
        row: Row,
        streams: tuple[StreamSpec, ...] | None,
        covered: int,
        mode: int,
    ) -> None:
        """Refuse a row that breaks a rule of section 6, step 13."""
        _check_row(index, row)
        if row.first != covered:
            raise _refuse("row_order", index, f"stream {row.first} where {covered} was due")
        covered += row.streams
        if streams is not None and covered > len(streams):
            raise _refuse("row_order", index, "more streams than the block has")
        if streams is None or row.mode != mode:
            raise _refuse("row_invalid", index, f"mode {row.mode} is not one of its codec's")
        _check_length(index, row, streams[row.first : covered])
        _check_bounds(index, row, self._header)


def _stores(row: tuple[Any, ...], end: int) -> bool:
    """Tell whether a row's chunk is plainly good where it stands in a file of `end` bytes."""
    offset, stored, raw, _, coder, fill = row[:6]
    return bool(
        fill == 0
        and ((coder == RAW and stored == raw) or coder == ZSTD)
        and (offset & 63 == 0 or (offset & 7 == 0 and stored < ALIGNED))
        and 64 <= offset <= end - stored
    )


def _fills(row: tuple[Any, ...]) -> bool:
    """Tell whether a row of no bytes is plainly good."""
    return bool(row[0] == 0 and row[4] == FILL and row[3] == EMPTY_HASH)


def _plain_length(
    streams: tuple[StreamSpec, ...], first: int, number: int, coder: int
) -> int | None:
    """Return the Raw of a chunk of streams that are all there and of fixed lengths; else None."""
    chosen = streams[first : first + number]
    if number == 0 or len(chosen) != number or any(spec.variable for spec in chosen):
        return None
    if coder == ZSTD and number > 1:
        return None
    length = raw_length([spec.length for spec in chosen], coder)
    return length if length <= MAX_CHUNK_RAW else None


def _check_bounds(index: int, row: Row, header: Header) -> None:
    if row.stored == 0:
        good = row.offset == 0
    else:
        good = row.offset % alignment(row.stored) == 0 and row.offset >= 64
        good = good and row.offset + row.stored <= header.file_length
    if not good:
        raise _refuse("row_bounds", index, f"no room for {row.stored} bytes at {row.offset}")


def _check_overlap(claims: list[int], header: Header) -> None:
    claims.append(header.front_offset << 32)
    end = 0
    for claim in sorted(claims):
        offset, stored = claim >> 32, claim & 0xFFFFFFFF
        if offset < end:
            message = f"a chunk at {offset} overlaps what lies before it"
            raise FormatError(message, code="row_overlap")
        end = offset + (stored or header.front_length)
