"""Read-ahead: every order of reads ends, from any number of threads, and holds little."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from mcodec.errors import FormatError, InputOutputError
from mcodec.limits import MIB
from mcodec.storage.ahead import BUDGET, REQUESTS, ReadAhead

DATA = random.Random(1).randbytes(1 << 20)
CHUNKS = [(at, at + 5000) for at in range(0, 1_000_000, 10_000)]


class Place:
    """A place that is fetched from, which counts and can be made to wait or to fail."""

    def __init__(self, data: bytes = DATA) -> None:
        self.data = data
        self.asked: list[tuple[int, int]] = []
        self.most = self.busy = 0
        self.open = threading.Event()
        self.open.set()
        self.error: Exception | None = None
        self._lock = threading.Lock()

    def fetch(self, start: int, stop: int) -> bytes:
        with self._lock:
            self.asked.append((start, stop))
            self.busy += 1
            self.most = max(self.most, self.busy)
        try:
            assert self.open.wait(60)
            if self.error:
                raise self.error
            return self.data[start:stop]
        finally:
            with self._lock:
                self.busy -= 1


def settle(reads: ReadAhead) -> None:
    """Wait until no request is in flight any more."""
    while reads._workers:
        time.sleep(0.001)


def test_reads_that_nobody_announced() -> None:
    place = Place()
    reads = ReadAhead("x", place.fetch)
    assert reads.read(7, 19) == DATA[7:19]
    assert place.asked == [(7, 19)]
    large = Place(bytes(20 * MIB))
    assert len(ReadAhead("x", large.fetch).read(0, 20 * MIB)) == 20 * MIB
    assert sorted(large.asked) == [
        (0, 8 * MIB),
        (8 * MIB, 16 * MIB),
        (16 * MIB, 20 * MIB),
    ]


def test_announced_ranges_come_in_few_requests() -> None:
    place = Place()
    reads = ReadAhead("x", place.fetch)
    with reads.announce(CHUNKS):
        for start, stop in CHUNKS:
            assert reads.read(start, stop) == DATA[start:stop]
    assert len(place.asked) == 16
    assert reads._held == 0


@pytest.mark.parametrize("seed", range(5))
def test_any_order_from_several_threads(seed: int) -> None:
    place = Place()
    reads = ReadAhead("x", place.fetch)
    order = CHUNKS * 2  # read twice, as announced
    random.Random(seed).shuffle(order)
    with reads.announce(order[::-1]), ThreadPoolExecutor(12) as pool:
        for (start, stop), data in zip(
            order, pool.map(lambda one: reads.read(*one), order), strict=True
        ):
            assert data == DATA[start:stop]
    assert len(place.asked) == 16
    assert 1 <= place.most <= REQUESTS
    assert reads._held == 0


def test_several_plans_at_once() -> None:
    place = Place()
    reads = ReadAhead("x", place.fetch)
    tasks = [CHUNKS[:40], CHUNKS[20:60], CHUNKS[50:], [*CHUNKS[10:12], *CHUNKS[80:]]]

    def load(ranges: list[tuple[int, int]]) -> bool:
        with reads.announce(ranges):
            return all(reads.read(start, stop) == DATA[start:stop] for start, stop in ranges)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(load, tasks * 4))
    assert place.most <= REQUESTS
    assert not reads._plans
    settle(reads)
    assert reads._held == 0


def test_reads_over_several_announced_ranges_and_parts_of_one() -> None:
    place = Place()
    reads = ReadAhead("x", place.fetch)
    with reads.announce([(0, 100), (140, 300), (300, 1000)]):
        assert reads.read(0, 300) == DATA[:300]
        assert reads.read(300, 400) == DATA[300:400]
        assert reads.read(400, 1000) == DATA[400:1000]
    assert place.asked == [(0, 1000)]


def test_a_read_of_one_request_is_a_view() -> None:
    place = Place()
    reads = ReadAhead("x", place.fetch)
    with reads.announce([(0, 100), (100, 200)]):
        view = reads.read(0, 100)
        assert isinstance(view, memoryview)
        reads.read(100, 200)
    assert view == DATA[:100]  # though the request is gone


def test_the_budget_and_what_lies_behind_it() -> None:
    place = Place(bytes(200 * MIB))
    reads = ReadAhead("x", place.fetch)
    ranges = [(at, at + MIB) for at in range(0, 200 * MIB, MIB)]
    with reads.announce(ranges):
        settle(reads)
        assert sum(stop - start for start, stop in place.asked) == BUDGET == reads._held
        for start, stop in reversed(ranges):  # the last first: nothing of it was fetched
            assert len(reads.read(start, stop)) == MIB
            assert reads._held <= BUDGET + REQUESTS * 8 * MIB
    assert len(place.asked) == 25
    assert reads._held == 0


def test_leaving_early_cancels_what_is_pending() -> None:
    place = Place(bytes(200 * MIB))
    reads = ReadAhead("x", place.fetch)
    place.open.clear()
    with reads.announce([(0, 200 * MIB)]):
        pass  # and does not wait for what is in flight
    place.open.set()
    settle(reads)
    assert len(place.asked) <= REQUESTS
    assert reads._held == 0
    assert len(reads.read(5, 10)) == 5  # still of use


def test_an_error_comes_where_the_bytes_were_needed() -> None:
    place = Place()
    reads = ReadAhead("x", place.fetch)
    place.error = FormatError("gone", code="file_truncated", where="x")
    with reads.announce(CHUNKS):
        settle(reads)
        for _ in range(3):
            with pytest.raises(FormatError) as caught:
                reads.read(*CHUNKS[3])
            assert str(caught.value.at("here")) == "here: x: gone"  # not twice, the next time
    place.error = None
    assert reads.read(*CHUNKS[3]) == DATA[slice(*CHUNKS[3])]
    assert reads._held == 0


def test_closing_ends_the_reads_that_wait() -> None:
    place = Place()
    reads = ReadAhead("x", place.fetch)
    place.open.clear()
    with ThreadPoolExecutor(20) as pool:
        waiting = [pool.submit(reads.read, at, at + 10) for at in range(20)]
        while len(place.asked) < REQUESTS or len(reads._urgent) < 20 - REQUESTS:
            time.sleep(0.001)
        reads.close()
        place.open.set()
        results = [one.exception() for one in waiting]
    assert sum(isinstance(error, InputOutputError) for error in results) == 20 - REQUESTS
    with pytest.raises(InputOutputError, match="closed"):
        reads.read(0, 1)
