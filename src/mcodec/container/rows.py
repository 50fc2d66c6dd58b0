"""The row table: where each chunk is, and the check that rows and streams agree.

spec/container.md, section 4, and step 13 of section 6. Rows stay packed (a model of 100 GB has
half a million); a row becomes an object when its chunk is wanted.
"""

from __future__ import annotations

import struct
from array import array
from typing import TYPE_CHECKING, Final, NamedTuple

from mcodec import stored
from mcodec.container.header import ROW_SIZE, Header
from mcodec.errors import FormatError
from mcodec.limits import MAX_CHUNK_RAW
from mcodec.types import FILL, RAW, ZSTD, RunSpec, StreamSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mcodec.container.checked import Checked
    from mcodec.container.codeclike import CodecLike

    Streams = tuple[StreamSpec, ...]

ROW: Final = struct.Struct("<QIIQ5B3s")
EMPTY_HASH: Final = 0x2D06800538D394C2  # XXH3-64 of no bytes
ZEROS: Final = b"\0\0\0"
MODE: Final = 28  # where a row has its mode
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
        # Lengths of a block's streams: blocks are alike, and codecs give the same tuple for each,
        # which is held here so that its id stays its own.
        self._lengths: dict[int, tuple[Streams, array[int]]] = {}
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
                index = self._walk(index, codec, spec, block)
        self._starts.append(index)
        if index != header.row_count:
            raise _refuse("row_order", index, "rows are left over behind the last run")
        offset = stored.overlap(packed, header.front_offset, header.front_length)
        if offset:
            message = f"a chunk at {offset} overlaps what lies before it"
            raise FormatError(message, code="row_overlap")
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

    def _walk(self, index: int, codec: CodecLike, spec: RunSpec, block: int) -> int:
        """Check the rows of one block from row `index` on, and return the next row's index."""
        mode = 0
        if block < 0:
            streams: Streams | None = codec.head_streams(spec)
            if not streams:
                return index
        else:
            if index < self._header.row_count:
                mode = self._packed[index * ROW_SIZE + MODE]
            streams = codec.block_streams(spec, block, mode)
        if streams is not None:
            lengths = self._lengths_of(streams)
            end = self._header.file_length
            plain = stored.plain_rows(self._packed, index, lengths, mode, end)
            if plain:
                return index + plain
        return self._look_closer(index, streams, mode)

    def _look_closer(self, index: int, streams: Streams | None, mode: int) -> int:
        """Check rows by the rules in their order."""
        covered = 0
        while streams is None or covered < len(streams):
            if index >= self._header.row_count:
                raise _refuse("row_order", index, "rows are missing")
            row = self.get(index)
            self._check(index, row, streams, covered, mode)
            covered += row.streams
            index += 1
        return index

    def _lengths_of(self, streams: Streams) -> array[int]:
        found = self._lengths.get(id(streams))
        if found is None:
            fixed = (stored.VARIABLE if s.variable else s.length for s in streams)
            found = self._lengths[id(streams)] = streams, array("Q", fixed)
        return found[1]

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


def _check_bounds(index: int, row: Row, header: Header) -> None:
    if row.stored == 0:
        good = row.offset == 0
    else:
        good = row.offset % alignment(row.stored) == 0 and row.offset >= 64
        good = good and row.offset + row.stored <= header.file_length
    if not good:
        raise _refuse("row_bounds", index, f"no room for {row.stored} bytes at {row.offset}")
