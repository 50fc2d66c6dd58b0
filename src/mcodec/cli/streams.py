"""The standard streams, as a command meets them: closed, full, a pipe that nobody reads."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator


def prepare() -> None:
    """Make the standard streams safe to write to.

    A file opened later must not get the number of a closed standard stream: a library that
    complains on descriptor 2 would write into the model. A character that the terminal's encoding
    lacks is escaped instead of being an error.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


@contextlib.contextmanager
def stdout_kept() -> Iterator[None]:
    """Send what other people's code prints to stderr: stdout is the command's own."""
    if sys.stderr is None:
        yield
        return
    with contextlib.redirect_stdout(sys.stderr):
        yield


def flush() -> None:
    """Write out what stdout still holds, so that an error is seen before the exit code is set."""
    if sys.stdout is not None:  # it is where the stream was closed at the start
        sys.stdout.flush()


def give_up_stdout() -> None:
    """Send what stdout still holds nowhere: Python would try again at exit, and complain."""
    with contextlib.suppress(OSError, AttributeError, ValueError):
        target = sys.stdout.fileno()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, target)
        os.close(null)


def complain(line: str) -> None:
    """Print a line on stderr; where that is not possible, the exit code has to do."""
    with contextlib.suppress(OSError):
        click.echo(line, err=True)
