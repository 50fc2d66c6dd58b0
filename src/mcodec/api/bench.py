"""`bench`: how fast this machine packs and loads a model, beside a copy and safetensors."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from mcodec.api import benchways as ways
from mcodec.api.handle import open as open_file
from mcodec.api.pack import pack
from mcodec.api.progress import Progress, no_progress
from mcodec.api.timing import Machine, alternate
from mcodec.api.verify import verify
from mcodec.api.words import size
from mcodec.engine import usable_cores
from mcodec.errors import InputOutputError, UsageError, one_line
from mcodec.formats import registry
from mcodec.storage import io_errors
from mcodec.types import itemsize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mcodec.api.handle import File

    Key = tuple[str, int]  # a way, and its threads; 0 for none of ours

__all__ = ["BenchReport", "Figure", "TaskFigures", "bench"]

COPY: Final = "copy"
FRESH: Final = "copy, new memory"
_COPIES: Final = 4  # of a task's arrays that are in memory at once, at most, with room for the rest
_PAGES: Final = "SC_PHYS_PAGES"


@dataclass(frozen=True, slots=True)
class Figure:
    """What one way took.

    Attributes
    ----------
    way, threads
        What was done; the threads that mcodec was given, or None.
    seconds
        The median of the runs.
    bytes
        Of the values that it moved; None where speed says nothing.
    copies
        Its speed as a share of a copy's in the same runs: into new memory for what makes arrays,
        else into memory that is there. None for what is no matter of bytes.
    """

    way: str
    threads: int | None
    seconds: float
    bytes: int | None = None
    copies: float | None = None


@dataclass(frozen=True, slots=True)
class TaskFigures:
    """The figures of one task: its arrays' bytes, and those of two lossless files of them."""

    task: str
    tensors: int
    bytes: int
    safetensors_bytes: int
    lossless_bytes: int
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class BenchReport:
    """The figures of a file; ``packed`` says that it is no `.mc` file, and was packed first."""

    path: str
    packed: bool
    file_bytes: int
    runs: int
    machine: Machine
    figures: tuple[Figure, ...]
    tasks: tuple[TaskFigures, ...]

    def to_json(self) -> dict[str, Any]:
        """Return all of it, as `mcodec bench --json` prints it."""
        found = asdict(self)
        return {
            "file": found.pop("path"),
            **found,
            "machine": self.machine._asdict(),
        }


def bench(
    path: str | os.PathLike[str],
    *,
    tasks: Sequence[str] = (),
    runs: int = 5,
    key: str = "",
    sandbox: bool = False,
    jobs: int | None = None,
    max_decoded: int | None = None,
    progress: Progress = no_progress,
) -> BenchReport:
    """Time what this machine does with a model, in alternating runs.

    A model file is packed lossless first. Everything that is written goes to a folder among the
    system's temporary ones (TMPDIR), which is removed. Files are read from the page cache.

    Parameters
    ----------
    path
        A `.mc` file, or a model file that `pack` takes.
    tasks
        Which tasks of a `.mc` file; default: all.
    runs
        Runs of each way, of which the median counts; one more warms up.
    key, sandbox
        As `pack` has them, for a model file.
    jobs
        Threads: one, and so many; default: the usable cores.
    max_decoded
        As `mcodec.open` has it.
    progress
        Called with (runs done, runs in all).

    Raises
    ------
    FormatError, InputOutputError, UnknownTaskError
        As `mcodec.open` and `pack`.
    UsageError
        Runs below 1, tasks of what is no `.mc` file, or more than fits in memory.
    """
    if runs < 1:
        raise UsageError(f"runs must be 1 or more, not {runs}")
    threads = sorted({1, usable_cores() if jobs is None else jobs})
    with ExitStack() as stack:
        folder = stack.enter_context(_folder())
        packed = not registry.is_container(path)
        name = os.fspath(path)
        if packed:
            if tasks:
                raise UsageError(f"{name} is no .mc file: it has no tasks to choose from")
            name = os.path.join(folder, "model.mc")
            pack(path, name, key=key, sandbox=sandbox, jobs=jobs)
        elif key:
            raise UsageError("a key is for PyTorch checkpoints, not for .mc files")
        place = _Place(name, folder, threads, runs, max_decoded)
        with place.open(jobs) as file:
            chosen = list(dict.fromkeys(tasks)) or list(file.tasks)
            for task in chosen:
                _check_memory(file, task)
            per = place.count()
            total = len(chosen) * per[1] + per[0]
            whole = place.of_file(_part(progress, 0, per[0], total))
            found = [
                place.of_task(file, task, _part(progress, per[0] + i * per[1], per[1], total))
                for i, task in enumerate(chosen)
            ]
            return BenchReport(
                os.fspath(path),
                packed,
                file.reader.size,
                runs,
                Machine.here(),
                whole,
                tuple(found),
            )


def _part(progress: Progress, start: int, own: int, total: int) -> Progress:
    """Return progress of one part of the work as that of all of it."""
    return lambda done, of: progress(start + done * own // max(of, 1), total)


@contextmanager
def _folder() -> Iterator[str]:
    """Give a temporary folder; say what is wrong there in one line."""
    from safetensors import SafetensorError

    base = tempfile.gettempdir()
    try:
        with io_errors(base), tempfile.TemporaryDirectory(prefix="mcodec-bench-") as folder:
            yield folder
    except SafetensorError as error:  # a full disk, by its own words
        raise InputOutputError(f"{base}: {one_line(error)}") from error


def _check_memory(file: File, task: str) -> None:
    """Refuse a task whose arrays do not fit several times."""
    chosen = file.task(task)
    specs = [chosen.spec(name) for name in chosen]
    need = _COPIES * sum(spec.size * itemsize(spec.dtype) for spec in specs)
    if _PAGES not in getattr(os, "sysconf_names", {}):
        return
    there = os.sysconf(_PAGES) * os.sysconf("SC_PAGE_SIZE")
    if 0 < there < need:
        message = f"measuring task {task!r} takes {size(need)} of memory, and there are "
        raise UsageError(f"{message}{size(there)}; choose a smaller one")


class _Place:
    """A file, and where and how it is measured."""

    def __init__(
        self, path: str, folder: str, threads: list[int], runs: int, max_decoded: int | None
    ) -> None:
        self._path = path
        self._folder = folder
        self._threads = threads
        self._runs = runs
        self._max_decoded = max_decoded

    def open(self, jobs: int | None) -> File:
        """Open the file."""
        return open_file(self._path, jobs=jobs, max_decoded=self._max_decoded)

    def count(self) -> tuple[int, int]:
        """Return the runs of the whole file, and of a task."""
        threads, rounds = len(self._threads), self._runs + 1
        return (1 + threads) * rounds, (5 + 4 * threads) * rounds

    def of_file(self, progress: Progress) -> tuple[Figure, ...]:
        """Time what is done with a whole file."""
        timed: dict[Key, Callable[[], object]] = {
            ("open", 0): partial(ways.just_open, self._path, max_decoded=self._max_decoded)
        }
        for jobs in self._threads:
            timed["verify", jobs] = partial(
                verify, self._path, jobs=jobs, max_decoded=self._max_decoded
            )
        return tuple(
            Figure(way, jobs or None, seconds)
            for (way, jobs), seconds in alternate(timed, self._runs, progress=progress).items()
        )

    def of_task(self, file: File, task: str, progress: Progress) -> TaskFigures:
        """Time what is done with a task's arrays."""
        arrays = file.task(task).load()
        plain = os.path.join(self._folder, "task.safetensors")
        lossless = os.path.join(self._folder, "task.mc")
        timed = self._ways(task, arrays, plain, lossless)
        seconds = alternate(timed, self._runs, progress=progress)
        moved = ways.nbytes(arrays)
        return TaskFigures(
            task,
            len(arrays),
            moved,
            os.path.getsize(plain),
            os.path.getsize(lossless),
            tuple(_figure(key, seconds, moved) for key in seconds),
        )

    def _ways(
        self, task: str, arrays: ways.Arrays, plain: str, lossless: str
    ) -> dict[Key, Callable[[], object]]:
        numbered, targets = ways.plain(arrays), ways.touched(arrays)
        ways.save_safetensors(numbered, plain)  # to be loaded, whoever's turn is first
        timed: dict[Key, Callable[[], object]] = {
            (COPY, 0): ways.copier(arrays, targets),
            (FRESH, 0): partial(ways.fresh_copy, arrays),
            ("safetensors save", 0): partial(ways.save_safetensors, numbered, plain),
            ("safetensors load", 0): partial(ways.load_safetensors, plain),
        }
        of, options = self._path, {"max_decoded": self._max_decoded}
        for jobs in self._threads:
            timed["pack, lossless", jobs] = partial(ways.pack_arrays, arrays, lossless, jobs)
            timed["load", jobs] = partial(ways.load_task, of, task, jobs, **options)
            into = partial(ways.load_into, of, task, targets, jobs, **options)
            timed["load into arrays", jobs] = into
        one = ways.middle(arrays)
        if one is not None:
            number = str(list(arrays).index(one))
            timed["safetensors, one tensor", 0] = partial(ways.one_of_safetensors, plain, number)
            for jobs in self._threads:
                read = partial(ways.one_of_task, of, task, one, jobs, **options)
                timed["one tensor", jobs] = read
        return timed


def _figure(key: Key, seconds: dict[Key, float], moved: int) -> Figure:
    """Return a way's figure beside the copy of its kind."""
    way, jobs = key
    taken = seconds[key]
    if "one tensor" in way:
        return Figure(way, jobs or None, taken)
    base = FRESH if way in (FRESH, "load", "safetensors load") else COPY
    copies = seconds[base, 0] / taken if moved and taken else None
    return Figure(way, jobs or None, taken, moved, copies)
