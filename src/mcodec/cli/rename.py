"""`mcodec rename`."""

from __future__ import annotations

import click

from mcodec.cli import editoptions, options, render
from mcodec.errors import UsageError


@click.command("rename")
@editoptions.file_argument
@click.argument(
    "names",
    nargs=-1,
    required=True,
    metavar="OLD=NEW...",
    shell_complete=editoptions.complete_old_name,
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
    """Give tasks of a file other names.

    \b
    mcodec rename family.mc A=base B=v1
    mcodec rename family.mc base=v1 v1=base    two swap their names
    """  # noqa: D301 (click reads the control character)
    from mcodec.api.edit import rename

    with render.progress_bar("copying", shown=not (quiet or as_json)) as progress:
        report = rename(
            file,
            _parse(file, names, max_decoded),
            out=output,
            max_decoded=max_decoded,
            progress=progress,
        )
    editoptions.show(report, as_json, quiet)


def _parse(file: str, texts: tuple[str, ...], max_decoded: int | None) -> dict[str, str]:
    """Split ``OLD=NEW``."""
    found: dict[str, str] = {}
    for text in texts:
        old, _, new = text.partition("=")
        if text.count("=") > 1:
            old = _known(file, text, old, max_decoded)
            new = text[len(old) + 1 :]
        if not old or not new:
            raise UsageError(f"{text!r} is not of the form OLD=NEW")
        if old in found:
            raise UsageError(f"task {old!r} is to have two names")
        found[old] = new
    return found


def _known(file: str, text: str, default: str, max_decoded: int | None) -> str:
    """Return the task that a text begins with: names may hold a ``=``, and the longest counts."""
    from mcodec.api.handle import open as open_file

    with open_file(file, jobs=1, max_decoded=max_decoded) as opened:
        known = [name for name in opened.tasks if text.startswith(f"{name}=")]
    return max(known, key=len, default=default)
