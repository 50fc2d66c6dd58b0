"""A zip archive whose records have their places before their bytes are there.

As PyTorch writes it: nothing is deflated, and each record begins at a multiple of 64 bytes, which
a field of padding in its header makes so. Checksums are filled in when the bytes are known.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

_ALIGNMENT: Final = 64
_LOCAL: Final = struct.Struct("<4s5H3I2H")
_CENTRAL: Final = struct.Struct("<4s6H3I5H2I")
_END: Final = struct.Struct("<4s4H2IH")
_END64: Final = struct.Struct("<4sQ2H2I4Q")
_LOCATOR: Final = struct.Struct("<4sIQI")
_FIELD: Final = struct.Struct("<2H")
_CRC_AT: Final = 14  # in a local header
_LARGE: Final = 0xFFFFFFFF
_MANY: Final = 0xFFFF
_PADDING: Final = 0x4246
_ZIP64: Final = 1
_UTF8: Final = 0x800
_DATE: Final = (1 << 5) | 1  # 1980-01-01: no clock, so that the same model is the same file
_MODE: Final = 0o600 << 16


@dataclass(frozen=True, slots=True)
class Record:
    """A record of an archive: where its header and its bytes lie, and how many they are."""

    name: bytes
    size: int
    header: int
    start: int

    @property
    def end(self) -> int:
        """The byte behind it."""
        return self.start + self.size

    @property
    def crc_at(self) -> int:
        """Where its CRC goes, 4 bytes."""
        return self.header + _CRC_AT


def lay_out(named: list[tuple[str, int]]) -> list[Record]:
    """Return the places of records, given as names and sizes, in their order."""
    records, at = [], 0
    for text, size in named:
        name = text.encode()
        bare = at + _LOCAL.size + len(name) + _FIELD.size + len(_large_sizes(size))
        start = -(-bare // _ALIGNMENT) * _ALIGNMENT
        records.append(Record(name, size, at, start))
        at = start + size
    return records


def _large_sizes(size: int) -> bytes:
    return struct.pack("<2H2Q", _ZIP64, 16, size, size) if size >= _LARGE else b""


def local_header(record: Record) -> bytes:
    """Return all that stands before a record's bytes, with a CRC of zero."""
    large = _large_sizes(record.size)
    size = min(record.size, _LARGE)
    room = record.start - record.header - _LOCAL.size - len(record.name)
    padding = room - len(large) - _FIELD.size
    extra = large + _FIELD.pack(_PADDING, padding) + bytes(padding)
    version = 45 if large else 20
    head = _LOCAL.pack(
        b"PK\3\4", version, _UTF8, 0, 0, _DATE, 0, size, size, len(record.name), len(extra)
    )
    return head + record.name + extra


def directory(records: list[Record], crcs: list[int]) -> bytes:
    """Return the central directory and what ends an archive."""
    parts = [_central(record, crc) for record, crc in zip(records, crcs, strict=True)]
    body = b"".join(parts)
    at = records[-1].end
    count = len(records)
    end = _END.pack(
        b"PK\5\6",
        0,
        0,
        min(count, _MANY),
        min(count, _MANY),
        min(len(body), _LARGE),
        min(at, _LARGE),
        0,
    )
    if max(len(body), at) < _LARGE and count < _MANY:
        return body + end
    size = _END64.size - 12  # of what follows the field itself
    end64 = _END64.pack(b"PK\6\6", size, 45, 45, 0, 0, count, count, len(body), at)
    return body + end64 + _LOCATOR.pack(b"PK\6\7", 0, at + len(body), 1) + end


def _central(record: Record, crc: int) -> bytes:
    fields = [record.size, record.size] if record.size >= _LARGE else []
    if record.header >= _LARGE:
        fields.append(record.header)
    extra = b""
    if fields:
        extra = struct.pack(f"<2H{len(fields)}Q", _ZIP64, 8 * len(fields), *fields)
    version = 45 if fields else 20
    size = min(record.size, _LARGE)
    head = _CENTRAL.pack(
        b"PK\1\2",
        version,
        version,
        _UTF8,
        0,
        0,
        _DATE,
        crc,
        size,
        size,
        len(record.name),
        len(extra),
        0,
        0,
        0,
        _MODE,
        min(record.header, _LARGE),
    )
    return head + record.name + extra
