"""`mcodec bench` as people type it: what it measures, and what it leaves behind."""

from __future__ import annotations

import json
import os
import tempfile
from typing import TYPE_CHECKING, Any

import pytest
import safetensors
from safetensors.numpy import save_file

import mcodec
from mcodec.api import bench as api
from mcodec.api import benchways
from mcodec.errors import InputOutputError
from support import cases
from support.command import call

if TYPE_CHECKING:
    from pathlib import Path

OWN = ("pack, lossless", "load", "load into arrays", "one tensor")
BESIDE = ("copy", "copy, new memory", "safetensors save", "safetensors load")


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with models, and a folder for temporary files of its own."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    mcodec.pack({"A": cases.network(1), "B": cases.network(2)}, "x.mc", bits=[8, 7], jobs=1)
    save_file(cases.network(3), "m.safetensors")
    return folder


def figures(*arguments: str) -> dict[str, Any]:
    """Run with one run of each way, and return the JSON."""
    outcome = call("bench", *arguments, "--runs", "1", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    found: dict[str, Any] = json.loads(outcome.out)
    return found


def test_a_file_of_two_tasks(scratch: Path) -> None:
    found = figures("x.mc", "--jobs", "2")
    assert (found["file"], found["packed"], found["runs"]) == ("x.mc", False, 1)
    assert found["file_bytes"] == os.path.getsize("x.mc")
    assert {"processor", "cores", "kernels", "versions"} == set(found["machine"])
    assert [(row["way"], row["threads"]) for row in found["figures"]] == [
        ("open", None),
        ("verify", 1),
        ("verify", 2),
    ]
    assert [task["task"] for task in found["tasks"]] == ["A", "B"]
    for task in found["tasks"]:
        ways = {(row["way"], row["threads"]) for row in task["figures"]}
        assert ways == {
            *((way, None) for way in (*BESIDE, "safetensors, one tensor")),
            *((way, threads) for way in OWN for threads in (1, 2)),
        }
        assert all(row["seconds"] > 0 for row in task["figures"])
        assert task["bytes"] == sum(array.nbytes for array in cases.network().values())
        assert task["safetensors_bytes"] > task["bytes"]
    assert os.listdir(scratch) == []


def test_a_model_file_is_packed_first(scratch: Path) -> None:
    found = figures("m.safetensors", "--jobs", "1")
    assert found["packed"]
    assert [task["task"] for task in found["tasks"]] == ["A"]
    assert {row["threads"] for row in found["tasks"][0]["figures"]} == {None, 1}
    assert found["tasks"][0]["lossless_bytes"] < os.path.getsize("m.safetensors")
    assert os.listdir(scratch) == []


def test_shares_are_of_the_copy_of_their_kind() -> None:
    rows = {
        (row["way"]): row for row in figures("x.mc", "--task", "B", "-j1")["tasks"][0]["figures"]
    }
    for way, base in {
        "load": "copy, new memory",
        "safetensors load": "copy, new memory",
        "load into arrays": "copy",
        "pack, lossless": "copy",
        "safetensors save": "copy",
    }.items():
        assert rows[way]["copies"] == rows[base]["seconds"] / rows[way]["seconds"]
    assert rows["copy"]["copies"] == rows["copy, new memory"]["copies"] == 1
    assert rows["one tensor"]["copies"] is None


def test_the_table() -> None:
    outcome = call("bench", "x.mc", "--task", "B", "--runs", "1", "--jobs", "1")
    assert (outcome.code, outcome.err) == (0, "")
    assert "x.mc, " in outcome.out
    assert "medians of 1 alternating run\n" in outcome.out
    assert "task B: 8 tensors, " in outcome.out
    assert "task A" not in outcome.out
    assert outcome.out.count("of a copy") == 1
    quiet = call("bench", "x.mc", "--task", "B", "--runs", "1", "--quiet")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_every_dtype(dtype: str) -> None:
    arrays = {"__metadata__": cases.noise(dtype, (3, 5)), "one": cases.noise(dtype, ())}
    mcodec.pack({"A": arrays}, "d.mc", jobs=1)
    task = figures("d.mc", "--jobs", "1")["tasks"][0]
    assert task["bytes"] == sum(array.nbytes for array in arrays.values())


def test_a_task_without_values() -> None:
    mcodec.pack({"none": {}, "empty": {"w": cases.weights("float32", (0, 3))}}, "e.mc", jobs=1)
    none, empty = figures("e.mc", "--jobs", "1")["tasks"]
    assert (none["tensors"], empty["tensors"]) == (0, 1)
    assert all(row["copies"] is None for row in none["figures"] + empty["figures"])
    assert call("bench", "e.mc", "--runs", "1", "-j1").code == 0


def test_bad_input(tmp_path: Path, scratch: Path) -> None:
    call("bench", "none.mc").assert_fails(5, "none.mc")
    call("bench", "x.mc", "--task", "C").assert_fails(2, "'C'")
    call("bench", "x.mc", "--runs", "0").assert_fails(2, "--runs")
    call("bench", "x.mc", "--key", "model").assert_fails(2, "key")
    call("bench", "m.safetensors", "--task", "A").assert_fails(2, "no tasks")
    call("bench", "x.mc", "--max-decoded", "1k").assert_fails(3, "--max-decoded")
    data = bytearray((tmp_path / "x.mc").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "bad.mc").write_bytes(data)
    call("bench", "bad.mc", "--runs", "1").assert_fails(3)
    assert os.listdir(scratch) == []


def test_what_does_not_fit_in_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sysconf", lambda name: 100)
    call("bench", "x.mc").assert_fails(2, "task 'A' takes", "of memory")


def test_no_place_for_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere/at/all")
    call("bench", "x.mc").assert_fails(5, "/nowhere/at/all")


def test_a_full_disk_that_safetensors_meets(monkeypatch: pytest.MonkeyPatch, scratch: Path) -> None:
    def full(arrays: Any, path: Any) -> None:
        raise safetensors.SafetensorError("No space left on device\n(os error 28)")

    monkeypatch.setattr(benchways, "save_safetensors", full)
    with pytest.raises(InputOutputError, match=r"No space left on device \(os error 28\)$"):
        api.bench("x.mc", runs=1)
    assert os.listdir(scratch) == []
