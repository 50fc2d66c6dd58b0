"""The standard streams: closed, full, read by nobody, of an encoding that lacks characters."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from typing import TYPE_CHECKING, Final

import pytest

import mcodec
from support.command import COMMAND, run

if TYPE_CHECKING:
    from pathlib import Path

    from abuse.conftest import Models


@pytest.fixture
def here(models: Models, tmp_path: Path) -> Path:
    """A folder with a small packed file and its source."""
    (tmp_path / "x.mc").write_bytes(models.lossless.read_bytes())
    (tmp_path / "x.safetensors").write_bytes(models.flat.read_bytes())
    return tmp_path


SPEAKING: Final = (
    ("ls", "x.mc"),
    ("ls", "x.mc", "--json"),
    ("info", "x.mc"),
    ("verify", "x.mc"),
    ("unpack", "x.mc", "-o", "out.h5"),
    ("pack", "x.safetensors", "-o", "out.mc"),
    ("pack", "--help"),
    ("--version",),
)


@pytest.mark.parametrize("arguments", SPEAKING, ids=" ".join)
def test_a_full_stdout_is_an_output_error(arguments: tuple[str, ...], here: Path) -> None:
    with open("/dev/full", "wb") as full:
        outcome = run(*arguments, cwd=here, stdout=full)
    outcome.assert_fails(5, "mcodec: standard output: no space left on device")


@pytest.mark.parametrize("arguments", SPEAKING, ids=" ".join)
def test_a_pipe_that_nobody_reads_is_no_news(arguments: tuple[str, ...], here: Path) -> None:
    """As in ``mcodec info x.mc | head -1``; and it is never exit code 1, which says "differs"."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        outcome = run(*arguments, cwd=here, stdout=writer)
    finally:
        os.close(writer)
    assert (outcome.code, outcome.err) == (5, "")


@pytest.mark.parametrize("streams", [(1,), (2,), (1, 2), (0, 1, 2)], ids=str)
@pytest.mark.parametrize("verb", ["ls", "unpack", "nosuch"])
def test_closed_streams(verb: str, streams: tuple[int, ...], models: Models, here: Path) -> None:
    """The work is done, and no file gets the number of a stream that a library writes to."""

    def close() -> None:
        for number in streams:
            os.close(number)

    options = ("-o", "out.safetensors") if verb == "unpack" else ()
    outcome = run(verb, "x.mc", *options, cwd=here, preexec_fn=close)
    assert outcome.code == (2 if verb == "nosuch" else 0)
    assert "Traceback" not in outcome.err
    if verb == "unpack":
        assert (here / "out.safetensors").read_bytes() == models.flat.read_bytes()


def test_a_stderr_that_is_full_does_not_change_the_exit_code(here: Path) -> None:
    with open("/dev/full", "wb") as full:
        assert run("ls", "nosuch.mc", cwd=here, stderr=full).code == 5
        assert run("ls", "x.mc", cwd=here, stderr=full).code == 0


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437", "utf-8", "utf-16"])
def test_a_terminal_that_lacks_characters(encoding: str, here: Path) -> None:
    mcodec.pack({"日本\ud7ff": here / "x.safetensors"}, here / "y.mc")
    for verb in ("ls", "info"):
        outcome = run(verb, "y.mc", cwd=here, env={"PYTHONIOENCODING": encoding}, stdout=None)
        assert (outcome.code, outcome.err) == (0, "")
    done = subprocess.run(
        [COMMAND, "ls", "y.mc", "--json"],
        cwd=here,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        check=True,
        capture_output=True,
    )
    text = done.stdout.decode(encoding)
    assert text.isascii()
    assert json.loads(text)["tasks"][0]["name"] == "日本\ud7ff"


def _on_a_terminal(*arguments: str, cwd: Path) -> tuple[int, str]:
    """Run the command with its stderr on a terminal; return the exit code and what it shows."""
    ours, theirs = pty.openpty()
    started = subprocess.Popen(
        [COMMAND, *arguments],
        cwd=cwd,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # how Linux says that the other side is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    return started.wait(), shown.decode()


def test_a_progress_bar_is_shown_on_a_terminal_and_taken_away(here: Path) -> None:
    for arguments, word in (
        (("pack", "x.safetensors", "-o", "out.mc"), "packing"),
        (("unpack", "x.mc", "-o", "out.h5"), "unpacking"),
        (("verify", "x.mc"), "verifying"),
        (("relayout", "x.mc", "-o", "out.mc", "--layout", "task"), "copying"),
    ):
        code, shown = _on_a_terminal(*arguments, cwd=here)
        assert code == 0
        assert word in shown
        assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1  # the cursor is back
        for silence in ("--quiet", "--json"):
            assert _on_a_terminal(*arguments, silence, cwd=here) == (0, "")


def test_an_error_on_a_terminal_is_one_line(here: Path) -> None:
    whole = (here / "x.mc").read_bytes()
    (here / "x.mc").write_bytes(whole[:-1])
    code, shown = _on_a_terminal("unpack", "x.mc", cwd=here)
    size = len(whole)
    assert code == 3
    assert shown == f"mcodec: x.mc: the file is cut off: {size - 1} of {size} bytes\r\n"


def test_no_progress_bar_in_a_pipe(here: Path) -> None:
    assert run("pack", "x.safetensors", "-o", "out.mc", cwd=here).err == ""
    assert run("unpack", "x.mc", "-o", "out.h5", cwd=here).err == ""


@pytest.mark.parametrize("arguments", SPEAKING[:6], ids=" ".join)
def test_quiet_says_nothing(arguments: tuple[str, ...], here: Path) -> None:
    if "--json" not in arguments:
        outcome = run(*arguments, "--quiet", cwd=here)
        assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
