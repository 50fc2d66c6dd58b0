"""HDF5 files with strings, and damage that the library does not notice: checksums are put right."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

import h5py
from h5py import h5d, h5p, h5s, h5t

if TYPE_CHECKING:
    from collections.abc import Iterator

STRING: Final = h5py.string_dtype()
# How attributes come to lie in headers of both versions, in heaps, and in heaps' large objects.
FILES: Final[dict[str, dict[str, Any]]] = {
    "old": {},
    "old, user block": {"userblock_size": 1024},
    "latest": {"libver": "latest"},
    "ordered": {"track_order": True},
    "latest, user block": {"libver": "latest", "userblock_size": 512},
}

_ROTATIONS: Final = ((2, 0, 4), (0, 1, 6), (1, 2, 8), (2, 0, 16), (0, 1, 19), (1, 2, 4))
_LAST: Final = ((2, 1, 14), (0, 2, 11), (1, 0, 25), (2, 1, 16), (0, 2, 4), (1, 0, 14), (2, 1, 24))
_MASK: Final = 0xFFFFFFFF


def lookup3(data: bytes) -> int:
    """Return Bob Jenkins' hash of 2006, which guards HDF5's newer structures."""
    state = [(0xDEADBEEF + len(data)) & _MASK] * 3
    while len(data) > 12:
        state = [
            (a + b) & _MASK for a, b in zip(state, struct.unpack("<3I", data[:12]), strict=True)
        ]
        data = data[12:]
        for other, own, bits in _ROTATIONS:
            # a -= c; a ^= rotate(c); c += b, and the same with the letters turned.
            third = 3 - other - own
            state[own] = (state[own] - state[other] & _MASK) ^ _rotate(state[other], bits)
            state[other] = (state[other] + state[third]) & _MASK
    if data:
        tail = struct.unpack("<3I", data.ljust(12, b"\0"))
        state = [(a + b) & _MASK for a, b in zip(state, tail, strict=True)]
        for own, other, bits in _LAST:
            state[own] = (state[own] ^ state[other]) - _rotate(state[other], bits) & _MASK
    return state[2]


def _rotate(number: int, bits: int) -> int:
    return (number << bits | number >> 32 - bits) & _MASK


def with_checksums(data: bytes, honest: bytes) -> bytes:
    """Return a changed file with the checksums that HDF5 wants; `honest` is the file before."""
    out = bytearray(data)
    for start, end, place in _guarded(honest):
        body = bytes(out[start:end])
        at = place - start
        whole = body[:at] + bytes(4) + body[at + 4 :] if place < end else body
        out[place : place + 4] = lookup3(whole).to_bytes(4, "little")
    return bytes(out)


def _guarded(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield begin and end of what is guarded, and where its checksum stands."""
    for start in find(data, b"OHDR\x02"):
        flags = data[start + 5]
        at = start + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        end = at + width + int.from_bytes(data[at : at + width], "little")
        yield start, end, end
    for start in find(data, b"OCHK"):
        for named in find(data, struct.pack("<Q", start)):
            size = int.from_bytes(data[named + 8 : named + 16], "little")
            end = start + size - 4
            if 4 < size < len(data) and lookup3(data[start:end]) == number(data, end):
                yield start, end, end
    for start in find(data, b"FHDB\0"):
        place = start + 5 + 8 + 5  # after the address of the heap, and an offset of 40 bits
        for size in (512, 1024, 2048, 4096):
            block = data[start:place] + bytes(4) + data[place + 4 : start + size]
            if lookup3(block) == number(data, place):
                yield start, start + size, place


def number(data: bytes, place: int) -> int:
    """Return the number of four bytes at a place."""
    return int.from_bytes(data[place : place + 4], "little")


def find(data: bytes, pattern: bytes) -> Iterator[int]:
    """Yield every place where a pattern stands."""
    place = data.find(pattern)
    while place >= 0:
        yield place
        place = data.find(pattern, place + 1)


def descriptors(data: bytes) -> list[int]:
    """Return where values of any length are named: the places of their descriptors."""
    found = []
    for heap in find(data, b"GCOL\x01"):
        for place in find(data, struct.pack("<Q", heap)):
            size, index = number(data, place - 4), number(data, place + 8)
            if 0 < size < len(data) and 0 < index < 256:
                found.append(place - 4)
    return sorted(found)


def add_strings(file: h5py.File, name: str, layout: int, **how: Any) -> None:
    """Create a dataset of strings in a layout of HDF5's; empty and longer ones, or no data."""
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_layout(layout)
    if how.get("chunk"):
        plist.set_chunk(how["chunk"])
        plist.set_deflate(4)
    tid = h5t.py_create(STRING, logical=True)
    dsid = h5d.create(file.id, name.encode(), tid, h5s.create_simple((5, 3)), plist)
    if how.get("data", True):
        h5py.Dataset(dsid)[...] = [[f"{name}{i}{j}" * i for j in range(3)] for i in range(5)]
