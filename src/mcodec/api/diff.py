"""`diff`: what differs between two models, tensor by tensor, whatever their formats."""

from __future__ import annotations

import math
import os
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcodec.api import carry
from mcodec.api.compare import Values, compare_pieces
from mcodec.api.copying import pieces
from mcodec.api.listing import sqnr_db
from mcodec.api.opening import open_model
from mcodec.api.progress import Progress, no_progress
from mcodec.engine import map_ordered, workers
from mcodec.formats import registry

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor

    from mcodec.formats.base import TensorSource
    from mcodec.types import TensorSpec


@dataclass(frozen=True, slots=True)
class TensorDifference:
    """A tensor that is not the same on both sides.

    Attributes
    ----------
    name : str
    left, right : TensorSpec or None
        None where the side has no such tensor.
    unequal : int
        Values that differ in any bit, where the shapes are equal.
    max_abs : float or None
        The largest difference; None if there is none to tell: bytes, or a NaN on one side.
    sqnr_db : float or None
        10 log10 of Σ left² / Σ (left - right)².
    """

    name: str
    left: TensorSpec | None
    right: TensorSpec | None
    unequal: int = 0
    max_abs: float | None = None
    sqnr_db: float | None = None


@dataclass(frozen=True, slots=True)
class AttributeDifference:
    """Something besides arrays that is not the same; None where a side has no such thing."""

    name: str
    left: str | None
    right: str | None


@dataclass(frozen=True, slots=True)
class DiffReport:
    """What `diff` saw; the models are equal if both lists of differences are empty."""

    left: str
    right: str
    equal: int
    tensors: tuple[TensorDifference, ...]
    attributes: tuple[AttributeDifference, ...]
    attributes_equal: int
    notes: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.tensors and not self.attributes


def diff(
    left: str | os.PathLike[str],
    right: str | os.PathLike[str],
    *,
    tasks: tuple[str | None, str | None] = (None, None),
    keys: tuple[str, str] = ("", ""),
    sandbox: bool = False,
    jobs: int | None = None,
    progress: Progress = no_progress,
) -> DiffReport:
    """Compare two models: names, dtypes, shapes, every bit of every value, and what is besides.

    Attributes and the like are compared where both models have, or were converted from, the same
    format.

    Parameters
    ----------
    left, right
        Model files, folders of shards, or `.mc` files.
    tasks
        For `.mc` files, the task of each side; may be left out where there is only one.
    keys
        For PyTorch checkpoints, the place of the model on each side.
    sandbox
        Read model files in processes of their own.
    jobs
        Threads; default: the usable cores.
    progress
        Called with (bytes compared, bytes in all).

    Raises
    ------
    FormatError, InputOutputError, UsageError
        A side cannot be read.
    """
    with ExitStack() as stack:
        one = open_model(stack, left, task=tasks[0], key=keys[0], sandbox=sandbox)
        two = open_model(stack, right, task=tasks[1], key=keys[1], sandbox=sandbox)
        executor = stack.enter_context(workers(jobs))
        equal, tensors = _tensors(one, two, executor, progress)
        attributes, count, notes = _attributes(one, two)
    return DiffReport(
        os.fspath(left), os.fspath(right), equal, tensors, attributes, count, tuple(notes)
    )


def _tensors(
    left: TensorSource, right: TensorSource, executor: Executor | None, progress: Progress
) -> tuple[int, tuple[TensorDifference, ...]]:
    """Return how many tensors are equal, and the others in the order of the left side."""
    places = {spec.name: index for index, spec in enumerate(right.tensors)}
    pairs = [
        (index, places[spec.name])
        for index, spec in enumerate(left.tensors)
        if spec.name in places and spec.shape == right.tensors[places[spec.name]].shape
    ]
    values = _values(left, right, dict(pairs), executor, progress)
    found = []
    for index, spec in enumerate(left.tensors):
        other = right.tensors[places[spec.name]] if spec.name in places else None
        seen = values.get(index, Values())
        if other != spec or seen.unequal:
            found.append(_difference(spec, other, seen))
    names = {spec.name for spec in left.tensors}
    found += [
        TensorDifference(spec.name, None, spec) for spec in right.tensors if spec.name not in names
    ]
    equal = len(left.tensors) - sum(one.left is not None for one in found)
    return equal, tuple(found)


def _difference(spec: TensorSpec, other: TensorSpec | None, seen: Values) -> TensorDifference:
    told = other is not None and spec.shape == other.shape and math.isfinite(seen.peak)
    if not told:
        return TensorDifference(spec.name, spec, other, seen.unequal)
    sqnr = sqnr_db(seen.weight, seen.error)
    return TensorDifference(spec.name, spec, other, seen.unequal, seen.peak, sqnr)


def _values(
    left: TensorSource,
    right: TensorSource,
    pairs: dict[int, int],
    executor: Executor | None,
    progress: Progress,
) -> dict[int, Values]:
    """Compare the values of pairs of tensors, a few MiB at a time."""
    total = sum(left.tensors[index].nbytes for index in pairs)
    done = 0
    sums: dict[int, Values] = {}
    work = pieces(left.tensors, pairs)
    for part, found in map_ordered(executor, lambda w: compare_pieces(left, right, pairs, w), work):
        for piece, values in zip(part, found, strict=True):
            sums[piece.index] = sums.get(piece.index, Values()) + values
            done += values.nbytes
        progress(done, total)
    return sums


def _attributes(
    left: TensorSource, right: TensorSource
) -> tuple[tuple[AttributeDifference, ...], int, Sequence[str]]:
    """Compare what is besides arrays, as the first files of both sides had it."""
    notes: list[str] = []
    origins = [carry.origin(side.skeleton(), notes) for side in (left, right)]
    formats = [carry.known_format(origin) for origin in origins]
    hooks = [registry.hook(name, "facts") if name else None for name in formats]
    if formats[0] != formats[1] or None in hooks:
        labels = [registry.FORMATS[name].label if name else "arrays" for name in formats]
        notes.append(f"only arrays are compared: {labels[0]} and {labels[1]} have nothing alike")
        return (), 0, notes
    a, b = (hook(origin) for hook, origin in zip(hooks, origins, strict=True) if hook)
    found = tuple(
        AttributeDifference(name, a.get(name), b.get(name))
        for name in dict.fromkeys((*a, *b))
        if a.get(name) != b.get(name)
    )
    return found, len({*a, *b}) - len(found), notes
