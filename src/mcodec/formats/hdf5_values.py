"""Attributes and small datasets: read with their exact kind, and written the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import h5py
import numpy as np
from h5py import h5a, h5d, h5r, h5s, h5t

from mcodec.formats.hdf5_chunks import Chunks, is_chunked
from mcodec.formats.hdf5_guards import Budget, invalid, name_text, over_limit, refused
from mcodec.formats.hdf5_known import KnownTypes
from mcodec.formats.hdf5_skeleton import Attribute, Value, element_count
from mcodec.formats.hdf5_types import REFERENCE, Sequence, String, Type, is_variable, lies_in_heap
from mcodec.limits import MAX_SOURCE_OBJECTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from h5py import h5f, h5g
    from numpy.typing import NDArray

    from mcodec.formats.hdf5_heap import GlobalHeaps

    ObjectID: TypeAlias = h5g.GroupID | h5d.DatasetID | h5t.TypeID
    Holder: TypeAlias = h5a.AttrID | h5d.DatasetID  # what a value is read from and written to
    Maker: TypeAlias = Callable[[h5t.TypeID, h5s.SpaceID], Holder]

VARIABLE_BYTES: Final = 16  # bytes that a value of any length takes in the file, beside its data


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
    file_bytes : int
        The real size of the file.
    heaps : GlobalHeaps
        Of the same file.
    """

    def __init__(self, fid: h5f.FileID, file_bytes: int, heaps: GlobalHeaps) -> None:
        self.table = TypeTable()
        self.types = KnownTypes()
        self._fid = fid
        self._file_bytes = file_bytes
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
        return [self.attribute(oid, name, path) for name in names]

    def attribute(self, oid: ObjectID, raw_name: bytes, path: str) -> Attribute:
        """Return one attribute of an object."""
        name = name_text(raw_name)
        self._budget.take(len(raw_name))
        aid = h5a.open(oid, raw_name)
        value = self.value(aid, f"{path}@{name}")
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

    def value(self, source: Holder, path: str) -> Value:
        """Return what an attribute or a dataset holds."""
        tid = source.get_type()
        kind = self.types.look_up(tid, path).kind
        value = Value(type=self.table.add(kind), shape=shape_of(source.get_space(), path))
        count = element_count(value.shape, path)
        if not count:
            return value
        in_heap = lies_in_heap(kind)
        if is_variable(kind) and not in_heap and kind != REFERENCE:
            raise refused(f"{path!r} has a datatype that mcodec cannot keep")
        self._prepare(source, count, self._heaps.descriptor_bytes if in_heap else tid.get_size())
        if in_heap:
            self._heaps.check(count)
        shape = tuple(value.shape or ())
        match kind:
            case String(size=None):
                self._fill(value, self._objects_of(source, shape, h5py.string_dtype()))
            case Sequence():
                value.items = self._sequences(source, shape, _sequence_dtype(tid, path))
            case _ if kind == REFERENCE:
                value.texts = self._paths(self._objects_of(source, shape, h5py.ref_dtype))
            case _:
                value.data = _read(source, np.empty(shape, f"V{tid.get_size()}"), tid).tobytes()
        return value

    def _prepare(self, source: Holder, count: int, size: int) -> None:
        """Make sure that `count` elements of `size` bytes in the file can be read safely."""
        self._budget.take(count * size)
        if isinstance(source, h5d.DatasetID) and is_chunked(source.get_create_plist()):
            Chunks(source, size, self._file_bytes).prove()

    def _objects_of(
        self, source: Holder, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> list[Any]:
        out = np.empty(shape, dtype)
        return list(_read(source, out, h5t.py_create(dtype)).reshape(-1))

    def _fill(self, value: Value, strings: list[Any]) -> None:
        """Keep strings as text if all of them are, else all as bytes."""
        items = [s.encode("utf-8", "surrogateescape") if isinstance(s, str) else s for s in strings]
        items = [item or b"" for item in items]
        self._budget.take(sum(map(len, items)))
        try:
            value.texts = [item.decode("utf-8") for item in items]
        except UnicodeDecodeError:
            value.items = items

    def _sequences(
        self, source: Holder, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> list[bytes]:
        items = [item.tobytes() for item in self._objects_of(source, shape, dtype)]
        self._budget.take(sum(map(len, items)))
        return items

    def _paths(self, references: list[Any]) -> list[str]:
        paths = []
        for reference in references:
            raw = h5r.get_name(reference, self._fid) if reference else b""
            if raw is None:
                raise refused("a reference to an object without a name")
            paths.append(raw.decode("utf-8"))
        return paths


def _sequence_dtype(tid: h5t.TypeID, path: str) -> np.dtype[Any]:
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


def write_value(
    fid: h5f.FileID, value: Value, types: list[h5t.TypeID], make: Maker, path: str
) -> None:
    """Create an attribute or a dataset with a value of a checked skeleton.

    Parameters
    ----------
    fid : h5py.h5f.FileID
        For references to objects, all of which must be there.
    value : Value
    types : list of h5py.h5t.TypeID
        The skeleton's datatypes.
    make : callable
        Takes a datatype and a dataspace, and returns what to write into.
    path : str
        For messages.

    Raises
    ------
    FormatError
        ``source_invalid`` if the bytes do not fit the datatype.
    """
    tid = types[value.type]
    if value.shape is None:
        make(tid, h5s.create(h5s.NULL))
        return
    shape = tuple(value.shape)
    space = h5s.create_simple(shape) if shape else h5s.create(h5s.SCALAR)
    target = make(tid, space)
    if not element_count(value.shape, path):
        if value.data:
            raise invalid(f"a value of {path!r} in the skeleton does not fit its shape")
        return
    array, mtype = _to_array(fid, value, tid, shape, path)
    if isinstance(target, h5d.DatasetID):
        target.write(h5s.ALL, h5s.ALL, array, mtype)
    else:
        target.write(array, mtype)


def _to_array(
    fid: h5f.FileID, value: Value, tid: h5t.TypeID, shape: tuple[int, ...], path: str
) -> tuple[NDArray[Any], h5t.TypeID]:
    """Return a value as the array and the memory datatype that h5py wants."""
    if isinstance(tid, h5t.TypeVlenID):
        dtype = _sequence_dtype(tid, path)
        return _sequence_array(value, dtype, shape, path), h5t.py_create(dtype)
    if isinstance(tid, h5t.TypeStringID) and tid.is_variable_str():
        dtype = h5py.string_dtype("utf-8" if tid.get_cset() else "ascii")
        items = value.items or [text.encode("utf-8") for text in value.texts]
        if any(b"\0" in item for item in items):
            raise invalid(f"a string of {path!r} in the skeleton holds a zero byte")
        return _object_array(items, shape, dtype), h5t.py_create(dtype)
    if isinstance(tid, h5t.TypeReferenceID):
        items = [
            h5r.create(fid, text.encode("utf-8"), h5r.OBJECT) if text else h5r.Reference()
            for text in value.texts
        ]
        return _object_array(items, shape, h5py.ref_dtype), h5t.py_create(h5py.ref_dtype)
    size = tid.get_size()
    if len(value.data) != element_count(list(shape), path) * size:
        raise invalid(f"a value of {path!r} in the skeleton does not fit its datatype")
    return np.frombuffer(value.data, f"V{size}").reshape(shape), tid


def _object_array(items: list[Any], shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    out = np.empty(len(items), dtype)
    out[:] = items
    return out.reshape(shape)


def _sequence_array(
    value: Value, dtype: np.dtype[Any], shape: tuple[int, ...], path: str
) -> NDArray[Any]:
    base = h5py.check_vlen_dtype(dtype)
    if any(len(item) % base.itemsize for item in value.items):
        raise invalid(f"a sequence of {path!r} in the skeleton does not fit its datatype")
    out = np.empty(len(value.items), dtype)
    for i, item in enumerate(value.items):
        out[i] = np.frombuffer(item, base)
    return out.reshape(shape)
