"""What a switcher keeps of its tasks, and how their tensors get from there into a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcodec.api.resident import Resident
from mcodec.codec.base import CANONICAL
from mcodec.torch import tensors
from mcodec.torch.ondevice import decode_into, places_of
from mcodec.torch.writing import fill, plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import torch

    from mcodec.api.handle import File
    from mcodec.api.load import Job
    from mcodec.api.task import Task
    from mcodec.torch.writing import Plan

    Pairs = Sequence[tuple[str, torch.Tensor]]  # a tensor of the task, and where it goes


class Planes:
    """Tasks' streams, decompressed: written out as often as wanted, and never read again."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._kept = Resident(file.reader, CANONICAL)
        # What was planned for a switch, by its tasks, and for which memory.
        self._plans: dict[object, tuple[list[object], Plan, list[Job]]] = {}

    @property
    def nbytes(self) -> int:
        """The bytes that are kept."""
        return self._kept.nbytes

    def keep(self, task: Task, pairs: Pairs) -> None:
        """Read and check what a task needs, and keep it.

        Raises
        ------
        FormatError, InputOutputError
            The file is damaged or cannot be read.
        """
        self._kept.keep(places_of(task, pairs), self._file.executor)

    def ready(self, task: Task, pairs: Pairs, key: object = None) -> Callable[[], None]:
        """Return what writes tensors that are kept; under one `key` the pairs are the same."""
        memory: list[object] = [
            (tensor.data_ptr(), tensor.dtype, tensor.stride(), tensor.device) for _, tensor in pairs
        ]
        found = self._plans.get(key) if key is not None else None
        if found is not None and found[0] != memory:  # the model has moved, and plans hold the old
            self._plans.clear()
            found = None
        if found is None:
            todo = plan(task, pairs)
            found = memory, todo, todo.jobs(task)
            if key is not None and not todo.copies:  # those hold memory of their own
                self._plans[key] = found
        _, todo, jobs = found

        def write() -> None:
            self._kept.write(jobs, self._file.executor)
            todo.copy()
            decode_into(task, todo.elsewhere, self._kept)

        return write

    def refine(self) -> None:
        """Read what a cut-off file has gained, of all that is kept."""
        self._kept.refine(self._file.executor)

    def forget(self) -> None:
        """Drop all."""
        self._kept.forget()
        self._plans.clear()


class Nothing:
    """Keeps nothing: each switch reads the file, all of it before the first tensor is changed."""

    nbytes = 0

    def __init__(self, file: File) -> None:
        self._file = file

    def keep(self, task: Task, pairs: Pairs) -> None:
        """Keep nothing."""

    def ready(self, task: Task, pairs: Pairs, key: object = None) -> Callable[[], None]:
        """Read and check tensors of a task; return what writes them.

        Raises
        ------
        FormatError, InputOutputError
            The file is damaged or cannot be read.
        """
        read = Planes(self._file)
        read.keep(task, pairs)
        return read.ready(task, pairs)

    def refine(self) -> None:
        """Do nothing: what is written next is read then."""

    def forget(self) -> None:
        """Do nothing."""


class Weights:
    """Tasks' weights as tensors on the model's device, those that tasks share once."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._made: dict[tuple[int, int], torch.Tensor] = {}  # by run and member
        self._again: list[tuple[Task, str, torch.Tensor]] = []

    @property
    def nbytes(self) -> int:
        """The bytes that are kept."""
        return sum(tensor.nbytes for tensor in self._made.values())

    def keep(self, task: Task, pairs: Pairs) -> None:
        """Decode a task's tensors, and keep them.

        Raises
        ------
        FormatError, InputOutputError
            The file is damaged or cannot be read.
        """
        new = []
        for name, tensor in pairs:
            place = task.place(name)
            if place not in self._made:
                self._made[place] = made = tensors.empty(task.spec(name), tensor.device)
                new.append((name, made))
        fill(task, new)
        self._again += [(task, name, made) for name, made in new]

    def ready(self, task: Task, pairs: Pairs, key: object = None) -> Callable[[], None]:
        """Return what copies tensors that are kept."""
        import torch

        def write() -> None:
            with torch.inference_mode():  # which may write to tensors of any mode
                for name, tensor in pairs:
                    tensor.copy_(self._made[task.place(name)])

        return write

    def refine(self) -> None:
        """Decode all that is kept again: beside the old, which stay where that fails."""
        import torch

        new = [(task, name, torch.empty_like(made)) for task, name, made in self._again]
        for task in {task.name: task for task, _, _ in new}.values():
            fill(task, [(name, made) for of, name, made in new if of is task])
        self._again = new
        self._made = {task.place(name): made for task, name, made in new}

    def forget(self) -> None:
        """Drop all."""
        self._made.clear()
        self._again.clear()


Store = Planes | Nothing | Weights
STORES: dict[str, type[Planes] | type[Nothing] | type[Weights]] = {
    "file": Nothing,
    "planes": Planes,
    "weights": Weights,
}


def make(kind: str, file: File, wanted: Iterable[tuple[Task, Pairs]]) -> Store:
    """Return a store of a kind that keeps these tensors.

    Raises
    ------
    FormatError, InputOutputError
        The file is damaged or cannot be read.
    """
    store = STORES[kind](file)
    for task, pairs in wanted:
        store.keep(task, pairs)
    return store
