"""`mcodec relayout`."""

from __future__ import annotations

import click

from mcodec.cli import options, render


@click.command("relayout")
@options.file_argument
@click.option("-o", "--output", required=True, metavar="OUT", type=options.PATH, help="The copy.")
@click.option(
    "--layout",
    required=True,
    type=click.Choice(["task", "interleaved", "progressive"]),
    help="The order of chunks.",
)
@options.json_option
@options.quiet_option
def command(file: str | None, output: str, layout: str, as_json: bool, quiet: bool) -> None:
    """Copy a file's chunks into another order, without decoding them."""
    from mcodec.api.relayout import relayout

    with render.progress_bar("copying", shown=not (quiet or as_json)) as progress:
        report = relayout(options.find_file(file), output, layout, progress=progress)
    if as_json:
        render.emit_json(
            {"file": report.path, "file_bytes": report.file_bytes, "layout": report.layout}
        )
    elif not quiet:
        text = f"{report.path}: {render.size(report.file_bytes)}, layout {report.layout}"
        click.echo(render.printable(text))
