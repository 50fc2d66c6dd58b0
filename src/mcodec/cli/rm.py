"""`mcodec rm`."""

from __future__ import annotations

import click

from mcodec.cli import editoptions, options, render


@click.command("rm")
@editoptions.file_argument
@click.argument(
    "names", nargs=-1, required=True, metavar="NAME...", shell_complete=options.complete_task
)
@editoptions.output_option
@options.max_decoded_option
@options.json_option
@options.quiet_option
def command(
    file: str,
    names: tuple[str, ...],
    output: str | None,
    max_decoded: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Take tasks out of a file, with all that no other needs."""
    from mcodec.api.edit import rm

    with render.progress_bar("copying", shown=not (quiet or as_json)) as progress:
        report = rm(file, names, out=output, max_decoded=max_decoded, progress=progress)
    editoptions.show(report, as_json, quiet)
