"""What a review found: forks, mixed groups, mistaken sources, views that depend on a mode."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mcodec
from mcodec.api.listing import list_pairs
from mcodec.errors import UsageError
from support import cases

if TYPE_CHECKING:
    from pathlib import Path


FORK = """
import os, signal, sys
import numpy as np
import mcodec
with mcodec.open(sys.argv[1], jobs=2) as file:
    task = file.task()
    weights = task["w"]  # two blocks: decoded by several threads
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        same = np.array_equal(task["w"], weights) and np.array_equal(task.load()["w"], weights)
        os._exit(0 if same else 1)
    sys.exit(os.waitpid(child, 0)[1] != 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_a_forked_process_reads_with_threads_of_its_own(tmp_path: Path) -> None:
    # In a process without the threads of other tests' libraries, which warn of forks.
    mcodec.pack({"A": {"w": cases.weights("float32", (600, 600))}}, tmp_path / "x.mc", jobs=1)
    subprocess.run([sys.executable, "-c", FORK, tmp_path / "x.mc"], check=True, timeout=60)


LEFT = """
import sys, threading
import mcodec
def wait(file):
    begun.set()
    threading.Event().wait()
begun = threading.Event()
threading.Thread(target=wait, args=(mcodec.open(sys.argv[1]),), daemon=True).start()
begun.wait()
"""


def test_a_thread_that_is_left_behind_with_a_file_says_nothing(tmp_path: Path) -> None:
    mcodec.pack({"A": {"w": cases.weights("float32", (60, 60))}}, tmp_path / "x.mc", jobs=1)
    command = [sys.executable, "-c", LEFT, str(tmp_path / "x.mc")]
    done = subprocess.run(command, check=True, timeout=60, capture_output=True)
    assert (done.stdout, done.stderr) == (b"", b"")


def pairs_of(path: Path) -> list[dict[str, str]]:
    with mcodec.open(path) as file:
        return list_pairs(file.reader)


def test_a_task_without_bits_does_not_part_the_others(tmp_path: Path) -> None:
    models = {
        name: {"w": cases.weights("float32", (40, 9), seed)} for seed, name in enumerate("ABC")
    }
    mcodec.pack(models, tmp_path / "x.mc", bits={"A": 12, "C": 11})
    assert pairs_of(tmp_path / "x.mc") == [{"A": "w", "C": "w"}]
    report = mcodec.verify(tmp_path / "x.mc", deep=True, against=models)
    assert (report.lossy, report.differences) == (("A", "C"), ())


def test_a_nan_does_not_part_the_other_tasks(tmp_path: Path) -> None:
    models = {
        name: {"w": cases.weights("float32", (40, 9), seed)} for seed, name in enumerate("ABC")
    }
    models["A"]["w"][0, 0] = np.nan
    mcodec.pack(models, tmp_path / "x.mc", bits=8)
    assert pairs_of(tmp_path / "x.mc") == [{"B": "w", "C": "w"}]


@pytest.mark.parametrize(
    "sources",
    [
        {"w": np.ones(3)},  # a model where a mapping of tasks is due
        {"A": {"w": [[1], [1, 2]]}},
        {"A": None},
        [3],
        b"a.h5",
        None,
    ],
)
def test_mistaken_sources(sources: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        mcodec.pack(sources, tmp_path / "x.mc")
    assert not list(tmp_path.iterdir())


def test_bits_may_be_numpy_integers(tmp_path: Path) -> None:
    model = {"A": {"w": cases.weights("float32", (40, 9))}}
    mcodec.pack(model, tmp_path / "a.mc", bits=np.int64(8))  # type: ignore[arg-type]
    mcodec.pack(model, tmp_path / "b.mc", bits=8)
    assert (tmp_path / "a.mc").read_bytes() == (tmp_path / "b.mc").read_bytes()


def test_pairs_that_nothing_fuses_are_refused(tmp_path: Path) -> None:
    model = {"w": cases.weights("float32", (40, 9))}
    with pytest.raises(UsageError, match="needs bits"):
        mcodec.pack({"A": model, "B": model}, tmp_path / "x.mc", pair=[("A:w", "B:w")])


def test_no_planes_are_zeros_in_every_mode(tmp_path: Path) -> None:
    weights = cases.weights("float32", (300, 300))
    mcodec.pack({"A": {"w": weights}}, tmp_path / "x.mc", bits=6)
    mcodec.relayout(tmp_path / "x.mc", tmp_path / "planes.mc", "progressive")
    for name, mode in (("x.mc", 1), ("planes.mc", 0)):
        with mcodec.open(tmp_path / name) as file:
            assert file.reader.read_streams(0, 0)[0] == mode
            decoded = file.task(planes=0)["w"]
            assert not decoded.any()
            assert np.array_equal(np.signbit(decoded), np.signbit(weights))


@pytest.mark.parametrize("planes", [-1, 2.5, True])
def test_planes_are_a_whole_number(planes: Any, tmp_path: Path) -> None:
    mcodec.pack({"A": {"w": np.ones((3, 3))}}, tmp_path / "x.mc")
    with mcodec.open(tmp_path / "x.mc") as file, pytest.raises(UsageError, match="planes"):
        file.task(planes=planes)
