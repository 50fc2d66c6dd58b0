"""HDF5 files, Keras' and others': tensors read lazily, the rest kept as a skeleton.

Keras 2 and 3 legacy models (``model_weights``), weights of Keras 2 (``layer_names`` on the root),
the ``.weights.h5`` tree of Keras 3, and any other file of numeric arrays. A tensor's name is its
path without the leading slash. Nothing in the file is ever executed or deserialised:
``model_config`` is text to carry.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from h5py import h5a, h5g, h5o

from mcodec.errors import McodecError
from mcodec.formats.base import VERSION
from mcodec.formats.files import InputFile
from mcodec.formats.hdf5_chunks import element_dtype
from mcodec.formats.hdf5_facts import facts_hdf5
from mcodec.formats.hdf5_file import open_fid
from mcodec.formats.hdf5_guards import border
from mcodec.formats.hdf5_heap import GlobalHeaps
from mcodec.formats.hdf5_image import Image
from mcodec.formats.hdf5_order import ModelOrder
from mcodec.formats.hdf5_plain import METADATA_KEY, inner_hdf5, own_text, read_metadata
from mcodec.formats.hdf5_read import Reader, open_reader
from mcodec.formats.hdf5_skeleton import (
    FORMAT,
    Dataset,
    Group,
    Link,
    NamedType,
    Object,
    Skeleton,
    Tensor,
    encode,
)
from mcodec.formats.hdf5_values import ValueReader, attribute_order
from mcodec.formats.hdf5_walk import Node, Walker
from mcodec.formats.hdf5_write import create_hdf5
from mcodec.types import numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from h5py import h5f
    from numpy.typing import NDArray

    from mcodec.types import TensorSpec

__all__ = ["Hdf5Source", "create_hdf5", "facts_hdf5", "inner_hdf5", "open_hdf5"]

_KEPT: Final = 4  # datasets that are open at a time, beside those that lie in one piece


def open_hdf5(path: str) -> Hdf5Source:
    """Open an HDF5 file.

    Raises
    ------
    FormatError
        The file is damaged, or uses something that is refused (docs/architecture.md, "Guards").
    InputOutputError
        The file cannot be read.
    """
    file = InputFile(path)
    try:
        with border(path):
            return Hdf5Source(file)
    except McodecError:
        file.close()
        raise


class Hdf5Source:
    """An HDF5 file that is open for reading."""

    format = FORMAT

    def __init__(self, file: InputFile) -> None:
        self.notes: Sequence[str] = ()
        self._file = file
        self._lock = threading.Lock()
        self._fid = open_fid(file)
        self._readers: dict[int, Reader] = {}
        try:
            plist = self._fid.get_create_plist()
            self._image = Image(file, plist.get_userblock(), *plist.get_sizes())
            self._heaps = GlobalHeaps(self._image)
            reader = ValueReader(self._fid, self._image, self._heaps)
            self._found = Walker(self._fid, self._image, reader).walk()
            names = ModelOrder(self._fid, self._found, reader).names()
            self.metadata: Mapping[str, str] = _metadata(self._fid, reader)
        except BaseException:
            self._fid.close()
            raise
        self._places = [self._found.tensors[name] for name in names]
        self.tensors: Sequence[TensorSpec] = [place.spec for place in self._places]
        self.same_as: Mapping[int, int] = _same_as(names, self._found.first)

    def skeleton(self) -> bytes:
        """Return the JSON of everything but the tensors."""
        with self._lock, border(self._file.path):
            reader = ValueReader(self._fid, self._image, self._heaps)
            objects = [self._object(node, reader) for node in self._found.nodes]
            return encode(Skeleton(VERSION, reader.table.types, objects))

    def _object(self, node: Node, reader: ValueReader) -> Object:
        if node.what == "link":
            return Link(path=node.path, target=node.target)
        oid = h5o.open(self._fid, f"/{node.path}".encode())
        order = attribute_order(oid)
        common: dict[str, Any] = {
            "path": node.path,
            "attributes": reader.attributes(oid, node.path, order),
            "attribute_order": order,
        }
        match node.what:
            case "group":
                link_order = oid.get_create_plist().get_link_creation_order()
                return Group(link_order=link_order, **common)
            case "tensor":
                return Tensor(type=reader.table.add(self._found.tensors[node.path].kind), **common)
            case "dataset":
                return Dataset(value=reader.value(oid, node.path), **common)
        return NamedType(type=reader.type(oid, node.path), **common)

    def read(self, index: int, start: int, stop: int) -> NDArray[np.generic]:
        """Return elements [start, stop) of tensor `index`."""
        index = self.same_as.get(index, index)
        place = self._places[index]
        dtype = numpy_dtype(place.spec.dtype)
        out: NDArray[np.generic] = np.empty(stop - start, dtype)
        if place.offset is not None:
            self._file.read_into(out, place.offset + start * dtype.itemsize)
        elif out.size:
            with border(self._file.path), border(repr(place.spec.name)):
                self._reader(index).read(start, stop, out.view(element_dtype(dtype.itemsize)))
        if place.swap:
            out.view(f"u{place.swap}").byteswap(inplace=True)
        return out

    def _reader(self, index: int) -> Reader:
        """Open a dataset for reading; the last few are kept, with the chunks they have decoded."""
        with self._lock:
            if index not in self._readers:
                while len(self._readers) >= _KEPT:
                    self._readers.pop(next(iter(self._readers)))
                self._readers[index] = open_reader(self._fid, self._places[index], self._file.size)
            return self._readers[index]

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            self._readers.clear()
            if self._fid.valid:
                self._fid.close()
        self._file.close()


def _same_as(names: Sequence[str], first: Mapping[str, str]) -> dict[int, int]:
    """Return the tensors that come after another name of theirs, and where that one is."""
    seen: dict[str, int] = {}
    places = enumerate(seen.setdefault(first.get(name, name), i) for i, name in enumerate(names))
    return {index: place for index, place in places if place != index}


def _metadata(fid: h5f.FileID, reader: ValueReader) -> dict[str, str]:
    """Return the metadata that mcodec wrote into a file (spec/skeletons.md, section 2)."""
    root = h5g.open(fid, b"/")
    if not h5a.exists(root, METADATA_KEY.encode()):
        return {}
    value = reader.attribute(root, METADATA_KEY.encode(), "")
    return read_metadata(own_text(value, reader.table.types))
