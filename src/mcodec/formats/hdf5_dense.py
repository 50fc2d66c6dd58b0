"""Attributes that do not lie in an object's header but, since HDF5 1.8, in a heap of their own.

A B-tree (version 2) names them, a fractal heap holds them as the messages that a header would
hold (HDF5 file format specification, III.A.2 and III.G). Nothing here is searched for: the tree is
read from begin to end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mcodec.formats.hdf5_guards import invalid, refused
from mcodec.formats.hdf5_image import Fields

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcodec.formats.hdf5_image import Image

_NAMES: Final = 8  # types of B-trees: attributes by name
_HUGE: Final = 1  # large objects of a heap
_NODE_EXTRA: Final = 10  # bytes of a node beside its records: signature, version, type, checksum
_MAX_DEPTH: Final = 32
_SHARED: Final = 0x02
_KIND_MASK: Final = 0x30  # of an object's id in a heap
_HUGE_KIND: Final = 0x10
_NUMBER_BYTES: Final = 8  # of a large object, if the id has room


def dense_messages(image: Image, info: bytes) -> Iterator[bytes]:
    """Yield the attribute messages that an attribute info message speaks of.

    Parameters
    ----------
    image : Image
        That can be read once only: damaged trees lead round for ever.
    info : bytes
        The message (specification, IV.A.2.v).

    Raises
    ------
    FormatError
        ``source_invalid`` if the heap or the tree is damaged, ``source_refused`` if the heap uses
        filters, or objects that are shared with others.
    """
    fields = Fields(info, image)
    version, flags = fields.take(2)
    if version != 0:
        raise invalid(f"attributes are listed in the unknown version {version}")
    fields.take(2 if flags & 0x01 else 0)  # the highest creation order
    heap, names = fields.address(), fields.address()
    if heap is None or names is None:
        return
    objects = FractalHeap(image, heap)
    for record in _records(image, names, _NAMES):
        fields = Fields(record, image)
        key = fields.take(objects.id_bytes)
        if not fields.number(1) & _SHARED:  # it lies in another heap: missed when looked for
            yield objects.read(key)


def _records(image: Image, address: int, kind: int) -> Iterator[bytes]:
    """Yield all records of a B-tree of version 2, in any order."""
    fields = Fields(image.read(address, 18 + image.address_bytes), image)
    if fields.take(6) != b"BTHD" + bytes((0, kind)):
        raise invalid("a B-tree is damaged")
    node_bytes, record_bytes, depth = (fields.number(n) for n in (4, 2, 2))
    fields.take(2)  # when nodes are split and merged
    root, count = fields.address(), fields.number(2)
    if root is None or not count:
        return
    if depth > _MAX_DEPTH or not 0 < record_bytes <= node_bytes:
        raise invalid("a B-tree is damaged")
    widths = _pointer_widths(image, node_bytes, record_bytes, depth)
    pending = [(root, count, depth)]
    while pending:
        place, count, level = pending.pop()
        node = Fields(image.read(place, node_bytes), image)
        if node.take(6) != (b"BTIN" if level else b"BTLF") + bytes((0, kind)):
            raise invalid("a node of a B-tree is damaged")
        for _ in range(count):
            yield node.take(record_bytes)
        for _ in range(count + 1 if level else 0):
            child, below = node.address(), node.number(widths[0])
            node.take(widths[level])  # records of all that lies below
            if child is None:
                raise invalid("a node of a B-tree is damaged")
            pending.append((child, below, level - 1))


def _pointer_widths(image: Image, node_bytes: int, record_bytes: int, depth: int) -> list[int]:
    """Return the bytes of two numbers that stand beside the address of a child node.

    The first is how wide its own number of records is; then comes, by the level of the parent, how
    wide the number of all records below is: nothing above leaves.
    """
    most = total = max(0, node_bytes - _NODE_EXTRA) // record_bytes
    first = _bytes_for(most)
    widths = [first]
    for level in range(1, depth + 1):
        widths.append(_bytes_for(total) if level > 1 else 0)
        pointer = image.address_bytes + first + widths[level]
        most = max(0, node_bytes - _NODE_EXTRA - pointer) // (record_bytes + pointer)
        total = (most + 1) * total + most
    return widths


def _bytes_for(number: int) -> int:
    return max(1, -(-number.bit_length() // 8))


class FractalHeap:
    """A heap of small objects, each in a block, and large ones, each by itself.

    Parameters
    ----------
    image : Image
    address : int

    Attributes
    ----------
    id_bytes : int
        Of an object's id.

    Raises
    ------
    FormatError
        ``source_invalid`` if its header is damaged, ``source_refused`` if it uses filters.
    """

    def __init__(self, image: Image, address: int) -> None:
        self._image = image
        size = 22 + 12 * image.length_bytes + 3 * image.address_bytes
        fields = Fields(image.read(address, size), image)
        if fields.take(5) != b"FRHP\0":
            raise invalid("a fractal heap is damaged")
        self.id_bytes = fields.number(2)
        if fields.number(2):
            raise refused("attributes in a heap with filters are not read")
        fields.take(1)
        largest = fields.number(4)
        fields.length()
        self._huge_tree = fields.address()
        fields.length()  # free space, and where it is managed
        fields.address()
        fields.take(8 * image.length_bytes)  # what is counted of objects
        self._width = fields.number(2)
        self._start, self._direct = fields.length(), fields.length()
        self._offset_bits = fields.number(2)
        fields.take(2)
        self._root, self._rows = fields.address(), fields.number(2)
        if not (_is_power(self._width) and _is_power(self._start) and _is_power(self._direct)):
            raise invalid("a fractal heap is damaged")
        self._offset_bytes = -(-self._offset_bits // 8)
        self._length_bytes = min(-(-_log2(self._direct) // 8), _bytes_for(largest))
        self._block_head = 5 + image.address_bytes + self._offset_bytes
        self._indirect: dict[int, bytes] = {}
        self._huge: dict[int, tuple[int, int]] | None = None

    def read(self, key: bytes) -> bytes:
        """Return the object of an id."""
        fields = Fields(key, self._image)
        kind = fields.number(1) & _KIND_MASK
        if kind == 0:
            offset, length = fields.number(self._offset_bytes), fields.number(self._length_bytes)
            return self._image.read(self._place(offset, length), length)
        direct = self.id_bytes > self._image.address_bytes + self._image.length_bytes
        if kind != _HUGE_KIND or direct:
            raise refused("attributes of an unusual heap are not read")
        number = fields.number(min(self.id_bytes - 1, _NUMBER_BYTES))
        if self._huge is None:
            self._huge = self._large_objects()
        if number not in self._huge:
            raise invalid("an attribute is not where it should be")
        return self._image.read(*self._huge[number])

    def _large_objects(self) -> dict[int, tuple[int, int]]:
        """Return address and length of each large object, by its number."""
        found: dict[int, tuple[int, int]] = {}
        if self._huge_tree is not None:
            for record in _records(self._image, self._huge_tree, _HUGE):
                fields = Fields(record, self._image)
                address, length, number = fields.address(), fields.length(), fields.length()
                if address is None:
                    raise invalid("an attribute is not where it should be")
                found[number] = address, length
        return found

    def _place(self, offset: int, length: int) -> int:
        """Return the address of an offset in the heap (specification, III.G, doubling table)."""
        address, rows = self._root, self._rows
        first_bits = _log2(self._start) + _log2(self._width)
        direct_rows = _log2(self._direct) - _log2(self._start) + 2
        size = self._start
        while address is not None and rows:
            row = max(0, offset.bit_length() - first_bits)
            size = self._start << max(0, row - 1)
            begin = size * self._width if row else 0
            column, offset = divmod(offset - begin, size)
            if row >= rows:
                raise invalid("an attribute is not where it should be")
            address = self._child(address, rows, row * self._width + column)
            # A block in these rows is indirect: it has rows of its own.
            rows = _log2(size) - first_bits + 1 if row >= direct_rows else 0
        if address is None or offset + length > size:
            raise invalid("an attribute is not where it should be")
        return address + offset

    def _child(self, block: int, rows: int, index: int) -> int | None:
        """Return the address of a block that an indirect one names."""
        width = self._image.address_bytes
        if block not in self._indirect:
            size = self._block_head + rows * self._width * width
            data = self._image.read(block, size)
            if not data.startswith(b"FHIB\0"):
                raise invalid("a block of a fractal heap is damaged")
            self._indirect[block] = data[self._block_head :]
        fields = Fields(self._indirect[block][index * width : (index + 1) * width], self._image)
        return fields.address()


def _is_power(number: int) -> bool:
    return number > 0 and not number & (number - 1)


def _log2(power: int) -> int:
    return power.bit_length() - 1
