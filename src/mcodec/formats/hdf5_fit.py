"""Which tensors the file of a skeleton has, hard links followed, and whether a task's are these."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcodec.formats.hdf5_dtypes import MARKER, tensor_dtype
from mcodec.formats.hdf5_guards import check_path, invalid, over_limit
from mcodec.formats.hdf5_skeleton import Link, Tensor
from mcodec.limits import MAX_SOURCE_OBJECTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mcodec.formats.hdf5_skeleton import Object, Skeleton
    from mcodec.formats.hdf5_types import Type
    from mcodec.types import TensorSpec


@dataclass(frozen=True, slots=True)
class Fit:
    """How the tensors of a task lie in the file of a skeleton.

    Attributes
    ----------
    paths : list of str
        For each tensor, the path of the `tensor` object that holds it.
    same_as : dict of int to int
        Further names of a tensor: index to the index of the first.
    """

    paths: list[str]
    same_as: dict[int, int]


def fit(plan: Skeleton, specs: Sequence[TensorSpec]) -> Fit:
    """Find the place of each tensor in the file that a checked skeleton describes.

    Raises
    ------
    FormatError
        ``source_invalid`` if the tensors are not those of the skeleton, in name or dtype, or two
        that are one in the file differ in shape; ``limit_exceeded`` for links that make more
        paths than a file may have, or lead round.
    """
    places = dict(_tensor_paths(plan.objects))
    by_name = {spec.name: spec for spec in specs}
    for name in sorted(places.keys() - by_name.keys()):
        raise invalid(f"the file to write needs the tensor {name!r}, which is not there")
    for name in sorted(by_name.keys() - places.keys()):
        raise invalid(f"the tensor {name!r} has no place in the file that its skeleton describes")
    for item in plan.objects:
        if isinstance(item, Tensor):
            _check_dtype(item, plan.types, by_name[item.path])
    first: dict[str, int] = {}
    same_as: dict[int, int] = {}
    for index, spec in enumerate(specs):
        at = first.setdefault(places[spec.name], index)
        if at != index:
            if (spec.dtype, spec.shape) != (specs[at].dtype, specs[at].shape):
                raise invalid(
                    f"the tensors {specs[at].name!r} and {spec.name!r} are one in the skeleton"
                )
            same_as[index] = at
    return Fit([places[spec.name] for spec in specs], same_as)


def _check_dtype(item: Tensor, types: list[Type], spec: TensorSpec) -> None:
    marks = [a.texts[0] for a in item.attributes if a.name == MARKER and len(a.texts) == 1]
    dtype = tensor_dtype(types[item.type], *marks)
    if dtype != spec.dtype:
        raise invalid(f"the tensor {spec.name!r} is {spec.dtype}, but {dtype} in its skeleton")


def _tensor_paths(objects: Sequence[Object]) -> Iterator[tuple[str, str]]:
    """Yield every path that leads to a tensor, and the path of its object."""
    tensors = {item.path for item in objects if isinstance(item, Tensor)}
    yield from zip(tensors, tensors, strict=True)
    targets: dict[str, str] = {}  # of links; a link to a link leads to what that one leads to
    for item in objects:
        if isinstance(item, Link):
            targets[item.path] = targets.get(item.target, item.target)
    if not targets:
        return
    below: defaultdict[str, list[str]] = defaultdict(list)
    for item in objects[1:]:
        below[item.path.rpartition("/")[0]].append(item.path)
    count = len(objects)
    # Links that lead round end at the limit on depth.
    left = list(targets.items())
    while left:
        path, at = left.pop()
        count += 1
        if count > MAX_SOURCE_OBJECTS:
            raise over_limit(f"the skeleton makes more than {MAX_SOURCE_OBJECTS} paths")
        if at in tensors:
            yield check_path(path), at
        left += [
            (check_path(path + child[len(at) :]), targets.get(child, child))
            for child in below.get(at, ())
        ]
