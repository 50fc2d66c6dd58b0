"""HDF5 files for tensors of other formats: what is in them, and what they carry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from mcodec.errors import FormatError, UsageError, one_line
from mcodec.formats.base import SKELETON_KEY, VERSION, carriable, read_skeleton, skeleton_format
from mcodec.formats.hdf5_dtypes import MARKER, is_extension, plain_type
from mcodec.formats.hdf5_fit import fit
from mcodec.formats.hdf5_guards import child_path, invalid, link_name
from mcodec.formats.hdf5_skeleton import (
    FORMAT,
    Attribute,
    Group,
    Link,
    Skeleton,
    Tensor,
    Value,
    decode,
)
from mcodec.formats.hdf5_types import MAX_RANK, String, Type
from mcodec.formats.hdf5_values import TypeTable
from mcodec.limits import MAX_CARRIED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mcodec.types import TensorSpec

METADATA_KEY: Final = "mcodec.metadata"  # the root's attribute for metadata, which HDF5 lacks
_TEXT: Final = String(None, charset=1, padding=0)


class _Outer(msgspec.Struct):
    """The skeleton of an archive that has an HDF5 file in it."""

    weights: msgspec.Raw = msgspec.Raw(b"")


def plan_file(
    specs: Sequence[TensorSpec],
    carried: bytes,
    metadata: Mapping[str, str],
    same_as: Mapping[int, int],
) -> tuple[Skeleton, list[str]]:
    """Describe the file for tensors that did not come from an HDF5 file.

    Parameters
    ----------
    specs : sequence of TensorSpec
    carried : bytes
        The skeleton of another format, or nothing. If it has an HDF5 skeleton at its key
        ``weights``, and that is of these tensors, the file gets its structure.
    metadata : mapping of str to str
    same_as : mapping of int to int
        Tensors that are another one: they become hard links.

    Returns
    -------
    Skeleton
    list of str
        One line for each thing that the file does not hold.

    Raises
    ------
    FormatError
        The HDF5 skeleton in `carried` is damaged.
    UsageError
        A name that cannot be a path in HDF5.
    """
    plan = _structure(specs, carried) or _bare(specs, same_as)
    notes: list[str] = []
    ours = {METADATA_KEY: b"", SKELETON_KEY: carriable(carried, notes)}
    if metadata:
        try:
            ours[METADATA_KEY] = msgspec.json.encode(dict(metadata))
        except UnicodeEncodeError:
            notes.append("the metadata is left out: it is no Unicode text")
    root = plan.objects[0]
    assert isinstance(root, Group)
    root.attributes = [a for a in root.attributes if a.name not in ours]
    for name, raw in ours.items():
        if len(raw) > MAX_CARRIED:
            notes.append(f"{name} is left out: {len(raw)} bytes are over {MAX_CARRIED}")
        elif raw:
            index = _type_index(plan.types, _TEXT)
            root.attributes.append(Attribute(name=name, type=index, texts=[_text(raw)]))
    return plan, notes


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError("the skeleton is not UTF-8", code="source_invalid") from error


def _type_index(types: list[Type], kind: Type) -> int:
    if kind not in types:
        types.append(kind)
    return types.index(kind)


def _structure(specs: Sequence[TensorSpec], carried: bytes) -> Skeleton | None:
    """Return the HDF5 skeleton inside another one, if there is one and it is of these tensors."""
    raw = bytes(read_skeleton(carried, _Outer).weights) if carried else b""
    try:
        found = skeleton_format(raw)
    except FormatError:
        return None  # the key means something else
    if found != FORMAT:
        return None
    plan = decode(raw)
    try:
        fit(plan, specs)
    except FormatError:
        return None
    return plan


def _bare(specs: Sequence[TensorSpec], same_as: Mapping[int, int]) -> Skeleton:
    """Describe a file that has nothing but tensors, and the groups that their names need."""
    table = TypeTable()
    objects: dict[str, Group | Tensor | Link] = {"": Group(path="")}
    for number, spec in enumerate(specs):
        try:
            parent = _add_groups(objects, spec.name)
        except (FormatError, UnicodeEncodeError) as error:
            raise UsageError(f"no HDF5 file can hold the name {spec.name!r} ({error})") from error
        if len(spec.shape) > MAX_RANK:
            raise UsageError(f"no HDF5 file can hold the {len(spec.shape)} axes of {spec.name!r}")
        if spec.name in objects or not isinstance(parent, Group):
            raise UsageError(f"no HDF5 file can hold {spec.name!r} beside the other names")
        if number in same_as:
            objects[spec.name] = Link(path=spec.name, target=specs[same_as[number]].name)
            continue
        marks = []
        if is_extension(spec.dtype):
            marks.append(Attribute(name=MARKER, type=table.add(_TEXT), texts=[spec.dtype]))
        index = table.add(plain_type(spec.dtype))
        objects[spec.name] = Tensor(path=spec.name, type=index, attributes=marks)
    return Skeleton(VERSION, table.types, list(objects.values()))


def _add_groups(objects: dict[str, Group | Tensor | Link], name: str) -> Group | Tensor | Link:
    """Add the groups above a tensor that are not there, and return the one it lies in."""
    path = ""
    parent = objects[path]
    *above, last = name.split("/")
    for part in above:
        path = child_path(path, link_name(part.encode("utf-8")))
        parent = objects.setdefault(path, Group(path=path))
    child_path(path, link_name(last.encode("utf-8")))
    return parent


def read_metadata(text: str | None) -> dict[str, str]:
    """Read what the attribute `METADATA_KEY` holds.

    Raises
    ------
    FormatError
        ``source_invalid`` if it is no object of strings.
    """
    try:
        return msgspec.json.decode(text or "", type=dict[str, str])
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise invalid(f"the attribute {METADATA_KEY} is invalid ({one_line(error)})") from error


def own_metadata(plan: Skeleton) -> dict[str, str]:
    """Return the metadata that mcodec wrote into the file of a skeleton."""
    root = plan.objects[0]
    assert isinstance(root, Group)
    for attribute in root.attributes:
        if attribute.name == METADATA_KEY:
            return read_metadata(own_text(attribute, plan.types))
    return {}


def own_text(value: Value, types: list[Type]) -> str | None:
    """Return the text of an attribute of mcodec's own, or None if it is of another kind."""
    kind = types[value.type]
    if isinstance(kind, String) and value.shape == [] and len(value.texts) == 1:
        return value.texts[0]
    return None


def inner_hdf5(skeleton: bytes) -> bytes:
    """Return the skeleton of another format that a file carries, or nothing.

    Raises
    ------
    FormatError
        The skeleton of the file itself is damaged.
    """
    if not skeleton:
        return b""
    plan = decode(skeleton)
    root = plan.objects[0]
    assert isinstance(root, Group)
    found = (own_text(a, plan.types) for a in root.attributes if a.name == SKELETON_KEY)
    return (next(found, None) or "").encode("utf-8")
