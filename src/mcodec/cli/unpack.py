"""`mcodec unpack`."""

from __future__ import annotations

import click

from mcodec.cli import options, render
from mcodec.cli.partial import hint, partial_option


@click.command("unpack")
@options.file_argument
@click.option("--task", metavar="NAME", shell_complete=options.complete_task, help="The task.")
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    type=options.PATH,
    help="The file to make [default: FILE's stem, the task and the suffix].",
)
@options.to_option
@click.option(
    "--planes", type=options.Count(0), metavar="K", help="Decode only the top K magnitude planes."
)
@click.option(
    "--midpoint", is_flag=True, default=None, help="Reconstruct amid what the planes leave open."
)
@click.option("--dither", is_flag=True, help="Fill low bits with the fused task's (paper 001).")
@click.option(
    "--integers", is_flag=True, help="Write int8 NAME and float32 NAME.scale where there are some."
)
@partial_option
@options.max_decoded_option
@options.jobs_option
@options.max_memory_option
@options.json_option
@options.quiet_option
def command(
    file: str | None,
    task: str | None,
    output: str | None,
    to: str | None,
    planes: int | None,
    midpoint: bool | None,
    dither: bool,
    integers: bool,
    partial: bool,
    max_decoded: int | None,
    jobs: int | None,
    max_memory: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write one task as a model file.

    FILE may be left out where this folder holds one .mc file, and --task where the file holds one
    task.
    """
    from mcodec.api.unpack import unpack

    path = options.find_file(file)
    with (
        hint(path, partial=partial, max_decoded=max_decoded),
        render.progress_bar("unpacking", shown=not (quiet or as_json)) as progress,
    ):
        report = unpack(
            path,
            task,
            output,
            to=to,
            planes=planes,
            midpoint=midpoint or None,
            dither=dither,
            integers=integers,
            partial=partial,
            jobs=jobs,
            max_memory=max_memory,
            max_decoded=max_decoded,
            progress=progress,
        )
    for note in report.notes:
        render.warn(note)
    if as_json:
        render.emit_json(
            {
                "file": report.path,
                "task": report.task,
                "format": report.format,
                "tensors": report.tensors,
                "file_bytes": report.bytes,
                "exact": report.exact,
                "integers": report.integers,
                "levels": report.levels,
            }
        )
    elif not quiet:
        how = "every bit as packed" if report.exact else "within the stored precision"
        if report.integers:
            how = f"{report.integers} of them as integers, with their scales"
        if report.levels:
            how = "derived"
        click.echo(
            f"{render.printable(report.path)}: task {render.printable(report.task)}, "
            f"{render.counted(report.tensors, 'tensor')}, {render.size(report.bytes)}, {how}"
        )
        if report.cut_off:
            click.echo(report.cut_off)
