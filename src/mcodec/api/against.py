"""A task against the source that it was packed of: equal, or as far off as its certificate says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blake3 import blake3

from mcodec.codec import error
from mcodec.types import BLOCK, FLOATS, TensorSpec, itemsize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcodec.api.handle import File, Task
    from mcodec.container.manifest import Task as Entry
    from mcodec.container.manifest import Tensor
    from mcodec.formats.base import TensorSource


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which a task is not its source."""

    task: str
    tensor: str
    what: str


def compare(file: File, name: str, model: TensorSource) -> Iterator[Difference]:
    """Yield what differs between a task and its source."""
    task = file.task(name)
    places = {tensor.name: tensor for tensor in file.entry(name).tensors}
    theirs = {spec.name: index for index, spec in enumerate(model.tensors)}
    digests: dict[int, str | None] = {}
    for tensor in task:
        if tensor not in theirs:
            yield Difference(name, tensor, "is not in the source")
    for tensor, index in theirs.items():
        if tensor not in task:
            yield Difference(name, tensor, "is missing from the file")
            continue
        what = _compare_tensor(file, task, places[tensor], model, index, digests)
        if what:
            digests[places[tensor].run] = None  # nothing more to say
            yield Difference(name, tensor, what)
    yield from _compare_digests(file, name, model, digests)
    if model.format == task.format and model.skeleton() != task.skeleton():
        yield Difference(name, "", "attributes or structure besides the arrays differ")
    if dict(model.metadata) != task.metadata():
        yield Difference(name, "", "metadata differs")


def _compare_tensor(
    file: File,
    task: Task,
    place: Tensor,
    model: TensorSource,
    index: int,
    digests: dict[int, str | None],
) -> str | None:
    """Return how a tensor differs from its source beyond its certificate, or None.

    A run that it has for itself gets the digest of its source into `digests`.
    """
    run = file.reader.manifest.runs[place.run]
    ours, theirs = task.spec(place.name), model.tensors[index]
    if (ours.dtype, ours.shape) != (theirs.dtype, theirs.shape):
        return f"is {ours.kind}, the source {theirs.kind}"
    size = ours.size
    different = 0
    total = error.NO_ERROR
    digest = blake3()
    for low in range(0, size, BLOCK):
        high = min(low + BLOCK, size)
        values = task.elements(place.name, low, high)
        other = model.read(index, low, high)
        digest.update(other.view("u1").data)
        item = values.dtype.itemsize
        unequal = (values.view("u1") != other.view("u1")).reshape(-1, item).any(axis=1)
        different += int(unequal.sum())
        if run.errors is not None and ours.dtype in FLOATS:
            total = error.add(total, error.measure(ours.dtype, other, values))
    if len(run.members) == 1:
        digests[place.run] = digest.hexdigest()
    if run.errors is None:
        return f"differs from the source in {different} of {size} values" if different else None
    measured = total if all(map(math.isfinite, total)) else None
    certificate = run.errors[place.member]
    if measured is certificate is None:  # NaN or infinity: only the digest can tell
        same = _source_digest(file, file.entry(task.name), place.run, model) == run.source
        return None if same else "has no finite error, and its run is not what was packed"
    if measured != certificate:
        return f"is off by {_words(measured)}, but its certificate says {_words(certificate)}"
    return None


def _compare_digests(
    file: File, name: str, model: TensorSource, digests: dict[int, str | None]
) -> Iterator[Difference]:
    """Yield runs that are as far off as they say, but not of the source whose digest they name.

    `digests` has those that are known; None for runs that a difference was found in.
    """
    entry = file.entry(name)
    first = {tensor.run: tensor.name for tensor in reversed(entry.tensors)}
    for index, tensor in reversed(first.items()):
        run = file.reader.manifest.runs[index]
        if index not in digests:
            digests[index] = _source_digest(file, entry, index, model)
        if digests[index] not in (None, run.digest if run.source is None else run.source):
            what = "is as its certificate says, but of another source: the digests differ"
            yield Difference(name, tensor, what)


def _source_digest(file: File, entry: Entry, run: int, model: TensorSource) -> str | None:
    """Return the digest of a run as the source has it; None where it has not all of its arrays."""
    spec = file.reader.runs[run]
    names = {tensor.member: tensor.name for tensor in entry.tensors if tensor.run == run}
    theirs = {tensor.name: index for index, tensor in enumerate(model.tensors)}
    digest, end = blake3(), 0
    for member, (start, shape) in enumerate(zip(spec.starts, spec.shapes, strict=True)):
        index = theirs.get(names[member]) if member in names else None
        if index is None or model.tensors[index] != TensorSpec(names[member], spec.dtype, shape):
            return None
        digest.update(bytes((start - end) * itemsize(spec.dtype)))
        end = start + spec.sizes[member]
        for low in range(0, end - start, BLOCK):
            digest.update(model.read(index, low, min(low + BLOCK, end - start)).view("u1").data)
    return digest.hexdigest()


def _words(stats: error.Stats | None) -> str:
    """Write an error as people read it; a tensor with NaN or infinity has none."""
    return "no finite error" if stats is None else f"{stats[0]:.6g} at most (Σ² {stats[1]:.6g})"
