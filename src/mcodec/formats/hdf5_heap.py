"""The global heaps of an HDF5 file, checked before the library reads from them.

Strings and sequences of any length lie in global heaps (HDF5 file format specification, III.E).
The library trusts them: a free object of size 0 makes it loop for ever, and nothing stops a
thousand descriptors from naming one large object. So every heap is found by its signature,
wherever it lies, and walked here first.
"""

from __future__ import annotations

from heapq import nlargest
from typing import TYPE_CHECKING, Final

from mcodec.formats.hdf5_guards import invalid, over_limit
from mcodec.limits import MAX_ATTRIBUTE_BYTES, MAX_SOURCE_OBJECTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcodec.formats.files import InputFile

_SIGNATURE: Final = b"GCOL\x01\x00\x00\x00"  # with the version, and the zeros after it
_WINDOW: Final = 1 << 17  # bytes that are searched at a time: they stay in the processor's cache
_HEADER: Final = 16  # bytes of a collection's header, and of an object's
_INDEX_BYTES: Final = 4  # of an object's index in a descriptor
_MOST_LARGE: Final = 64  # objects that are counted one by one


class GlobalHeaps:
    """All global heaps of one file; it is searched when the first of them is needed.

    Parameters
    ----------
    file : InputFile
    base : int
        Bytes before the superblock (the user block): addresses count from there.
    address_bytes, length_bytes : int
        Of the file's addresses and lengths.

    Attributes
    ----------
    descriptor_bytes : int
        What a value of any length takes where it is named: HDF5's library tells its own pointers'.
    """

    def __init__(self, file: InputFile, base: int, address_bytes: int, length_bytes: int) -> None:
        self._file = file
        self._base = base
        self._address_bytes = address_bytes
        self._length_bytes = length_bytes
        self.descriptor_bytes = 4 + address_bytes + _INDEX_BYTES  # length, address, index
        # The largest objects, the largest first: bytes, address, index.
        self._largest: list[tuple[int, int, int]] | None = None
        self._named: dict[tuple[int, int], int] = {}  # (address, index) -> how often it is named

    def check(self, count: int) -> None:
        """Make sure that `count` values of any length can be read from the heaps.

        Raises
        ------
        FormatError
            ``source_invalid`` if a heap breaks the rules, ``limit_exceeded`` if the values could
            be far more than is stored.
        """
        if self._largest is None:
            objects = ((size, *key) for key, size in self._scan().items())
            self._largest = nlargest(_MOST_LARGE + 1, objects)
        if self._largest and count * self._largest[0][0] > MAX_ATTRIBUTE_BYTES:
            self._check_references(
                [one for one in self._largest if count * one[0] > MAX_ATTRIBUTE_BYTES]
            )

    def _scan(self) -> dict[tuple[int, int], int]:
        """Return the bytes of all objects, by address and index."""
        sizes: dict[tuple[int, int], int] = {}
        end = 0
        for offset in self._find(_SIGNATURE):
            if offset < end:
                raise invalid("a global heap lies inside another")
            raw = self._file.read(offset, _HEADER)
            size = int.from_bytes(raw[8 : 8 + self._length_bytes], "little")
            if size > min(MAX_ATTRIBUTE_BYTES, self._file.size - offset):
                raise invalid(f"a global heap of {size} bytes does not fit")
            end = offset + size
            heap = self._file.read(offset, size)
            for index, length in self._objects(heap):
                sizes[offset - self._base, index] = length
            if len(sizes) > MAX_SOURCE_OBJECTS:
                raise over_limit(f"the global heaps hold more than {MAX_SOURCE_OBJECTS} objects")
        return sizes

    def _objects(self, heap: bytes) -> Iterator[tuple[int, int]]:
        """Yield index and length of each object; the free one, of index 0, has to be the last."""
        place = _HEADER
        while len(heap) - place >= _HEADER:
            index = int.from_bytes(heap[place : place + 2], "little")
            length = int.from_bytes(heap[place + 8 : place + 8 + self._length_bytes], "little")
            taken = length if index == 0 else _HEADER + -(-length // 8) * 8
            if not (taken == len(heap) - place if index == 0 else taken <= len(heap) - place):
                raise invalid("a global heap is damaged")
            if index:
                yield index, length
            place += taken

    def _check_references(self, large: list[tuple[int, int, int]]) -> None:
        """Count how often the large objects are named; each is once in a file that is honest."""
        total = 0
        for size, address, index in large[:_MOST_LARGE]:
            if (address, index) not in self._named:
                descriptor = address.to_bytes(self._address_bytes, "little")
                descriptor += index.to_bytes(_INDEX_BYTES, "little")
                self._named[address, index] = sum(1 for _ in self._find(descriptor))
            total += size * self._named[address, index]
        if total > MAX_ATTRIBUTE_BYTES or len(large) > _MOST_LARGE:
            raise over_limit("strings or sequences of any length are too large together")

    def _find(self, pattern: bytes) -> Iterator[int]:
        """Yield every place of the file where a pattern stands."""
        for start in range(0, self._file.size, _WINDOW):
            window = self._file.read(start, _WINDOW + len(pattern) - 1)
            place = window.find(pattern)
            while place >= 0:
                yield start + place
                place = window.find(pattern, place + 1)
