"""`mcodec sweep`: tables, files, and what is said before the work starts."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from safetensors.numpy import save_file

from support.command import TIMEOUT, call, leftovers

if TYPE_CHECKING:
    from pathlib import Path

SCORE = """
import time

def total(weights, task):
    print("not for stdout")
    return {"total": round(float(abs(weights["conv.weight"]).sum()), 3), "n": len(weights)}

def nothing(weights, task):
    pass

def slow(weights, task):
    time.sleep(0.2)
    return 1
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, seed in (("a", 1), ("b", 2)):
        values = np.random.default_rng(seed).normal(0, 0.1, (20, 30)).astype(np.float32)
        save_file({"conv.weight": values, "conv.bias": values[0]}, tmp_path / f"{name}.safetensors")
    (tmp_path / "score.py").write_text(SCORE)
    return tmp_path


ARGUMENTS = ("--evaluate", "score.py:total", "-o", "s.json")


def test_tables() -> None:
    done = call("sweep", "a.safetensors", "x=b.safetensors", *ARGUMENTS, "--keep", "32:8:-8")
    assert done.code == 0, done
    assert "not for stdout" not in done.out
    lines = done.out.splitlines()
    heads = "{0}: total drop max error SQNR, dB"
    assert " ".join(lines[0].split()) == f"bits kept {heads.format('A')} {heads.format('x')}"
    assert [line.split()[0] for line in lines[2:7]] == ["exact", "32", "24", "16", "8"]
    assert lines[7].startswith("A: the last setting without loss of total is ")
    assert lines[9] == "10 cells, 8 measured now"
    again = call("sweep", "a.safetensors", "x=b.safetensors", *ARGUMENTS, "--keep", "32:8:-8")
    assert again.out.splitlines()[9] == "10 cells, 0 measured now"
    assert again.out.splitlines()[:9] == lines[:9]
    quiet = call("sweep", "a.safetensors", "x=b.safetensors", *ARGUMENTS, "--keep", "16", "-q")
    assert (quiet.code, quiet.out) == (0, "")


def test_layers_and_json(folder: Path) -> None:
    options = ("--bits", "8,2", "--per-layer", "--unit", "%", "--scope", "axis:0")
    done = call("sweep", "a.safetensors", *ARGUMENTS, *options, "--csv", "s.csv")
    assert done.code == 0, done
    assert "A: total, %" in done.out
    assert "A: layer" in done.out
    found = json.loads(call("sweep", "a.safetensors", *ARGUMENTS, *options, "--json").out)
    assert (found["mode"], found["settings"], found["measured"]) == ("bits", [8, 2], 0)
    assert [layer["name"] for layer in found["tasks"][0]["layers"]] == ["conv"]
    assert len(found["cells"]) == 5
    head = "task,layer,bits,measure,value,drop,max_error,sqnr_db,seconds\n"
    assert (folder / "s.csv").read_text().startswith(head)


def test_plots(folder: Path) -> None:
    pytest.importorskip("matplotlib")
    names = ("s.png", "s.svg")
    plots = [word for name in names for word in ("--plot", name)]
    options = ("--keep", "32:4:-4", "--per-layer", *plots)
    assert call("sweep", "a.safetensors", "b.safetensors", *ARGUMENTS, *options).code == 0
    png, svg = ((folder / name).read_bytes() for name in names)
    assert png.startswith(b"\x89PNG")
    assert svg.startswith(b"<?xml")
    assert b"matplotlib" in svg
    assert call("sweep", "a.safetensors", "b.safetensors", *ARGUMENTS, *options).code == 0
    assert svg == (folder / "s.svg").read_bytes()
    assert not leftovers(folder)


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name, *rest: None if name == "matplotlib" else find(name, *rest),
    )
    done = call("sweep", "a.safetensors", *ARGUMENTS, "--keep", "8", "--plot", "s.png")
    done.assert_fails(4, "pip install 'mcodec[plot]'")
    assert not (folder / "s.json").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--keep", "8"], 2, "--evaluate FILE.py:FUNCTION"),
        (["--evaluate", "score.py:total"], 2, "either --keep"),
        (["--evaluate", "score.py:total", "--keep", "8", "--bits", "8"], 2, "either --keep"),
        (["--evaluate", "score.py:total", "--keep", "8:2:2"], 2, "never comes from 8 to 2"),
        (["--evaluate", "score.py:total", "--keep", "abc"], 2, "is not of the form"),
        (["--evaluate", "score.py:total", "--keep", "8", "--jobs", "0"], 2, "--jobs"),
        (["--evaluate", "score.py:total", "--keep", "8", "--plot", "s.jpg"], 2, "a .png or an"),
        (["--evaluate", "score.py:total", "--keep", "8", "--csv", "s.json"], 2, "twice"),
        (["--evaluate", "score.py:total", "--keep", "8", "--csv", "no/s.csv"], 5, "no/s.csv"),
        (["--evaluate", "score.py:total", "--keep", "8", "--csv", "a.safetensors"], 2, "an input"),
        (["--evaluate", "score.py:totals", "--keep", "8"], 2, "functions of the file: total"),
        (["--evaluate", "none.py:total", "--keep", "8"], 5, "none.py: no such file"),
        (["--evaluate", "score.py:nothing", "--keep", "8"], 2, "returns nothing"),
        (["--evaluate", "B=score.py:total", "--keep", "8"], 2, "for task 'B'"),
        (["--evaluate", "score.py:total", "--bits", "8", "--scope", "axis:7"], 2, "axis"),
    ],
)
def test_what_cannot_be(arguments: list[str], code: int, words: str, folder: Path) -> None:
    before = {path.name for path in folder.iterdir()}
    call("sweep", "a.safetensors", "-o", "s.json", *arguments).assert_fails(code, words)
    after = {path.name for path in folder.iterdir()} - {"s.json"}
    assert after == before


def test_a_folder_that_may_not_be_written_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # tests may run as root
    done = call("sweep", "a.safetensors", *ARGUMENTS, "--keep", "8")
    done.assert_fails(5, "s.json: its folder may not be written to")
    assert not (folder / "s.json").exists()


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupt_keeps_what_is_done(jobs: int, folder: Path) -> None:
    # A shell in the background would have had SIGINT ignored from the start.
    reset = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
    reset += "from mcodec.cli.app import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", reset, "sweep", "a.safetensors", "--evaluate", "score.py:slow"]
    running = subprocess.Popen(
        [*command, "--keep", "31:2", "-o", "s.json", "--jobs", str(jobs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    deadline = time.monotonic() + TIMEOUT
    # Workers end in any order: what the file has to have is the model as it is, and one more.
    while None not in (found := settings(folder)) or len(found) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to the workers too
    out, err = running.communicate(timeout=TIMEOUT)
    assert (running.returncode, out, err) == (130, b"", b"mcodec: interrupted\n")
    kept = settings(folder)
    assert 2 <= len(kept) < 31
    while is_alive(running.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(running.pid)
    more = ("--keep", str(max(filter(None, kept))), "-o", "s.json")
    assert call("sweep", "a.safetensors", "--evaluate", "score.py:slow", *more).code == 0
    assert settings(folder) == kept


def is_alive(group: int) -> bool:
    """Tell whether any process of a group is there."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def settings(folder: Path) -> list[int | None]:
    """Return the settings of the cells that are in the file so far."""
    try:
        return [cell["setting"] for cell in json.loads((folder / "s.json").read_text())["cells"]]
    except FileNotFoundError:
        return []
