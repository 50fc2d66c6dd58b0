"""The `mcodec` command: finds the verb, and turns every error into one line and an exit code.

Verbs are imported when they run, so that `--help` and `ls` start fast.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, Final, NoReturn

import click

from mcodec import __version__
from mcodec.cli import signals, streams
from mcodec.cli.render import printable
from mcodec.errors import FormatError, InputOutputError, McodecError, MissingDependencyError

# verb -> what `--help` says of it; the module of the same name has the command
VERBS: Final = {
    "pack": "Pack models into one .mc file, each as a task.",
    "unpack": "Write one task as a model file.",
    "convert": "Write a model file in another format, with nothing lost.",
    "diff": "Say what differs between two models, tensor by tensor.",
    "prune": "Set the smallest weights of each tensor to zero.",
    "truncate": "Zero the low bits of every float, or change other bits.",
    "quantize": "Round weights to 8-bit integers under scales.",
    "sweep": "Measure models with fewer and fewer bits, by your own function.",
    "plan": "Find what each tensor should get, for a size or an accuracy.",
    "ls": "List the tasks of a file and what they take.",
    "info": "Show tensors, codecs, sizes and measured errors.",
    "report": "Show on a page where the bytes of a file went, and its errors.",
    "bench": "Time what this machine does with a file, beside a plain copy.",
    "verify": "Check hashes and padding; on request digests and sources.",
    "add": "Add a model to a file as one more task.",
    "rm": "Take tasks out of a file, with all that no other needs.",
    "replace": "Put another model in the place of a task.",
    "rename": "Give tasks of a file other names.",
    "relayout": "Copy a file's chunks into another order, without decoding them.",
    "completion": "Print a shell's completion script.",
}
EXIT_DONE: Final = 0
EXIT_USAGE: Final = 2
EXIT_FORMAT: Final = 3
EXIT_DEPENDENCY: Final = 4
EXIT_IO: Final = 5
EXIT_INTERNAL: Final = 70
EXIT_INTERRUPT: Final = 130
_COMPLETE: Final = "_MCODEC_COMPLETE"  # set by the scripts that `mcodec completion` prints


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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; say which there are if it is not one of them."""
        if args[0] not in VERBS and not args[0].startswith("-") and not ctx.resilient_parsing:
            message = f"there is no verb {args[0]!r}; the verbs are {', '.join(VERBS)}"
            raise click.UsageError(message, ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group(
    cls=Verbs,
    invoke_without_command=True,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="mcodec %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Families of neural networks in one file, bit for bit or with a known error.

    \b
    mcodec pack a.h5 b.h5 -o fused.mc
    mcodec unpack fused.mc --task B
    """  # noqa: D301 (click reads the control character)
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
    return EXIT_USAGE


def _run(arguments: list[str] | None) -> int:
    """Run a verb and return its exit code.

    This is `click.Group.main` without its handling of errors, which takes a closed pipe for exit
    code 1: that is "differs" here.
    """
    if _COMPLETE in os.environ:
        cli.main(arguments, prog_name="mcodec", complete_var=_COMPLETE)
    given = sys.argv[1:] if arguments is None else arguments
    try:
        with cli.make_context("mcodec", list(given)) as context:
            result: Any = cli.invoke(context)
    except click.exceptions.Exit as left:
        result = left.exit_code
    streams.flush()
    return result if isinstance(result, int) else EXIT_DONE


def _usage(error: click.ClickException) -> str:
    """Write click's message as one line in our style."""
    message = " ".join(error.format_message().split()).rstrip(".")
    message = message[:1].lower() + message[1:]
    context = getattr(error, "ctx", None)
    return message if context is None else f"{message}; see '{context.command_path} --help'"


def _os_error(error: OSError) -> str:
    """Name the file; the library names its own, so what has no name is what we print to."""
    reason = error.strerror or str(error)
    return f"{error.filename or 'standard output'}: {reason[:1].lower()}{reason[1:]}"


def _explain(error: BaseException) -> tuple[str, int]:
    """Return the line that says what is wrong, and the exit code."""
    match error:
        case McodecError():
            found = str(error), exit_code(error)
        case click.ClickException():
            found = _usage(error), EXIT_USAGE
        case KeyboardInterrupt() | click.Abort():
            found = "interrupted", EXIT_INTERRUPT
        case BrokenPipeError():  # the reader has had enough, which is no news to it
            found = "", EXIT_IO
        case OSError():
            found = _os_error(error), EXIT_IO
        case MemoryError():
            found = "not enough memory; try --jobs 1", EXIT_IO
        case _:
            what = f"internal error ({type(error).__name__}: {error})"
            advice = "run again with MCODEC_TRACEBACK=1 and report it"
            found = f"{what}; {advice}", EXIT_INTERNAL
    return found


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    streams.prepare()
    with signals.stopping():
        try:
            code = _run(arguments)
        except (Exception, KeyboardInterrupt) as error:
            line, code = _explain(error)
            if code == EXIT_INTERNAL and os.environ.get("MCODEC_TRACEBACK"):
                raise
            if line:
                streams.complain(f"mcodec: {printable(line)}")
            if isinstance(error, OSError) and not isinstance(error, McodecError):
                streams.give_up_stdout()
    raise SystemExit(code)
