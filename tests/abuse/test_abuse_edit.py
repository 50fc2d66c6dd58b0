"""`add`, `rm`, `replace` and `rename` that fail in the middle, or on what is no file to change."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
from safetensors.numpy import save_file

import mcodec
from support.command import COMMAND, TIMEOUT, call, leftovers, run
from support.disks import mounted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from abuse.conftest import Models

VERBS: Final = {
    "add": ("add", "x.mc", "new=new.safetensors"),
    "rm": ("rm", "x.mc", "B"),
    "replace": ("replace", "x.mc", "B=new.safetensors"),
    "rename": ("rename", "x.mc", "A=B", "B=A"),
}
LIMIT: Final = 100_000
TRIES: Final = 5  # a machine may be so fast, or so busy, that the signal comes too late


def write(folder: Path, side: int, count: int) -> None:
    """Write a file of two tasks, and a model."""
    rng = np.random.default_rng(0)

    def network() -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
        return {f"w{i}": rng.standard_normal((side, side), np.float32) for i in range(count)}

    mcodec.pack({"A": network(), "B": network()}, folder / "x.mc")
    save_file(network(), folder / "new.safetensors")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a file of two tasks and a model, each over `LIMIT` bytes."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, 160, 3)
    return tmp_path


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("output", [(), ("-o", "out")], ids=["itself", "another"])
def test_a_disk_that_is_full(verb: str, output: tuple[str, ...], here: Path) -> None:
    """A limit on the size of files stops the writer in the middle, as a full disk does."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT))

    (here / "out").write_bytes(b"old")
    before = (here / "x.mc").read_bytes()
    outcome = run(*VERBS[verb], *output, preexec_fn=limit)
    outcome.assert_fails(5, "out: " if output else "x.mc: ")
    assert ".tmp" not in outcome.err
    assert (here / "x.mc").read_bytes() == before
    assert (here / "out").read_bytes() == b"old"
    assert sorted(os.listdir(here)) == ["new.safetensors", "out", "x.mc"]


@pytest.fixture
def small_disk(here: Path) -> Iterator[Path]:
    """A file system with room for the file and no other, where the tests may mount one."""
    with mounted(here / "disk", (here / "x.mc").stat().st_size + LIMIT) as disk:
        yield disk


@pytest.mark.parametrize("verb", VERBS)
def test_a_file_system_that_is_full(verb: str, small_disk: Path, here: Path) -> None:
    before = (here / "x.mc").read_bytes()
    (small_disk / "x.mc").write_bytes(before)
    name, _, *more = VERBS[verb]
    outcome = run(name, "disk/x.mc", *more)
    outcome.assert_fails(5, "disk/x.mc: no space left on device")
    assert os.listdir(small_disk) == ["x.mc"]
    assert (small_disk / "x.mc").read_bytes() == before


@pytest.mark.parametrize("verb", VERBS)
def test_outputs_that_cannot_be(verb: str, here: Path) -> None:
    (here / "folder").mkdir()
    os.mkfifo(here / "pipe")
    arguments = (*VERBS[verb], "-o")
    call(*arguments, "folder").assert_fails(5, "folder: is a directory")
    call(*arguments, "pipe").assert_fails(5, "pipe: not a regular file")
    call(*arguments, "/dev/null").assert_fails(5, "/dev/null: not a regular file")
    call(*arguments, "nosuch/out").assert_fails(5, "nosuch/out: ", "folder")
    call(*arguments, "s3://bucket/out").assert_fails(2, "this machine")
    call(*arguments, "").assert_fails(2, "empty")
    if verb in ("add", "replace"):
        call(*arguments, "new.safetensors").assert_fails(2, "is an input as well")
    assert not leftovers(here)


@pytest.mark.parametrize("verb", VERBS)
def test_files_that_are_none(verb: str, models: Models, here: Path) -> None:
    name, _, *more = VERBS[verb]
    os.mkfifo(here / "pipe")
    call(name, "nosuch.mc", *more).assert_fails(5, "nosuch.mc: no such file")
    call(name, ".", *more).assert_fails(5, ".: is a directory")
    call(name, "pipe", *more).assert_fails(5, "pipe: not a regular file")
    call(name, "/dev/null", *more).assert_fails(5, "/dev/null: not a regular file")
    call(name, "", *more).assert_fails(2, "empty")
    call(name, "s3://bucket/x.mc", *more).assert_fails(2, "this machine")
    before = models.a.read_bytes()
    call(name, models.a, *more).assert_fails(3, "a.h5: not an .mc file")
    assert models.a.read_bytes() == before


@pytest.mark.parametrize("verb", VERBS)
def test_a_link_and_permissions_are_kept(verb: str, here: Path) -> None:
    os.rename("x.mc", "real.mc")
    os.chmod("real.mc", 0o640)
    os.symlink("real.mc", "x.mc")
    before = (here / "real.mc").read_bytes()
    assert call(*VERBS[verb]).code == 0
    assert (here / "x.mc").is_symlink()
    assert (here / "real.mc").stat().st_mode & 0o777 == 0o640
    assert (here / "real.mc").read_bytes() != before
    assert call("verify", "x.mc", "--deep").code == 0


@pytest.mark.parametrize("verb", VERBS)
def test_damaged_files_stay_as_they_are(verb: str, models: Models, here: Path) -> None:
    """Cut off anywhere, a byte changed anywhere that counts: refused, and nothing is written."""
    sound = models.fused.read_bytes()
    save_file({"w": np.ones((40, 40), np.float32)}, "new.safetensors")
    for length in range(0, len(sound), 211):
        (here / "x.mc").write_bytes(sound[:length])
        call(*VERBS[verb]).assert_fails(3, "x.mc: ")
        assert (here / "x.mc").stat().st_size == length
    refused = 0
    for place in range(0, len(sound), 97):
        damaged = bytearray(sound)
        damaged[place] ^= 0x10
        (here / "x.mc").write_bytes(damaged)
        outcome = call(*VERBS[verb])
        assert outcome.code in (0, 3), outcome
        if outcome.code:
            outcome.assert_fails(3, "x.mc: ")
            assert (here / "x.mc").read_bytes() == damaged
            refused += 1
        else:  # in padding, or in what is taken out
            assert call("verify", "x.mc", "--deep").code == 0
    assert refused > len(sound) // 97 // 3
    assert sorted(os.listdir(here)) == ["new.safetensors", "x.mc"]


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file and a model that take some tenths of a second."""
    folder = tmp_path_factory.mktemp("big")
    write(folder, 1024, 6)
    return folder


def _listen() -> None:
    """Take signals as a command does that a person starts, whoever started the tests (nohup)."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopped_in_the_middle(verb: str, number: signal.Signals, big: Path) -> None:
    before = (big / "x.mc").read_bytes()
    codes = {signal.SIGINT: 130, signal.SIGTERM: 128 + signal.SIGTERM, signal.SIGKILL: -9}
    for _ in range(TRIES):
        (big / "x.mc").write_bytes(before)
        with subprocess.Popen(
            [COMMAND, *VERBS[verb]],
            cwd=big,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=_listen,  # noqa: PLW1509  (it sets signals, and takes no lock)
        ) as started:
            while started.poll() is None and not leftovers(big):
                time.sleep(0.0005)
            started.send_signal(number)
            out, _ = started.communicate(timeout=TIMEOUT)
        if started.returncode:
            break
    else:
        pytest.fail("the command was always done before the signal came")
    assert (started.returncode, out) == (codes[number], b"")
    assert (big / "x.mc").read_bytes() == before
    if number == signal.SIGKILL:
        for name in leftovers(big):  # nobody was left to remove it
            os.unlink(big / name)
    assert not leftovers(big)
