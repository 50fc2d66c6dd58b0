"""`open`: a lazy handle on a `.mc` file, and its tasks as mappings of names to arrays."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from mcodec import storage
from mcodec.api.decode import RunDecoder, check_view
from mcodec.api.slices import TensorSlice
from mcodec.codec.base import View
from mcodec.codec.registry import from_config
from mcodec.container.reader import ContainerReader
from mcodec.engine import usable_cores
from mcodec.errors import InputOutputError, McodecError, UnknownTaskError, UsageError
from mcodec.types import CodecLike, TensorSpec

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray

    from mcodec.container.manifest import Task as Entry
    from mcodec.container.manifest import Tensor

LISTED: Final = 20  # tasks that a message names
CACHED_RUNS: Final = 4  # shared runs (256 KiB of float32 each) that a task keeps decoded


def open(
    path: str | os.PathLike[str],
    *,
    jobs: int | None = None,
    partial: bool = False,
    verify: str = "chunks",
    max_decoded: int | None = None,
) -> File:
    """Open a `.mc` file for reading; no weight is read yet.

    Parameters
    ----------
    path
        A path, or an fsspec URL.
    jobs
        Threads that decode large tensors; default: the usable cores.
    partial
        Open a progressive file that is cut off, at its last whole level (spec/container.md, 8).
    verify
        ``chunks`` checks the hash of every chunk that is read, ``none`` does not.
    max_decoded
        Bytes that one task may decode to; default: the larger of 1 GiB and 1,000 times the file.

    Raises
    ------
    FormatError
        The file is damaged, cut off, hostile or too new; `code` says which.
    InputOutputError
        There is no such file, or it may not be read.
    """
    if verify not in ("chunks", "none"):
        raise UsageError(f"verify is 'chunks' or 'none', not {verify!r}")
    if jobs is not None and jobs < 1:
        raise UsageError(f"jobs must be 1 or more, not {jobs}")
    source = storage.open_bytes(path)
    try:
        reader = ContainerReader(
            source,
            from_config,
            partial=partial,
            max_decoded=max_decoded,
            verify=verify == "chunks",
        )
    except BaseException:
        source.close()
        raise
    return File(reader, usable_cores() if jobs is None else jobs)


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
        check_view(self.reader, {tensor.run for tensor in entry.tensors}, view, entry.name)
        return Task(self, entry, view)

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


class Task(Mapping[str, "NDArray[Any]"]):
    """One network: a mapping of tensor names to arrays, in the source's order.

    Arrays are made when they are asked for, own their memory, and are not kept.
    """

    def __init__(self, file: File, entry: Entry, view: View) -> None:
        self._file = file
        self._reader = file.reader
        self._entry = entry
        self._view = view
        self._places: dict[str, Tensor] = {tensor.name: tensor for tensor in entry.tensors}
        self._shared: dict[int, NDArray[Any]] = {}
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The task's name."""
        return self._entry.name

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __repr__(self) -> str:
        return f"<mcodec.Task {self.name!r}: {len(self)} tensors>"

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def metadata(self) -> dict[str, str]:
        """Return what the source said of itself in words."""
        return dict(self._entry.metadata)

    @property
    def ties(self) -> dict[int, int]:
        """Tensors that the source had as one array: index to the index of the first."""
        return dict(self._entry.ties)

    def spec(self, name: str) -> TensorSpec:
        """Return a tensor's name, dtype and shape; nothing is read."""
        run, member = self.place(name)
        spec = self._reader.runs[run]
        return TensorSpec(name, spec.dtype, spec.shapes[member])

    def get_tensor(self, name: str) -> NDArray[Any]:
        """Return a tensor as an array of its own.

        Raises
        ------
        UnknownTaskError
            The task has no such tensor.
        FormatError
            Its bytes in the file are damaged.
        """
        tensor = self.spec(name)
        return self.elements(name, 0, tensor.size).reshape(tensor.shape)

    def get_slice(self, name: str) -> TensorSlice:
        """Return a view that reads only what it is indexed with: ``get_slice(name)[2:4]``."""
        return TensorSlice(self.spec(name), partial(self.elements, name))

    def skeleton(self) -> bytes:
        """Return all that the source held besides arrays (spec/skeletons.md)."""
        run = self._entry.skeleton_run
        if run is None:
            return b""
        decoder = RunDecoder(self._reader, run)
        return b"".join(decoder.block(block).tobytes() for block in range(decoder.spec.blocks))

    @property
    def format(self) -> str | None:
        """The format that the task came from."""
        return self._entry.came_from

    def place(self, name: str) -> tuple[int, int]:
        """Return the run and the member in which a tensor is stored; aliases share one."""
        place = self._places.get(name)
        if place is None:
            message = f"task {self.name!r} has no tensor {name!r}; `mcodec info` lists them"
            raise UnknownTaskError(message, code="tensor_unknown")
        return place.run, place.member

    def codec(self, name: str) -> CodecLike:
        """Return the codec that a tensor is stored under."""
        return self._reader.codec(self.place(name)[0])

    def elements(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Return elements [start, stop) of a tensor in C order, one-dimensional.

        Raises
        ------
        UnknownTaskError, FormatError
            As `get_tensor`.
        """
        run, member = self.place(name)
        try:
            spec = self._reader.runs[run]
            first = spec.starts[member]
            if len(spec.shapes) > 1 and spec.blocks == 1:
                return self._shared_run(run)[first + start : first + stop].copy()
            decoder = RunDecoder(self._reader, run, self._view)
            out = decoder.empty(stop - start)
            if not out.size:
                return out
            parts = list(decoder.range(first + start, first + stop, out))
            executor = self._file.executor if len(parts) > 1 else None
            work = [(first + start, block, part) for block, part in parts]
            if executor is None:
                for item in work:
                    decoder.fill(*item)
            else:
                for future in [executor.submit(decoder.fill, *item) for item in work]:
                    future.result()
        except McodecError as error:
            raise error.at(f"tensor {name!r}") from None
        return out

    def _shared_run(self, run: int) -> NDArray[Any]:
        """Return a run of many small tensors, decoded; the last few are kept."""
        with self._lock:
            array = self._shared.get(run)
            if array is None:
                array = RunDecoder(self._reader, run, self._view).block(0)
                if len(self._shared) >= CACHED_RUNS:
                    del self._shared[next(iter(self._shared))]
                self._shared[run] = array
        return array
