"""Work split over an executor: results in order, and only so many in flight."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

from mcodec import allowance
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
    executor: Executor | None,
    function: Callable[[T], R],
    items: Iterable[T],
    ahead: int = 0,
    cost: Callable[[T], int] | None = None,
    small: Callable[[T], bool] | None = None,
) -> Iterator[R]:
    """Yield ``function(item)`` in the order of `items`, with at most `ahead` results in flight.

    Memory is thus bounded, whatever the model's size: `cost` says how many bytes an item holds
    while it is in work, its result included, and no more begins than the `allowance` has room for.
    Without an executor the work is done here, item by item, and so are items that `small` says take
    less time than handing them to another thread. After an error no further item is started. A
    `Scattered` executor has its own way.
    """
    if isinstance(executor, Scattered):
        yield from executor.map_ordered(function, items)
        return
    if executor is None:
        yield from map(function, items)
        return
    budget = allowance.current()
    limit = ahead or 2 * getattr(executor, "_max_workers", usable_cores()) + 1
    limit = limit if cost else min(limit, budget.pieces())
    waiting: deque[tuple[int, Future[R] | _Done[R]]] = deque()
    held = 0
    try:
        for item in items:
            size = cost(item) if cost else 0
            while waiting and held + size > budget.flight:
                held -= waiting[0][0]
                yield waiting.popleft()[1].result()
            here = small is not None and small(item)
            found = _Done(function(item)) if here else executor.submit(function, item)
            waiting.append((size, found))
            held += size
            if len(waiting) >= limit:
                held -= waiting[0][0]
                yield waiting.popleft()[1].result()
        while waiting:
            yield waiting.popleft()[1].result()
    finally:
        for _, future in waiting:
            future.cancel()


class _Done(Generic[R]):
    """What was done here, in place of a future, which takes longer to make than some work."""

    __slots__ = ("_result",)

    def __init__(self, result: R) -> None:
        self._result = result

    def result(self) -> R:
        return self._result

    def cancel(self) -> bool:
        return False
