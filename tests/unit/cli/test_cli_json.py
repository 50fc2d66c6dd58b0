"""What programs read: the keys of ``--json`` are a contract, and every number adds up."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mcodec
from support.command import call

if TYPE_CHECKING:
    from pathlib import Path

TASK = {"name", "tensors", "parameters", "source_bytes", "stored_bytes", "bits_per_weight", "meta"}
TASK |= {f"{part}_bytes" for part in ("shared", "delta", "own", "read")}
ENTRY = {"name", "shape", "dtype", "codec", "bases", "streams", "max_abs_error", "sqnr_db"}
ENTRY |= {"source_digest", "digest_tensors"}
STREAM = {"name", "coder", "raw_bytes", "stored_bytes"}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a file of two fused tasks."""
    monkeypatch.chdir(tmp_path)
    tasks = {}
    for seed, name in enumerate("AB"):
        random = np.random.default_rng(seed)
        tasks[name] = {
            "kernel": random.standard_normal((200, 100)).astype(np.float32),
            "bias": random.standard_normal(100).astype(np.float32),
            "step": np.array(seed),
            "empty": np.zeros((0, 3), np.float32),
            "lost": np.full((2, 2), np.inf, np.float32),
        }
    mcodec.pack(tasks, "x.mc", bits=[8, 7])
    return tmp_path


def _json(*arguments: str) -> Any:
    outcome = call(*arguments, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    return json.loads(outcome.out, parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))


def test_ls() -> None:
    found = _json("ls", "x.mc")
    assert set(found) == {"file_bytes", "layout", "levels", "tasks"}
    assert found["levels"] is None
    assert found["file_bytes"] == os.path.getsize("x.mc")
    assert found["layout"] == "interleaved"
    assert [task["name"] for task in found["tasks"]] == ["A", "B"]
    for task in found["tasks"]:
        assert set(task) == TASK
        assert task["tensors"] == 5
        assert task["parameters"] == 200 * 100 + 100 + 1 + 4
        assert task["source_bytes"] == 4 * (200 * 100 + 100 + 4) + 8
        assert 0 < task["stored_bytes"] < found["file_bytes"]
        bits = 8 * task["stored_bytes"] / task["parameters"]
        assert task["bits_per_weight"] == pytest.approx(bits, abs=1e-4)
        assert task["shared_bytes"] + task["delta_bytes"] + task["own_bytes"] == task["read_bytes"]


def test_info() -> None:
    found = _json("info", "x.mc")
    listed = {task["name"]: task for task in _json("ls", "x.mc")["tasks"]}
    for task in found["tasks"]:
        assert {key: task[key] for key in TASK} == listed[task["name"]]
        entries = {entry["name"]: entry for entry in task["entries"]}
        assert list(entries) == ["kernel", "bias", "step", "empty", "lost"]
        for entry in entries.values():
            assert set(entry) == ENTRY
            assert isinstance(entry["codec"], str)
            for stream in entry["streams"]:
                assert set(stream) == STREAM
                assert 0 <= stream["stored_bytes"] <= stream["raw_bytes"] + 64
        stored = sum(s["stored_bytes"] for e in entries.values() for s in e["streams"])
        assert stored == task["stored_bytes"]
        assert entries["kernel"]["shape"] == [200, 100]
        assert entries["kernel"]["codec"].startswith("bfp(bits=")
        assert entries["kernel"]["max_abs_error"] > 0
        assert 30 < entries["kernel"]["sqnr_db"] < 60
        assert entries["step"]["shape"] == []
        assert entries["step"]["dtype"] == "int64"
        for name in ("bias", "step", "empty", "lost"):
            assert entries[name]["max_abs_error"] == 0
            assert entries[name]["sqnr_db"] is None
    assert {"A": "kernel", "B": "kernel"} in found["pairs"]
    assert [task["name"] for task in _json("info", "x.mc", "--task", "B")["tasks"]] == ["B"]


def test_the_other_verbs() -> None:
    unpacked = _json("unpack", "x.mc", "--task", "A", "-o", "a.safetensors")
    assert unpacked["file_bytes"] == os.path.getsize("a.safetensors")
    assert (unpacked["task"], unpacked["tensors"], unpacked["exact"]) == ("A", 5, False)
    assert unpacked["levels"] is None
    packed = _json("pack", "a.safetensors", "-o", "y.mc")
    assert packed["file_bytes"] == os.path.getsize("y.mc")
    assert set(packed["tasks"][0]) == TASK | {"paper_bytes"}
    assert packed["warnings"] == []
    moved = _json("relayout", "x.mc", "-o", "z.mc", "--layout", "task")
    assert moved == {"file": "z.mc", "file_bytes": os.path.getsize("z.mc"), "layout": "task"}
    verified = _json("verify", "y.mc", "--deep", "--against", "a.safetensors")
    assert (verified["compared"], verified["lossy"]) == (["A"], [])
    assert verified["differences"] == []
    assert verified["deep"] is True


def test_differences_are_listed_and_change_the_exit_code() -> None:
    call("unpack", "x.mc", "--task", "A", "-o", "a.safetensors")
    outcome = call("verify", "x.mc", "--against", "B=a.safetensors", "--json")
    assert outcome.code == 1
    differences = json.loads(outcome.out)["differences"]
    assert all(set(one) == {"task", "tensor", "what"} for one in differences)
    assert {"kernel", "bias", "step"} <= {one["tensor"] for one in differences}


def test_warnings_are_in_the_json_and_on_stderr() -> None:
    call("unpack", "x.mc", "--task", "A", "-o", "a.safetensors")
    outcome = call("pack", "a.safetensors", "-o", "y.mc", "--bits", "4", "--json")
    assert outcome.code == 0
    (warning,) = json.loads(outcome.out)["warnings"]
    assert "'lost'" in warning
    assert outcome.err == f"mcodec: warning: {warning}\n"
