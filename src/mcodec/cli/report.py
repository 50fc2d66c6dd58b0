"""`mcodec report`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from mcodec.cli import options, render

if TYPE_CHECKING:
    from mcodec.api.report import Report


@click.command("report")
@options.file_argument
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    type=options.PATH,
    help="The page to make [default: FILE's stem and .html, here; none with --json].",
)
@options.max_decoded_option
@options.json_option
@options.quiet_option
def command(
    file: str | None, output: str | None, max_decoded: int | None, as_json: bool, quiet: bool
) -> None:
    """Show on a page where the bytes of a file went, and its errors.

    The page is one HTML file that needs no network and runs nothing but its own sorting and
    filtering. Only the front of FILE is read. --json prints the figures of the page, and of what
    it leaves out where there is too much.

    \b
    mcodec report fused.mc -o report.html
    """  # noqa: D301 (click reads the control character)
    from mcodec.api.report import report

    path = options.find_file(file)
    if output is None and not as_json:
        output = os.path.splitext(os.path.basename(path))[0] + ".html"
    found = report(path, output, max_decoded=max_decoded)
    if as_json:
        render.emit_json(found.to_json())
    elif not quiet and output is not None:
        click.echo(_line(found, output))


def _line(found: Report, output: str) -> str:
    """Say what was written, and what it is about."""
    tasks = render.counted(len(found.tasks), "task")
    tensors = render.counted(len(found.tensors), "tensor")
    page = f"{render.printable(output)}: {render.size(os.path.getsize(output))}"
    return f"{page}, on {tasks} and {tensors} of {render.printable(found.name)}"
