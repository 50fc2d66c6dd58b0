"""Every verb on what is no .mc file, or may not be read: the right exit code and one line."""

from __future__ import annotations

import ctypes
import os
import subprocess
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest

from support.command import call, run

if TYPE_CHECKING:
    from pathlib import Path

    from abuse.conftest import Models

# verb -> what follows the file
READERS: Final = {
    "ls": (),
    "info": (),
    "verify": (),
    "unpack": ("-o", "out.h5"),
    "relayout": ("-o", "out.mc", "--layout", "task"),
}
NOT_FILES: Final = {
    "empty": b"",
    "one byte": b"\x89",
    "text": b"weights are in the other folder\n",
    "random": np.random.default_rng(3).bytes(5000),
    "magic only": b"\x89MCD\r\n\x1a\n",
    "zip": b"PK\x03\x04" + bytes(100),
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("verb", READERS)
@pytest.mark.parametrize("what", NOT_FILES)
def test_a_file_that_is_none_is_refused(verb: str, what: str, here: Path) -> None:
    (here / "x.mc").write_bytes(NOT_FILES[what])
    call(verb, "x.mc", *READERS[verb]).assert_fails(3, "x.mc: ")
    assert os.listdir(here) == ["x.mc"]


@pytest.mark.parametrize("verb", READERS)
def test_a_model_file_is_not_taken_for_a_packed_one(verb: str, models: Models, here: Path) -> None:
    call(verb, models.a, *READERS[verb]).assert_fails(3, "a.h5: not an .mc file")
    assert not os.listdir(here)


@pytest.mark.parametrize("verb", READERS)
def test_missing_files_folders_pipes_and_devices_are_input_errors(verb: str, here: Path) -> None:
    (here / "folder").mkdir()
    os.mkfifo(here / "pipe")
    call(verb, "nosuch.mc", *READERS[verb]).assert_fails(5, "nosuch.mc: no such file")
    call(verb, "folder", *READERS[verb]).assert_fails(5, "folder: is a directory")
    call(verb, "pipe", *READERS[verb]).assert_fails(5, "pipe: not a regular file")
    call(verb, "/dev/null", *READERS[verb]).assert_fails(5, "/dev/null: not a regular file")
    call(verb, "x/" * 3000, *READERS[verb]).assert_fails(5, "too long")
    call(verb, "", *READERS[verb]).assert_fails(2, "empty")


@pytest.mark.parametrize("what", NOT_FILES)
def test_a_file_that_is_no_model_is_not_packed(what: str, here: Path) -> None:
    (here / "x").write_bytes(NOT_FILES[what])
    call("pack", "x", "-o", "out.mc").assert_fails(3, "x")
    # its name does not make it one
    for suffix in ("h5", "safetensors"):
        os.rename("x", f"x.{suffix}")
        call("pack", f"x.{suffix}", "-o", "out.mc").assert_fails(3, "x")
        os.rename(f"x.{suffix}", "x")
    assert os.listdir(here) == ["x"]


def test_sources_that_are_not_there(models: Models, here: Path) -> None:
    os.mkfifo(here / "pipe")
    call("pack", "nosuch.h5", "-o", "out.mc").assert_fails(5, "nosuch.h5: no such file")
    call("pack", models.a, "nosuch.h5", "-o", "out.mc").assert_fails(5, "nosuch.h5")
    call("pack", here, "-o", "out.mc").assert_fails(3, "no model that mcodec reads")
    call("pack", "pipe", "-o", "out.mc").assert_fails(5, "not a regular file")
    call("pack", models.fused, "-o", "out.mc").assert_fails(3, "unpack a task of it first")
    call("verify", models.fused, "--against", "nosuch.h5").assert_fails(5, "nosuch.h5")
    call("verify", models.fused, "--against", models.fused).assert_fails(3, "no source")
    assert os.listdir(here) == ["pipe"]


def test_a_file_that_may_not_be_read(models: Models, here: Path) -> None:
    for source, verbs in (
        (models.lossless, READERS.items()),
        (models.flat, [("pack", ("-o", "out.mc"))]),
    ):
        locked = here / source.name
        locked.write_bytes(source.read_bytes())
        locked.chmod(0)
        for verb, options in verbs:
            outcome = run(verb, locked, *options, **_bound_by_permissions())
            outcome.assert_fails(5, f"{locked}: permission denied")


def test_an_output_folder_that_is_read_only(models: Models, here: Path) -> None:
    folder = here / "locked"
    folder.mkdir()
    (folder / "old.mc").write_bytes(b"old")
    folder.chmod(0o555)
    for verb in (
        ("pack", models.flat, "-o", folder / "old.mc"),
        ("unpack", models.lossless, "-o", folder / "new.safetensors"),
        ("unpack", models.lossless, "-o", folder / "new.h5"),
        ("relayout", models.lossless, "-o", folder / "old.mc", "--layout", "progressive"),
    ):
        outcome = run(*verb, **_bound_by_permissions())
        outcome.assert_fails(5, f"{verb[3]}: permission denied")
    assert (folder / "old.mc").read_bytes() == b"old"
    assert os.listdir(folder) == ["old.mc"]
    folder.chmod(0o755)


def _bound_by_permissions() -> dict[str, Any]:
    """Return options for a process that permissions bind, even if the tests run as root."""
    if os.geteuid() != 0:
        return {}
    libc = ctypes.CDLL(None, use_errno=True)
    drop_from_bounding_set, override, read_search = 24, 1, 2  # of <linux/prctl.h>, capability.h

    def give_up_root() -> None:
        for capability in (override, read_search):
            if libc.prctl(drop_from_bounding_set, capability, 0, 0, 0) != 0:
                raise OSError(ctypes.get_errno(), "prctl")

    options: dict[str, Any] = {"preexec_fn": give_up_root}
    try:
        subprocess.run(["/bin/true"], check=True, **options)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("the tests run as root, and may not give that up")
    return options
