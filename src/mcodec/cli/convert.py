"""`mcodec convert`."""

from __future__ import annotations

import click

from mcodec.cli import options, render


@click.command("convert")
@click.argument("source", metavar="IN", type=options.PATH)
@click.argument("output", metavar="OUT", type=options.PATH)
@options.to_option
@options.key_option
@options.no_check_option
@options.sandbox_option
@options.jobs_option
@options.max_memory_option
@options.json_option
@options.quiet_option
def command(
    source: str,
    output: str,
    to: str | None,
    key: str | None,
    no_check: bool,
    sandbox: bool,
    jobs: int | None,
    max_memory: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write a model file in another format, with nothing lost.

    What the format of OUT cannot express (groups, attributes, archive members) travels inside it,
    so that converting back gives the same model again. IN may be a folder of shards.

    \b
    mcodec convert model.keras model.safetensors
    mcodec convert model.safetensors back.keras
    """  # noqa: D301 (click reads the control character)
    from mcodec.api.convert import convert

    with render.progress_bar("converting", shown=not (quiet or as_json)) as progress:
        report = convert(
            source,
            output,
            to=to,
            key=key or "",
            check=not no_check,
            sandbox=sandbox,
            jobs=jobs,
            max_memory=max_memory,
            progress=progress,
        )
    for note in report.notes:
        render.warn(note)
    if as_json:
        render.emit_json(
            {
                "file": report.path,
                "source_format": report.source_format,
                "format": report.format,
                "tensors": report.tensors,
                "file_bytes": report.bytes,
                "checked": report.checked,
                "notes": list(report.notes),
            }
        )
    elif not quiet:
        how = "read back equal" if report.checked else "not read back"
        click.echo(
            f"{render.printable(report.path)}: {render.counted(report.tensors, 'tensor')}, "
            f"{render.size(report.bytes)}, {how}"
        )
