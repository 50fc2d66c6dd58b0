"""What one task of several costs from afar, in bytes and requests."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mcodec
from mcodec.container.chunks import ranges
from support.rangeserver import RangeServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest.importorskip("aiohttp")

Arrays = dict[str, Any]
RNG = np.random.default_rng(8)


def model(layers: int = 8) -> Arrays:
    return {
        f"layer{at}.w": RNG.standard_normal((256, 512), dtype=np.float32) for at in range(layers)
    }


SHARED = {name.replace("layer", "stem"): array for name, array in model(3).items()}
TASKS = {name: {**SHARED, **model()} for name in "ABC"}


@pytest.fixture
def server() -> Iterator[RangeServer]:
    with RangeServer() as one:
        yield one


def same(found: Arrays, task: str) -> bool:
    return found.keys() == TASKS[task].keys() and all(
        array.tobytes() == TASKS[task][name].tobytes() for name, array in found.items()
    )


def stored(file: mcodec.File, task: str) -> int:
    """Return the bytes of the front, and of all chunks that a task reads."""
    reader = file.reader
    entry = file.entry(task)
    total = reader.header.front_offset + reader.header.front_length
    for run in {tensor.run for tensor in entry.tensors}:
        for block in range(-1, reader.runs[run].blocks):
            total += sum(stop - start for start, stop, _ in ranges(reader.rows(run, block)))
    return total


@pytest.mark.parametrize("jobs", [1, 4])
def test_a_task_of_a_file_laid_out_by_task(server: RangeServer, tmp_path: Path, jobs: int) -> None:
    mcodec.pack(TASKS, tmp_path / "x.mc", layout="task")
    url = server.put("/x.mc", (tmp_path / "x.mc").read_bytes())
    with mcodec.open(url, jobs=jobs) as file:
        assert same(file.task("B").load(), "B")
        assert server.sent <= 1.05 * stored(file, "B")
        assert server.sent < 0.6 * len(server.files["/x.mc"])
        assert len(server.seen) <= 2 + 16 + 3
    assert server.most <= 8


def test_a_task_of_an_interleaved_file(server: RangeServer, tmp_path: Path) -> None:
    two = {name: TASKS[name] for name in "AB"}
    mcodec.pack(two, tmp_path / "x.mc", bits={"A": 12, "B": 11}, layout="interleaved")
    url = server.put("/x.mc", (tmp_path / "x.mc").read_bytes())
    with mcodec.open(tmp_path / "x.mc") as near:
        expected = near.task("B").load()
    with mcodec.open(url) as file:
        found = file.task("B").load()
        assert server.sent <= 2.2 * stored(file, "B")
        assert len(server.seen) <= 2 + 40
    assert all(found[name].tobytes() == array.tobytes() for name, array in expected.items())


@pytest.mark.parametrize("fault", ["cut", "short", "503"])
def test_faults_while_a_task_is_loaded(server: RangeServer, tmp_path: Path, fault: str) -> None:
    mcodec.pack(TASKS, tmp_path / "x.mc")
    url = server.put("/x.mc", (tmp_path / "x.mc").read_bytes())
    with mcodec.open(url) as file:
        server.faults.extend(["", fault, "", "", fault])
        assert same(file.task("C").load(), "C")


def test_several_tasks_at_once(server: RangeServer, tmp_path: Path) -> None:
    mcodec.pack(TASKS, tmp_path / "x.mc")
    url = server.put("/x.mc", (tmp_path / "x.mc").read_bytes())
    with mcodec.open(url, jobs=2) as file, ThreadPoolExecutor(6) as pool:
        found = pool.map(lambda task: same(file.task(task).load(), task), "ABCABC")
        assert all(found)
    assert server.most <= 8
    assert (
        server.sent <= 2.2 * len(server.files["/x.mc"]) + sum(a.nbytes for a in SHARED.values()) * 4
    )


def test_a_server_that_fails_for_good(server: RangeServer, tmp_path: Path) -> None:
    mcodec.pack(TASKS, tmp_path / "x.mc")
    url = server.put("/x.mc", (tmp_path / "x.mc").read_bytes())
    with mcodec.open(url, jobs=4) as file:
        server.always = "403"
        with pytest.raises(mcodec.errors.InputOutputError, match="403"):
            file.task("A").load()
        server.always = ""
        assert same(file.task("A").load(), "A")
