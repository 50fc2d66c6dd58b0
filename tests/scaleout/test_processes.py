"""Packing in processes of this machine, some of which die; and more models than may be open."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

import mcodec
from mcodec.errors import InputOutputError
from support.command import call
from support.scale import DIE, write_family, write_large

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The client dies as if it was killed, when it copies its third part.
KILLED_CLIENT = """
import os, signal, sys
import mcodec
from mcodec.api import partwork
plain, seen = partwork.open_part, []
def open_part(folder, fingerprint, shape):
    seen.append(fingerprint)
    if len(seen) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return plain(folder, fingerprint, shape)
partwork.open_part = open_part
if __name__ == "__main__":
    mcodec.pack([sys.argv[1]], sys.argv[2], engine="processes", jobs=2)
"""
# Two thousand models in a process that may have 256 files open.
MANY = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
from mcodec.cli.app import main
if __name__ == "__main__":
    main(sys.argv[1:])
"""


def pool(count: int = 2, **options: Any) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), **options)


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    with pool() as executor:
        yield executor


@pytest.mark.parametrize(
    "options",
    [{}, {"bits": 12}, {"optimize": "file"}, {"codec": "bfp(bits=6)", "layout": "progressive"}],
    ids=str,
)
def test_an_executor_of_processes_makes_the_same_file(
    processes: Executor, tmp_path: Path, options: dict[str, Any]
) -> None:
    family = write_family(tmp_path)
    mcodec.pack(family, tmp_path / "one.mc", jobs=1, **options)
    mcodec.pack(family, tmp_path / "two.mc", executor=processes, **options)
    assert (tmp_path / "one.mc").read_bytes() == (tmp_path / "two.mc").read_bytes()
    assert not (tmp_path / "two.mc.parts").exists()
    assert processes.submit(os.getpid).result() != os.getpid()  # it is still the caller's


@pytest.mark.parametrize("sandbox", [[], ["--sandbox"]], ids=str)
def test_the_command_packs_in_processes(tmp_path: Path, sandbox: list[str]) -> None:
    family = write_family(tmp_path, 2)
    mcodec.pack(family, tmp_path / "one.mc")
    done = call(
        "pack", *family, "-o", tmp_path / "two.mc", "--engine", "processes", "-j", 2, "-q", *sandbox
    )
    assert (done.code, done.out, done.err) == (0, "", "")
    assert (tmp_path / "one.mc").read_bytes() == (tmp_path / "two.mc").read_bytes()


def test_relative_paths_are_those_of_the_process_that_packs(
    processes: Executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_family(tmp_path, 2)
    monkeypatch.chdir(tmp_path)
    names = ["model-0.safetensors", "model-1.safetensors"]
    mcodec.pack(names, "one.mc")
    mcodec.pack(names, "two.mc", executor=processes, parts="parts")
    assert (tmp_path / "one.mc").read_bytes() == (tmp_path / "two.mc").read_bytes()
    assert not (tmp_path / "parts").exists()


def test_a_process_that_dies_is_one_line_and_its_parts_are_used_again(tmp_path: Path) -> None:
    model, out, folder = write_large(tmp_path), tmp_path / "out.mc", tmp_path / "out.mc.parts"
    mcodec.pack([model], tmp_path / "plain.mc")
    dying = pool(initializer=exec, initargs=(DIE.format(count=4), {}))
    with dying, pytest.raises(InputOutputError, match="run the same command again") as caught:
        mcodec.pack([model], out, executor=dying)
    assert "\n" not in str(caught.value)
    assert not out.exists()
    parts = list(folder.glob("*.part"))
    assert 3 <= len(parts) <= 6
    assert len(list(folder.iterdir())) > len(parts)  # what the process was writing
    old = 1_000_000_000
    for path in parts:
        os.utime(path, (old, old))
    with pool() as executor:
        seen: list[list[float]] = []
        mcodec.pack([model], out, executor=executor, progress=lambda *_: seen.append(_times(parts)))
    assert max(seen[-1]) == old  # none was made again
    assert out.read_bytes() == (tmp_path / "plain.mc").read_bytes()
    assert not folder.exists()


def _times(paths: list[Path]) -> list[float]:
    return [path.stat().st_mtime for path in paths if path.exists()] or [0]


def test_a_killed_client_leaves_parts_for_the_next_one(tmp_path: Path) -> None:
    model, out, folder = write_large(tmp_path), tmp_path / "out.mc", tmp_path / "out.mc.parts"
    script = tmp_path / "killed.py"
    script.write_text(KILLED_CLIENT)
    done = subprocess.run([sys.executable, script, model, out], check=False, timeout=120)
    assert done.returncode == -9
    assert not out.exists()
    assert len(list(folder.glob("*.part"))) >= 3
    call("pack", model, "-o", out, "--engine", "processes", "-j", 2, "-q")
    mcodec.pack([model], tmp_path / "plain.mc")
    assert out.read_bytes() == (tmp_path / "plain.mc").read_bytes()
    assert not folder.exists()


@pytest.mark.parametrize(
    "engine",
    ["threads", pytest.param("processes", marks=pytest.mark.slow)],
)
def test_two_thousand_models_are_not_open_at_once(tmp_path: Path, engine: str) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (small,) = write_family(tmp_path, 1, rows=2)
    paths = [models / f"{number:04}.safetensors" for number in range(2000)]
    for path in paths:
        path.write_bytes(small.read_bytes())
    script, out = tmp_path / "many.py", tmp_path / "many.mc"
    script.write_text(MANY)
    command = [
        sys.executable,
        str(script),
        "pack",
        *map(str, paths),
        "-q",
        "--engine",
        engine,
        "-o",
        str(out),
    ]
    done = subprocess.run(command, check=False, timeout=600, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    with mcodec.open(out) as file:
        assert list(file.tasks)[-1] == "BXX"
        assert file.task("BXX")["count"].tolist() == [0, 1, 2, 3, 4]
