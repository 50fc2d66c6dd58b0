"""Attributes and small datasets, read with their exact kind (hdf5_store writes them)."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5r, h5s, h5t

from mcodec.formats.hdf5_chunks import Chunks, is_chunked
from mcodec.formats.hdf5_guards import Budget, invalid, name_text, over_limit, refused
from mcodec.formats.hdf5_known import KnownTypes
from mcodec.formats.hdf5_raw import RawValues, object_address
from mcodec.formats.hdf5_skeleton import Attribute, Value, element_count
from mcodec.formats.hdf5_types import REFERENCE, String, Type, is_variable, lies_in_heap
from mcodec.limits import MAX_SOURCE_OBJECTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from h5py import h5f
    from numpy.typing import NDArray

    from mcodec.formats.hdf5_heap import GlobalHeaps
    from mcodec.formats.hdf5_image import Image
    from mcodec.formats.hdf5_raw import ObjectID

    Holder: TypeAlias = h5a.AttrID | h5d.DatasetID  # what a value is read from
    # Takes a shape and the bytes of an element in the file, and returns all elements.
    Fetcher: TypeAlias = Callable[[tuple[int, ...], int], bytes]


class TypeTable:
    """The datatypes of a skeleton, each once."""

    def __init__(self) -> None:
        self.types: list[Type] = []
        self._index: dict[Type, int] = {}

    def add(self, kind: Type) -> int:
        """Return the index of a datatype, which is added if it is new."""
        index = self._index.setdefault(kind, len(self.types))
        if index == len(self.types):
            self.types.append(kind)
        return index


def shape_of(space: h5s.SpaceID, path: str) -> list[int] | None:
    """Return the shape of a dataspace, checked; None for the null one."""
    if space.get_simple_extent_type() == h5s.NULL:
        return None
    shape = [int(d) for d in space.get_simple_extent_dims()]
    element_count(shape, path)
    return shape


class ValueReader:
    """Reads values of one file, and counts their bytes.

    Parameters
    ----------
    fid : h5py.h5f.FileID
    image : Image
        Of the same file.
    heaps : GlobalHeaps
        Of the same file.

    Attributes
    ----------
    table : TypeTable
        The datatypes of what was read.
    types : KnownTypes
    raw : RawValues
    """

    def __init__(self, fid: h5f.FileID, image: Image, heaps: GlobalHeaps) -> None:
        self.table = TypeTable()
        self.types = KnownTypes()
        self._fid = fid
        self._file_bytes = image.size
        self.raw = RawValues(image)
        self._heaps = heaps
        self._budget = Budget()
        self._objects = 0

    def attributes(self, oid: ObjectID, path: str, order: int) -> list[Attribute]:
        """Return all attributes of an object, in HDF5's order; `order`: its `attribute_order`."""
        names: list[bytes] = []
        index = h5py.h5.INDEX_CRT_ORDER if order else h5py.h5.INDEX_NAME

        def add(name: bytes, *_: object) -> bool | None:
            names.append(name)
            return len(names) > MAX_SOURCE_OBJECTS or None

        h5a.iterate(oid, add, index_type=index)
        self._objects += len(names)
        if self._objects > MAX_SOURCE_OBJECTS:
            raise over_limit(f"the file has more than {MAX_SOURCE_OBJECTS} attributes")
        address = object_address(oid) if names else 0
        return [self._attribute(oid, address, name, path) for name in names]

    def attribute(self, oid: ObjectID, name: bytes, path: str) -> Attribute:
        """Return one attribute of an object."""
        return self._attribute(oid, object_address(oid), name, path)

    def _attribute(self, oid: ObjectID, address: int, raw_name: bytes, path: str) -> Attribute:
        name = name_text(raw_name)
        self._budget.take(len(raw_name))
        where = f"{path}@{name}"

        def fetch(shape: tuple[int, ...], size: int) -> bytes:
            return self.raw.attribute(address, raw_name, size * math.prod(shape), where)

        value = self._value(h5a.open(oid, raw_name), where, fetch)
        return Attribute(
            name=name,
            type=value.type,
            shape=value.shape,
            data=value.data,
            texts=value.texts,
            items=value.items,
        )

    def type(self, tid: h5t.TypeID, path: str) -> int:
        """Return the index of a datatype of the file."""
        return self.table.add(self.types.look_up(tid, path).kind)

    def value(self, dsid: h5d.DatasetID, path: str) -> Value:
        """Return what a dataset holds."""
        return self._value(
            dsid, path, lambda shape, size: self.raw.dataset(dsid, shape, size, path)
        )

    def check_fill(self, dsid: h5d.DatasetID, kind: Type, path: str) -> None:
        """Check what HDF5 converts already when it is asked how a dataset was made.

        Raises
        ------
        FormatError
            Its fill value is, or holds, a value of any length that cannot be read.
        """
        if not is_variable(kind) or kind == REFERENCE:
            return
        for fill in self.raw.fills(dsid):
            if not lies_in_heap(kind):
                raise refused(f"{path!r} has a fill value that is not read")
            if len(fill) != self._heaps.descriptor_bytes:
                raise invalid(f"the fill value of {path!r} does not fit its datatype")
            self._heaps.values(fill, _unit_bytes(dsid.get_type(), path), self._budget)

    def _value(self, source: Holder, path: str, fetch: Fetcher) -> Value:
        tid = source.get_type()
        kind = self.types.look_up(tid, path).kind
        value = Value(type=self.table.add(kind), shape=shape_of(source.get_space(), path))
        count = element_count(value.shape, path)
        if not count:
            return value
        in_heap = lies_in_heap(kind)
        if is_variable(kind) and not in_heap and kind != REFERENCE:
            raise refused(f"{path!r} has a datatype that mcodec cannot keep")
        shape = tuple(value.shape or ())
        size = self._heaps.descriptor_bytes if in_heap else tid.get_size()
        self._check_size(source, count * size)
        if in_heap:
            unit = _unit_bytes(tid, path)
            items = self._heaps.values(fetch(shape, size), unit, self._budget)
            _fill(value, items, isinstance(kind, String))
            return value
        if isinstance(source, h5d.DatasetID) and is_chunked(source.get_create_plist()):
            Chunks(source, size, self._file_bytes).prove()
        if kind == REFERENCE:
            array = _read(source, np.empty(shape, h5py.ref_dtype), h5t.py_create(h5py.ref_dtype))
            value.texts = self._paths(list(array.reshape(-1)))
        else:
            value.data = _read(source, np.empty(shape, f"V{size}"), tid).tobytes()
        return value

    def _check_size(self, source: Holder, length: int) -> None:
        """Count the bytes that are about to be read."""
        self._budget.take(length)
        if length > self._file_bytes and isinstance(source, h5a.AttrID):
            raise invalid(f"an attribute of {length} bytes does not fit the file")

    def _paths(self, references: list[Any]) -> list[str]:
        paths = []
        for reference in references:
            raw = h5r.get_name(reference, self._fid) if reference else b""
            if raw is None:
                raise refused("a reference to an object without a name")
            paths.append(raw.decode("utf-8"))
        return paths


def _fill(value: Value, items: list[bytes], strings: bool) -> None:
    """Keep strings as text if all of them are, else all as bytes."""
    if strings:
        items = [item.partition(b"\0")[0] for item in items]  # where C, and h5py, see its end
        with contextlib.suppress(UnicodeDecodeError):
            value.texts = [item.decode("utf-8") for item in items]
            return
    value.items = items


def _unit_bytes(tid: h5t.TypeID, path: str) -> int:
    """Return the bytes of what the length of a string or a sequence counts."""
    if isinstance(tid, h5t.TypeStringID):
        return 1
    return int(h5py.check_vlen_dtype(sequence_dtype(tid, path)).itemsize)


def sequence_dtype(tid: h5t.TypeID, path: str) -> np.dtype[Any]:
    """Return h5py's dtype for sequences of a datatype that NumPy has without loss.

    h5py hands such values over as arrays, so nothing but NumPy's own types can pass unchanged.
    """
    base = tid.get_super()
    simple = isinstance(base, h5t.TypeIntegerID | h5t.TypeFloatID)
    if not simple or not h5t.py_create(base.dtype).equal(base):
        raise refused(f"{path!r} has a datatype that mcodec cannot keep")
    dtype: np.dtype[Any] = h5py.vlen_dtype(base.dtype)
    return dtype


def attribute_order(oid: ObjectID) -> int:
    """Return the flags that say whether an object keeps the order of its attributes."""
    if isinstance(oid, h5t.TypeID):
        return 0
    return int(oid.get_create_plist().get_attr_creation_order())


def _read(source: Holder, out: NDArray[Any], mtype: h5t.TypeID) -> NDArray[Any]:
    if isinstance(source, h5d.DatasetID):
        source.read(h5s.ALL, h5s.ALL, out, mtype)
    else:
        source.read(out, mtype)
    return out
