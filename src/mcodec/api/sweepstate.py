"""The file of a sweep: what was measured of what, so that a finished cell is not run again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import msgspec

from mcodec.api.sweepcells import Cell  # noqa: TC001 (msgspec reads the annotations)
from mcodec.errors import UsageError, one_line
from mcodec.outputs import atomic_output
from mcodec.storage import io_errors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mcodec.api.sweepcells import Key

VERSION: Final = 1
_MOST_BYTES: Final = 256 << 20


class TaskState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a task's cells were measured of.

    ``arrays`` is a digest of all names, dtypes, shapes and values; ``evaluator_digest`` one of the
    evaluator's file, or of the function's source; empty where there is none to be had.
    """

    name: str
    source: str
    arrays: str
    evaluator: str
    evaluator_digest: str


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options that a cell's value depends on."""

    mode: str
    rounding: str
    scope: str
    include: list[str]
    exclude: list[str]
    as_file: bool


class SweepState(msgspec.Struct, forbid_unknown_fields=True):
    """A whole file."""

    mcodec_sweep: int
    settings: Settings
    tasks: list[TaskState]
    cells: list[Cell]


class StateFile:
    """A sweep's file, written anew with each cell.

    Parameters
    ----------
    path
        None keeps cells in memory only.
    settings, tasks
        What is to be measured.
    fresh
        Replace a file that is there, whatever it is.

    Raises
    ------
    UsageError
        There is a file, and it is no sweep, or one of something else.
    InputOutputError
        It cannot be read or written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        settings: Settings,
        tasks: list[TaskState],
        *,
        fresh: bool,
    ) -> None:
        self._path = None if path is None else os.fspath(path)
        self._state = SweepState(VERSION, settings, tasks, [])
        self.cells: dict[Key, Cell] = {}
        if self._path is not None and not fresh and os.path.exists(self._path):
            found = read_state(self._path)
            if found.cells:  # else it began and measured nothing: there is nothing to lose
                _check_same(self._path, found, self._state)
            self.cells = {cell.key: cell for cell in found.cells}
        self.write()

    def add(self, cells: Iterable[Cell]) -> None:
        """Keep cells, and write the file."""
        self.cells.update({cell.key: cell for cell in cells})
        self.write()

    def write(self) -> None:
        """Write the file, whole or not at all."""
        if self._path is None:
            return
        self._state.cells = list(self.cells.values())
        text = msgspec.json.format(msgspec.json.encode(self._state), indent=1)
        with (
            atomic_output(self._path) as temporary,
            io_errors(self._path),
            open(temporary, "wb") as file,
        ):
            file.write(text + b"\n")


def read_state(path: str) -> SweepState:
    """Read a sweep's file.

    Raises
    ------
    UsageError
        It is none, or damaged.
    InputOutputError
        It cannot be read.
    """
    with io_errors(path), open(path, "rb") as file:
        data = file.read(_MOST_BYTES)
    advice = "name another file, or replace it with --fresh"
    try:
        state = msgspec.json.decode(data, type=SweepState)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise UsageError(f"{path} is no sweep, or damaged ({one_line(error)}); {advice}") from None
    if state.mcodec_sweep != VERSION:
        raise UsageError(f"{path} is of version {state.mcodec_sweep}, not {VERSION}; {advice}")
    for cell in state.cells:
        if not cell.scores:
            raise UsageError(f"{path} is damaged: a cell of task {cell.task!r} is empty; {advice}")
    return state


def _check_same(path: str, found: SweepState, wanted: SweepState) -> None:
    """Refuse to go on with the cells of another model, evaluator or option."""
    advice = "name another file, or measure all anew with --fresh"
    for name in Settings.__struct_fields__:
        before, now = getattr(found.settings, name), getattr(wanted.settings, name)
        if before != now:
            raise UsageError(f"{path} was made with {name} {before!r}, not {now!r}; {advice}")
    names = [task.name for task in found.tasks]
    if sorted(names) != sorted(task.name for task in wanted.tasks):
        raise UsageError(f"{path} is a sweep of the tasks {', '.join(names)}; {advice}")
    before_by_name = {task.name: task for task in found.tasks}
    for task in wanted.tasks:
        before = before_by_name[task.name]
        if before.arrays != task.arrays:
            raise UsageError(
                f"{path} is a sweep of another model: {before.source}, task {task.name!r}; {advice}"
            )
        if before.evaluator != task.evaluator:
            raise UsageError(
                f"{path} was measured by {before.evaluator}, task {task.name!r}, not by "
                f"{task.evaluator}; {advice}"
            )
        if before.evaluator_digest != task.evaluator_digest:
            raise UsageError(f"{task.evaluator} has changed since {path} was measured; {advice}")
