"""The `mcodec` command, in this process where it is fast, or as a process of its own."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mcodec.cli.app import main

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMAND: Final = Path(sys.executable).with_name("mcodec")
TIMEOUT: Final = 120  # seconds, for a command that hangs


@dataclass(frozen=True)
class Outcome:
    """What a run of the command left: its exit code and what it printed."""

    code: int
    out: str
    err: str

    def assert_fails(self, code: int, *words: str) -> None:
        """Check what every error has: the exit code, nothing on stdout, and one line on stderr."""
        assert (self.code, self.out) == (code, ""), self
        assert self.err.startswith("mcodec: "), self
        assert self.err.count("\n") == 1, self
        assert self.err.endswith("\n"), self
        assert self.err[:-1].isprintable(), self
        assert "Traceback" not in self.err, self
        assert "internal error" not in self.err, self
        for word in words:
            assert word in self.err, self


def call(*arguments: object) -> Outcome:
    """Run the command in this process."""
    out, err = io.StringIO(), io.StringIO()
    code: Any = None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as left:
            code = left.code
    assert isinstance(code, int)
    return Outcome(code, out.getvalue(), err.getvalue())


def run(*arguments: object, env: Mapping[str, str] | None = None, **options: Any) -> Outcome:
    """Run the installed command; `options` are those of `subprocess.run`."""
    done = subprocess.run(
        [str(COMMAND), *map(str, arguments)],
        env={**os.environ, **(env or {})},
        check=False,
        timeout=TIMEOUT,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )
    return Outcome(done.returncode, (done.stdout or b"").decode(), (done.stderr or b"").decode())


def leftovers(folder: Path) -> list[str]:
    """Return the temporary files that a run has left behind."""
    return [path.name for path in folder.iterdir() if path.name.endswith(".tmp")]
