"""Attributes and small datasets, written as hdf5_values has read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import h5py
import numpy as np
from h5py import h5a, h5d, h5r, h5s, h5t

from mcodec.formats.hdf5_guards import invalid
from mcodec.formats.hdf5_skeleton import Value, element_count
from mcodec.formats.hdf5_values import sequence_dtype

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from h5py import h5f
    from numpy.typing import NDArray

    Maker: TypeAlias = Callable[[h5t.TypeID, h5s.SpaceID], h5a.AttrID | h5d.DatasetID]

VARIABLE_BYTES: Final = 16  # bytes that a value of any length takes in the file, beside its data


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
        dtype = sequence_dtype(tid, path)
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
