"""What a file holds, task by task: the figures of `ls` and of `pack` (design, section 7).

It needs no NumPy, so that `mcodec ls` starts fast.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcodec.types import itemsize

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mcodec.container.manifest import Manifest, Task
    from mcodec.container.reader import ContainerReader
    from mcodec.types import RunSpec


@dataclass(frozen=True, slots=True)
class TaskRow:
    """One task in a listing.

    ``source_bytes`` counts arrays only; ``stored_bytes`` the streams of the task, those that
    several tasks share with the first of them. What a task has to read is the sum of
    ``shared_bytes``, which another task needs too, ``delta_bytes``, told from what is shared, and
    ``own_bytes``.
    """

    name: str
    tensors: int
    parameters: int
    source_bytes: int
    stored_bytes: int
    shared_bytes: int
    delta_bytes: int
    own_bytes: int
    meta: dict[str, str]

    @property
    def read_bytes(self) -> int:
        """What a loader that wants this task has to read."""
        return self.shared_bytes + self.delta_bytes + self.own_bytes

    @property
    def bits_per_weight(self) -> float:
        """Stored bits for each parameter."""
        return 8 * self.stored_bytes / self.parameters if self.parameters else 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the keys that `ls --json` promises."""
        return {
            "name": self.name,
            "tensors": self.tensors,
            "parameters": self.parameters,
            "source_bytes": self.source_bytes,
            "stored_bytes": self.stored_bytes,
            "bits_per_weight": round(self.bits_per_weight, 4),
            "shared_bytes": self.shared_bytes,
            "delta_bytes": self.delta_bytes,
            "own_bytes": self.own_bytes,
            "read_bytes": self.read_bytes,
            "meta": self.meta,
        }


def list_tasks(reader: ContainerReader) -> list[TaskRow]:
    """Return a row for each task of a file."""
    needed = {run for task in reader.manifest.tasks for run in needed_runs(reader.manifest, task)}
    return task_rows(reader.manifest, reader.runs, stored_bytes(reader, needed))


def stored_bytes(reader: ContainerReader, runs: Iterable[int]) -> dict[int, int]:
    """Return the bytes of the chunks of each of some runs."""
    return {
        run: sum(
            row.stored
            for block in range(-1, reader.runs[run].blocks)
            for row in reader.rows(run, block)
        )
        for run in runs
    }


def task_rows(
    manifest: Manifest, specs: Sequence[RunSpec], stored: Mapping[int, int]
) -> list[TaskRow]:
    """Return a row for each task.

    Parameters
    ----------
    manifest, specs
        Of the file, and the geometry of its runs.
    stored
        The bytes of the chunks of each run that a task needs.
    """
    needed = [needed_runs(manifest, task) for task in manifest.tasks]
    users = Counter(run for runs in needed for run in runs)
    counted: set[int] = set()
    rows = []
    for task, runs in zip(manifest.tasks, needed, strict=True):
        shared = delta = own = 0
        for run in runs:
            if users[run] > 1:
                shared += stored[run]
            elif manifest.runs[run].stands_on is not None:
                delta += stored[run]
            else:
                own += stored[run]
        parameters = source = 0
        for tensor in task.tensors:
            spec = specs[tensor.run]
            size = spec.sizes[tensor.member]
            parameters += size
            source += size * itemsize(spec.dtype)
        new = sum(stored[run] for run in runs - counted)
        counted |= runs
        sizes = (parameters, source, new, shared, delta, own)
        rows.append(TaskRow(task.name, len(task.tensors), *sizes, dict(task.meta)))
    return rows


def needed_runs(manifest: Manifest, task: Task) -> set[int]:
    """Return the runs that a task's tensors lie in, and those that these stand on."""
    runs = {tensor.run for tensor in task.tensors}
    for run in tuple(runs):
        bases = manifest.runs[run].stands_on
        if bases is not None:
            runs.update(below for places in bases.roles for below, _ in places)
    return runs


class Shares:
    """The bytes of each tensor in its run, by elements.

    Parameters
    ----------
    specs
        The geometry of the file's runs.
    stored
        The bytes of the chunks of each run.
    """

    def __init__(self, specs: Sequence[RunSpec], stored: Mapping[int, int]) -> None:
        self.specs = specs
        self.stored = stored
        self._found: dict[int, list[int]] = {}

    def of(self, run: int, member: int) -> int:
        """Return the bytes of a member of a run."""
        found = self._found.get(run)
        if found is None:
            sizes, total, before = self.specs[run].sizes, self.stored[run], 0
            elements = sum(sizes)
            found = []
            for size in sizes:
                found.append(share(total, before, size, elements))
                before += size
            self._found[run] = found
        return found[member]


def share(amount: int, before: int, size: int, total: int) -> int:
    """Split an amount by elements so that the shares of all members add up to it."""
    if not total:
        return 0
    return amount * (before + size) // total - amount * before // total
