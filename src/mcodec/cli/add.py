"""`mcodec add`."""

from __future__ import annotations

from typing import Any

import click

from mcodec.cli import editoptions, options, render


@click.command("add")
@editoptions.file_argument
@click.argument("model", metavar="NAME=PATH", type=options.PATH)
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
    """Add a model to a file as one more task.

    The other tasks are not encoded again. Tensors that the file has are stored once.

    \b
    mcodec add family.mc v2=v2.safetensors --optimize file
    """  # noqa: D301 (click reads the control character)
    from mcodec.api.edit import add

    name, path, keywords = editoptions.model_arguments(context, model, given)
    with render.progress_bar("adding", shown=not (quiet or as_json)) as progress:
        report = add(file, name, path, out=output, progress=progress, **keywords)
    editoptions.show(report, as_json, quiet)
