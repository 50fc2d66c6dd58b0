"""Strings and sequences of any length: taken from the global heaps without the HDF5 library.

In the place of such a value stands a descriptor, which names an object of a global heap (HDF5 file
format specification, III.E). The library trusts both: it allocates the length that a descriptor
claims before it looks at the heap, a free object of size 0 makes it loop for ever, and nothing
stops a thousand descriptors from naming one large object.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mcodec.formats.hdf5_guards import invalid, over_limit
from mcodec.formats.hdf5_image import Fields
from mcodec.limits import KIB, MAX_ATTRIBUTE_BYTES, MAX_SOURCE_OBJECTS

if TYPE_CHECKING:
    from mcodec.formats.hdf5_guards import Budget
    from mcodec.formats.hdf5_image import Image


_SIGNATURE: Final = b"GCOL\x01\x00\x00\x00"  # with the version, and the zeros after it
_HEADER: Final = 16  # bytes of a collection's header, and of an object's
_COUNT_BYTES: Final = 4  # of a length in a descriptor
_INDEX_BYTES: Final = 4  # of an object's index in one
_NEAR: Final = 64 * KIB  # bytes of a heap that is read as one: most have 4,096


@dataclass(frozen=True, slots=True)
class _Heap:
    size: int
    places: dict[int, tuple[int, int]]  # index -> where it begins in the heap, bytes


class GlobalHeaps:
    """All global heaps of one file; each is looked through when the first value of it is read.

    Parameters
    ----------
    image : Image
        Of the file.

    Attributes
    ----------
    descriptor_bytes : int
        What a value of any length takes where it is named: HDF5's library tells its own pointers'.
    """

    def __init__(self, image: Image) -> None:
        self._image = image
        self._once = image.once()
        self._heaps: dict[int, _Heap] = {}  # by address
        self._near = -1, b""  # the heap that was read last: its address, and all of it
        self._objects = 0
        self.descriptor_bytes = _COUNT_BYTES + image.address_bytes + _INDEX_BYTES

    def values(self, descriptors: bytes, size: int, budget: Budget) -> list[bytes]:
        """Return the values that descriptors name, one after another.

        Parameters
        ----------
        descriptors : bytes
        size : int
            Bytes of an element of a sequence, or of a string.
        budget : Budget
            Takes the bytes of all values.

        Raises
        ------
        FormatError
            ``source_invalid`` if a descriptor or a heap breaks the rules, ``limit_exceeded`` if the
            values are more than the file or the budget can hold.
        """
        found: list[bytes] = []
        left = self._image.size
        step, width = self.descriptor_bytes, self._image.address_bytes
        for at in range(0, len(descriptors), step):
            count = int.from_bytes(descriptors[at : at + _COUNT_BYTES], "little")
            end = at + _COUNT_BYTES + width
            address = int.from_bytes(descriptors[at + _COUNT_BYTES : end], "little")
            if not (count and address):
                found.append(b"")
                continue
            length = count * size
            if length > self._image.size:
                raise invalid(f"a value of {length} bytes does not fit the file")
            left -= length
            if left < 0:
                raise over_limit("strings or sequences of any length are too large together")
            budget.take(length)
            index = int.from_bytes(descriptors[end : at + step], "little")
            found.append(self._object(address, index, length))
        return found

    def _object(self, address: int, index: int, length: int) -> bytes:
        """Return an object of a heap, which has to be of this length."""
        heap = self._heaps.get(address)
        if heap is None:
            heap = self._heaps[address] = self._look_through(address)
            self._objects += len(heap.places)
            if self._objects > MAX_SOURCE_OBJECTS:
                raise over_limit(f"the global heaps hold more than {MAX_SOURCE_OBJECTS} objects")
        begin, there = heap.places.get(index, (0, -1))
        if there != length:
            raise invalid(f"the global heap at {address} has no object {index} of {length} bytes")
        if heap.size > _NEAR:
            return self._image.read(address + begin, length)
        if self._near[0] != address:
            self._near = address, self._image.read(address, heap.size)
        return self._near[1][begin : begin + length]

    def _look_through(self, address: int) -> _Heap:
        """Find the objects of a heap."""
        head = Fields(self._image.read(address, _HEADER), self._image)
        if head.take(len(_SIGNATURE)) != _SIGNATURE:
            raise invalid(f"there is no global heap at {address}")
        size = head.length()
        if size > MAX_ATTRIBUTE_BYTES:
            raise over_limit(f"a global heap of {size} bytes is over {MAX_ATTRIBUTE_BYTES}")
        return _Heap(size, self._places(self._once.read(address, size)))

    def _places(self, heap: bytes) -> dict[int, tuple[int, int]]:
        """Return the objects of a heap; the free one, of index 0, has to be the last."""
        found: dict[int, tuple[int, int]] = {}
        width = self._image.length_bytes
        place = _HEADER
        while len(heap) - place >= _HEADER:
            index = int.from_bytes(heap[place : place + 2], "little")
            length = int.from_bytes(heap[place + 8 : place + 8 + width], "little")
            taken = length if index == 0 else _HEADER + -(-length // 8) * 8
            if not (taken == len(heap) - place if index == 0 else taken <= len(heap) - place):
                raise invalid("a global heap is damaged")
            if index in found:
                raise invalid("a global heap has an object twice")
            if index:
                found[index] = place + _HEADER, length
            place += taken
        return found
