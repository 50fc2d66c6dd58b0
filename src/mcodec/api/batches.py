"""Blocks by the batch: several threads gain only by work that is long enough without the GIL."""

from __future__ import annotations

from collections import deque
from concurrent.futures import wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from mcodec.engine import usable_cores
from mcodec.limits import MIB
from mcodec.stored import Scratch
from mcodec.types import numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Executor, Future

    from numpy.typing import NDArray

    from mcodec.types import RunSpec

MOST: Final = 16  # blocks of a batch
BYTES: Final = 2 * MIB  # of their streams: more than that does not stay in the caches
TURNS: Final = 4  # batches that each thread should get at least, so that all end together


class _Job(Protocol):
    """A piece of work: the name of a tensor in it, and the bytes that are read for it."""

    @property
    def name(self) -> str: ...

    @property
    def cost(self) -> int: ...


J = TypeVar("J", bound=_Job)


class Own:
    """What a thread keeps to itself between batches: memory to read into, and to decode into."""

    def __init__(self) -> None:
        self.scratch = Scratch()
        self._rooms: dict[int, NDArray[Any]] = {}  # bytes, for blocks of any dtype

    def room(self, spec: RunSpec, block: int, index: int = 0) -> NDArray[Any]:
        """Return an array for a block; another one for each index."""
        import numpy as np

        start, stop = spec.span(block)
        dtype = numpy_dtype(spec.dtype)
        size = (stop - start) * dtype.itemsize
        room = self._rooms.get(index)
        if room is None or room.size < size:
            room = self._rooms[index] = np.empty(size, np.uint8)
        return room[:size].view(dtype)


# What threads kept when their work was done: fresh memory costs more than decoding into it.
_idle: deque[Own] = deque(maxlen=usable_cores())


@contextmanager
def borrowed() -> Iterator[Own]:
    """Give memory that no other thread uses; it is kept for the next if the block ends well."""
    try:
        own = _idle.pop()
    except IndexError:
        own = Own()
    yield own
    _idle.append(own)


def work(
    jobs: Sequence[J], function: Callable[[Sequence[J], Own], None], executor: Executor | None
) -> None:
    """Call a function with all jobs, batch by batch, and with what each thread keeps.

    The calling thread works too, so that an executor that is busy with other things holds nothing
    up. After an error no further batch is started, and none runs any more when it is raised.
    """
    if not jobs:
        return
    threads = min(getattr(executor, "_max_workers", 1), len(jobs)) if executor else 1
    queue = deque(_batches(jobs, threads))

    def drain() -> None:
        with borrowed() as own:
            while queue:
                try:
                    batch = queue.popleft()
                except IndexError:  # another thread was faster
                    break
                try:
                    function(batch, own)
                except BaseException:
                    queue.clear()
                    raise

    futures = [executor.submit(drain) for _ in range(threads - 1)] if executor else []
    try:
        drain()
    finally:
        for future in futures:
            future.cancel()
        _settle([future for future in futures if not future.cancelled()])
    for future in futures:
        if not future.cancelled():
            future.result()


def _settle(futures: Sequence[Future[None]]) -> None:
    """Wait until no thread writes any more: a person's interrupt is raised after that."""
    interrupt = None
    while True:
        try:
            wait(futures)
            break
        except KeyboardInterrupt as error:
            interrupt = error
    if interrupt is not None:
        raise interrupt


def _batches(jobs: Sequence[J], threads: int) -> Iterator[list[J]]:
    return grouped(jobs, max(1, min(MOST, len(jobs) // (TURNS * threads))))


def grouped(
    jobs: Iterable[J],
    most: int = MOST,
    room: int = 0,
    size: Callable[[J], int] = lambda job: 0,
) -> Iterator[list[J]]:
    """Yield work in batches: so many pieces, as long as their streams stay in the caches.

    What they decode to, as `size` says, has to stay in a room as well.
    """
    batch: list[J] = []
    total = decoded = 0
    for job in jobs:
        own = size(job)
        if batch and (len(batch) == most or total + job.cost > BYTES or decoded + own > room):
            yield batch
            batch, total, decoded = [], 0, 0
        batch.append(job)
        total += job.cost
        decoded += own
    if batch:
        yield batch
