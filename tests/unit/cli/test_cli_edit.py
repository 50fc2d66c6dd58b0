"""`mcodec add`, `rm`, `replace` and `rename`: forms that people type, JSON, completion."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import mcodec
from support import cases
from support.command import call, run

if TYPE_CHECKING:
    from pathlib import Path

KEYS = {"file", "file_bytes", "bytes_before", "layout", "added", "removed", "renamed"}
KEYS |= {"hidden_bytes", "aliases", "tasks", "warnings", "choices"}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a file of two tasks, and a model."""
    monkeypatch.chdir(tmp_path)
    mcodec.pack({"base": cases.network(1), "v1": cases.network(2)}, "x.mc", jobs=1)
    save_file(cases.network(1), "base.safetensors")
    save_file(cases.network(3), "new.safetensors")
    return tmp_path


def _json(*arguments: str) -> Any:
    outcome = call(*arguments, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    return json.loads(outcome.out)


def test_json() -> None:
    size = os.path.getsize("x.mc")
    found = _json("add", "x.mc", "v2=base.safetensors", "--meta", "v2.epochs=3")
    assert set(found) == KEYS
    assert (found["file"], found["layout"]) == ("x.mc", "task")
    assert (found["bytes_before"], found["file_bytes"]) == (size, os.path.getsize("x.mc"))
    assert (found["added"], found["removed"], found["renamed"]) == (["v2"], [], {})
    assert found["aliases"] == 8
    assert found["tasks"] == json.loads(call("ls", "x.mc", "--json").out)["tasks"]
    assert found["tasks"][2]["meta"] == {"epochs": "3"}
    assert {choice["codec"] for choice in found["choices"]} == {"alias"}
    found = _json("replace", "x.mc", "base=new.safetensors", "-o", "y.mc")
    assert (found["file"], found["added"], found["removed"]) == ("y.mc", ["base"], ["base"])
    found = _json("rm", "y.mc", "base", "v2")
    assert (found["added"], found["removed"]) == ([], ["base", "v2"])
    assert [task["name"] for task in found["tasks"]] == ["v1"]
    found = _json("rename", "y.mc", "v1=only")
    assert found["renamed"] == {"v1": "only"}
    assert set(found) == KEYS


def test_quiet_and_warnings() -> None:
    bad = {"w": np.full((130, 130), np.nan, np.float32)}
    save_file(bad, "nan.safetensors")
    outcome = call("add", "x.mc", "bad=nan.safetensors", "--bits", "8", "--quiet")
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err.startswith("mcodec: warning: task 'bad': tensor 'w' is stored lossless")
    for arguments in (
        ("rm", "x.mc", "bad"),
        ("rename", "x.mc", "v1=v"),
        ("replace", "x.mc", "v=new.safetensors"),
    ):
        outcome = call(*arguments, "-q")
        assert (outcome.code, outcome.out, outcome.err) == (0, "", "")


def test_options_reach_the_library() -> None:
    call("add", "x.mc", "a=new.safetensors", "--bits", "7", "--rounding", "truncate")
    call("add", "x.mc", "b=new.safetensors", "--codec", "bfp(bits=6)", "--jobs", "2")
    with mcodec.open("x.mc") as file:
        found = [file.task(name).codec("body/kernel").config() for name in "ab"]  # type: ignore[attr-defined]
    assert (found[0]["bits"], found[0]["rounding"]) == (7, "truncate")
    assert (found[1]["bits"], found[1]["rounding"]) == (6, "nearest")
    assert call("add", "x.mc", "c=new.safetensors", "--bits", "c=5").code == 0


def test_names_that_hold_an_equals_sign() -> None:
    mcodec.rename("x.mc", {"base": "a=b", "v1": "a"})
    assert call("rename", "x.mc", "a=b=c", "a=d").code == 0
    with mcodec.open("x.mc") as file:
        assert file.tasks == ("c", "d")
    assert call("rename", "x.mc", "c=x=y").code == 0
    with mcodec.open("x.mc") as file:
        assert file.tasks == ("x=y", "d")


def test_what_is_typed_wrongly() -> None:
    before = (os.listdir(), os.path.getsize("x.mc"))
    call("add", "x.mc").assert_fails(2, "missing argument 'NAME=PATH'", "mcodec add --help")
    call("rm", "x.mc").assert_fails(2, "missing argument 'NAME...'")
    call("rename", "x.mc").assert_fails(2, "missing argument 'OLD=NEW...'")
    call("add", "x.mc", "new.safetensors").assert_fails(2, "NAME=PATH", "called")
    call("add", "x.mc", "=new.safetensors").assert_fails(2, "[NAME=]PATH")
    call("add", "x.mc", "a=").assert_fails(2, "[NAME=]PATH")
    call("add", "x.mc", "a=nosuch").assert_fails(5, "nosuch: no such file")
    call("add", "x.mc", "base=new.safetensors").assert_fails(2, "task 'base': replace it")
    call("replace", "x.mc", "a=new.safetensors").assert_fails(2, "no task 'a'", "'base', 'v1'")
    call("add", "x.mc", "a=new.safetensors", "--bits", "9,9").assert_fails(2, "bits for 2 tasks")
    call("add", "x.mc", "a=new.safetensors", "--meta", "k=v").assert_fails(2, "TASK.key=value")
    call("add", "x.mc", "a=new.safetensors", "--key", "k").assert_fails(2, "key")
    call("add", "x.mc", "a=new.safetensors", "--plan", "no.toml").assert_fails(5, "no.toml")
    call("add", "x.mc", "a=x.mc").assert_fails(2, "x.mc is an input")
    call("add", "x.mc", "a=x.mc", "-o", "y.mc").assert_fails(3, "unpack a task")
    call("rename", "x.mc", "base").assert_fails(2, "OLD=NEW")
    call("rename", "x.mc", "base=").assert_fails(2, "OLD=NEW")
    call("rename", "x.mc", "base=v1").assert_fails(2, "two tasks are named 'v1'")
    call("rename", "x.mc", "base=a", "base=b").assert_fails(2, "two names")
    assert (os.listdir(), os.path.getsize("x.mc")) == before


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("mcodec rm x.mc ", ["base", "v1"]),
        ("mcodec rm x.mc base v", ["v1"]),
        ("mcodec replace x.mc b", ["base="]),
        ("mcodec rename x.mc ", ["base=", "v1="]),
        ("mcodec rename nosuch.mc ", []),
    ],
)
def test_task_names_are_completed(line: str, expected: list[str], here: Path) -> None:
    env = {
        "_MCODEC_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(line.count(" ")),
    }
    outcome = run(env=env, cwd=here)
    assert outcome.err == ""
    assert outcome.out.split() == [f"plain,{name}" for name in expected]
