"""The 64-byte header (spec/container.md, section 1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import xxhash

from mcodec.errors import FormatError
from mcodec.limits import MAX_FRONT, MAX_ROWS

MAGIC: Final = b"\x89MCD\r\n\x1a\n"
SIZE: Final = 64
ROW_SIZE: Final = 32
MAJOR: Final = 1
MINOR: Final = 0
KIND: Final = 1
LAYOUTS: Final = ("task", "interleaved", "progressive")
_FIELDS: Final = struct.Struct("<8s4BIQQIIIIQ")  # all but the header's own hash


@dataclass(frozen=True, slots=True)
class Header:
    """The fields that vary from file to file."""

    layout: str
    file_length: int
    front_offset: int
    manifest_stored: int
    manifest_raw: int
    row_count: int
    front_hash: int

    @property
    def manifest_padded(self) -> int:
        """Bytes from the front's start to its first row."""
        return -(-self.manifest_stored // 8) * 8

    @property
    def front_length(self) -> int:
        """Bytes of the front."""
        return self.manifest_padded + ROW_SIZE * self.row_count

    def pack(self) -> bytes:
        """Return the 64 bytes."""
        fields = _FIELDS.pack(
            MAGIC,
            MAJOR,
            MINOR,
            KIND,
            LAYOUTS.index(self.layout),
            0,
            self.file_length,
            self.front_offset,
            self.manifest_stored,
            self.manifest_raw,
            self.row_count,
            0,
            self.front_hash,
        )
        return fields + struct.pack("<Q", xxhash.xxh3_64_intdigest(fields))


def _refuse(code: str, message: str) -> FormatError:
    return FormatError(message, code=code)


def parse(data: bytes) -> Header:
    """Check steps 1 and 2 of section 6, and return the header.

    Parameters
    ----------
    data
        The first bytes of the file, 64 or fewer.
    """
    if data[:8] != MAGIC:
        raise _refuse("not_mcodec", "not an .mc file (the first bytes are not its magic)")
    if len(data) < SIZE:
        raise _refuse("file_truncated", f"the file ends in its header, after {len(data)} bytes")
    if data[8] != MAJOR:
        message = f"format version {data[8]} is not supported; this mcodec reads version {MAJOR}"
        raise _refuse("version_unsupported", message)
    if struct.unpack_from("<Q", data, 56)[0] != xxhash.xxh3_64_intdigest(data[:56]):
        raise _refuse("header_checksum", "the header is damaged (its hash does not match)")
    _, _, _, kind, layout, flags, length, front, stored, raw, rows, zero, digest = (
        _FIELDS.unpack_from(data)
    )
    if kind != KIND or layout >= len(LAYOUTS) or flags or zero:
        raise _refuse("header_invalid", "the header uses a value that this version reserves")
    return Header(LAYOUTS[layout], length, front, stored, raw, rows, digest)


def check_place(header: Header, size: int, *, partial: bool = False) -> None:
    """Check steps 3 to 5 of section 6, but for the front's hash.

    Parameters
    ----------
    header
    size
        The file's real size.
    partial
        Take a progressive file that ends early (section 8), if its front is whole.
    """
    needed = header.file_length
    if partial and header.layout == "progressive":
        needed = min(needed, header.front_offset + header.front_length)
    if size < needed:
        message = f"the file is cut off: {size} of {header.file_length} bytes"
        if header.layout == "progressive" and not partial:
            message += "; mcodec.open(path, partial=True) reads its whole levels"
        raise _refuse("file_truncated", message)
    if size > header.file_length:
        extra = size - header.file_length
        raise _refuse("trailing_data", f"{extra} bytes follow the end of the file")
    if (
        header.row_count > MAX_ROWS
        or header.manifest_raw > MAX_FRONT
        or header.front_length > MAX_FRONT
    ):
        raise _refuse("limit_exceeded", "the header claims more rows or manifest than the limits")
    offset = header.front_offset
    if offset < SIZE or offset % 64 or offset + header.front_length > header.file_length:
        raise _refuse("front_bounds", "the front does not lie inside the file")
