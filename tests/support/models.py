"""Model files: copied through a source and a sink, and looked at with h5py alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5o, h5s, h5t

from mcodec.formats.registry import create_sink, open_source

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mcodec.formats.base import TensorSource

Dump = dict[str, Any]


def arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read all tensors of a file through its source."""
    source = open_source(path)
    try:
        return {
            spec.name: source.read(index, 0, spec.size).reshape(spec.shape)
            for index, spec in enumerate(source.tensors)
        }
    finally:
        source.close()


def copy_model(path: Path, out: Path, step: int = 1000) -> None:
    """Copy a file through its source and the sink of its format, a few elements at a time."""
    source = open_source(path)
    try:
        copy_tensors(source, out, step)
    finally:
        source.close()


def copy_tensors(source: TensorSource, out: Path, step: int = 1000) -> None:
    """Copy an open source, its skeleton included; from the last block of a tensor to its first."""
    sink = create_sink(out, source.format, source.tensors, source.skeleton(), source.metadata)
    try:
        for index, spec in enumerate(source.tensors):
            for start in reversed(range(0, spec.size, step)):
                part = source.read(index, start, min(start + step, spec.size))
                sink.write(index, start * part.itemsize, part.view(np.uint8).data)
    finally:
        sink.close()


def dump(path: Path) -> Dump:
    """Return all that an HDF5 file holds: objects, hard links, exact datatypes, attributes, data.

    Data of numbers is compared as little-endian; h5py's own conversions do that here.
    """
    found: Dump = {}
    first: dict[int, str] = {}
    with h5py.File(path) as file:

        def visit(name: str, oid: Any) -> None:
            found[f"{name} attributes"] = {a: _attribute(oid, a) for a in _names(oid)}
            if isinstance(oid, h5d.DatasetID):
                found[f"{name} data"] = _dataset(h5py.Dataset(oid))
            if not isinstance(oid, h5py.h5g.GroupID):
                return
            group = h5py.Group(oid)
            found[f"{name} links"] = list(group)
            for key in group:
                path_of = f"{name}/{key}"
                child = h5o.open(oid, key.encode())
                address = h5o.get_info(child).addr
                if first.setdefault(address, path_of) == path_of:
                    visit(path_of, child)
                else:
                    found[f"{path_of} is"] = first[address]

        visit("", file["/"].id)
    return found


def _names(oid: Any) -> list[bytes]:
    names: list[bytes] = []
    h5a.iterate(oid, lambda name, *_: names.append(name))
    return names


def _kind(tid: Any) -> object:
    """Return a datatype in a form that compares: HDF5 writes nested ones in several versions."""
    nested = tid.get_class() in (h5t.ENUM, h5t.COMPOUND, h5t.ARRAY, h5t.VLEN)
    return (repr(tid.dtype), tid.get_size()) if nested else tid.encode()


def _attribute(oid: Any, name: bytes) -> tuple[object, object, object]:
    attribute = h5a.open(oid, name)
    tid = attribute.get_type()
    space = attribute.get_space()
    if space.get_simple_extent_type() == h5s.NULL:
        return _kind(tid), None, None
    shape = space.get_simple_extent_dims()
    if tid.detect_class(h5t.VLEN) or (isinstance(tid, h5t.TypeStringID) and tid.is_variable_str()):
        out = np.empty(shape, attribute.dtype)
        attribute.read(out)
        return _kind(tid), shape, [np.asarray(x).tobytes() for x in out.reshape(-1)]
    raw = np.zeros(shape, f"V{tid.get_size()}")
    attribute.read(raw, tid)
    return _kind(tid), shape, raw.tobytes()


def _dataset(dataset: h5py.Dataset) -> tuple[object, object, object]:
    if dataset.shape is None:
        return dataset.dtype, None, None
    dtype = dataset.dtype
    plain = dtype.newbyteorder("<") if dtype.kind in "iufcb" else dtype
    values = dataset[()]
    if dtype.kind == "O":
        return dtype, dataset.shape, [np.asarray(x).tobytes() for x in np.ravel(values)]
    return plain, dataset.shape, np.asarray(values).astype(plain).tobytes()
