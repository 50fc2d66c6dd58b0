"""Reads a `.mc` file: everything is checked before the first chunk is read.

spec/container.md, sections 5, 6 and 8.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import xxhash

from mcodec import frames
from mcodec.container import header as headers
from mcodec.container import manifest as manifests
from mcodec.container.chunks import Stream, front, ranges, split
from mcodec.container.layout import Chunk, chunk_of
from mcodec.container.opening import read_front
from mcodec.container.rows import Row, RowTable
from mcodec.errors import FormatError
from mcodec.limits import MIB, decoded_budget
from mcodec.types import FILL, RAW, ZSTD, CodecLike, CodedStream, Fill, RunSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from mcodec.container.manifest import Manifest, ParseCodec
    from mcodec.storage import ByteSource
    from mcodec.types import StreamSpec


class ContainerReader:
    """A checked `.mc` file. Chunks may be read from several threads.

    Parameters
    ----------
    source
        The bytes; closed with the reader.
    parse_codec
        Makes a codec of a configuration (`codec.registry.from_config`).
    partial
        Take a progressive file that is cut off; see `levels`.
    max_decoded
        Bytes that one task may decode to, in place of the format's budget.
    verify
        False skips the hash of each chunk.

    Attributes
    ----------
    layout : str
    size : int
        Bytes of the file as its header states them.
    manifest : Manifest
    runs : list of RunSpec
    levels : int or None
        Of a cut-off progressive file the last whole level; else None.

    Raises
    ------
    FormatError
        With the reason codes of section 6.
    """

    def __init__(
        self,
        source: ByteSource,
        parse_codec: ParseCodec,
        *,
        partial: bool = False,
        max_decoded: int | None = None,
        verify: bool = True,
    ) -> None:
        self._source = source
        self._verify = verify
        try:
            self._open(parse_codec, partial, max_decoded)
        except FormatError as error:
            raise error.at(source.name) from None

    def _open(self, parse_codec: ParseCodec, partial: bool, max_decoded: int | None) -> None:
        source = self._source
        header, front = read_front(source, partial=partial)
        self.header = header
        self.manifest_bytes = _manifest_bytes(front, header)
        self.manifest: Manifest = manifests.decode(self.manifest_bytes)
        budget = decoded_budget(source.size) if max_decoded is None else max_decoded
        self._checked = manifests.Checked(self.manifest, parse_codec, budget)
        self._rows = RowTable(memoryview(front)[header.manifest_padded :], header, self._checked)
        self.levels = self._whole_levels() if source.size < header.file_length else None

    @property
    def name(self) -> str:
        """The file's name, for messages."""
        return self._source.name

    @property
    def layout(self) -> str:
        """The layout that the header names."""
        return self.header.layout

    @property
    def size(self) -> int:
        """The bytes of the file, as its header states them."""
        return self.header.file_length

    @property
    def runs(self) -> list[RunSpec]:
        """The geometry of each run."""
        return self._checked.runs

    def codec(self, run: int) -> CodecLike:
        """Return the codec of a run."""
        return self._checked.codec(run)

    def rows(self, run: int, block: int) -> list[Row]:
        """Return the rows of a block, or of the head with block -1."""
        return list(self._rows.rows(run, block))

    def extents(
        self, run: int, block: int, level: int | None = None, above: int = -1
    ) -> list[tuple[int, int]]:
        """Return the (start, stop) that `read_streams` reads."""
        rows = self.rows(run, block)
        if rows:
            rows = _of_levels(rows, self.specs(run, block, rows[0].mode), level, above)
        return [(start, stop) for start, stop, _ in ranges(rows) if stop > start]

    def ahead(self, extents: Sequence[tuple[int, int]]) -> AbstractContextManager[None]:
        """Say what will be read soon: a source that is far away fetches it in few requests."""
        return self._source.ahead(extents)

    def specs(self, run: int, block: int, mode: int) -> tuple[StreamSpec, ...]:
        """Return the streams of a block, or of the head with block -1."""
        codec, spec = self.codec(run), self.runs[run]
        if block < 0:
            return codec.head_streams(spec)
        return codec.block_streams(spec, block, mode) or ()

    def read_streams(
        self, run: int, block: int, level: int | None = None, above: int = -1
    ) -> tuple[int, list[Stream | None]]:
        """Read the streams of a block (block -1: the head), and return its mode and the streams.

        With `level`, streams of higher levels are not read and come as None; with `above`, so do
        those of that level and lower ones.
        """
        rows = self.rows(run, block)
        mode = rows[0].mode if rows else 0
        specs = self.specs(run, block, mode)
        rows = _of_levels(rows, specs, level, above)
        streams: list[Stream | None] = [None] * len(specs)
        if any(spec.counted for spec in specs):
            for row, _, found in self._split_chunks(run, block, rows):
                streams[row.first : row.first + row.streams] = found
        else:
            with self._place(run, block):
                for row, stored in self._read_chunks(rows):
                    first, stop = row.first, row.first + row.streams
                    streams[first:stop] = split(row, stored, specs[first:stop])
        if level is not None:  # a chunk may carry streams beyond the level asked for
            for index, spec in enumerate(specs):
                if spec.level > level:
                    streams[index] = None
        return mode, streams

    def stored_chunks(self, run: int, block: int) -> tuple[int, list[Chunk]]:
        """Return a block's mode and chunks as they stand in the file; only hashes are checked."""
        rows = self.rows(run, block)
        mode = rows[0].mode if rows else 0
        specs = self.specs(run, block, mode)
        with self._place(run, block):
            return mode, [
                chunk_of(row, stored, specs[row.first : row.first + row.streams])
                for row, stored in self._read_chunks(rows)
            ]

    def coded_streams(self, run: int, block: int) -> tuple[int, list[CodedStream]]:
        """Return a block's streams as they are stored, shared chunks taken apart."""
        rows = self.rows(run, block)
        coded: list[CodedStream] = []
        for row, stored, found in self._split_chunks(run, block, rows):
            if row.coder == ZSTD:
                coded.append(CodedStream(ZSTD, 0, row.raw, stored))
                continue
            for stream in found:
                if isinstance(stream, Fill):
                    coded.append(CodedStream(FILL, stream.value, stream.length))
                else:
                    coded.append(CodedStream(RAW, 0, len(stream), stream))
        return rows[0].mode if rows else 0, coded

    def _split_chunks(
        self, run: int, block: int, rows: Sequence[Row]
    ) -> Iterator[tuple[Row, memoryview, list[Stream]]]:
        """Read chunks of a block in order; yield each with its bytes and its streams."""
        mode = rows[0].mode if rows else 0
        specs = self.specs(run, block, mode)
        streams: list[Stream | None] = [None] * len(specs)
        exact = None
        with self._place(run, block):
            for row, stored in self._read_chunks(rows):
                exact = exact or self._exact(run, block, mode, row, stored, streams)
                part = (exact or specs)[row.first : row.first + row.streams]
                found = split(row, stored, part)
                streams[row.first : row.first + row.streams] = found
                yield row, stored, found

    def _exact(
        self,
        run: int,
        block: int,
        mode: int,
        row: Row,
        stored: memoryview,
        streams: list[Stream | None],
    ) -> Sequence[StreamSpec] | None:
        """Return the block's streams by those before the first counted one, if a chunk has it."""
        specs = self.specs(run, block, mode)[row.first : row.first + row.streams]
        fixed = next((index for index, spec in enumerate(specs) if spec.counted), None)
        if fixed is None:
            return None
        if fixed:  # what counts them may stand in their own chunk
            streams[row.first : row.first + fixed] = front(row, stored, specs[:fixed])
        return self.codec(run).counted_streams(self.runs[run], block, mode, streams)

    def refresh(self) -> bool:
        """Look how much of a cut-off file is there now; tell whether `levels` has changed.

        Raises
        ------
        FormatError
            ``file_truncated``: it has become shorter; ``trailing_data``: longer than it says.
        """
        before = self.levels
        if before is None:
            return False
        size = self._source.refresh()
        if size > self.header.file_length:
            message = f"the file holds {size} bytes and should have {self.header.file_length}"
            raise FormatError(message, code="trailing_data", where=self.name)
        levels = self._whole_levels() if size < self.header.file_length else None
        if levels is not None and levels < before:
            message = f"the file has become shorter: {size} bytes"
            raise FormatError(message, code="file_truncated", where=self.name)
        self.levels = levels
        return levels != before

    def check_padding(self) -> None:
        """Check that all bytes that no row claims are zero."""
        header = self.header
        taken = [
            (0, headers.SIZE),
            (header.front_offset, header.front_offset + header.front_length),
            (header.file_length, header.file_length),
        ]
        for index in range(header.row_count):
            row = self._rows.get(index)
            if row.stored:
                taken.append((row.offset, row.offset + row.stored))
        end = 0
        for start, stop in sorted(taken):
            self._check_zero(end, start)
            end = stop

    def _check_zero(self, start: int, stop: int) -> None:
        for at in range(start, stop, MIB):
            data = bytes(self._source.read_at(at, min(MIB, stop - at)))
            if data.count(0) != len(data):
                message = f"padding between {start} and {stop} is not zero"
                raise FormatError(message, code="padding_nonzero", where=self._source.name)

    def close(self) -> None:
        """Release the file."""
        self._source.close()

    @contextmanager
    def _place(self, run: int, block: int) -> Iterator[None]:
        """Say in an error where it happened."""
        try:
            yield
        except FormatError as error:
            place = "head" if block < 0 else f"block {block}"
            raise error.at(f"{self._source.name}: run {run}, {place}") from None

    def _read_chunks(self, rows: Sequence[Row]) -> Iterator[tuple[Row, memoryview]]:
        """Read chunks, neighbours in one range, and check the hash of each."""
        for start, stop, members in ranges(rows):
            data = memoryview(self._source.read_at(start, stop - start) if stop > start else b"")
            for row in members:
                at = row.offset - start if row.stored else 0
                stored = data[at : at + row.stored]
                if self._verify and row.coder != FILL:
                    _check_hash(row, stored)
                yield row, stored

    def all_levels(self) -> int:
        """Return the highest level that the whole file has."""
        return max(
            (
                stream.level
                for run, spec in enumerate(self.runs)
                if spec.blocks
                for stream in self.specs(run, 0, next(iter(self._rows.rows(run, 0))).mode)
            ),
            default=0,
        )

    def _whole_levels(self) -> int:
        """Return the last level of a cut-off progressive file of which all chunks are there."""
        missing: set[int] = set()
        levels = {0}
        for run, spec in enumerate(self.runs):
            for block in range(-1, spec.blocks):
                for row in self._rows.rows(run, block):
                    level = self.specs(run, block, row.mode)[row.first].level
                    levels.add(level)
                    if row.offset + row.stored > self._source.size:
                        missing.add(level)
        if not missing:
            return max(levels)
        if 0 in missing:
            message = f"the file is cut off in level 0, at {self._source.size} bytes"
            raise FormatError(message, code="file_truncated")
        return min(missing) - 1


def _of_levels(
    rows: list[Row], specs: Sequence[StreamSpec], level: int | None, above: int
) -> list[Row]:
    """Return the chunks whose streams are of the levels wanted; no chunk has streams of two."""
    if level is None and above < 0:
        return rows
    return [
        row
        for row in rows
        if specs[row.first].level > above and (level is None or specs[row.first].level <= level)
    ]


def _check_hash(row: Row, stored: memoryview) -> None:
    if xxhash.xxh3_64_intdigest(stored) != row.hash:
        message = f"the {row.stored} bytes at {row.offset} are damaged (hash mismatch)"
        raise FormatError(message, code="chunk_checksum")


def _manifest_bytes(front: bytes, header: headers.Header) -> bytes:
    stored = front[: header.manifest_stored]
    if any(front[header.manifest_stored : header.manifest_padded]):
        raise FormatError("the manifest's padding is not zero", code="manifest_corrupt")
    try:
        return frames.decompress(stored, header.manifest_raw)
    except frames.FrameError as error:
        raise FormatError(f"the manifest: {error}", code="manifest_corrupt") from None
