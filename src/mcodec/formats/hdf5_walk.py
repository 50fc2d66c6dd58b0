"""A walk over all objects of an HDF5 file: each is visited once, checked, and not yet read."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from h5py import h5a, h5d, h5f, h5g, h5l, h5o, h5p, h5t

from mcodec.errors import FormatError
from mcodec.formats.hdf5_chunks import chunk_bytes
from mcodec.formats.hdf5_dtypes import MARKER, little_endian, swap_unit, tensor_dtype
from mcodec.formats.hdf5_guards import (
    check_creation,
    check_element,
    check_link,
    check_stored,
    child_path,
    invalid,
    link_name,
    over_limit,
    refused,
)
from mcodec.formats.hdf5_typeids import describe
from mcodec.formats.hdf5_types import Opaque, Type
from mcodec.formats.hdf5_values import ValueReader, shape_of
from mcodec.limits import MAX_SOURCE_OBJECTS, MAX_TENSORS, decoded_budget
from mcodec.types import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

_DIGITS: Final = re.compile(r"([0-9]+)")


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


@dataclass(frozen=True, slots=True)
class _Child:
    """One link of a group: the kind of the link, and where its object lies if it is a hard one."""

    name: str
    kind: int
    address: int


@dataclass(slots=True)
class _Frame:
    """A group that is being walked; `paths` counts the paths below it, those by links included."""

    path: str
    address: int
    gid: h5g.GroupID
    children: Iterator[_Child]
    paths: int = 1


@dataclass(slots=True)
class Inventory:
    """All that a walk has found, in its order: groups stand before what is in them."""

    nodes: list[Node] = field(default_factory=list)
    tensors: dict[str, TensorPlace] = field(default_factory=dict)


class Walker:
    """Walks one file.

    Parameters
    ----------
    fid : h5py.h5f.FileID
    file_bytes : int
        The real size of the file.
    reader : ValueReader
        For the attribute that tells a tensor's dtype.
    """

    def __init__(self, fid: h5f.FileID, file_bytes: int, reader: ValueReader) -> None:
        self._fid = fid
        self._file_bytes = file_bytes
        self._reader = reader
        self._found = Inventory()
        self._first: dict[int, str] = {}  # address -> path
        self._below: dict[int, int] = {}  # address of a finished object -> paths to and below it
        self._declared = 0

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
        frames = [_Frame("", address, root, _children(root, ""))]
        while frames:
            frame = frames[-1]
            child = next(frame.children, None)
            if child is not None:
                inner = self._visit(frame, child)
                if inner is not None:
                    frames.append(inner)
                continue
            frames.pop()
            self._below[frame.address] = frame.paths
            if frames:
                self._count(frames[-1], frame.paths)
        return self._found

    def _count(self, frame: _Frame, paths: int) -> None:
        frame.paths += paths
        if frame.paths > MAX_SOURCE_OBJECTS:
            raise over_limit(f"the file has more than {MAX_SOURCE_OBJECTS} paths")

    def _visit(self, frame: _Frame, child: _Child) -> _Frame | None:
        """Take in one child; a group that is new is returned to be walked."""
        path = child_path(frame.path, child.name)
        check_link(child.kind, path)
        first = self._first.setdefault(child.address, path)
        if first != path:
            self._alias(frame, path, first, child.address)
            return None
        oid = h5o.open(frame.gid, child.name.encode("utf-8"))
        match oid:
            case h5g.GroupID():
                self._found.nodes.append(Node(path, "group"))
                return _Frame(path, child.address, oid, _children(oid, path))
            case h5d.DatasetID():
                self._found.nodes.append(Node(path, self._dataset(oid, path)))
            case h5t.TypeID():
                self._found.nodes.append(Node(path, "type"))
            case _:
                raise invalid(f"{path!r} is no object that HDF5 knows")
        self._below[child.address] = 1
        self._count(frame, 1)
        return None

    def _alias(self, frame: _Frame, path: str, first: str, address: int) -> None:
        """Take in a further hard link; one to a group that is not finished leads round for ever."""
        if address not in self._below:
            raise refused(f"{path!r} is a link to {first!r}, a group that it lies in")
        self._found.nodes.append(Node(path, "link", first))
        self._count(frame, self._below[address])

    def _dataset(self, dsid: h5d.DatasetID, path: str) -> str:
        """Check a dataset, and return whether it is a tensor or not."""
        plist = dsid.get_create_plist()
        check_creation(plist, path)
        tid = dsid.get_type()
        size = check_element(tid.get_size(), path)
        shape = shape_of(dsid.get_space(), path)
        declared = size * math.prod(shape or ()) if shape is not None else 0
        self._check_size(dsid, plist, declared, size, path)
        kind = describe(tid, path)
        marker = self._marker(dsid, path) if isinstance(kind, Opaque) else ""
        dtype = tensor_dtype(kind, marker)
        if dtype is None or shape is None:
            return "dataset"
        if len(self._found.tensors) >= MAX_TENSORS:
            raise over_limit(f"the file has more than {MAX_TENSORS} tensors")
        spec = TensorSpec(path, dtype, tuple(shape))
        offset = self._offset(dsid, plist, spec)
        self._found.tensors[path] = TensorPlace(spec, little_endian(kind), swap_unit(kind), offset)
        return "tensor"

    def _check_size(
        self, dsid: h5d.DatasetID, plist: h5p.PropDCID, declared: int, size: int, path: str
    ) -> None:
        stored = dsid.get_storage_size()
        check_stored(max(declared, chunk_bytes(plist, size)), stored, path)
        self._declared += declared
        if self._declared > decoded_budget(self._file_bytes):
            raise FormatError(
                f"the datasets declare more than {decoded_budget(self._file_bytes)} bytes in all",
                code="decoded_too_large",
            )

    def _offset(self, dsid: h5d.DatasetID, plist: h5p.PropDCID, spec: TensorSpec) -> int | None:
        """Return where a contiguous dataset's data lies, the user block counted."""
        if plist.get_layout() != h5d.CONTIGUOUS or not spec.nbytes:
            return None
        offset = dsid.get_offset()
        if offset is None:
            return None  # never written: HDF5 gives its fill value
        if not 0 <= offset <= self._file_bytes - spec.nbytes:
            raise invalid(f"the data of {spec.name!r} lies past the end of the file")
        return int(offset)

    def _marker(self, dsid: h5d.DatasetID, path: str) -> str:
        raw = MARKER.encode()
        if not h5a.exists(dsid, raw):
            return ""
        texts = self._reader.attribute(dsid, raw, path).texts
        return texts[0] if len(texts) == 1 else ""


def _children(gid: h5g.GroupID, path: str) -> Iterator[_Child]:
    """Return the links of a group in the order in which people count."""
    found: list[tuple[bytes, int, int, int | None]] = []

    def add(raw: bytes, info: h5l.LinkInfo) -> bool | None:
        hard = info.type == h5l.TYPE_HARD
        order = info.corder if info.corder_valid else None
        found.append((raw, info.type, int(info.u) if hard else -1, order))
        return len(found) > MAX_SOURCE_OBJECTS or None  # to raise in here, h5py cannot bear

    # Not h5o.get_info: it visits the indexes of chunks, and crashes on a damaged one (HDF5 2.0.0).
    gid.links.iterate(add, info=True)
    if len(found) > MAX_SOURCE_OBJECTS:
        raise over_limit(f"the group {path!r} has more than {MAX_SOURCE_OBJECTS} links")
    tracked = all(order is not None for *_, order in found)
    found.sort(key=lambda link: link[3] or 0)
    children = [_Child(link_name(raw), kind, at) for raw, kind, at, _ in found]
    if not tracked:
        children.sort(key=lambda child: natural_key(child.name))
    return iter(children)


def natural_key(name: str) -> tuple[object, ...]:
    """Return a key that sorts dense, dense_1, dense_2, dense_10 in this order."""
    parts = _DIGITS.split(name)
    numbers = [digits.lstrip("0") for digits in parts[1::2]]
    # The length of a number stands for its size: int() of endless digits is refused by Python.
    parts[1::2] = [f"{len(number):05d}{number}" for number in numbers]
    return (*parts, name)
