"""`mcodec replace`."""

from __future__ import annotations

from typing import Any

import click

from mcodec.cli import editoptions, options, render


@click.command("replace")
@editoptions.file_argument
@click.argument(
    "model",
    metavar="NAME=PATH",
    type=options.PATH,
    shell_complete=editoptions.complete_old_name,
)
@editoptions.output_option
@editoptions.model_options
@click.pass_context
def command(
    context: click.Context,
    /,
    file: str,
    model: str,
    output: str | None,
    as_json: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Put another model in the place of a task.

    The other tasks are not encoded again; what they stand on stays.

    \b
    mcodec replace family.mc v2=v2-better.safetensors --optimize file
    """  # noqa: D301 (click reads the control character)
    from mcodec.api.edit import replace

    name, path, keywords = editoptions.model_arguments(context, model, given)
    with render.progress_bar("replacing", shown=not (quiet or as_json)) as progress:
        report = replace(file, name, path, out=output, progress=progress, **keywords)
    editoptions.show(report, as_json, quiet)
