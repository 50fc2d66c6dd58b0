"""The skeleton of an HDF5 file: everything but its tensors (spec/skeletons.md).

It is read back from `.mc` files, so it is as little trusted as any source.
"""

from __future__ import annotations

import math
from typing import Final, Literal

import msgspec

from mcodec.formats.base import read_skeleton
from mcodec.formats.hdf5_guards import child_path, invalid, link_name, over_limit
from mcodec.formats.hdf5_types import (
    MAX_NESTING,
    MAX_RANK,
    REFERENCE,
    Array,
    Compound,
    Sequence,
    Type,
    is_variable,
    lies_in_heap,
)
from mcodec.limits import MAX_ELEMENTS, MAX_SOURCE_OBJECTS

FORMAT: Final = "hdf5"
CreationOrder = Literal[0, 1, 3]  # HDF5's flags: not kept, kept, kept and indexed


class _Strict(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    pass


class Value(_Strict, kw_only=True):
    """What an attribute, or a dataset that is no tensor, holds.

    Attributes
    ----------
    type : int
        Index into `Skeleton.types`.
    shape : list of int or None
        None is the null dataspace, [] a scalar.
    data : bytes
        All elements as the file has them, where they are of one size.
    texts : list of str
        Strings of any length; object references as paths with a leading slash, "" for none.
    items : list of bytes
        Sequences of any length, and strings where one of them is not UTF-8.
    """

    type: int
    shape: list[int] | None = msgspec.field(default_factory=list)
    data: bytes = b""
    texts: list[str] = msgspec.field(default_factory=list)
    items: list[bytes] = msgspec.field(default_factory=list)


class Attribute(Value, kw_only=True):
    """One attribute of an object."""

    name: str


class _Object(_Strict, tag_field="kind"):
    path: str


class _Attributed(_Object, kw_only=True):
    attributes: list[Attribute] = msgspec.field(default_factory=list)
    attribute_order: CreationOrder = 0


class Group(_Attributed, kw_only=True, tag="group"):
    """A group; the file's root has the path ""."""

    link_order: CreationOrder = 0


class Tensor(_Attributed, kw_only=True, tag="tensor"):
    """A dataset whose data and shape are a tensor's."""

    type: int


class Dataset(_Attributed, kw_only=True, tag="dataset"):
    """A dataset that is no tensor, with all that it holds."""

    value: Value


class NamedType(_Attributed, kw_only=True, tag="type"):
    """A committed datatype."""

    type: int


class Link(_Object, tag="link"):
    """A second hard link to an object that stands before it."""

    target: str


Object = Group | Tensor | Dataset | NamedType | Link


class Skeleton(msgspec.Struct, tag_field="format", tag=FORMAT, forbid_unknown_fields=True):
    """The whole file: groups stand before what is in them."""

    version: int
    types: list[Type]
    objects: list[Object]


def encode(skeleton: Skeleton) -> bytes:
    """Return the JSON of a skeleton."""
    return msgspec.json.encode(skeleton)


def decode(data: bytes) -> Skeleton:
    """Read a skeleton back, and check it.

    Raises
    ------
    FormatError
        ``source_invalid`` if it breaks a rule of spec/skeletons.md, ``limit_exceeded`` if a count
        is over a limit, ``version_unsupported`` if a newer mcodec wrote it.
    """
    skeleton = read_skeleton(data, Skeleton)
    _check(skeleton)
    return skeleton


def _check(skeleton: Skeleton) -> None:
    if len(skeleton.objects) > MAX_SOURCE_OBJECTS:
        raise over_limit(f"the skeleton has more than {MAX_SOURCE_OBJECTS} objects")
    for kind in skeleton.types:
        _check_nesting(kind, 0)
    first = skeleton.objects[0] if skeleton.objects else None
    if not isinstance(first, Group) or first.path:
        raise invalid("the skeleton does not begin with the root group")
    seen: set[str] = set()
    groups: set[str] = set()
    for item in skeleton.objects:
        if item is not first:
            _check_path(item.path, groups)
        if item.path in seen:
            raise invalid(f"the skeleton has {item.path!r} twice")
        if isinstance(item, Link):
            if item.target not in seen:
                raise invalid(f"{item.path!r} links to {item.target!r}, which is not there")
        else:
            _check_attributed(item, skeleton.types)
        seen.add(item.path)
        if isinstance(item, Group):
            groups.add(item.path)


def _check_nesting(kind: Type, depth: int) -> None:
    """Refuse what is nested too deep before anything else looks into it."""
    if depth > MAX_NESTING:
        raise invalid(f"the skeleton has a datatype nested deeper than {MAX_NESTING}")
    match kind:
        case Compound():
            for member in kind.members:
                _check_nesting(member.type, depth + 1)
        case Array() | Sequence():
            _check_nesting(kind.base, depth + 1)


def _check_path(path: str, groups: set[str]) -> None:
    parent, _, name = path.rpartition("/")
    if parent not in groups:
        raise invalid(f"the skeleton has {path!r}, but no group for it")
    if child_path(parent, link_name(name.encode("utf-8"))) != path:
        raise invalid(f"{path!r} cannot be a path in HDF5")


def _check_attributed(item: Group | Tensor | Dataset | NamedType, types: list[Type]) -> None:
    names = {attribute.name for attribute in item.attributes}
    if len(names) != len(item.attributes) or any("\0" in name for name in names):
        raise invalid(f"the attributes of {item.path!r} have bad names")
    for value in item.attributes:
        _check_value(value, types, item.path)
    if isinstance(item, Dataset):
        _check_value(item.value, types, item.path)
    if isinstance(item, Tensor | NamedType):
        _type_at(types, item.type, item.path)


def _check_value(value: Value, types: list[Type], path: str) -> None:
    kind = _type_at(types, value.type, path)
    count = element_count(value.shape, path)
    texts, items = len(value.texts), len(value.items)
    if lies_in_heap(kind):
        fits = not value.data and (texts, items) in ((count, 0), (0, count))
        fits = fits and not (isinstance(kind, Sequence) and texts)
    elif kind == REFERENCE:
        fits = not value.data and (texts, items) == (count, 0)
    else:
        # How long `data` must be is known when the type is built (hdf5_values.write_value).
        fits = not texts and not items and not is_variable(kind)
    if not fits:
        raise invalid(f"a value of {path!r} in the skeleton does not fit its shape")


def _type_at(types: list[Type], index: int, path: str) -> Type:
    if not 0 <= index < len(types):
        raise invalid(f"{path!r} has a datatype that is not in the skeleton")
    return types[index]


def element_count(shape: list[int] | None, path: str) -> int:
    """Return the number of elements of a dataspace; 0 for the null one.

    Raises
    ------
    FormatError
        ``limit_exceeded`` for too many dimensions or elements.
    """
    if shape is None:
        return 0
    if len(shape) > MAX_RANK or any(not 0 <= d <= MAX_ELEMENTS for d in shape):
        raise over_limit(f"{path!r} has an impossible shape")
    if math.prod(d for d in shape if d) > MAX_ELEMENTS:
        raise over_limit(f"{path!r} has more than {MAX_ELEMENTS} elements")
    return math.prod(shape)
