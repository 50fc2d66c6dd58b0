"""HDF5 files from tensors and a skeleton: the structure through h5py, the data by position.

Every tensor becomes one contiguous little-endian dataset whose place in the file is fixed before
any data is there; then HDF5 closes the file, and data comes in any order, from any thread.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from h5py import h5a, h5d, h5f, h5g, h5o, h5p, h5s, h5t

from mcodec.errors import FormatError, UsageError
from mcodec.formats.base import skeleton_format
from mcodec.formats.files import TensorFile
from mcodec.formats.hdf5_dtypes import MARKER, is_extension, little_endian, plain_type, tensor_dtype
from mcodec.formats.hdf5_guards import border, child_path, invalid, link_name
from mcodec.formats.hdf5_skeleton import (
    FORMAT,
    VERSION,
    Attribute,
    Dataset,
    Group,
    Link,
    NamedType,
    Skeleton,
    Tensor,
    decode,
)
from mcodec.formats.hdf5_typeids import build
from mcodec.formats.hdf5_types import MAX_RANK, String
from mcodec.formats.hdf5_values import VARIABLE_BYTES, TypeTable, write_value
from mcodec.storage import io_errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mcodec.types import TensorSpec

_COMPACT_LIMIT: Final = 64_000  # bytes of an attribute that the oldest object headers can hold
_MARK_TYPE: Final = String(None, charset=1, padding=0)


def create_hdf5(
    path: str, specs: Sequence[TensorSpec], skeleton: bytes, metadata: Mapping[str, str]
) -> TensorFile:
    """Create an HDF5 file, and return the sink for its tensors.

    Parameters
    ----------
    path : str
    specs : sequence of TensorSpec
    skeleton : bytes
        Of an HDF5 source; without one, tensors become plain datasets at their names.
    metadata : mapping of str to str
        Not used: HDF5 has no place for it.

    Raises
    ------
    FormatError
        ``source_invalid`` if the skeleton is damaged, or has a tensor that `specs` lacks.
    UsageError
        A name that cannot be a path in HDF5.
    InputOutputError
        The file cannot be written.
    """
    own = skeleton_format(skeleton) == FORMAT
    plan = decode(skeleton) if own else _plain_skeleton(specs)
    by_name = {spec.name: spec for spec in specs}
    _check_complete(plan, by_name)
    with io_errors(path), open(path, "wb"):
        pass  # the system's own words for what is wrong with the path
    with border(path):
        offsets = _Builder(path, plan, by_name).build()
    return TensorFile(path, specs, [offsets[spec.name] for spec in specs])


def _check_complete(plan: Skeleton, by_name: Mapping[str, TensorSpec]) -> None:
    known = {item.path for item in plan.objects if isinstance(item, Tensor)}
    for name in known - by_name.keys():
        raise invalid(f"the file to write needs the tensor {name!r}, which is not there")
    for name in by_name.keys() - known:
        raise invalid(f"the tensor {name!r} has no place in the file that its skeleton describes")


def _plain_skeleton(specs: Sequence[TensorSpec]) -> Skeleton:
    """Describe a file that has nothing but tensors, and the groups that their names need."""
    table = TypeTable()
    objects: dict[str, Group | Tensor] = {"": Group(path="")}
    for spec in specs:
        try:
            parent = _add_groups(objects, spec.name)
        except (FormatError, UnicodeEncodeError) as error:
            raise UsageError(f"no HDF5 file can hold the name {spec.name!r} ({error})") from error
        if len(spec.shape) > MAX_RANK:
            raise UsageError(f"no HDF5 file can hold the {len(spec.shape)} axes of {spec.name!r}")
        if spec.name in objects or not isinstance(parent, Group):
            raise UsageError(f"no HDF5 file can hold {spec.name!r} beside the other names")
        marks = []
        if is_extension(spec.dtype):
            marks.append(Attribute(name=MARKER, type=table.add(_MARK_TYPE), texts=[spec.dtype]))
        index = table.add(plain_type(spec.dtype))
        objects[spec.name] = Tensor(path=spec.name, type=index, attributes=marks)
    return Skeleton(VERSION, table.types, list(objects.values()))


def _add_groups(objects: dict[str, Group | Tensor], name: str) -> Group | Tensor:
    """Add the groups above a tensor that are not there, and return the one it lies in."""
    path = ""
    parent = objects[path]
    *above, last = name.split("/")
    for part in above:
        path = child_path(path, link_name(part.encode("utf-8")))
        parent = objects.setdefault(path, Group(path=path))
    child_path(path, link_name(last.encode("utf-8")))
    return parent


class _Builder:
    """Writes all of a file but its tensors' data.

    Parameters
    ----------
    path : str
    plan : Skeleton
        Checked.
    by_name : mapping of str to TensorSpec
    """

    def __init__(self, path: str, plan: Skeleton, by_name: Mapping[str, TensorSpec]) -> None:
        self._path = path
        self._plan = plan
        self._specs = by_name
        self._types = [build(kind, "a datatype of the skeleton") for kind in plan.types]

    def build(self) -> dict[str, int]:
        """Write the file, and return where each tensor's data goes."""
        root = self._plan.objects[0]
        assert isinstance(root, Group)
        fid = h5f.create(
            os.fsencode(self._path),
            h5f.ACC_TRUNC,
            _group_list(h5p.FILE_CREATE, root),
            self._access(),
        )
        try:
            offsets: dict[str, int] = {}
            for item in self._plan.objects[1:]:
                if isinstance(item, Tensor):
                    offsets[item.path] = self._tensor(fid, item)
                else:
                    self._create(fid, item)
            # References need their targets, so attributes come when all objects are there.
            for item in self._plan.objects:
                if not isinstance(item, Link):
                    self._attributes(fid, item)
        finally:
            fid.close()
        return offsets

    def _access(self) -> h5p.PropFAID:
        """Return the access list; attributes past 64 kB need newer object headers."""
        access = h5p.create(h5p.FILE_ACCESS)
        access.set_fclose_degree(h5f.CLOSE_STRONG)
        attributes = (
            attribute
            for item in self._plan.objects
            if not isinstance(item, Link)
            for attribute in item.attributes
        )
        if any(_header_bytes(attribute) > _COMPACT_LIMIT for attribute in attributes):
            access.set_libver_bounds(h5f.LIBVER_V18, h5f.LIBVER_LATEST)
        return access

    def _create(self, fid: h5f.FileID, item: Group | Dataset | NamedType | Link) -> None:
        """Create one object that is no tensor, without its attributes."""
        name, links = item.path.encode("utf-8"), _link_list(item.path)
        match item:
            case Group():
                h5g.create(fid, name, links, _group_list(h5p.GROUP_CREATE, item))
            case Dataset():
                plist = _dataset_list(item)

                def make(tid: h5t.TypeID, space: h5s.SpaceID) -> h5d.DatasetID:
                    return h5d.create(fid, name, tid, space, plist, links)

                write_value(fid, item.value, self._types, make, item.path)
            case NamedType():
                self._types[item.type].copy().commit(fid, name, links)
            case Link():
                root = h5g.open(fid, b"/")
                root.links.create_hard(name, root, item.target.encode("utf-8"), links)

    def _tensor(self, fid: h5f.FileID, item: Tensor) -> int:
        """Create a tensor's dataset, and return where its data goes."""
        spec = self._specs[item.path]
        kind = self._plan.types[item.type]
        marks = [a.texts[0] for a in item.attributes if a.name == MARKER and len(a.texts) == 1]
        dtype = tensor_dtype(kind, *marks)
        if dtype != spec.dtype:
            raise invalid(f"the tensor {spec.name!r} is {spec.dtype}, but {dtype} in its skeleton")
        tid = build(little_endian(kind), item.path)
        space = h5s.create_simple(spec.shape) if spec.shape else h5s.create(h5s.SCALAR)
        name = item.path.encode("utf-8")
        plist = _dataset_list(item)
        plist.set_alloc_time(h5d.ALLOC_TIME_EARLY)  # its place in the file is fixed at once
        plist.set_fill_time(h5d.FILL_TIME_NEVER)
        dsid = h5d.create(fid, name, tid, space, plist, _link_list(item.path))
        return dsid.get_offset() or 0  # None if there is no data to place

    def _attributes(self, fid: h5f.FileID, item: Group | Tensor | Dataset | NamedType) -> None:
        oid = h5o.open(fid, f"/{item.path}".encode())
        for attribute in item.attributes:
            name = attribute.name.encode("utf-8")

            def make(tid: h5t.TypeID, space: h5s.SpaceID, name: bytes = name) -> h5a.AttrID:
                return h5a.create(oid, name, tid, space)

            write_value(fid, attribute, self._types, make, f"{item.path}@{attribute.name}")


def _header_bytes(attribute: Attribute) -> int:
    """Return about how many bytes an attribute takes in its object's header."""
    count = len(attribute.texts) + len(attribute.items)
    return len(attribute.data) + VARIABLE_BYTES * count + len(attribute.name)


def _group_list(cls: h5p.PropClassID, group: Group) -> h5p.PropGCID:
    """Return the creation list of a group, or of a file for its root."""
    plist = h5p.create(cls)
    plist.set_link_creation_order(group.link_order)
    plist.set_attr_creation_order(group.attribute_order)
    plist.set_obj_track_times(False)  # no clock: the same input gives the same bytes
    return plist


def _link_list(path: str) -> h5p.PropLCID:
    """Return the creation list of a link, which says how its name is encoded."""
    plist = h5p.create(h5p.LINK_CREATE)
    plist.set_char_encoding(h5t.CSET_ASCII if path.isascii() else h5t.CSET_UTF8)
    return plist


def _dataset_list(item: Tensor | Dataset) -> h5p.PropDCID:
    """Return the creation list of a dataset in one piece."""
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_layout(h5d.CONTIGUOUS)
    plist.set_attr_creation_order(item.attribute_order)
    plist.set_obj_track_times(False)
    return plist
