"""HDF5 files from tensors and a skeleton: the structure through h5py, the data by position.

Every tensor becomes one contiguous little-endian dataset whose place in the file is fixed before
any data is there; then HDF5 closes the file, and data comes in any order, from any thread.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from h5py import h5, h5a, h5d, h5f, h5g, h5p, h5s, h5t

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
from mcodec.formats.hdf5_types import String, build
from mcodec.formats.hdf5_values import TypeTable, write_value
from mcodec.storage import io_errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mcodec.types import TensorSpec

_COMPACT_LIMIT: Final = 64_000  # bytes of an attribute that the oldest object headers can hold


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
    with border("the skeleton"):
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
        parts = spec.name.split("/")
        path = ""
        try:
            for part in parts:
                parent, path = path, child_path(path, link_name(part.encode("utf-8")))
                if not isinstance(objects[parent], Group):
                    raise invalid(f"{parent!r} is a tensor already")
                objects.setdefault(path, Group(path=path))
            if objects[path].path in objects
        except FormatError as error:
            raise UsageError(f"no HDF5 file can hold {spec.name!r}: {error.message}") from error
    return Skeleton(VERSION, table.types, list(objects.values()))
