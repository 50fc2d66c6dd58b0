"""What `add`, `rm`, `replace` and `rename` share: options of a model, and what is printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
from click.core import ParameterSource

from mcodec.cli import options, render
from mcodec.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcodec.api.edit import EditReport

F = TypeVar("F", bound="Callable[..., Any]")

file_argument = click.argument("file", metavar="FILE", type=options.PATH)
output_option = click.option(
    "-o",
    "--output",
    metavar="OUT",
    type=options.PATH,
    help="The file to make [default: FILE itself, replaced whole].",
)

_MODEL: Final = (
    click.option("--bits", metavar="N", help="Magnitude bits of weights [default: lossless]."),
    options.rounding_option,
    options.codec_option,
    click.option(
        "--optimize",
        type=click.Choice(["load", "file"]),
        default="load",
        show_default=True,
        help="What auto makes small: what the task has to read, or the file.",
    ),
    options.force_option,
    options.plan_option,
    click.option(
        "--meta",
        "metas",
        multiple=True,
        metavar="TASK.KEY=VALUE",
        help="A word or number to keep with the task, for ls; may be given several times.",
    ),
    options.key_option,
    options.sandbox_option,
    options.jobs_option,
    options.max_decoded_option,
    options.json_option,
    options.quiet_option,
)


def complete_old_name(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the task in ``NAME=…``."""
    return [f"{name}=" for name in options.complete_task(ctx, param, incomplete)]


def model_options(function: F) -> F:
    """Give a verb the options that say how its model is coded, and those of all verbs."""
    for option in reversed(_MODEL):
        function = option(function)
    return function


def model_arguments(
    context: click.Context, model: str, given: dict[str, Any]
) -> tuple[str, str, dict[str, Any]]:
    """Return the task, the path and the keywords for the library that a command line says.

    Raises
    ------
    UsageError
        They are not of their forms, or do not fit each other.
    """
    name, path = options.split_name(model)
    if name is None:
        raise UsageError(f"{model!r} is not of the form NAME=PATH: say how the task is called")
    rounding = context.get_parameter_source("rounding") is not ParameterSource.DEFAULT
    if given["bits"] is None and rounding:
        raise UsageError("--rounding says how --bits rounds, and there is no --bits")
    metas = options.parse_meta(given.pop("metas"), [name])
    given["meta"] = metas.get(name, {})
    given["bits"] = options.parse_bits(given["bits"])
    given["key"] = given["key"] or ""
    return name, path, given


def show(report: EditReport, as_json: bool, quiet: bool) -> None:
    """Print what was done."""
    for warning in report.warnings:
        render.warn(warning)
    if as_json:
        from mcodec.cli.pack import choice_json

        render.emit_json(
            report.to_json() | {"choices": [choice_json(choice) for choice in report.choices]}
        )
    elif not quiet:
        click.echo("\n".join(_lines(report)))


def _lines(report: EditReport) -> list[str]:
    lines = []
    if report.added:
        lines.append(_table(report))
    done = _done(report)
    if report.aliases:
        done += f", {render.counted(report.aliases, 'tensor')} there already"
    if report.hidden_bytes:
        done += f", {render.size(report.hidden_bytes)} stay for tasks that stand on them"
    sizes = f"{render.size(report.file_bytes)}, before {render.size(report.bytes_before)}"
    return [*lines, render.printable(f"{report.path}: {done}; {sizes}, layout {report.layout}")]


def _done(report: EditReport) -> str:
    if report.renamed:
        return ", ".join(f"{old} is now {new}" for old, new in report.renamed.items())
    what = "replaced" if report.added and report.removed else "added" if report.added else "dropped"
    return f"{', '.join(report.added or report.removed)} {what}"


def _table(report: EditReport) -> str:
    """Say what the new task costs."""
    header = ["task", "tensors", "weights", "as it came", "stored", "bits/weight", "to read"]
    rows = [
        [
            row.name,
            f"{row.tensors:,}",
            f"{row.parameters:,}",
            render.size(row.source_bytes),
            render.size(row.stored_bytes),
            f"{row.bits_per_weight:.2f}",
            render.size(row.read_bytes),
        ]
        for row in report.tasks
        if row.name in report.added
    ]
    return render.table(header, rows)
