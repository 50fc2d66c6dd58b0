"""Which runs a file keeps when its tasks change, and in which order (spec/container.md, 2 and 4).

A manifest is changed in two steps: tasks are taken out or put in, with runs numbered as they were
and new ones behind; then `arrange` says which runs are left, in order, and `renumber` gives them
their new numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET
from msgspec.structs import replace

from mcodec.container.manifest import Bases, Tensor

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from mcodec.container.manifest import Manifest, Run, Task


def without(manifest: Manifest, names: Collection[str]) -> Manifest:
    """Take tasks out: their places among fused runs are free, and groups of one run are left."""
    tasks = [task for task in manifest.tasks if task.name not in names]
    named = named_runs(tasks)
    pairs = [[run for run in pair if run in named] for pair in manifest.pairs]
    return replace(manifest, tasks=tasks, pairs=[pair for pair in pairs if pair])


def named_runs(tasks: Iterable[Task]) -> set[int]:
    """Return the runs that tasks name, as a tensor's or a skeleton's."""
    return {run for task in tasks for run, _ in _places(task)}


def bases_of(manifest: Manifest, runs: Iterable[int]) -> set[int]:
    """Return the runs that these stand on."""
    found: set[int] = set()
    for run in runs:
        bases = manifest.runs[run].stands_on
        if bases is not None:
            found.update(below for places in bases.roles for below, _ in places)
    return found


def arrange(manifest: Manifest) -> list[int]:
    """Return the runs that tasks need, in the order of the file.

    First what several tasks use, then what others stand on and no task names, then task after task
    in model order, its skeleton last. A fused run stands with its task.
    """
    first: dict[int, tuple[int, int]] = {}  # task, and place of the tensor in it
    users: dict[int, set[int]] = {}
    for number, task in enumerate(manifest.tasks):
        for run, index in _places(task):
            first.setdefault(run, (number, index))
            users.setdefault(run, set()).add(number)
    fused = {run for pair in manifest.pairs if len(pair) > 1 for run in pair}

    def order(run: int) -> tuple[bool, int, int]:
        if run not in first:
            return False, len(manifest.tasks), run
        return len(users[run]) == 1 or run in fused, *first[run]

    return sorted(first.keys() | bases_of(manifest, first), key=order)


def renumber(manifest: Manifest, order: Sequence[int]) -> Manifest:
    """Return the manifest of the runs of `order`, numbered so, with the codecs that they need."""
    number = {run: place for place, run in enumerate(order)}
    codecs: dict[int, int] = {}
    for run in order:
        codecs.setdefault(manifest.runs[run].codec, len(codecs))
    tasks = [_task(task, number) for task in manifest.tasks]
    pairs = [[number[run] for run in pair] for pair in manifest.pairs if len(pair) > 1]
    return replace(
        manifest,
        codecs=[manifest.codecs[codec] for codec in codecs],
        runs=[_run(manifest.runs[run], number, codecs) for run in order],
        tasks=tasks,
        pairs=pairs,
    )


def _places(task: Task) -> Iterator[tuple[int, int]]:
    """Yield the run of each tensor with its place, that of the skeleton behind them."""
    for index, tensor in enumerate(task.tensors):
        yield tensor.run, index
    if task.skeleton_run is not None:
        yield task.skeleton_run, len(task.tensors)


def _run(run: Run, number: Mapping[int, int], codecs: Mapping[int, int]) -> Run:
    bases = run.stands_on
    if bases is None:
        return replace(run, codec=codecs[run.codec])
    roles = [[(number[below], member) for below, member in places] for places in bases.roles]
    return replace(run, codec=codecs[run.codec], bases=Bases(bases.pin, roles))


def _task(task: Task, number: Mapping[int, int]) -> Task:
    tensors = [Tensor(tensor.name, number[tensor.run], tensor.member) for tensor in task.tensors]
    skeleton = task.skeleton_run
    return replace(task, tensors=tensors, skeleton=UNSET if skeleton is None else number[skeleton])
