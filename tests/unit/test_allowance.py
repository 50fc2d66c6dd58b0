"""How memory is shared out, and what a budget bounds."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mcodec
from mcodec import allowance
from mcodec.allowance import Budget
from mcodec.api.batches import grouped
from mcodec.api.load import Job
from mcodec.engine import map_ordered
from mcodec.errors import UsageError
from mcodec.limits import MIB

if TYPE_CHECKING:
    from pathlib import Path


def test_a_limit_that_is_too_low_is_refused_in_one_line() -> None:
    with pytest.raises(UsageError) as found:
        Budget.of(allowance.held())
    message = str(found.value)
    assert "too little" in message
    assert "at least" in message
    assert "\n" not in message


def test_the_least_that_is_named_is_enough() -> None:
    with pytest.raises(UsageError) as found:
        Budget.of(MIB)
    least = int(str(found.value).split("need ")[1].split("M")[0].replace(",", ""))
    assert Budget.of((least + 20) * 1_000_000).room > 0


def test_without_a_limit_nothing_is_refused() -> None:
    assert Budget.of(None, 1 << 40, 1 << 40) == Budget()


@given(st.integers(0, 1 << 40))
def test_shares_stay_in_the_room(room: int) -> None:
    budget = Budget(room)
    assert budget.spool + budget.small + budget.flight <= room
    assert budget.batch + budget.kept <= budget.flight
    assert budget.pieces(1 << 30) >= 1
    assert MIB <= budget.piece <= 4 * MIB


def test_a_budget_ends_with_its_context() -> None:
    assert allowance.current() == Budget()
    with allowance.limited(allowance.held() + 100 * MIB) as budget:
        assert allowance.current() == budget != Budget()
    assert allowance.current() == Budget()


def test_a_machine_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr("builtins.open", missing)
    assert allowance.held() > 0


@pytest.mark.parametrize(("cost", "most"), [(1 << 40, 1), (100 * MIB, 1), (40 * MIB, 2)])
def test_only_so_many_bytes_are_in_work(cost: int, most: int) -> None:
    lock, now, seen = threading.Lock(), 0, 0

    def work(item: int) -> int:
        nonlocal now, seen
        with lock:
            now += 1
            seen = max(seen, now)
        threading.Event().wait(0.002)
        with lock:
            now -= 1
        return item

    with (
        ThreadPoolExecutor(8) as executor,
        allowance.limited(allowance.held() + 150 * MIB) as budget,
    ):
        assert budget.flight // cost <= most
        assert list(map_ordered(executor, work, range(40), cost=lambda _: cost)) == [*range(40)]
    assert seen <= most


@given(st.lists(st.integers(1, 100), max_size=40), st.integers(1, 300))
def test_batches_stay_in_their_room(sizes: list[int], room: int) -> None:
    jobs = [Job(0, block, "w", 1, ()) for block in range(len(sizes))]
    batches = list(grouped(jobs, room=room, size=lambda job: sizes[job.block]))
    assert [job for batch in batches for job in batch] == jobs
    for batch in batches:
        assert len(batch) == 1 or sum(sizes[job.block] for job in batch) <= room


@pytest.mark.parametrize("layout", ["task", "interleaved", "progressive"])
@pytest.mark.parametrize("bits", [None, 12])
def test_the_bytes_do_not_depend_on_the_limit(
    layout: str, bits: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    sources = {
        name: {"w": random.normal(size=(900, 1000)).astype(np.float32)}
        | {f"v{i}": random.normal(size=(30, 30)).astype(np.float32) for i in range(40)}
        for name in "AB"
    }
    mcodec.pack(sources, tmp_path / "a.mc", layout=layout, bits=bits)
    monkeypatch.setattr(allowance, "_SPOOL", MIB)  # chunks wait on disk
    limit = allowance.held() + 64 * MIB
    assert Budget.of(limit).spool < (tmp_path / "a.mc").stat().st_size
    mcodec.pack(sources, tmp_path / "b.mc", layout=layout, bits=bits, max_memory=limit, jobs=3)
    assert (tmp_path / "a.mc").read_bytes() == (tmp_path / "b.mc").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mc", "b.mc"]


@pytest.mark.parametrize("to", ["safetensors", "npz", "h5"])
def test_outputs_do_not_depend_on_the_limit(to: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    arrays = {f"w{i}": random.normal(size=(400, 1000)).astype(np.float32) for i in range(4)}
    mcodec.pack({"A": arrays}, tmp_path / "a.mc", bits=9)
    limit = allowance.held() + 64 * MIB
    free, held = tmp_path / f"free.{to}", tmp_path / f"held.{to}"
    mcodec.unpack(tmp_path / "a.mc", out=free)
    mcodec.unpack(tmp_path / "a.mc", out=held, max_memory=limit, jobs=3)
    assert free.read_bytes() == held.read_bytes()
    mcodec.convert(held, tmp_path / "one.safetensors")
    mcodec.convert(held, tmp_path / "two.safetensors", max_memory=limit, jobs=3)
    assert (tmp_path / "one.safetensors").read_bytes() == (
        tmp_path / "two.safetensors"
    ).read_bytes()


def test_refused_work_leaves_nothing(tmp_path: Path) -> None:
    arrays = {"w": np.ones((10, 10), np.float32)}
    with pytest.raises(UsageError, match="too little"):
        mcodec.pack({"A": arrays}, tmp_path / "a.mc", max_memory=MIB)
    assert not list(tmp_path.iterdir())


def test_a_large_block_needs_its_room(tmp_path: Path) -> None:
    arrays = {"w": np.zeros(1 << 19, "V128")}  # blocks of 32 MiB
    with pytest.raises(UsageError, match="too little"):
        mcodec.pack({"A": arrays}, tmp_path / "a.mc", max_memory=allowance.held() + 128 * MIB)


def test_a_low_limit_is_known_to_all_threads_while_it_holds() -> None:
    with ThreadPoolExecutor(1) as executor:
        assert not executor.submit(allowance.is_low).result()
        with allowance.limited(allowance.held() + 100 * MIB):
            assert executor.submit(allowance.is_low).result()
        with allowance.limited(None):
            assert not executor.submit(allowance.is_low).result()
        assert not executor.submit(allowance.is_low).result()
