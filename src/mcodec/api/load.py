"""Many tensors at once, into arrays that are there: what loaders of whole tasks use.

Blocks are decoded in the order of the file by several threads, straight into their places in the
arrays where a block lies in one of them.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcodec.api.decode import RunDecoder, reads
from mcodec.errors import McodecError, UsageError
from mcodec.types import numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Executor

    from numpy.typing import NDArray

    from mcodec.codec.base import View
    from mcodec.container.reader import ContainerReader
    from mcodec.types import RunSpec


@dataclass(frozen=True, slots=True)
class Target:
    """A stored array that is wanted, and where.

    Attributes
    ----------
    name : str
        The tensor, for messages.
    run, member : int
        Its place in the file.
    out : array, shape (elements,)
        One-dimensional and contiguous, of the run's dtype.
    """

    name: str
    run: int
    member: int
    out: NDArray[Any]


@dataclass(frozen=True, slots=True)
class Job:
    """One block, and its parts that are wanted: where in the block, and the array to write to."""

    run: int
    block: int
    name: str
    parts: tuple[tuple[slice, NDArray[Any]], ...]

    def whole(self, spec: RunSpec) -> NDArray[Any] | None:
        """Return the array that takes the whole block; None where it has to be cut."""
        start, stop = spec.span(self.block)
        part, out = self.parts[0]
        good = len(self.parts) == 1 and part.stop - part.start == stop - start
        return out if good else None


def jobs_of(reader: ContainerReader, targets: Iterable[Target]) -> list[Job]:
    """Return the blocks that hold these arrays, in the order of the file's runs.

    Raises
    ------
    UsageError
        An array has another dtype or size than what is stored.
    """
    parts: dict[tuple[int, int], list[tuple[slice, NDArray[Any]]]] = {}
    names: dict[tuple[int, int], str] = {}
    for target in targets:
        spec = reader.runs[target.run]
        start, size = spec.starts[target.member], spec.sizes[target.member]
        _check(target, spec)
        for block in spec.blocks_of(target.member):
            low, high = spec.span(block)
            first, last = max(low, start), min(high, start + size)
            key = target.run, block
            names.setdefault(key, target.name)
            parts.setdefault(key, []).append(
                (
                    slice(first - low, last - low),
                    target.out[first - start : last - start],
                )
            )
    return [Job(*key, names[key], tuple(parts[key])) for key in sorted(parts)]


def _check(target: Target, spec: RunSpec) -> None:
    out, dtype = target.out, numpy_dtype(spec.dtype)
    if out.dtype != dtype or out.shape != (spec.sizes[target.member],):
        message = f"{target.name!r} is {dtype}[{spec.sizes[target.member]}] in the file, and the"
        raise UsageError(f"{message} array for it {out.dtype}{list(out.shape)}")


class Decoders:
    """The decoder of each run under one view, made when it is first wanted, by any thread."""

    def __init__(self, reader: ContainerReader, view: View) -> None:
        self._reader = reader
        self._view = view
        self._made: dict[int, RunDecoder] = {}
        self._lock = threading.Lock()

    def __getitem__(self, run: int) -> RunDecoder:
        found = self._made.get(run)
        if found is None:
            with self._lock:
                found = self._made.get(run)
                if found is None:
                    found = self._made[run] = RunDecoder(self._reader, run, self._view)
        return found


def load(
    reader: ContainerReader, targets: Iterable[Target], view: View, executor: Executor | None
) -> None:
    """Decode arrays into their places.

    After an error what the arrays hold is undefined.

    Raises
    ------
    UsageError
        As `jobs_of`.
    FormatError
        The bytes in the file are damaged.
    """
    jobs = jobs_of(reader, targets)
    decoders = Decoders(reader, view)

    def decode(job: Job, scratch: dict[str, NDArray[Any]]) -> None:
        decoder = decoders[job.run]
        out = job.whole(decoder.spec)
        if out is not None:
            decoder.block(job.block, out)
            return
        values = decoder.block(job.block, room(scratch, decoder.spec, job.block))
        for part, piece in job.parts:
            piece[:] = values[part]

    with reader.ahead(extents(reader, jobs, view)):
        work(jobs, decode, executor)


def extents(
    reader: ContainerReader, jobs: Sequence[Job], view: View, above: int = -1
) -> list[tuple[int, int]]:
    """Return the (start, stop) of all that decoding jobs reads of the file, each once.

    With `above`, of the levels above that one alone.
    """
    places = dict.fromkeys(
        place for job in jobs for place in reads(reader, job.run, job.block, view)
    )
    return [extent for place in places for extent in reader.extents(*place, above)]


def room(scratch: dict[str, NDArray[Any]], spec: RunSpec, block: int) -> NDArray[Any]:
    """Return an array for a block out of what a thread keeps for the purpose."""
    import numpy as np

    start, stop = spec.span(block)
    array = scratch.get(spec.dtype)
    if array is None or array.size < stop - start:
        array = scratch[spec.dtype] = np.empty(stop - start, numpy_dtype(spec.dtype))
    return array[: stop - start]


def work(
    jobs: Sequence[Job],
    function: Callable[[Job, dict[str, NDArray[Any]]], None],
    executor: Executor | None,
) -> None:
    """Call a function with every job, and a dictionary that each thread keeps to itself.

    The calling thread works too, so that an executor that is busy with other things holds nothing
    up. After an error no further job is started.
    """
    queue = deque(jobs)

    def drain() -> None:
        scratch: dict[str, NDArray[Any]] = {}
        while queue:
            try:
                job = queue.popleft()
            except IndexError:  # another thread was faster
                return
            try:
                function(job, scratch)
            except BaseException as error:
                queue.clear()
                if isinstance(error, McodecError):
                    error.at(f"tensor {job.name!r}")
                raise

    helpers = min(getattr(executor, "_max_workers", 1), len(jobs)) - 1
    futures = [executor.submit(drain) for _ in range(helpers)] if executor else []
    try:
        drain()
    finally:
        for future in futures:
            future.cancel()
        wait([future for future in futures if not future.cancelled()])
    for future in futures:
        if not future.cancelled():
            future.result()
