"""A command that is told to stop: the exit code says so, and nothing half-written is left."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
from safetensors.numpy import save_file

import mcodec
from support.command import COMMAND, TIMEOUT, leftovers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TRIES: Final = 5  # a machine may be so fast, or so busy, that the signal comes too late
VERBS: Final = {
    "pack": ("pack", "big.safetensors", "-o", "out"),
    "pack with survey": ("pack", "big.safetensors", "-o", "out", "--bits", "8"),
    "unpack": ("unpack", "big.mc", "-o", "out", "--to", "safetensors"),
    "unpack to HDF5": ("unpack", "big.mc", "-o", "out", "--to", "h5"),
    "convert": ("convert", "big.safetensors", "out", "--to", "npz"),
    "convert in a sandbox": ("convert", "big.safetensors", "out", "--to", "h5", "--sandbox"),
    "prune": ("prune", "big.safetensors", "--sparsity", "0.9", "-o", "out", "--to", "npz"),
    "truncate": ("truncate", "big.safetensors", "--keep", "9", "-o", "out", "--to", "npz"),
    "quantize": ("quantize", "big.safetensors", "-o", "out", "--to", "h5"),
    "relayout": ("relayout", "big.mc", "-o", "out", "--layout", "progressive"),
}


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model that takes some tenths of a second, and the file packed from it."""
    folder = tmp_path_factory.mktemp("big")
    random = np.random.default_rng(0)
    arrays = {f"w{i}": random.standard_normal((1024, 1024), np.float32) for i in range(20)}
    save_file(arrays, folder / "big.safetensors")
    mcodec.pack(folder / "big.safetensors", folder / "big.mc")
    return folder


def _listen() -> None:
    """Take signals as a command does that a person starts, whoever started the tests (nohup)."""
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _start(big: Path, verb: str, prepare: Callable[[], None] = _listen) -> subprocess.Popen[bytes]:
    """Start a verb over an older output, and wait until it writes its temporary file."""
    (big / "out").write_bytes(b"old")
    assert not leftovers(big)
    started = subprocess.Popen(
        [COMMAND, *VERBS[verb]],
        cwd=big,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=prepare,  # noqa: PLW1509  (it sets signals, and takes no lock)
    )
    while started.poll() is None and not leftovers(big):
        time.sleep(0.0005)
    return started


def _stop(big: Path, verb: str, stop: Callable[[subprocess.Popen[bytes]], None]) -> tuple[int, str]:
    """Stop a verb in the middle; return its exit code and what it said."""
    for _ in range(TRIES):
        with _start(big, verb) as started:
            stop(started)
            out, err = started.communicate(timeout=TIMEOUT)
        if started.returncode:
            assert out == b""
            return started.returncode, err.decode()
    pytest.fail("the command was always done before the signal came")


@pytest.mark.parametrize("verb", VERBS)
def test_an_interrupt_leaves_nothing_behind(verb: str, big: Path) -> None:
    code, err = _stop(big, verb, lambda started: started.send_signal(signal.SIGINT))
    assert (code, err) == (130, "mcodec: interrupted\n")
    assert (big / "out").read_bytes() == b"old"
    assert not leftovers(big)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("verb", ["pack", "unpack to HDF5"])
def test_other_ways_to_ask_leave_nothing_behind(
    verb: str, number: signal.Signals, big: Path
) -> None:
    code, err = _stop(big, verb, lambda started: started.send_signal(number))
    assert (code, err) == (128 + number, "")
    assert (big / "out").read_bytes() == b"old"
    assert not leftovers(big)


@pytest.mark.parametrize("verb", ["pack", "unpack"])
def test_a_command_that_is_killed_leaves_the_output_as_it_was(verb: str, big: Path) -> None:
    code, err = _stop(big, verb, subprocess.Popen.kill)
    assert (code, err) == (-signal.SIGKILL, "")
    assert (big / "out").read_bytes() == b"old"
    for name in leftovers(big):  # nobody was left to remove it
        os.unlink(big / name)


def test_a_second_interrupt_ends_at_once(big: Path) -> None:
    def twice(started: subprocess.Popen[bytes]) -> None:
        started.send_signal(signal.SIGINT)
        started.send_signal(signal.SIGINT)

    code, err = _stop(big, "pack", twice)
    assert code in (130, -signal.SIGINT)
    assert "Traceback" not in err
    assert (big / "out").read_bytes() == b"old"
    for name in leftovers(big):
        os.unlink(big / name)


def test_what_was_to_be_ignored_stays_ignored(big: Path) -> None:
    """``nohup mcodec …`` and a background job of a script go on."""

    def ignore() -> None:
        for number in (signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)

    with _start(big, "unpack", ignore) as started:
        started.send_signal(signal.SIGHUP)
        started.send_signal(signal.SIGINT)
        started.communicate(timeout=TIMEOUT)
    assert started.returncode == 0
    assert (big / "out").read_bytes() == (big / "big.safetensors").read_bytes()
