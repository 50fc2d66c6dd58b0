"""`mcodec ls`: imports no NumPy, no rich, no model library."""

from __future__ import annotations

import click

from mcodec.cli import options, render
from mcodec.cli.partial import hint, partial_option


@click.command("ls")
@options.file_argument
@partial_option
@options.max_decoded_option
@options.json_option
@options.quiet_option
def command(
    file: str | None, partial: bool, max_decoded: int | None, as_json: bool, quiet: bool
) -> None:
    """List the tasks of a file and what they take.

    Of a file that is cut off (--partial) sizes are those of the whole one.
    """
    from mcodec.api import precision
    from mcodec.api.handle import open as open_file
    from mcodec.api.tasklist import list_tasks

    path = options.find_file(file)
    with (
        hint(path, partial=partial, max_decoded=max_decoded),
        open_file(path, partial=partial, max_decoded=max_decoded) as handle,
    ):
        reader = handle.reader
        tasks = reader.manifest.tasks
        rows = list_tasks(reader)
        runs = precision.runs_of(tasks)
        levels = precision.planes_of_weights(reader, runs)
        planes = [precision.planes_of_weights(reader, precision.runs_of([one])) for one in tasks]
        words = precision.words(reader, runs)
    if as_json:
        listed = [
            row.to_json() if own is None else {**row.to_json(), "levels": own}
            for row, own in zip(rows, planes, strict=True)
        ]
        render.emit_json(
            {
                "file_bytes": reader.size,
                "layout": reader.layout,
                "levels": levels,
                "tasks": listed,
            }
        )
    elif not quiet:
        click.echo(render.task_table(rows, planes if words else None))
        whole = " when whole" if words else ""
        click.echo(f"{render.size(reader.size)}{whole}, layout {reader.layout}")
        if words:
            click.echo(words)
