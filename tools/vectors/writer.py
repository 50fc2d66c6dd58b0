"""Write an `.mc` file from its parts, each of which a case may break (spec/container.md)."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from typing import Any

import zstandard
from xxhash import xxh3_64_intdigest

MAGIC = bytes.fromhex("894D43440D0A1A0A")
TASK, INTERLEAVED, PROGRESSIVE = 0, 1, 2
FILL, RAW, ZSTD = 0, 1, 2
HEADER_FIELDS = [
    *["magic", "major", "minor", "kind", "layout", "flags", "file_length", "front_offset"],
    *["manifest_stored", "manifest_raw", "row_count", "reserved", "front_hash"],
]
ROW_FIELDS = [
    *["offset", "stored", "raw", "hash", "coder", "fill", "first", "streams", "mode", "reserved"]
]


def compress(data: bytes) -> bytes:
    """Make one frame as section 5 wants it."""
    return zstandard.ZstdCompressor(level=9, write_checksum=False).compress(data)


def hand_frame(
    content: bytes, *, window: int | None = None, dictionary: int = 0, more: int = 0, kind: int = 0
) -> bytes:
    """Make a frame of one block by hand: it states its content `more` bytes longer than it is."""
    descriptor = 0x80 | (window is None) << 5 | (dictionary > 0)
    frame = bytes.fromhex("28B52FFD") + bytes([descriptor])
    frame += b"" if window is None else bytes([window])
    frame += bytes([dictionary]) if dictionary else b""
    frame += (len(content) + more).to_bytes(4, "little")
    return frame + (len(content) << 3 | kind << 1 | 1).to_bytes(3, "little") + content


def padding(length: int, unit: int) -> bytes:
    """Zero bytes from `length` up to a multiple of `unit`."""
    return bytes(-length % unit)


@dataclass
class Stream:
    """One stream of a block or of a head; a variable one may share a chunk if it is counted."""

    name: str
    data: bytes
    level: int = 0
    variable: bool = False
    counted: bool = False

    @property
    def alone(self) -> bool:
        """Whether it shares no chunk."""
        return self.variable and not self.counted


@dataclass
class Chunk:
    """A chunk and its row; `row` replaces fields of the row after all else is right."""

    coder: int
    raw: int
    stored: bytes
    first: int
    streams: int
    fill: int = 0
    mode: int = 0
    level: int = 0
    place: tuple[int, int] = (0, -1)  # run, block (-1: the head)
    row: dict[str, Any] = field(default_factory=dict)

    def pack(self, offset: int) -> bytes:
        """Give the 32 bytes of the row."""
        values = {
            "offset": offset if self.stored else 0,
            "stored": len(self.stored),
            "raw": self.raw,
            "hash": xxh3_64_intdigest(self.stored),
            "coder": self.coder,
            "fill": self.fill,
            "first": self.first,
            "streams": self.streams,
            "mode": self.mode,
            "reserved": bytes(3),
        } | self.row
        return struct.pack("<QIIQBBBBB3s", *(values[name] for name in ROW_FIELDS))


def join(streams: list[Stream]) -> bytes:
    """Put streams into one raw chunk, with the staggers of section 4."""
    parts = []
    for i, s in enumerate(streams[:-1]):
        parts += [s.data, bytes(64 if i % 6 == 5 and s.data and len(s.data) % 4096 == 0 else 0)]
    return b"".join([*parts, streams[-1].data])


def code(streams: list[Stream], first: int, coding: str) -> Chunk:
    """Code streams that may share a chunk; `coding` is `small`, `raw` or `zstd`."""
    raw = join(streams)
    plain = b"".join(s.data for s in streams)
    frame = compress(raw) if len(streams) == 1 and coding != "raw" else None
    chunk = Chunk(RAW, len(raw), raw, first, len(streams), level=streams[0].level)
    if coding == "small" and len(set(plain)) == 1:
        chunk = Chunk(FILL, len(plain), b"", first, len(streams), plain[0], level=chunk.level)
    elif frame is not None and (coding == "zstd" or len(frame) < len(raw)):
        chunk.coder, chunk.stored = ZSTD, frame
    return chunk


def cut(streams: list[Stream], coding: str, share: bool, by_level: bool) -> list[Chunk]:
    """Cut the streams of a block into chunks: neighbours of one raw or fill coder share one."""
    groups: list[list[Stream]] = []
    kinds: list[tuple[int, int]] = []
    for s in streams:
        alone = code([s], 0, coding)
        kind = (alone.coder, alone.fill)
        fits = share and groups and kinds[-1] == kind and kind[0] != ZSTD
        fits = fits and not s.alone and not groups[-1][-1].alone
        if fits and (not by_level or groups[-1][-1].level == s.level):
            groups[-1].append(s)
        else:
            groups.append([s])
            kinds.append(kind)
    chunks, first = [], 0
    for group in groups:
        chunks.append(code(group, first, coding))
        first += len(group)
    return chunks


@dataclass
class Draft:
    """All parts of a file; `build` makes lengths and hashes right where a case does not name them.

    Attributes
    ----------
    header
        Replaces header fields before the header's hash is made.
    text, frame, frame_padding
        Replace the manifest's JSON, its zstd frame, and the zero bytes behind.
    order
        The order in which chunks are placed; None: that of the rows.
    spaces
        chunk -> bytes of free room before it.
    patches
        (offset, bytes) over the finished file, without making a hash right.
    resize
        Bytes to append, or, negative, to cut off the finished file.
    """

    manifest: dict[str, Any]
    chunks: list[Chunk] = field(default_factory=list)
    layout: int = TASK
    front_last: bool = False
    header: dict[str, Any] = field(default_factory=dict)
    text: bytes | None = None
    frame: bytes | None = None
    frame_padding: bytes | None = None
    order: list[int] | None = None
    spaces: dict[int, int] = field(default_factory=dict)
    patches: list[tuple[int, bytes]] = field(default_factory=list)
    resize: int = 0

    def json(self) -> bytes:
        """Give the manifest's text."""
        if self.text is not None:
            return self.text
        return json.dumps(self.manifest, ensure_ascii=False, separators=(",", ":")).encode()

    def placed(self, start: int) -> tuple[list[int], bytes]:
        """Offsets of the chunks, and all bytes from `start` to the end of the last chunk."""
        offsets = [0] * len(self.chunks)
        body = bytearray()
        for i in self.order or range(len(self.chunks)):
            stored = self.chunks[i].stored
            if stored:
                body += bytes(self.spaces.get(i, 0))
                body += padding(start + len(body), 64 if len(stored) >= 4096 else 8)
                offsets[i] = start + len(body)
                body += stored
        return offsets, bytes(body)

    def level_ends(self) -> dict[int, int]:
        """Give the end of the last chunk of each level that stores bytes, in a file front first."""
        frame = compress(self.json())
        front = len(frame) + len(padding(len(frame), 8)) + 32 * len(self.chunks)
        offsets, _ = self.placed(64 + front)
        ends: dict[int, int] = {}
        for offset, chunk in zip(offsets, self.chunks, strict=True):
            if chunk.stored:
                ends[chunk.level] = max(ends.get(chunk.level, 0), offset + len(chunk.stored))
        return ends

    def build(self) -> bytes:
        """Make the file."""
        text = self.json()
        frame = compress(text) if self.frame is None else self.frame
        pad = padding(len(frame), 8) if self.frame_padding is None else self.frame_padding
        front_length = len(frame) + len(pad) + 32 * len(self.chunks)
        offsets, body = self.placed(64 if self.front_last else 64 + front_length)
        rows = [c.pack(o) for c, o in zip(self.chunks, offsets, strict=True)]
        front = b"".join([frame, pad, *rows])
        front_offset = 64
        if self.front_last:
            body += padding(len(body), 64)
            front_offset += len(body)
        values = {
            "magic": MAGIC,
            "major": 1,
            "minor": 0,
            "kind": 1,
            "layout": self.layout,
            "flags": 0,
            "file_length": 64 + front_length + len(body),
            "front_offset": front_offset,
            "manifest_stored": len(frame),
            "manifest_raw": len(text),
            "row_count": len(self.chunks),
            "reserved": 0,
            "front_hash": xxh3_64_intdigest(front),
        } | self.header
        header = struct.pack("<8sBBBBIQQIIIIQ", *(values[name] for name in HEADER_FIELDS))
        header += xxh3_64_intdigest(header).to_bytes(8, "little")
        data = bytearray(header + (body + front if self.front_last else front + body))
        for offset, change in self.patches:
            data[offset : offset + len(change)] = change
        return bytes(data + bytes(self.resize) if self.resize >= 0 else data[: self.resize])
