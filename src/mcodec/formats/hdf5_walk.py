"""A walk over all objects of an HDF5 file: each is visited once, checked, and not yet read."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from h5py import h5a, h5d, h5f, h5g, h5o, h5p, h5t

from mcodec.errors import FormatError
from mcodec.formats.hdf5_children import Child, children_of
from mcodec.formats.hdf5_chunks import chunk_bytes
from mcodec.formats.hdf5_dtypes import MARKER, tensor_dtype
from mcodec.formats.hdf5_guards import (
    check_creation,
    check_link,
    check_path,
    check_stored,
    child_path,
    invalid,
    over_limit,
    refused,
)
from mcodec.formats.hdf5_raw import data_offset
from mcodec.formats.hdf5_types import Opaque, Type
from mcodec.formats.hdf5_values import ValueReader, shape_of
from mcodec.limits import MAX_SOURCE_OBJECTS, MAX_TENSORS, decoded_budget
from mcodec.types import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcodec.formats.hdf5_image import Image


@dataclass(frozen=True, slots=True)
class TensorPlace:
    """A tensor, and how its bytes are found.

    Attributes
    ----------
    spec : TensorSpec
    kind : Type
        The HDF5 datatype with which the tensor is written back: little-endian.
    swap : int
        Bytes to turn at a time; 0 for none.
    offset : int or None
        Where the data lies in the file in one piece; None if HDF5 has to put it together.
    """

    spec: TensorSpec
    kind: Type
    swap: int
    offset: int | None


@dataclass(frozen=True, slots=True)
class Node:
    """One object, or a link to one that was met before.

    Attributes
    ----------
    path : str
        From the root, without a leading slash.
    what : str
        ``group``, ``tensor``, ``dataset``, ``type`` or ``link``.
    target : str
        For a link, the path under which the object was met first.
    """

    path: str
    what: str
    target: str = ""


@dataclass(slots=True)
class _Frame:
    """A group that is being walked, and what was counted before it."""

    path: str
    address: int
    gid: h5g.GroupID
    children: Iterator[Child]
    before: _Tally


@dataclass(frozen=True, slots=True)
class _Tally:
    """What is counted, those things that links lead to again each time."""

    paths: int = 0
    tensors: int = 0
    declared: int = 0  # bytes of datasets

    def __add__(self, other: _Tally) -> _Tally:
        return _Tally(
            self.paths + other.paths,
            self.tensors + other.tensors,
            self.declared + other.declared,
        )

    def since(self, before: _Tally) -> _Tally:
        return _Tally(
            self.paths - before.paths,
            self.tensors - before.tensors,
            self.declared - before.declared,
        )


@dataclass(slots=True)
class Inventory:
    """All that a walk has found, in its order: groups stand before what is in them.

    Attributes
    ----------
    nodes : list of Node
    tensors : dict of str to TensorPlace
        By every path that leads to them.
    first : dict of str to str
        For further paths of a tensor, by hard links to it or to a group above it: the first one.
    """

    nodes: list[Node] = field(default_factory=list)
    tensors: dict[str, TensorPlace] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)


class Walker:
    """Walks one file.

    Parameters
    ----------
    fid : h5py.h5f.FileID
    image : Image
        Of the same file.
    reader : ValueReader
        For the attribute that tells a tensor's dtype.
    """

    def __init__(self, fid: h5f.FileID, image: Image, reader: ValueReader) -> None:
        self._fid = fid
        self._image = image
        self._file_bytes = image.size
        self._reader = reader
        self._found = Inventory()
        self._first: dict[int, str] = {}  # address -> path
        self._places: dict[str, TensorPlace] = {}  # of tensors, by the first path
        self._tally = _Tally()
        self._done: dict[int, _Tally] = {}  # of objects that are walked wholly, by address

    def walk(self) -> Inventory:
        """Visit every object once.

        Raises
        ------
        FormatError
            Something in the file is refused, over a limit or damaged.
        """
        root = h5g.open(self._fid, b"/")
        address = h5g.get_objinfo(root, b".").objno[0]
        self._first[address] = ""
        self._found.nodes.append(Node("", "group"))
        frames = [self._frame("", address, root)]
        while frames:
            frame = frames[-1]
            child = next(frame.children, None)
            if child is not None:
                inner = self._visit(frame, child)
                if inner is not None:
                    frames.append(inner)
                continue
            frames.pop()
            self._done[frame.address] = self._tally.since(frame.before)
        self._name_tensors()
        return self._found

    def _frame(self, path: str, address: int, gid: h5g.GroupID) -> _Frame:
        before = self._tally
        self._count(_Tally(paths=1))
        return _Frame(path, address, gid, children_of(gid, path), before)

    def _count(self, more: _Tally) -> None:
        self._tally += more
        if self._tally.paths > MAX_SOURCE_OBJECTS:
            raise over_limit(f"the file has more than {MAX_SOURCE_OBJECTS} paths")
        if self._tally.tensors > MAX_TENSORS:
            raise over_limit(f"the file has more than {MAX_TENSORS} tensors")
        if self._tally.declared > decoded_budget(self._file_bytes):
            raise FormatError(
                f"the datasets declare more than {decoded_budget(self._file_bytes)} bytes in all",
                code="decoded_too_large",
            )

    def _visit(self, frame: _Frame, child: Child) -> _Frame | None:
        """Take in one child; a group that is new is returned to be walked."""
        path = child_path(frame.path, child.name)
        check_link(child.kind, path)
        first = self._first.setdefault(child.address, path)
        if first != path:
            self._link(path, first, child.address)
            return None
        before = self._tally
        self._reader.raw.check_layout(child.address, path)
        oid = h5o.open(frame.gid, child.name.encode("utf-8"))
        match oid:
            case h5g.GroupID():
                self._found.nodes.append(Node(path, "group"))
                return self._frame(path, child.address, oid)
            case h5d.DatasetID():
                self._found.nodes.append(Node(path, self._dataset(oid, path)))
            case h5t.TypeID():
                self._found.nodes.append(Node(path, "type"))
            case _:
                raise invalid(f"{path!r} is no object that HDF5 knows")
        self._count(_Tally(paths=1))
        self._done[child.address] = self._tally.since(before)
        return None

    def _link(self, path: str, first: str, address: int) -> None:
        """Take in a further hard link; one to a group that is not finished leads round for ever."""
        done = self._done.get(address)
        if done is None:
            raise refused(f"{path!r} is a link to {first!r}, a group that it lies in")
        self._found.nodes.append(Node(path, "link", first))
        self._count(done)

    def _name_tensors(self) -> None:
        """Make every path to a tensor a tensor; that there are not too many is known by now."""
        found = self._found
        names: list[str] = []
        begins: dict[str, int] = {}  # path -> how many tensors stand before it
        for node in found.nodes:
            begins[node.path] = len(names)
            if node.what == "tensor":
                names.append(node.path)
                found.tensors[node.path] = self._places[node.path]
            elif node.what == "link":
                for name in _at_or_below(names, begins[node.target], node.target):
                    again = check_path(node.path + name[len(node.target) :])
                    one = found.tensors[name]
                    spec = TensorSpec(again, one.spec.dtype, one.spec.shape)
                    found.tensors[again] = TensorPlace(spec, one.kind, one.swap, one.offset)
                    found.first[again] = found.first.get(name, name)
                    names.append(again)

    def _dataset(self, dsid: h5d.DatasetID, path: str) -> str:
        """Check a dataset, and return whether it is a tensor or not."""
        tid = dsid.get_type()
        known = self._reader.types.look_up(tid, path)
        self._reader.check_fill(dsid, known.kind, path)
        plist = dsid.get_create_plist()
        check_creation(plist, path)
        size = tid.get_size()
        shape = shape_of(dsid.get_space(), path)
        declared = size * math.prod(shape or ()) if shape is not None else 0
        self._check_size(dsid, plist, declared, size, path)
        dtype = known.dtype
        if isinstance(known.kind, Opaque):
            dtype = tensor_dtype(known.kind, self._marker(dsid, path))
        if dtype is None or shape is None:
            return "dataset"
        spec = TensorSpec(path, dtype, tuple(shape))
        offset = self._offset(dsid, plist, spec)
        self._places[path] = TensorPlace(spec, known.little, known.swap, offset)
        self._count(_Tally(tensors=1))
        return "tensor"

    def _check_size(
        self, dsid: h5d.DatasetID, plist: h5p.PropDCID, declared: int, size: int, path: str
    ) -> None:
        stored = dsid.get_storage_size()
        check_stored(max(declared, chunk_bytes(plist, size)), stored, path)
        self._count(_Tally(declared=declared))

    def _offset(self, dsid: h5d.DatasetID, plist: h5p.PropDCID, spec: TensorSpec) -> int | None:
        """Return where a contiguous dataset's data lies, the user block counted."""
        if plist.get_layout() != h5d.CONTIGUOUS or not spec.nbytes:
            return None
        offset = data_offset(dsid, self._image)
        if offset is not None and offset > self._file_bytes - spec.nbytes:
            raise invalid(f"the data of {spec.name!r} lies past the end of the file")
        return offset  # None: never written, HDF5 gives its fill value

    def _marker(self, dsid: h5d.DatasetID, path: str) -> str:
        raw = MARKER.encode()
        if not h5a.exists(dsid, raw):
            return ""
        texts = self._reader.attribute(dsid, raw, path).texts
        return texts[0] if len(texts) == 1 else ""


def _at_or_below(names: list[str], begin: int, path: str) -> Iterator[str]:
    """Yield the names at a path and below it, which stand together from `begin` on."""
    for at in range(begin, len(names)):
        if names[at] != path and not names[at].startswith(f"{path}/"):
            return
        yield names[at]
