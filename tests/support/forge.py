"""Takes a `.mc` file apart and writes it again with every hash right, whatever was changed.

Damage behind the hashes is what a hostile file looks like; damage in front of them is bit rot.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any, Final

import zstandard
from xxhash import xxh3_64_intdigest

HEADER: Final = struct.Struct("<8s4BIQQIIIIQQ")
ROW: Final = struct.Struct("<QIIQ5B3s")
_HEADER_FIELDS: Final = (
    *("magic", "major", "minor", "kind", "layout", "flags", "file_length", "front_offset"),
    *("manifest_stored", "manifest_raw", "row_count", "reserved", "front_hash", "header_hash"),
)
_ROW_FIELDS: Final = (
    *("offset", "stored", "raw", "hash", "coder", "fill", "first", "streams", "mode", "zero"),
)


@dataclass
class Forged:
    """The parts of a file whose front stands at 64; change them, then `build`.

    Attributes
    ----------
    header
        Fields by name.
    manifest
        The JSON value, or bytes to be taken as they are.
    rows
        Fields of each row by name.
    payload
        Everything behind the front, as it was; offsets of rows count from the file's start.
    """

    header: dict[str, Any]
    manifest: Any
    rows: list[dict[str, Any]]
    payload: bytearray
    start: int

    @classmethod
    def of(cls, data: bytes) -> Forged:
        """Take a sound file apart."""
        header = dict(zip(_HEADER_FIELDS, HEADER.unpack_from(data), strict=True))
        stored = data[64 : 64 + header["manifest_stored"]]
        manifest = json.loads(zstandard.ZstdDecompressor().decompress(stored))
        at = 64 + -(-len(stored) // 8) * 8
        rows = [
            dict(zip(_ROW_FIELDS, ROW.unpack_from(data, at + 32 * index), strict=True))
            for index in range(header["row_count"])
        ]
        end = at + 32 * len(rows)
        return cls(header, manifest, rows, bytearray(data[end:]), end)

    def chunk(self, index: int) -> bytes:
        """Return the stored bytes of a row's chunk."""
        row = self.rows[index]
        at = row["offset"] - self.start
        return bytes(self.payload[at : at + row["stored"]])

    def damage(self, index: int, position: int, value: int) -> None:
        """Change one byte of a row's chunk, and the row's hash with it."""
        row = self.rows[index]
        self.payload[row["offset"] - self.start + position % row["stored"]] ^= value
        row["hash"] = xxh3_64_intdigest(self.chunk(index))

    def build(self, **header: Any) -> bytes:
        """Write the file; `header` has the last word on its fields, but for the hashes."""
        text = self.manifest
        if not isinstance(text, bytes):
            text = json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass")
        frame = zstandard.ZstdCompressor(write_checksum=False).compress(text)
        front = frame + bytes(-len(frame) % 8)
        moved = -(-(64 + len(front) + 32 * len(self.rows) - self.start) // 64) * 64
        for row in self.rows:
            place = (
                row["offset"] + moved if row["stored"] and row["offset"] < 2**63 else row["offset"]
            )
            front += ROW.pack(*({**row, "offset": place}[name] for name in _ROW_FIELDS))
        body = front + bytes(self.start + moved - 64 - len(front)) + self.payload
        fields = {
            **self.header,
            "file_length": 64 + len(body),
            "manifest_stored": len(frame),
            "manifest_raw": len(text),
            "row_count": len(self.rows),
            "front_hash": xxh3_64_intdigest(front),
            **header,
            "header_hash": 0,
        }
        raw = HEADER.pack(*(fields[name] for name in _HEADER_FIELDS))[:56]
        return raw + struct.pack("<Q", xxh3_64_intdigest(raw)) + body
