"""Which streams share a chunk, and in which order chunks stand (spec/container.md, section 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from mcodec import stored
from mcodec.container.rows import STAGGER, staggers
from mcodec.limits import MAX_CHUNK_RAW
from mcodec.types import FILL, RAW, ZSTD, CodedStream, StreamSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcodec.container.rows import Row


class Chunk(msgspec.Struct, frozen=True):
    """Consecutive streams of one block, as they will stand in the file.

    ``digest`` is the hash of what is stored, where somebody has taken it already.
    """

    first: int
    streams: int
    level: int
    coder: int
    fill: int
    raw: int
    pieces: tuple[bytes | memoryview, ...]
    digest: int | None = None

    @property
    def stored(self) -> int:
        """The bytes that the chunk takes in the file."""
        return sum(map(len, self.pieces))


def chunk_of(row: Row, stored: memoryview, specs: Sequence[StreamSpec]) -> Chunk:
    """Return a chunk that a file has, from its row, its bytes and the streams in it."""
    level = max(spec.level for spec in specs)
    pieces = (stored,) if row.stored else ()
    return Chunk(row.first, row.streams, level, row.coder, row.fill, row.raw, pieces)


def digest_of(chunk: Chunk) -> int:
    """Return the XXH3-64 of what a chunk stores."""
    if chunk.digest is not None:
        return chunk.digest
    return stored.digest(chunk.pieces)


def sealed(specs: Sequence[StreamSpec], coded: Sequence[CodedStream], layout: str) -> list[Chunk]:
    """Return what `group` does, with digests: work that threads can do before the writer's turn."""
    chunks = group(specs, coded, layout)
    return [msgspec.structs.replace(chunk, digest=digest_of(chunk)) for chunk in chunks]


def group(specs: Sequence[StreamSpec], coded: Sequence[CodedStream], layout: str) -> list[Chunk]:
    """Join neighbours that are all raw, or all one fill, into chunks.

    A progressive file joins no two levels. zstd frames stand alone, and variable streams that are
    not counted.
    """
    chunks: list[Chunk] = []
    start = raw = 0
    for end in range(1, len(coded) + 1):
        last = coded[end - 1]
        raw += last.raw
        if last.coder == RAW and staggers(end - 1 - start, last.raw):
            raw += STAGGER  # if another follows
        if end < len(coded) and _joins(specs, coded, raw, end, layout):
            continue
        chunks.append(_chunk(specs, coded, start, end))
        start, raw = end, 0
    return chunks


def _joins(
    specs: Sequence[StreamSpec], coded: Sequence[CodedStream], raw: int, end: int, layout: str
) -> bool:
    """Tell whether stream `end` may stand in one chunk with those before, of so many bytes."""
    last, following = coded[end - 1], coded[end]
    if following.coder != last.coder or following.coder == ZSTD or following.fill != last.fill:
        return False
    above, spec = specs[end - 1], specs[end]
    if (above.variable and not above.counted) or (spec.variable and not spec.counted):
        return False
    if layout == "progressive" and above.level != spec.level:
        return False
    return raw + following.raw <= MAX_CHUNK_RAW


def _chunk(
    specs: Sequence[StreamSpec], coded: Sequence[CodedStream], start: int, end: int
) -> Chunk:
    head = coded[start]
    pieces: list[bytes | memoryview] = []
    raw = sum(stream.raw for stream in coded[start:end])
    if head.coder != FILL:
        for index in range(start, end):
            pieces.append(coded[index].data)
            if head.coder == RAW and index + 1 < end and staggers(index - start, coded[index].raw):
                pieces.append(bytes(STAGGER))
                raw += STAGGER
    level = max(spec.level for spec in specs[start:end])
    return Chunk(start, end - start, level, head.coder, head.fill, raw, tuple(pieces))


def interleave(chunks: Sequence[Sequence[Chunk]]) -> list[tuple[int, int]]:
    """Return (member, position) of a fused group's chunks: first the first of each, and so on."""
    longest = max(map(len, chunks), default=0)
    return [
        (member, position)
        for position in range(longest)
        for member, own in enumerate(chunks)
        if position < len(own)
    ]
