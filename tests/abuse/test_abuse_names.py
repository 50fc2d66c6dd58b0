"""Names of tasks and tensors that are long, hostile or not there; tasks that are not chosen."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest

import mcodec
from support.command import call

if TYPE_CHECKING:
    from pathlib import Path

    from abuse.conftest import Models

# name -> how it is shown
HOSTILE: Final = {
    "two\nlines": "two\\nlines",
    "\x1b[31mred\x1b[0m": "\\x1b[31mred\\x1b[0m",
    "\x1b]0;title\x07": "\\x1b]0;title\\x07",
    "right\u202eto left": "right\\u202eto left",
    "tab\tbell\x07back\x08": "tab\\tbell\\x07back\\x08",
    "nul\0": "nul\\x00",
    "next\x85line": "next\\x85line",
}
VECTOR: Final = np.ones(3, np.float32)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", HOSTILE, ids=repr)
def test_hostile_names_are_shown_escaped(name: str, here: Path) -> None:
    shown = HOSTILE[name]
    mcodec.pack({name: {name: VECTOR}, "other": {name: VECTOR * 2}}, here / "x.mc")
    for verb in (("ls",), ("info",), ("verify", "--deep")):
        outcome = call(*verb, "x.mc")
        assert (outcome.code, outcome.err) == (0, "")
        assert all(line.isprintable() for line in outcome.out.splitlines())
    assert shown in call("ls", "x.mc").out
    assert f"task {shown}: " in call("info", "x.mc").out
    assert json.loads(call("ls", "x.mc", "--json").out)["tasks"][0]["name"] == name
    assert json.loads(call("info", "x.mc", "--json").out)["tasks"][0]["entries"][0]["name"] == name
    call("unpack", "x.mc").assert_fails(2, "choose one", "'other'")
    call("unpack", "x.mc", "--task", "nosuch").assert_fails(2, "no task 'nosuch'", "'other'")
    call("unpack", "x.mc", "--task", name).assert_fails(2, "file name", "-o")
    outcome = call("unpack", "x.mc", "--task", name, "-o", "out.safetensors")
    assert outcome.code == 0
    assert f"task {shown}, 1 tensor, " in outcome.out
    assert sorted(os.listdir(here)) == ["out.safetensors", "x.mc"]


def test_names_with_slashes(here: Path) -> None:
    mcodec.pack({"family/../B": {"x": VECTOR}}, here / "x.mc")
    assert "family/../B" in call("ls", "x.mc").out
    call("unpack", "x.mc").assert_fails(2, "'family/../B' cannot be part of a file name", "-o")
    assert call("unpack", "x.mc", "-o", "out.safetensors").code == 0
    assert sorted(os.listdir(here)) == ["out.safetensors", "x.mc"]


def test_names_of_the_longest_kind(here: Path) -> None:
    name = "x" * 4000 + "tail"
    mcodec.pack({name: {name: VECTOR}}, here / "x.mc")
    for verb in ("ls", "info"):
        out = call(verb, "x.mc").out
        assert max(map(len, out.splitlines())) < 250
        assert "xxx…xxx" in out
        assert "tail" in out
    outcome = call("unpack", "x.mc")
    outcome.assert_fails(2, "cannot be part of a file name")
    assert len(outcome.err) < 200
    call("pack", f"{name}{name}=x.mc", "-o", "y.mc").assert_fails(2, "over 4096 bytes")


def test_many_tasks_are_not_all_listed_in_an_error(here: Path) -> None:
    mcodec.pack({f"task{i}": {"x": VECTOR} for i in range(60)}, here / "x.mc")
    outcome = call("unpack", "x.mc", "--task", "nosuch")
    outcome.assert_fails(2, "'task0', 'task1'", "'task19' and 40 more", "mcodec ls")


def test_which_task(models: Models, here: Path) -> None:
    fused, single = models.fused, models.lossless
    for verb in (("unpack", fused), ("unpack", fused, "-o", "x.h5")):
        call(*verb).assert_fails(2, "the file holds several tasks; choose one: 'A', 'B'")
        call(*verb, "--task", "C").assert_fails(2, "no task 'C'; the file holds: 'A', 'B'")
        call(*verb, "--task", "a").assert_fails(2, "no task 'a'")
        call(*verb, "--task", "").assert_fails(2, "no task ''")
    call("info", fused, "--task", "C").assert_fails(2, "'A', 'B'")
    call("verify", fused, "--against", f"C={models.a}").assert_fails(2, "'A', 'B'")
    assert not os.listdir(here)
    assert call("unpack", single).code == 0
    assert os.listdir(here) == ["lossless.A.safetensors"]


def test_which_file(models: Models, here: Path) -> None:
    for verb in (("ls",), ("info",), ("verify",), ("unpack",)):
        call(*verb).assert_fails(2, "no .mc file in this folder")
    (here / "only.mc").write_bytes(models.lossless.read_bytes())
    for given in ("ls", "info", "verify", "unpack"):
        assert call(given).code == 0
    assert call("unpack", "--task", "A").code == 0
    assert sorted(os.listdir(here)) == ["only.A.safetensors", "only.mc"]
    (here / "second.mc").write_bytes(models.fused.read_bytes())
    for verb in (("ls",), ("info",), ("verify",), ("unpack",)):
        call(*verb).assert_fails(2, "2 .mc files", "only.mc, second.mc")


def test_two_tasks_of_one_name(models: Models, here: Path) -> None:
    a, b = models.a, models.b
    call("pack", f"X={a}", f"X={b}", "-o", "x.mc").assert_fails(2, "two tasks are named 'X'")
    call("pack", f"B={a}", b, "-o", "x.mc").assert_fails(2, "two tasks are named 'B'")
    against = ("--against", f"A={a}", "--against", f"A={b}")
    call("verify", models.fused, *against).assert_fails(2, "two tasks are named 'A'")
    assert not os.listdir(here)
    # one model under two names is no mistake
    assert call("pack", a, a, "-o", "x.mc").code == 0


def test_names_that_are_not_unicode(models: Models, here: Path) -> None:
    call("pack", f"\udcff={models.a}", "-o", "x.mc").assert_fails(2, "not Unicode")
    call("unpack", models.fused, "--task", "\udcff").assert_fails(2, "no task")
    assert call("pack", models.a, "-o", "\udcff.mc").code == 0
    assert call("ls", "\udcff.mc").code == 0
    assert json.loads(call("verify", "\udcff.mc", "--json").out)["file"] == "\udcff.mc"
    call("ls", "\udcfe.mc").assert_fails(5, "\\udcfe.mc: no such file")
    assert os.listdir(here) == ["\udcff.mc"]
