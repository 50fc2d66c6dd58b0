"""The skeleton of an ONNX model, and the one way to look at a model, read or written back.

The skeleton is the model without its arrays: the rest of its bytes, and where the holes are. While
a model is written back its file is made with holes of zeros and walked through like any other: the
places of tensors are never a skeleton's word.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from mcodec.errors import FormatError
from mcodec.formats.base import read_skeleton
from mcodec.formats.gaps import Gap, find_gaps
from mcodec.formats.onnx_external import DataFiles, Place, plain_location
from mcodec.formats.onnx_tensors import TensorReader
from mcodec.formats.onnx_walk import Walker
from mcodec.formats.onnx_wire import Wire, invalid
from mcodec.limits import MAX_ONNX_REST, MAX_SOURCE_GAPS

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from mcodec.formats.files import InputFile
    from mcodec.formats.onnx_tensors import Found
    from mcodec.types import TensorSpec

FORMAT: Final = "onnx"
_LONGEST_VARINT: Final = 10


class DataFile(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A file beside the model: its location, its bytes, and what of them no tensor holds."""

    location: str
    size: int
    gaps: list[Gap] = msgspec.field(default_factory=list)


class Skeleton(
    msgspec.Struct, tag_field="format", tag=FORMAT, forbid_unknown_fields=True, omit_defaults=True
):
    """A model without its arrays.

    Attributes
    ----------
    rest : bytes
        The model's file without its holes.
    holes : list of (int, int)
        Offset in the file, and length, of the ranges that hold nothing but a tensor's elements.
    model : str
        The file's name, if there are data files beside it; then the target is a folder.
    files : list of DataFile
    """

    version: int
    rest: bytes
    holes: list[tuple[int, int]] = msgspec.field(default_factory=list)
    model: str = ""
    files: list[DataFile] = msgspec.field(default_factory=list)

    @property
    def size(self) -> int:
        """The bytes of the model's file."""
        return len(self.rest) + sum(length for _, length in self.holes)


@dataclass(frozen=True, slots=True)
class Scan:
    """What a model holds.

    Attributes
    ----------
    tensors : sequence of TensorSpec
    found : sequence of Found
    same_as : mapping of int to int
        Tensors at the place of an earlier one.
    files : DataFiles
    gaps : mapping of str to list
        For each data file, the ranges that no tensor holds.
    """

    tensors: Sequence[TensorSpec]
    found: Sequence[Found]
    same_as: Mapping[int, int]
    files: DataFiles
    gaps: Mapping[str, list[tuple[int, int]]]

    def holes(self) -> list[tuple[int, int]]:
        """Return the ranges of the model's file that can be cut out."""
        places = [found.place for found in self.found if found.place]
        return sorted((p.offset, p.length) for p in places if p.length and not p.file)


def scan(file: InputFile, holes: Container[tuple[int, int]] | None = None) -> Scan:
    """Walk through a model.

    Parameters
    ----------
    file : InputFile
    holes : container of (int, int), optional
        The ranges that are still to be filled, if the model is being written back.

    Raises
    ------
    FormatError
        It breaks a rule, or needs what is refused.
    """
    folder, name = os.path.split(file.path)
    files = DataFiles(folder, name)
    wire = Wire(file)
    walker = Walker(wire, TensorReader(wire, file, files, holes))
    walker.walk(file.size)
    same_as: dict[int, int] = {}
    first: dict[tuple[Place, str, tuple[int, ...]], int] = {}
    outside: dict[str, list[tuple[int, int, str]]] = {name: [] for name in files.sizes}
    for index, (spec, found) in enumerate(zip(walker.tensors, walker.found, strict=True)):
        place = found.place
        if place is None or not place.file or not place.length:
            continue
        earlier = first.setdefault((place, spec.dtype, spec.shape), index)
        if earlier != index:
            same_as[index] = earlier
        else:
            outside[place.file].append((place.offset, place.offset + place.length, spec.name))
    gaps = {name: find_gaps(outside[name], 0, size) for name, size in files.sizes.items()}
    return Scan(walker.tensors, walker.found, same_as, files, gaps)


def decode(skeleton: bytes) -> Skeleton:
    """Read a skeleton, and check all of it that can be told without its tensors.

    Raises
    ------
    FormatError
        It breaks a rule.
    """
    plan = read_skeleton(skeleton, Skeleton)
    if len(plan.rest) > MAX_ONNX_REST:
        raise FormatError(f"a skeleton of {len(plan.rest)} bytes", code="limit_exceeded")
    end, size = 0, plan.size
    for offset, length in plan.holes:
        if offset < end or length <= 0 or offset + length > size:
            raise invalid("the holes of the skeleton are not in order, or not inside the file")
        end = offset + length
    locations = [data.location for data in plan.files]
    names = {*locations, plan.model} if plan.files else set()
    if bool(plan.model) != bool(plan.files) or len(names) != len(plan.files) + bool(plan.files):
        raise invalid("the skeleton's files have no names of their own")
    for name in names:
        _check_name(name, names)
    if "/" in plan.model:
        raise invalid(f"the model of the skeleton is named {plan.model!r}")
    return plan


def _check_name(name: str, names: Container[str]) -> None:
    parts = plain_location(name).split("/")
    within = any("/".join(parts[:count]) in names for count in range(1, len(parts)))
    if "/".join(parts) != name or within:
        raise invalid(f"the skeleton's file {name!r} cannot be written")


def check_sizes(plan: Skeleton, specs: Sequence[TensorSpec]) -> None:
    """Refuse a skeleton that asks for larger files than its tensors can fill.

    Raises
    ------
    FormatError
        ``source_invalid``.
    """
    nbytes = sum(spec.nbytes for spec in specs)
    if plan.size - len(plan.rest) > _LONGEST_VARINT * nbytes:
        raise invalid("the holes of the skeleton are larger than the tensors")
    if any(data.size < 0 for data in plan.files):
        raise invalid("a size below zero")
    if sum(data.size for data in plan.files) > 2 * nbytes + MAX_SOURCE_GAPS * len(plan.files):
        raise invalid("the files of the skeleton are larger than the tensors")
