"""`mcodec report` as people type it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

import mcodec
from support import cases
from support.command import call, leftovers

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a file of two fused tasks."""
    monkeypatch.chdir(tmp_path)
    mcodec.pack({"A": cases.network(1), "B": cases.network(2)}, "x.mc", bits=[8, 7], jobs=1)
    return tmp_path


def test_the_page_is_named_by_the_file() -> None:
    outcome = call("report")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("x.html: ")
    assert outcome.out.endswith(", on 2 tasks and 16 tensors of x.mc\n")
    assert os.path.getsize("x.html") > 10_000


def test_output_and_quiet(here: Path) -> None:
    outcome = call("report", "x.mc", "-o", "page.htm", "--quiet")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    assert sorted(os.listdir(here)) == ["page.htm", "x.mc"]


def test_json_has_all_figures_and_writes_a_page_only_if_asked(here: Path) -> None:
    outcome = call("report", "x.mc", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    assert os.listdir(here) == ["x.mc"]
    found = json.loads(outcome.out)
    assert found == mcodec.report("x.mc").to_json()
    assert set(found) == {
        *("file", "file_bytes", "layout", "written_by", "source_bytes", "parts", "streams"),
        *("exact_tensors", "lossy_tensors", "not_finite_tensors", "max_abs_error", "sqnr_db"),
        *("tasks", "codecs", "tensors", "histogram", "pairs"),
    }
    assert sum(found["parts"].values()) == found["file_bytes"] == os.path.getsize("x.mc")
    listed = json.loads(call("ls", "x.mc", "--json").out)
    for task, row in zip(found["tasks"], listed["tasks"], strict=True):
        assert {key: task[key] for key in row} == row
    assert len(found["pairs"]) > 0
    assert json.loads(call("report", "x.mc", "--json", "-o", "x.html").out) == found
    assert os.path.exists("x.html")


def test_bad_input(here: Path) -> None:
    call("report", "none.mc").assert_fails(5, "none.mc")
    call("report", "x.mc", "-o", "x.mc").assert_fails(2, "x.mc")
    call("report", "x.mc", "-o", "").assert_fails(2, "output")
    call("report", "x.mc", "-o", "no/x.html").assert_fails(5, "no/x.html")
    call("report", "x.mc", "-o", ".").assert_fails(5)
    call("report", "x.mc", "--max-decoded", "1k").assert_fails(3, "--max-decoded")
    (here / "notes.txt").write_text("not a model\n" * 20)
    call("report", "notes.txt").assert_fails(3, "not an .mc file")
    assert not (here / "notes.html").exists()
    assert leftovers(here) == []
