"""`open`: a lazy handle on a `.mc` file."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Executor, ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, overload

from mcodec import storage
from mcodec.api.decode import check_view
from mcodec.api.task import Task
from mcodec.codec.base import View
from mcodec.codec.registry import from_config
from mcodec.container.reader import ContainerReader
from mcodec.engine import usable_cores
from mcodec.errors import InputOutputError, UnknownTaskError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self

    from mcodec.container.manifest import Task as Entry
    from mcodec.storage import ByteSource

__all__ = ["File", "Task", "open"]

LISTED: Final = 20  # tasks that a message names


@overload
def open(
    path: str | os.PathLike[str],
    task: None = None,
    *,
    verify: str = ...,
    backend: str | None = ...,
    options: Mapping[str, Any] | None = ...,
    jobs: int | None = ...,
    partial: bool = ...,
    max_decoded: int | None = ...,
) -> File: ...
@overload
def open(
    path: str | os.PathLike[str],
    task: str,
    *,
    verify: str = ...,
    backend: str | None = ...,
    options: Mapping[str, Any] | None = ...,
    jobs: int | None = ...,
    partial: bool = ...,
    max_decoded: int | None = ...,
) -> Task: ...
def open(
    path: str | os.PathLike[str],
    task: str | None = None,
    *,
    verify: str = "chunks",
    backend: str | None = None,
    options: Mapping[str, Any] | None = None,
    jobs: int | None = None,
    partial: bool = False,
    max_decoded: int | None = None,
) -> File | Task:
    """Open a `.mc` file for reading; no weight is read yet.

    Parameters
    ----------
    path
        A path, or an fsspec URL.
    task
        Return this task, which then owns the file, in place of the file.
    verify
        ``chunks`` checks the hash of every chunk that is read, ``none`` does not.
    backend
        How a local file is read: ``pread``, the default, or ``mmap``, which copies less, and kills
        the process (SIGBUS) if somebody shortens the file meanwhile.
    options
        Storage options of fsspec for a URL, such as ``{"endpoint_url": …}``.
    jobs
        Threads that decode; default: the usable cores.
    partial
        Open a progressive file that is cut off, at its last whole level (spec/container.md, 8).
    max_decoded
        Bytes that one task may decode to; default: the larger of 1 GiB and 1,000 times the file.

    Raises
    ------
    FormatError
        The file is damaged, cut off, hostile or too new; `code` says which.
    InputOutputError
        There is no such file, or it may not be read.
    UnknownTaskError
        It has no such task.
    """
    return open_source(
        lambda: storage.open_bytes(path, backend=backend, options=options),
        task,
        verify=verify,
        jobs=jobs,
        partial=partial,
        max_decoded=max_decoded,
    )


def open_source(
    opener: Callable[[], ByteSource],
    task: str | None,
    *,
    verify: str,
    jobs: int | None,
    partial: bool,
    max_decoded: int | None,
) -> File | Task:
    """Open a file of any kind; arguments and errors are as in `open`."""
    if verify not in ("chunks", "none"):
        raise UsageError(f"verify is 'chunks' or 'none', not {verify!r}")
    if jobs is not None and jobs < 1:
        raise UsageError(f"jobs must be 1 or more, not {jobs}")
    source = opener()
    try:
        reader = ContainerReader(
            source,
            from_config,
            partial=partial,
            max_decoded=max_decoded,
            verify=verify == "chunks",
        )
        file = File(reader, usable_cores() if jobs is None else jobs)
        return file if task is None else file.task(task)
    except BaseException:
        source.close()
        raise


class File:
    """An open `.mc` file; a context manager.

    Attributes
    ----------
    tasks : tuple of str
        The names of its tasks.
    """

    def __init__(self, reader: ContainerReader, jobs: int = 1) -> None:
        self.reader = reader
        self._jobs = jobs
        self._pool: ThreadPoolExecutor | None = None
        self._pool_process = 0
        self._closed = False
        self._lock = threading.Lock()
        self._entries = {task.name: task for task in reader.manifest.tasks}

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of the tasks, in the file's order."""
        return tuple(self._entries)

    def task(
        self,
        name: str | None = None,
        *,
        planes: int | None = None,
        midpoint: bool | None = None,
        dither: bool = False,
    ) -> Task:
        """Return one task; the name may be left out where there is only one.

        Parameters
        ----------
        name
            The task.
        planes
            Decode with so many magnitude planes, from the top (a derived decode).
        midpoint
            Reconstruct in the middle of what is left open; default: the codec's own choice.
        dither
            Fill the low bits with the top planes of the next fused task (paper 001).

        Raises
        ------
        UnknownTaskError
            There is no such task; the message lists those that are.
        """
        entry = self.entry(name)
        view = View(planes, midpoint, dither)
        check_view(self.reader, entry, view)
        return Task(self, entry, view)

    @property
    def levels(self) -> tuple[int, int] | None:
        """Magnitude planes that are there and in all, of a file that is cut off; else None.

        Floats decode with so many planes, from the top (spec/container.md, 8).
        """
        there = self.reader.levels
        return None if there is None else (there, self.reader.all_levels())

    def refine(self) -> bool:
        """Look whether more of a cut-off file has arrived; tell whether decodes are better now.

        What is decoded from here on has the planes that are there now: `Task.load_into` brings
        arrays up to date in place, and `mcodec.torch.TaskSwitcher.refine` a module, reading the new
        planes alone.

        Raises
        ------
        FormatError
            The file has become shorter, or longer than it says it is.
        """
        return self.reader.refresh()

    def entry(self, name: str | None) -> Entry:
        """Return a task's row of the manifest."""
        known = ", ".join(map(repr, islice(self._entries, LISTED))) or "none"
        if len(self._entries) > LISTED:
            known += f" and {len(self._entries) - LISTED:,} more; `mcodec ls` lists them"
        if name is None:
            if len(self._entries) != 1:
                raise UsageError(f"the file holds several tasks; choose one: {known}")
            return next(iter(self._entries.values()))
        if name not in self._entries:
            raise UnknownTaskError(f"no task {name!r}; the file holds: {known}")
        return self._entries[name]

    @property
    def executor(self) -> Executor | None:
        """The threads that decode blocks; None for one job."""
        if self._closed:
            raise InputOutputError(f"{self.reader.name}: the file is closed")
        if self._jobs == 1:
            return None
        with self._lock:
            if self._pool is None or self._pool_process != os.getpid():  # a fork has no threads
                self._pool = ThreadPoolExecutor(self._jobs, thread_name_prefix="mcodec")
                self._pool_process = os.getpid()
            return self._pool

    def close(self) -> None:
        """Release the file; arrays that were read stay."""
        self._closed = True
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
        self.reader.close()

    def __repr__(self) -> str:
        return f"<mcodec.File {self.reader.name!r}: {len(self._entries)} tasks>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
