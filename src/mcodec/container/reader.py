"""Reads a `.mc` file: everything is checked before the first chunk is read.

spec/container.md, sections 5, 6 and 8.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import xxhash

from mcodec.container import batch, levels, opening, padding
from mcodec.container import manifest as manifests
from mcodec.container.checked import Checked
from mcodec.container.chunks import Stream, front, ranges, split
from mcodec.container.layout import Chunk, chunk_of
from mcodec.container.rows import Row, RowTable
from mcodec.errors import FormatError
from mcodec.limits import decoded_budget
from mcodec.types import FILL, RAW, ZSTD, CodedStream, Fill, RunSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from mcodec.container.checked import ParseCodec
    from mcodec.container.codeclike import CodecLike
    from mcodec.container.manifest import Manifest
    from mcodec.storage import ByteSource
    from mcodec.stored import Scratch
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
        self.header, front = opening.read_front(source, partial=partial)
        self.manifest_bytes = opening.manifest_bytes(front, self.header)
        self.manifest: Manifest = manifests.decode(self.manifest_bytes)
        budget = decoded_budget(source.size) if max_decoded is None else max_decoded
        self._checked = Checked(self.manifest, parse_codec, budget)
        self._rows = RowTable(
            memoryview(front)[self.header.manifest_padded :], self.header, self._checked
        )
        self.levels: int | None = None
        if source.size < self.header.file_length:
            self.levels = levels.whole(self._leveled(), source.size)

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
            rows = levels.chosen(rows, self.specs(run, block, rows[0].mode), level, above)
        return [(start, stop) for start, stop, _ in ranges(rows) if stop > start]

    @property
    def remote(self) -> bool:
        """Whether it pays to say what will be read."""
        return self._source.remote

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
        rows = levels.chosen(rows, specs, level, above)
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

    def read_blocks(
        self, places: Sequence[tuple[int, int]], scratch: Scratch
    ) -> list[tuple[int, Sequence[Stream | None]]]:
        """Read all streams of several blocks at once, as `read_streams` does one by one.

        They lie in `scratch`, where the next read will put others.
        """
        source, verify = self._source, self._verify
        found = batch.read(source, self._rows, self.specs, places, scratch, verify=verify)
        return [found.get(place) or self.read_streams(*place) for place in places]

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
            It has become shorter, or longer than it says (`levels.changed`).
        """
        before, there = self.levels, None
        if before is None:
            return False
        size, length = self._source.refresh(), self.header.file_length
        if size < length:
            there = levels.whole(self._leveled(), size)
        if size > length or (there is not None and there < before):
            raise levels.changed(size, length).at(self.name)
        self.levels = there
        return there != before

    def gaps(self) -> Iterator[tuple[int, int]]:
        """Yield the (start, stop) of all bytes that no row claims, in order."""
        rows = (self._rows.get(index) for index in range(self.header.row_count))
        return padding.gaps(self.header, rows)

    def check_padding(self, gaps: Iterable[tuple[int, int]] | None = None) -> None:
        """Check that all bytes that no row claims are zero, or those of some gaps."""
        padding.check(self._source, self.gaps() if gaps is None else gaps)

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
        return max((level for level, _ in self._leveled()), default=0)

    def _leveled(self) -> Iterator[tuple[int, int]]:
        """Yield the level and the end of each chunk."""
        for run, spec in enumerate(self.runs):
            for block in range(-1, spec.blocks):
                for row in self._rows.rows(run, block):
                    specs = self.specs(run, block, row.mode)
                    yield specs[row.first].level, row.offset + row.stored


def _check_hash(row: Row, stored: memoryview) -> None:
    if xxhash.xxh3_64_intdigest(stored) != row.hash:
        message = f"the {row.stored} bytes at {row.offset} are damaged (hash mismatch)"
        raise FormatError(message, code="chunk_checksum")
