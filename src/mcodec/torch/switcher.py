"""One model, many tasks: the weights change in place, the model and whoever holds it do not."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mcodec.api.handle import open as open_file
from mcodec.errors import InputOutputError, McodecError, UnknownTaskError, UsageError
from mcodec.torch.heads import Heads
from mcodec.torch.load import materialize
from mcodec.torch.names import keys_of, listed, refuse
from mcodec.torch.slots import check_keys, slots_of, tied
from mcodec.torch.stores import STORES, make
from mcodec.torch.tensors import torch_dtype
from mcodec.torch.turns import Turns

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator
    from typing import Self

    import torch

    from mcodec.torch.names import Rename
    from mcodec.torch.stores import Pairs

    Places = dict[str, tuple[int, int]]


class TaskSwitcher:
    """Switches a model between the tasks of a `.mc` file.

    Who owns what. The model owns its tensors, and they keep their identity, device and dtype: what
    is switched is what they hold, written straight into their memory where they are contiguous, on
    the CPU, and of the stored dtype. A tensor whose shape differs between tasks (a head) is another
    parameter for each task: the switcher owns these, and puts the task's own into the module. It
    owns the planes or weights that stay in memory, too; with these the file may be removed once the
    switcher is made, and with ``resident="file"`` it has to stay until `close`. `close` leaves the
    model with the task that it has.

    The switcher takes it that nobody else writes to what it manages: a tensor that two tasks share
    is not written again by a switch between them. ``switch(task, force=True)`` writes all.

    Parameters
    ----------
    model
        Its parameters and buffers are what is switched.
    path
        A `.mc` file, or a URL.
    resident
        What stays in memory beside the model. ``file``: nothing; a switch reads the file.
        ``planes``: the tasks' streams, decompressed; a switch puts them together. ``weights``: the
        tasks' weights; a switch copies them.
    tasks
        Which tasks; default: all of the file.
    heads
        ``own``, or ``refuse`` tensors whose shape differs between tasks.
    prefix, rename
        As `load_model`; for all tasks.
    partial
        Take a progressive file that is cut off; `refine` then looks for more.
    options
        As `mcodec.open` has them: ``verify``, ``backend``, ``jobs``, …

    Raises
    ------
    StateDictError
        A task has not the model's keys, as ``load_state_dict(strict=True)``; or not its shapes, and
        they are no heads.
    FormatError, InputOutputError, UnknownTaskError
        As `mcodec.open`.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        path: str | os.PathLike[str],
        *,
        resident: str = "planes",
        tasks: Iterable[str] | None = None,
        heads: str = "own",
        prefix: str = "",
        rename: Rename | None = None,
        partial: bool = False,
        **options: Any,
    ) -> None:
        if resident not in STORES:
            raise UsageError(f"resident is {', '.join(STORES)}, not {resident!r}")
        if heads not in ("own", "refuse"):
            raise UsageError(f"heads is own or refuse, not {heads!r}")
        self._model = model
        self._turns = Turns()
        self._held: Places = {}  # what each key of the model holds
        self._closed = False
        self._file = open_file(path, partial=partial, **options)
        try:
            names = self._file.tasks if tasks is None else tuple(dict.fromkeys(tasks))
            self._tasks = {name: self._file.task(name) for name in names}
            self._slots = slots_of(model)
            self._keys = {name: self._match(name, prefix, rename) for name in names}
            shapes = {
                task: {key: self._tasks[task].spec(name).shape for key, name in keys.items()}
                for task, keys in self._keys.items()
            }
            kind = type(model).__name__
            self._heads = Heads(self._slots, shapes, kind, allowed=heads == "own")
            materialize(self._slots, {key for keys in self._keys.values() for key in keys})
            wanted = [(task, self._pairs(name)) for name, task in self._tasks.items()]
            self._store = make(resident, self._file, wanted)
        except BaseException:
            self._file.close()
            raise

    @property
    def model(self) -> torch.nn.Module:
        """The model."""
        return self._model

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that it switches between."""
        return tuple(self._tasks)

    @property
    def task(self) -> str | None:
        """The task that the model has; None before the first switch."""
        return self._turns.task

    @property
    def levels(self) -> tuple[int, int] | None:
        """As `File.levels`: the planes that are there of a file that is cut off; else None."""
        found: tuple[int, int] | None = self._file.levels
        return found

    @property
    def nbytes(self) -> int:
        """The bytes that are kept in memory beside the model."""
        return self._store.nbytes + self._heads.nbytes

    def switch(self, task: str, *, force: bool = False) -> None:
        """Give the model another task's weights, when no thread is inside `use`.

        Parameters
        ----------
        task
            Its name.
        force
            Write all tensors, also those that the model should have.

        Raises
        ------
        UnknownTaskError
            The switcher has no such task.
        FormatError, InputOutputError
            With ``resident="file"``: it is damaged or cannot be read. The model keeps the task that
            it had, whole.
        """
        with self._turn(task, force=force):
            pass

    @contextmanager
    def use(self, task: str) -> Iterator[torch.nn.Module]:
        """Give the model with a task's weights, which stay until the block is left.

        Threads that want one task are inside together; those that want another wait until they have
        left, in the order in which they came.

        Raises
        ------
        UnknownTaskError, FormatError, InputOutputError
            As `switch`.
        UsageError
            This thread is inside `use` of another task.
        """
        with self._turn(task):
            yield self._model

    def refine(self) -> bool:
        """Read the planes that a cut-off file has gained, into the model too; tell if there were.

        Raises
        ------
        FormatError, InputOutputError
            The new bytes are damaged, unreadable, or fewer than before; all stays as it was.
        UsageError
            This thread is inside `use`.
        """
        with self._turns.alone():
            self._check_open()
            reader = self._file.reader
            before = reader.levels
            if not self._file.refine():
                return False
            try:
                self._store.refine()
            except BaseException:
                reader.levels = before  # what is decoded next is as what is kept
                raise
            if self.task is not None:
                try:
                    self._change(self.task, force=True)
                except McodecError:  # with resident="file", which reads now
                    reader.levels = before
                    raise
            return True

    def close(self) -> None:
        """Release the file and what is kept; the model keeps its task."""
        with self._turns.lock:  # not in the middle of a switch
            self._closed = True
            self._store.forget()
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _turn(self, task: str, *, force: bool = False) -> Any:
        if task not in self._tasks:
            known = ", ".join(map(repr, self._tasks)) or "none"
            raise UnknownTaskError(f"no task {task!r}; the switcher has: {known}")
        return self._turns.of(task, lambda: self._change(task, force=force), force=force)

    def _check_open(self) -> None:
        if self._closed:
            raise InputOutputError("the switcher is closed")

    def _change(self, task: str, *, force: bool) -> None:
        """Write what differs between the model and a task; the old task comes back on an error."""
        self._check_open()
        before = self.task
        places = {key: self._tasks[task].place(name) for key, name in self._keys[task].items()}
        for key, slot in self._slots.items():
            if slot.refresh():
                self._held.pop(key, None)
        held = self._held
        self._heads.follow(task)
        stale = {
            key
            for key, place in places.items()
            if force or self._heads.tensor(task, key) is not None or held.get(key) != place
        }
        plan = (before, task, force)
        write = self._store.ready(self._tasks[task], self._pairs(task, stale), plan)
        try:
            write()
        except BaseException:  # a person's interrupt: all that can fail was done before
            self._held, self._turns.task = {}, None
            if before is not None:
                self._store.ready(self._tasks[before], self._pairs(before))()
                self._held, self._turns.task = held, before
            raise
        self._heads.show(task)
        self._held = places

    def _match(self, task: str, prefix: str, rename: Rename | None) -> dict[str, str]:
        """Return a task's tensor for each key of the model."""
        keys = keys_of(self._tasks[task], prefix, rename)
        missing, extra = check_keys(self._slots, keys)
        if missing or extra:
            complaints = [*listed("missing keys", missing), *listed("unexpected keys", extra)]
            raise refuse(type(self._model).__name__, task, complaints)
        for name in keys.values():
            torch_dtype(self._tasks[task].spec(name))  # refuses what PyTorch does not have
        twins = tied(self._slots)
        return {twins.get(key, key): name for key, name in keys.items()}

    def _pairs(self, task: str, keys: set[str] | None = None) -> Pairs:
        """Return a task's tensors, and where they go; for some keys, or all.

        Raises
        ------
        StateDictError
            The model has a tensor of another shape by now.
        """
        found = []
        for key, name in self._keys[task].items():
            if keys is not None and key not in keys:
                continue
            own, wanted = self._heads.tensor(task, key), self._tasks[task].spec(name).shape
            tensor = self._slots[key].tensor if own is None else own
            if tuple(tensor.shape) != wanted:
                unequal = f"{key} {list(wanted)}, and the model has {list(tensor.shape)} by now"
                raise refuse(type(self._model).__name__, task, [f"size mismatch: {unequal}"])
            found.append((name, tensor))
        return found
