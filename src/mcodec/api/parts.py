"""Part files: finished chunks of some runs, on their way from a worker to the writer.

A part is the chunks one behind another, an index (MessagePack) that says what they are, and a
trailer of 24 bytes: the index's length and its XXH3-64, and the magic bytes. It is a file between
processes of one version, not a format that is kept: a part of another version has another name.
"""

from __future__ import annotations

import math
import struct
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Annotated, Final

import msgspec
import xxhash

from mcodec import stored
from mcodec.container.layout import Chunk
from mcodec.errors import FormatError, InputOutputError, McodecError
from mcodec.limits import MAX_CHUNK_RAW, MAX_FRONT
from mcodec.types import FILL, ZSTD

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mcodec.container.manifest import Errors
    from mcodec.storage.folder import SharedFolder

SUFFIX: Final = ".part"
_MAGIC: Final = b"mcparts1"
_TRAILER: Final = struct.Struct("<QQ8s")

_Byte = Annotated[int, msgspec.Meta(ge=0, le=255)]
_Length = Annotated[int, msgspec.Meta(ge=0, le=MAX_CHUNK_RAW)]
_Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class ChunkRecord(msgspec.Struct, frozen=True, array_like=True):
    """A chunk, as `Chunk`, with the XXH3-64 of its stored bytes."""

    first: _Byte
    streams: _Byte
    level: Annotated[int, msgspec.Meta(ge=0, le=1 << 16)]
    coder: Annotated[int, msgspec.Meta(ge=FILL, le=ZSTD)]
    fill: _Byte
    raw: _Length
    stored: Annotated[int, msgspec.Meta(ge=0, le=2 * MAX_CHUNK_RAW)]
    hash: bytes


class BlockRecord(msgspec.Struct, frozen=True, array_like=True):
    """One block, or the head, of one run."""

    mode: _Byte
    chunks: list[ChunkRecord]


class RunRecord(msgspec.Struct, frozen=True, array_like=True):
    """The certificate of a run (`RunEncoder.certificate`)."""

    digest: _Digest
    source: _Digest | None
    errors: list[tuple[float, float, float] | None] | None

    @property
    def certificate(self) -> tuple[str, str | None, Errors | None]:
        """What the manifest says of the run."""
        return self.digest, self.source, self.errors


class GroupRecord(msgspec.Struct, frozen=True, array_like=True):
    """Runs that are written together: one, or those of a fused group. By block, then by run."""

    runs: list[RunRecord]
    blocks: list[list[BlockRecord]]


class Index(msgspec.Struct, frozen=True, array_like=True):
    """What a part holds, and of what."""

    fingerprint: str
    groups: list[GroupRecord]

    @property
    def length(self) -> int:
        """Bytes of all chunks."""
        return sum(
            chunk.stored
            for group in self.groups
            for blocks in group.blocks
            for block in blocks
            for chunk in block.chunks
        )


Shape = list[tuple[int, int, int]]  # of each group: its runs, its blocks (head counted), members


def record(chunk: Chunk, file: IO[bytes]) -> ChunkRecord:
    """Write a chunk to a part, and return what the index says of it."""
    for piece in chunk.pieces:
        file.write(piece)
    return ChunkRecord(
        chunk.first,
        chunk.streams,
        chunk.level,
        chunk.coder,
        chunk.fill,
        chunk.raw,
        chunk.stored,
        stored.digest(chunk.pieces).to_bytes(8, "big"),
    )


def end(index: Index, file: IO[bytes]) -> None:
    """Write the index behind the chunks."""
    text = msgspec.msgpack.encode(index)
    file.write(text + _TRAILER.pack(len(text), xxhash.xxh3_64_intdigest(text), _MAGIC))


class Part:
    """A part file that is open for reading, its index checked; its chunks are checked as they come.

    Parameters
    ----------
    file
        At its begin.
    index
    name
        For messages.
    """

    def __init__(self, file: IO[bytes], index: Index, name: str) -> None:
        self._file = file
        self._name = name
        self.index = index

    def chunks(self, records: Sequence[BlockRecord]) -> list[list[Chunk]]:
        """Return the next block's chunks, by run.

        Raises
        ------
        FormatError
            ``chunk_checksum``: its bytes are not those that were written.
        """
        length = sum(entry.stored for one in records for entry in one.chunks)
        block = memoryview(self._file.read(length))  # its own: the writer keeps the first ones
        if len(block) != length:
            raise _damaged(self._name, "it is cut short")
        found: list[list[Chunk]] = []
        for one in records:
            found.append([])
            for entry in one.chunks:
                data, block = block[: entry.stored], block[entry.stored :]
                if xxhash.xxh3_64_digest(data) != entry.hash:
                    raise _damaged(self._name, "a chunk's bytes do not match their hash")
                found[-1].append(_chunk(entry, data))
        return found

    def check(self) -> None:
        """Read all chunks."""
        for group in self.index.groups:
            for records in group.blocks:
                self.chunks(records)


def _chunk(entry: ChunkRecord, data: memoryview) -> Chunk:
    pieces = (data,) if data else ()
    kind = entry.coder, entry.fill, entry.raw
    digest = int.from_bytes(entry.hash, "big")  # which was compared with the bytes
    return Chunk(entry.first, entry.streams, entry.level, *kind, pieces, digest)


@contextmanager
def open_part(folder: SharedFolder, fingerprint: str, shape: Shape) -> Iterator[Part]:
    """Open a part, and check its index: what it is of, and that it is as long as it says.

    Raises
    ------
    FormatError
        It is damaged, or of something else.
    InputOutputError
        It is not there or cannot be read.
    """
    file = fingerprint + SUFFIX
    name = f"{folder.name}/{file}"
    size = folder.size(file)
    if size is None:
        raise InputOutputError(f"{name}: the part is gone; run the same command again")
    with folder.open(file) as opened:
        index = _read_index(opened, size, name)
        if index.fingerprint != fingerprint or not _fits(index, shape):
            raise _damaged(name, "it is of something else")
        opened.seek(0)
        yield Part(opened, index, name)


def is_whole(folder: SharedFolder, fingerprint: str, shape: Shape) -> bool:
    """Tell whether a part is there, and every byte of it is as it was written."""
    if folder.size(fingerprint + SUFFIX) is None:
        return False
    try:
        with open_part(folder, fingerprint, shape) as part:
            part.check()
    except McodecError:  # it is made again; what keeps it from being read keeps it from that too
        return False
    return True


def _read_index(file: IO[bytes], size: int, name: str) -> Index:
    if size < _TRAILER.size:
        raise _damaged(name, "it is cut short")
    file.seek(size - _TRAILER.size)
    trailer = file.read(_TRAILER.size)
    if len(trailer) != _TRAILER.size:
        raise _damaged(name, "it is cut short")
    length, digest, magic = _TRAILER.unpack(trailer)
    if magic != _MAGIC or length > min(size - _TRAILER.size, MAX_FRONT):
        raise _damaged(name, "it is cut short")
    file.seek(size - _TRAILER.size - length)
    text = file.read(length)
    if xxhash.xxh3_64_intdigest(text) != digest:
        raise _damaged(name, "its index does not match its hash")
    try:
        index = msgspec.msgpack.decode(text, type=Index)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise _damaged(name, "its index cannot be read") from None
    if index.length != size - _TRAILER.size - length:
        raise _damaged(name, "its length is not that of its chunks")
    return index


def _fits(index: Index, shape: Shape) -> bool:
    """Tell whether a part has what was asked for, in this number."""
    if len(index.groups) != len(shape):
        return False
    return all(
        len(group.runs) == runs
        and len(group.blocks) == blocks
        and all(len(block) == runs for block in group.blocks)
        and all(
            run.errors is None
            or (len(run.errors) == members and all(map(_is_finite, filter(None, run.errors))))
            for run in group.runs
        )
        for group, (runs, blocks, members) in zip(index.groups, shape, strict=True)
    )


def _is_finite(errors: tuple[float, float, float]) -> bool:
    return all(math.isfinite(one) for one in errors)


def _damaged(name: str, what: str) -> McodecError:
    return FormatError(
        f"the part is damaged ({what}); run the same command again, which makes it anew",
        code="chunk_checksum",
        where=name,
    )
