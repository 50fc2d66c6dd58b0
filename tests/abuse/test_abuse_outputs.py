"""Outputs that cannot be: a full disk, a folder, a device, an input. What was there stays."""

from __future__ import annotations

import contextlib
import os
import resource
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest

import mcodec
from support.command import call, leftovers, run
from support.disks import mounted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from abuse.conftest import Models

WRITERS: Final = {
    "pack": ("pack", "big.safetensors", "-o"),
    "pack with bits": ("pack", "big.safetensors", "--bits", "20", "-o"),
    "pack progressive": ("pack", "big.safetensors", "--layout", "progressive", "-o"),
    "unpack to safetensors": ("unpack", "big.mc", "--to", "safetensors", "-o"),
    "unpack to HDF5": ("unpack", "big.mc", "--to", "h5", "-o"),
    "relayout": ("relayout", "big.mc", "--layout", "progressive", "-o"),
}
LIMIT: Final = 200_000


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a model over `LIMIT` bytes, and the file packed from it."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    arrays = {f"w{i}": random.standard_normal((160, 160), np.float32) for i in range(4)}
    mcodec.pack({"A": arrays}, "big.mc")
    mcodec.unpack("big.mc", out="big.safetensors")
    return tmp_path


@pytest.mark.parametrize("verb", WRITERS)
def test_a_disk_that_is_full(verb: str, here: Path) -> None:
    """A limit on the size of files stops each writer in the middle, as a full disk does."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT))

    (here / "out").write_bytes(b"old")
    outcome = run(*WRITERS[verb], "out", preexec_fn=limit)
    outcome.assert_fails(5, "out: ")
    assert ".tmp" not in outcome.err
    assert (here / "out").read_bytes() == b"old"
    assert sorted(os.listdir(here)) == ["big.mc", "big.safetensors", "out"]


@pytest.fixture
def small_disk(here: Path) -> Iterator[Path]:
    """A file system of `LIMIT` bytes, where the tests may mount one."""
    with mounted(here / "disk", LIMIT) as disk:
        yield disk


@pytest.mark.parametrize("verb", WRITERS)
def test_a_file_system_that_is_full(verb: str, small_disk: Path) -> None:
    (small_disk / "out").write_bytes(b"old")
    run(*WRITERS[verb], "disk/out").assert_fails(5, "disk/out: no space left on device")
    assert os.listdir(small_disk) == ["out"]
    assert (small_disk / "out").read_bytes() == b"old"


@pytest.mark.parametrize("verb", WRITERS)
def test_outputs_that_cannot_be(verb: str, here: Path) -> None:
    (here / "folder").mkdir()
    os.mkfifo(here / "pipe")
    os.symlink("folder", here / "link")
    os.symlink("loop", here / "loop")
    call(*WRITERS[verb], "folder").assert_fails(5, "folder: is a directory")
    call(*WRITERS[verb], "link").assert_fails(5, "link: is a directory")
    call(*WRITERS[verb], "loop").assert_fails(5, "loop: too many levels of symbolic links")
    call(*WRITERS[verb], "pipe").assert_fails(5, "pipe: not a regular file")
    call(*WRITERS[verb], "/dev/null").assert_fails(5, "/dev/null: not a regular file")
    call(*WRITERS[verb], "/dev/full").assert_fails(5, "/dev/full: not a regular file")
    call(*WRITERS[verb], "nosuch/out").assert_fails(5, "nosuch/out: ", "folder")
    call(*WRITERS[verb], "big.mc/out").assert_fails(5, "big.mc/out: not a directory")
    call(*WRITERS[verb], "x" * 300).assert_fails(5, "too long")
    call(*WRITERS[verb], "s3://bucket/out").assert_fails(2, "this machine")
    call(*WRITERS[verb], "").assert_fails(2, "empty")
    assert not leftovers(here)
    assert not os.listdir(here / "folder")


def test_the_output_is_an_input(models: Models, here: Path) -> None:
    (here / "a.h5").write_bytes(models.a.read_bytes())
    (here / "p.toml").write_text('[[tensor]]\nmatch = "*"\ncodec = "float"\n')
    os.link("a.h5", "hard.h5")
    os.symlink("a.h5", "soft.h5")
    before = {path.name: path.read_bytes() for path in here.iterdir()}
    for output in ("a.h5", "./a.h5", "hard.h5", "soft.h5"):
        call("pack", "a.h5", "-o", output).assert_fails(2, "is an input as well")
        call("pack", "A=a.h5", "-o", output).assert_fails(2, "is an input as well")
        call("pack", models.b, "a.h5", "-o", output).assert_fails(2, "is an input as well")
    call("pack", "a.h5", "--plan", "p.toml", "-o", "p.toml").assert_fails(2, "is an input as well")
    call("unpack", "big.mc", "-o", "big.mc").assert_fails(2, "is an input as well")
    call("unpack", "big.mc", "-o", "./big.mc", "--to", "h5").assert_fails(2, "is an input")
    assert {path.name: path.read_bytes() for path in here.iterdir()} == before


def test_a_model_is_not_unpacked_under_the_name_of_a_packed_file(here: Path) -> None:
    call("unpack", "big.mc", "-o", "other.mc").assert_fails(2, "other.mc", "--to")
    assert call("unpack", "big.mc", "-o", "other.mc", "--to", "h5").code == 0


def test_relayout_may_replace_its_own_file(here: Path) -> None:
    assert call("relayout", "big.mc", "-o", "big.mc", "--layout", "progressive").code == 0
    assert call("verify", "big.mc", "--deep", "--against", "big.safetensors").code == 0
    assert sorted(os.listdir(here)) == ["big.mc", "big.safetensors"]


def test_an_output_keeps_its_link_and_its_permissions(here: Path) -> None:
    (here / "target").write_bytes(b"old")
    (here / "target").chmod(0o640)
    os.symlink("target", here / "link")
    assert call("pack", "big.safetensors", "-o", "link").code == 0
    assert (here / "link").is_symlink()
    assert (here / "target").stat().st_mode & 0o777 == 0o640
    assert call("verify", "target", "--against", "big.safetensors").code == 0


def test_an_error_while_packing_leaves_the_output_as_it_was(here: Path) -> None:
    (here / "out.mc").write_bytes(b"old")
    with contextlib.closing(open(here / "cut.safetensors", "wb")) as file:
        file.write((here / "big.safetensors").read_bytes()[:-1])
    call("pack", "big.safetensors", "cut.safetensors", "-o", "out.mc").assert_fails(3, "cut")
    assert (here / "out.mc").read_bytes() == b"old"
    assert not leftovers(here)
