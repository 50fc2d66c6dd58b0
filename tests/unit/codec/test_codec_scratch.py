"""Memory that streams are made in: never used twice at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from mcodec.codec import scratch


@pytest.mark.parametrize("keep", [1, 7, 40])
def test_what_is_held_is_left_alone(keep: int) -> None:
    random = np.random.default_rng(keep)
    held: list[tuple[memoryview, bytes]] = []
    for _ in range(400):
        size = int(random.integers(0, 300_000))
        part = scratch.take(size)
        part[:] = random.integers(0, 256, size, np.uint8)
        assert part.size == size
        assert part.ctypes.data % 64 == 0
        held.append((part[: size // 2].data, part[: size // 2].tobytes()))  # a part of a part
        if len(held) > keep:
            view, then = held.pop(int(random.integers(0, keep)))
            assert view.tobytes() == then
    for view, then in held:
        assert view.tobytes() == then


def test_memory_that_nobody_holds_is_used_again() -> None:
    def places() -> set[int]:
        found = set()
        for _ in range(200):
            part = scratch.take(1 << 20)
            found.add(part.ctypes.data // scratch.PIECE)
            del part
        return found

    with ThreadPoolExecutor(1) as pool:
        assert len(pool.submit(places).result()) <= 6


def test_threads_have_their_own() -> None:
    def fill(value: int) -> list[Any]:
        parts = [scratch.take(100_000) for _ in range(50)]
        for part in parts:
            part[:] = value
        return parts

    with ThreadPoolExecutor(4) as pool:
        for value, parts in enumerate(pool.map(fill, range(16))):
            assert all((part == value).all() for part in parts)


def test_large_ones_are_alone() -> None:
    part = scratch.take(scratch.MOST + 1)
    assert part.base is None


def test_a_thread_may_ask_for_nothing_first() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(scratch.take, 0).result().size == 0
