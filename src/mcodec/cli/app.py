"""The `mcodec` command: finds the verb, and turns every error into one line and an exit code.

Verbs are imported when they run, so that `--help` and `ls` start fast.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from mcodec import __version__
from mcodec.cli.render import printable
from mcodec.errors import (
    CodecConfigError,
    FormatError,
    InputOutputError,
    McodecError,
    MissingDependencyError,
)

if TYPE_CHECKING:
    from types import FrameType

# verb -> what `--help` says of it; the module of the same name has the command
VERBS: Final = {
    "pack": "Pack models into one .mc file, each as a task.",
    "unpack": "Write one task as a model file.",
    "ls": "List the tasks of a file and what they take.",
    "info": "Show tensors, codecs, streams and certificates.",
    "verify": "Check hashes and digests, or compare with the sources.",
    "relayout": "Copy a file's chunks into another order.",
    "completion": "Print a shell's completion script.",
}
EXIT_DIFFERS: Final = 1
EXIT_USAGE: Final = 2
EXIT_FORMAT: Final = 3
EXIT_DEPENDENCY: Final = 4
EXIT_IO: Final = 5
EXIT_INTERNAL: Final = 70
EXIT_INTERRUPT: Final = 130
EXIT_TERMINATED: Final = 143


class Verbs(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs, in the order that people meet them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a verb."""
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"mcodec.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group(
    cls=Verbs,
    invoke_without_command=True,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, message="mcodec %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Families of neural networks in one file, bit for bit or with a known error.

    \b
    mcodec pack a.h5 b.h5 -o fused.mc
    mcodec unpack fused.mc --task B
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(EXIT_USAGE)


def exit_code(error: McodecError) -> int:
    """Return the exit code of an error (spec/errors.md)."""
    if isinstance(error, FormatError):
        return EXIT_FORMAT
    if isinstance(error, MissingDependencyError):
        return EXIT_DEPENDENCY
    if isinstance(error, InputOutputError):
        return EXIT_IO
    if isinstance(error, CodecConfigError):
        return EXIT_USAGE
    return EXIT_USAGE


def _fail(message: str, code: int) -> NoReturn:
    line = " ".join(printable(message).split())
    click.echo(f"mcodec: {line}", err=True)
    raise SystemExit(code)


def _usage(error: click.ClickException) -> str:
    message = error.format_message()
    context = getattr(error, "ctx", None)
    if context is None:
        return message
    return f"{message.rstrip('.')}. See '{context.command_path} --help'."


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    """Leave through the context managers, which remove what is half-written."""
    raise SystemExit(EXIT_TERMINATED)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        result: Any = cli.main(arguments, prog_name="mcodec", standalone_mode=False)
        sys.stdout.flush()
        raise SystemExit(result if isinstance(result, int) else 0)
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted", EXIT_INTERRUPT)
    except click.ClickException as error:
        _fail(_usage(error), EXIT_USAGE)
    except McodecError as error:
        _fail(str(error), exit_code(error))
    except BrokenPipeError:
        # The reader of a pipe has left; nothing more can be said to it, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(EXIT_IO) from None
    except OSError as error:
        _fail(f"{error.filename or 'output'}: {error.strerror or error}", EXIT_IO)
    except MemoryError:
        _fail("not enough memory; try --jobs 1", EXIT_IO)
    except Exception as error:
        if os.environ.get("MCODEC_TRACEBACK"):
            raise
        kind = type(error).__name__
        _fail(
            f"internal error ({kind}: {error}); run again with MCODEC_TRACEBACK=1 and report it",
            EXIT_INTERNAL,
        )
