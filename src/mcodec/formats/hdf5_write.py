"""HDF5 files from tensors and a skeleton: the structure through h5py, the data by position.

Every tensor becomes one contiguous little-endian dataset whose place in the file is fixed before
any data is there; then HDF5 closes the file, and data comes in any order, from any thread.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from h5py import h5a, h5d, h5f, h5g, h5o, h5p, h5s, h5t

from mcodec.formats.base import skeleton_format
from mcodec.formats.files import TensorFile
from mcodec.formats.hdf5_dtypes import little_endian
from mcodec.formats.hdf5_fit import fit
from mcodec.formats.hdf5_guards import border
from mcodec.formats.hdf5_plain import own_metadata, plan_file
from mcodec.formats.hdf5_skeleton import (
    FORMAT,
    Attribute,
    Dataset,
    Group,
    Link,
    NamedType,
    Skeleton,
    Tensor,
    decode,
)
from mcodec.formats.hdf5_store import VARIABLE_BYTES, write_value
from mcodec.formats.hdf5_typeids import build
from mcodec.storage import io_errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mcodec.types import TensorSpec

_COMPACT_LIMIT: Final = 64_000  # bytes of an attribute that the oldest object headers can hold


def create_hdf5(
    path: str,
    specs: Sequence[TensorSpec],
    skeleton: bytes,
    metadata: Mapping[str, str],
    same_as: Mapping[int, int] | None = None,
) -> TensorFile:
    """Create an HDF5 file, and return the sink for its tensors.

    Parameters
    ----------
    path : str
    specs : sequence of TensorSpec
    skeleton : bytes
        Of an HDF5 source; without one, tensors become plain datasets at their names. One of
        another format is carried (`hdf5_plain`).
    metadata : mapping of str to str
        Kept in an attribute of the root, unless the skeleton is of an HDF5 source.
    same_as : mapping of int to int, optional
        Tensors that are another one, for hard links where no skeleton says which.

    Raises
    ------
    FormatError
        ``source_invalid`` if the skeleton is damaged, or is not of the tensors `specs`.
    UsageError
        A name that cannot be a path in HDF5.
    InputOutputError
        The file cannot be written.
    """
    notes: list[str] = []
    if skeleton_format(skeleton) == FORMAT:
        plan = decode(skeleton)
        if metadata and dict(metadata) != own_metadata(plan):
            notes = ["HDF5 has no place for metadata that was added: it is left out"]
    else:
        plan, notes = plan_file(specs, skeleton, metadata, same_as or {})
    places = fit(plan, specs)
    with io_errors(path), open(path, "wb"):
        pass  # the system's own words for what is wrong with the path
    with border(path):
        offsets = _Builder(path, plan, {spec.name: spec for spec in specs}).build()
    sink = TensorFile(path, specs, [offsets[place] for place in places.paths], places.same_as)
    sink.notes = notes
    return sink


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
        tid = build(little_endian(self._plan.types[item.type]), item.path)
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
