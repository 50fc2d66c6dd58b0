"""Work over an executor: in order, bounded, and stopped by the first error."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from mcodec.engine import map_ordered, usable_cores, workers
from mcodec.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize("jobs", [1, 2, 7])
def test_results_come_in_order(jobs: int) -> None:
    gates = [threading.Event() for _ in range(4)]

    def work(item: int) -> int:
        if jobs > 4 and item < 4:  # the first ones end in reverse
            if item < 3:
                gates[item + 1].wait()
            gates[item].set()
        return item * item

    with workers(jobs) as executor:
        assert (executor is None) == (jobs == 1)
        assert list(map_ordered(executor, work, range(50))) == [i * i for i in range(50)]


def test_no_items() -> None:
    with workers(2) as executor:
        assert list(map_ordered(executor, str, [])) == []
    assert list(map_ordered(None, str, [])) == []


@pytest.mark.parametrize("ahead", [1, 2, 5])
def test_only_so_many_are_in_flight(ahead: int) -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for item in range(40):
            taken += 1
            yield item

    with workers(3) as executor:
        for done, _ in enumerate(map_ordered(executor, str, items(), ahead), 1):
            assert taken - done < ahead + 1


def test_without_an_executor_work_is_lazy() -> None:
    seen: list[int] = []
    results = map_ordered(None, lambda item: seen.append(item) or item, range(5))  # type: ignore[func-returns-value]
    assert next(results) == 0
    assert seen == [0]


def test_the_first_error_stops_the_work() -> None:
    started: list[int] = []
    gate = threading.Event()

    def work(item: int) -> int:
        started.append(item)
        if item == 3:
            raise KeyError(item)
        if item > 3:
            gate.wait(10)
        return item

    with ThreadPoolExecutor(2) as executor:
        results = map_ordered(executor, work, range(1000), 10)
        try:
            assert [next(results) for _ in range(3)] == [0, 1, 2]
            with pytest.raises(KeyError):
                next(results)
        finally:
            gate.set()
    assert len(started) < 20


def test_leaving_early_cancels_what_waits() -> None:
    with ThreadPoolExecutor(1) as executor:
        gate = threading.Event()
        started: list[int] = []

        def work(item: int) -> None:
            started.append(item)
            if item:
                gate.wait(10)

        results = map_ordered(executor, work, range(100), 50)
        next(results)
        results.close()  # type: ignore[attr-defined]
        gate.set()
    assert len(started) <= 2


def test_the_number_of_jobs() -> None:
    assert usable_cores() >= 1
    for jobs in (0, -1):
        with pytest.raises(UsageError, match="jobs must be 1 or more"), workers(jobs):
            pass
    with workers(usable_cores() + 1) as executor:
        assert isinstance(executor, ThreadPoolExecutor)
