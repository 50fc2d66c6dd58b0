"""``--partial``: what verbs do with a progressive file that is cut off, and say of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import mcodec
from support import cases
from support.command import Outcome, call
from support.rangeserver import RangeServer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

VERBS = [["ls"], ["info"], ["unpack", "--task", "A", "-o", "a.npz"]]


def model(seed: int) -> dict[str, Any]:
    return {
        "kernel": cases.weights("float32", (200, 100), seed),
        "half": cases.weights("float16", (200, 100), seed),
        "bias": cases.weights("float32", (100,), seed),
        "step": np.arange(4),
    }


def cut(path: Path, planes: int) -> bytes:
    """Return a file with so many planes, and some bytes of the next one."""
    with mcodec.open(path) as file:
        reader = file.reader
        end = min(
            row.offset
            for run, spec in enumerate(reader.runs)
            for block in range(-1, spec.blocks)
            for row in reader.rows(run, block)
            if row.stored and reader.specs(run, block, row.mode)[row.first].level == planes + 1
        )
    return path.read_bytes()[: end + 3]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with ``whole.mc`` and ``cut.mc``, of two fused tasks; 6 planes are left."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate("AB"):
        save_file(model(seed), f"{name}.safetensors")
    sources = {name: f"{name}.safetensors" for name in "AB"}
    mcodec.pack(sources, "whole.mc", bits=[12, 11], layout="progressive")
    (tmp_path / "cut.mc").write_bytes(cut(tmp_path / "whole.mc", 6))
    return tmp_path


def lines(*arguments: object) -> list[str]:
    outcome = call(*arguments)
    assert (outcome.code, outcome.err) == (0, "")
    return outcome.out.splitlines()


def from_json(*arguments: object) -> Any:
    return json.loads("\n".join(lines(*arguments, "--json")))


def column(table: Sequence[str], name: str, width: int) -> dict[str, str]:
    """Return one column of a table by its first column."""
    at = table[0].index(name) + len(name)
    return {row.split()[0]: row[at - width : at].strip() for row in table[1:]}


def test_ls(here: Path) -> None:
    found = lines("ls", "cut.mc", "--partial")
    assert column(found[:3], "planes", 8) == {"A": "6 of 12", "B": "6 of 11"}
    assert found[3].endswith(" when whole, layout progressive")
    assert found[4:] == [
        "cut off: 6 of 12 planes are there (bfp 6 of 11, float 6 of 23); "
        "floats decode with less precision"
    ]
    listed = from_json("ls", "cut.mc", "--partial")
    assert listed["levels"] == [6, 12]
    assert [task["levels"] for task in listed["tasks"]] == [[6, 12], [6, 11]]
    assert listed["file_bytes"] == (here / "whole.mc").stat().st_size


def test_info(here: Path) -> None:
    found = lines("info", "cut.mc", "--partial", "--task", "B")
    assert column(found[1:6], "planes", 8) == {
        "kernel": "6 of 11",
        "half": "6 of 11",
        "bias": "6 of 23",
        "step": "all",
    }
    words = "cut off: 6 of 11 planes are there (float 6 of 23); floats decode with less precision"
    assert found[-1] == words
    listed = from_json("info", "cut.mc", "--partial")
    assert listed["levels"] == [6, 12]
    levels = {one["name"]: one["levels"] for one in listed["tasks"][0]["entries"]}
    assert levels == {"kernel": [6, 12], "half": [6, 12], "bias": [6, 23], "step": [0, 0]}


@pytest.mark.parametrize(
    ("options", "planes", "midpoint"),
    [
        ([], 6, None),
        (["--midpoint"], 6, True),
        (["--planes", "9"], 6, None),
        (["--planes", "3"], 3, None),
    ],
    ids=str,
)
def test_unpack(here: Path, options: list[str], planes: int, midpoint: bool | None) -> None:
    arguments = ["unpack", "cut.mc", "--partial", "--task", "A", "-o", "a.safetensors", *options]
    found = lines(*arguments)
    assert found[0].startswith("a.safetensors: task A, 4 tensors, ")
    assert found[0].endswith(", derived")
    words = "cut off: 6 of 12 planes are there (float 6 of 23); floats decode with less precision"
    assert found[1:] == [words]
    with mcodec.open("whole.mc") as file:
        expected = file.task("A", planes=planes, midpoint=midpoint)
        cases.assert_same_model(dict(load_file("a.safetensors")), dict(expected))
    report = from_json(*arguments)
    assert (report["exact"], report["levels"]) == (False, [6, 12])
    assert not lines(*arguments, "--quiet")


def test_every_plane_may_be_there_of_some(here: Path) -> None:
    (here / "more.mc").write_bytes(cut(here / "whole.mc", 15))
    found = lines("ls", "more.mc", "--partial")
    assert column(found[:3], "planes", 8) == {"A": "all", "B": "all"}
    words = "cut off: 12 of 12 planes are there (bfp 11 of 11, float 15 of 23); "
    assert found[-1] == words + "floats decode with less precision"
    assert from_json("ls", "more.mc", "--partial")["levels"] == [12, 12]


def test_lossless_floats_alone(here: Path) -> None:
    mcodec.pack("A.safetensors", "one.mc", layout="progressive")
    (here / "one.cut.mc").write_bytes(cut(here / "one.mc", 8))
    kinds = "cut off: 8 of 23 planes are there (float 8 of 10); floats decode with less precision"
    assert lines("ls", "one.cut.mc", "--partial")[-1] == kinds
    (here / "zero.mc").write_bytes(cut(here / "one.mc", 0))
    assert "0 of 23 planes" in lines("unpack", "zero.mc", "--partial", "-o", "z.npz")[-1]


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_a_whole_file_is_as_it_was(here: Path, verb: list[str]) -> None:
    plain = lines(verb[0], "whole.mc", *verb[1:])
    assert lines(verb[0], "whole.mc", "--partial", *verb[1:]) == plain
    assert not any("planes" in line or "cut off" in line for line in plain)
    found = from_json(verb[0], "whole.mc", "--partial", *verb[1:])
    assert found["levels"] is None
    assert all("levels" not in task for task in found.get("tasks", ()) if verb[0] != "unpack")


def refused(verb: list[str], name: str, *options: str) -> Outcome:
    outcome = call(verb[0], name, *options, *verb[1:])
    outcome.assert_fails(3, f"{name}: ", "cut off")
    return outcome


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_without_the_flag_the_error_names_it(here: Path, verb: list[str]) -> None:
    size, there = (here / "whole.mc").stat().st_size, (here / "cut.mc").stat().st_size
    message = f"the file is cut off: {there} of {size} bytes; --partial opens what is there"
    assert refused(verb, "cut.mc").err == f"mcodec: cut.mc: {message}\n"
    assert not (here / "a.npz").exists()


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_what_the_flag_does_not_open(here: Path, verb: list[str]) -> None:
    with mcodec.open("whole.mc") as file:
        end = file.reader.header.front_offset + file.reader.header.front_length
        rows = [file.reader.rows(run, 0)[0] for run in range(len(file.reader.runs))]
    data = (here / "whole.mc").read_bytes()
    last = max(row.offset + row.stored for row in rows)
    for size in (63, 100, end - 1, end, last - 1):  # the front, and level 0
        (here / "short.mc").write_bytes(data[:size])
        for options in ([], ["--partial"]):
            outcome = call(verb[0], "short.mc", *options, *verb[1:])
            outcome.assert_fails(3, "short.mc: ")
            assert "--partial" not in outcome.err
    mcodec.pack("A.safetensors", "task.mc", bits=8)
    (here / "task.cut.mc").write_bytes((here / "task.mc").read_bytes()[:-1])
    for options in ([], ["--partial"]):
        assert "--partial" not in refused(verb, "task.cut.mc", *options).err


@pytest.mark.parametrize("option", ["--dither", "--integers"])
def test_what_takes_all_planes(here: Path, option: str) -> None:
    mcodec.pack("A.safetensors", "int8.mc", codec="int8", layout="progressive")
    (here / "int8.cut.mc").write_bytes(cut(here / "int8.mc", 3))
    name, task = ("cut.mc", "A") if option == "--dither" else ("int8.cut.mc", "A")
    outcome = call("unpack", name, "--partial", "--task", task, "-o", "x.npz", option)
    assert outcome.code in (2, 3)
    assert "all planes, and the file is cut off" in outcome.err or "need all planes" in outcome.err
    assert not (here / "x.npz").exists()


def test_verify_refuses_it(here: Path) -> None:
    outcome = call("verify", "cut.mc")
    outcome.assert_fails(3, "the file is cut off")
    assert "--partial" not in outcome.err


def test_from_afar(here: Path) -> None:
    pytest.importorskip("aiohttp")
    with RangeServer() as server:
        url = server.put("/cut.mc", (here / "cut.mc").read_bytes())
        refused(["ls"], url)
        assert lines("ls", url, "--partial") == lines("ls", "cut.mc", "--partial")
        server.seen.clear()
        lines("unpack", url, "--partial", "--task", "B", "-o", "far.safetensors")
        assert len(server.seen) <= 20
        assert server.sent <= 64 * 1024 + (here / "cut.mc").stat().st_size
    lines("unpack", "cut.mc", "--partial", "--task", "B", "-o", "near.safetensors")
    far, near = (here / f"{name}.safetensors" for name in ("far", "near"))
    assert far.read_bytes() == near.read_bytes()
