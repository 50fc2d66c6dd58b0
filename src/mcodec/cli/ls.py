"""`mcodec ls`: imports no NumPy, no rich, no model library."""

from __future__ import annotations

import click

from mcodec.cli import options, render


@click.command("ls")
@options.file_argument
@options.max_decoded_option
@options.json_option
@options.quiet_option
def command(file: str | None, max_decoded: int | None, as_json: bool, quiet: bool) -> None:
    """List the tasks of a file and what they take."""
    from mcodec.api.handle import open as open_file
    from mcodec.api.listing import list_tasks

    with open_file(options.find_file(file), max_decoded=max_decoded) as handle:
        reader = handle.reader
        rows = list_tasks(reader)
    if as_json:
        render.emit_json(
            {
                "file_bytes": reader.size,
                "layout": reader.layout,
                "tasks": [row.to_json() for row in rows],
            }
        )
    elif not quiet:
        click.echo(render.task_table(rows))
        click.echo(f"{render.size(reader.size)}, layout {reader.layout}")
