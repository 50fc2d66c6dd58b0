"""Work split over an executor: results in order, and only so many in flight."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from mcodec.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")
R = TypeVar("R")


def usable_cores() -> int:
    """Return the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Scattered(Executor):
    """An executor of other processes: functions and items go there in one piece or in few.

    They have to be picklable, and what they find by reference has to be there too.
    """

    def map_ordered(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Yield ``function(item)`` in the order of `items`."""
        raise NotImplementedError


@contextmanager
def workers(jobs: int | None = None) -> Iterator[Executor | None]:
    """Give an executor of `jobs` threads (default: the usable cores); None for one job.

    Kernels, zstd and hashes drop the GIL, so threads use all cores.
    """
    count = usable_cores() if jobs is None else jobs
    if count < 1:
        raise UsageError(f"jobs must be 1 or more, not {count}")
    if count == 1:
        yield None
        return
    with ThreadPoolExecutor(count, thread_name_prefix="mcodec") as executor:
        yield executor


def map_ordered(
    executor: Executor | None, function: Callable[[T], R], items: Iterable[T], ahead: int = 0
) -> Iterator[R]:
    """Yield ``function(item)`` in the order of `items`, with at most `ahead` results in flight.

    Memory is thus bounded by blocks in flight, whatever the model's size. Without an executor the
    work is done here, item by item. After an error no further item is started. A `Scattered`
    executor has its own way.
    """
    if isinstance(executor, Scattered):
        yield from executor.map_ordered(function, items)
        return
    if executor is None:
        yield from map(function, items)
        return
    limit = ahead or 2 * getattr(executor, "_max_workers", usable_cores()) + 1
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            waiting.append(executor.submit(function, item))
            if len(waiting) >= limit:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
