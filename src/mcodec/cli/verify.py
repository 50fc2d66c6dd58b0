"""`mcodec verify`."""

from __future__ import annotations

import click

from mcodec.cli import options, render


@click.command("verify")
@click.argument("file", required=False, metavar="[FILE]")
@click.option("--deep", is_flag=True, help="Decode every weight and compare its digest.")
@click.option(
    "--against",
    multiple=True,
    metavar="[NAME=]PATH",
    help="Compare a task with its source; may be given several times.",
)
@options.max_decoded_option
@options.jobs_option
@options.json_option
@options.quiet_option
def command(
    file: str | None,
    deep: bool,
    against: tuple[str, ...],
    max_decoded: int | None,
    jobs: int | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Check hashes and padding; on request digests, and equality with the sources.

    Exit code 1 if a source differs by anything but the error that the file's certificate says.
    """
    from mcodec.api.verify import verify

    named = options.split_named(against)
    # Plain paths stand for the tasks in the file's order, whatever their names are.
    plain = list(named.values()) if tuple(named.values()) == against else named
    with render.progress_bar("verifying", shown=not (quiet or as_json)) as progress:
        report = verify(
            options.find_file(file),
            deep=deep,
            against=(plain or None) if against else None,
            jobs=jobs,
            max_decoded=max_decoded,
            progress=progress,
        )
    if as_json:
        render.emit_json(
            {
                "file": report.path,
                "chunks": report.chunks,
                "runs": report.runs,
                "deep": report.deep,
                "compared": list(report.compared),
                "differences": [
                    {"task": one.task, "tensor": one.tensor, "what": one.what}
                    for one in report.differences
                ],
            }
        )
    else:
        for one in report.differences:
            click.echo(render.printable(f"{one.task}:{one.tensor} {one.what}"))
        if not quiet and not report.differences:
            what = f"{report.chunks:,} chunks" + (f" and {report.runs:,} digests" * report.deep)
            equal = "".join(f"; {name} is its source" for name in report.compared)
            click.echo(render.printable(f"{report.path}: {what} are sound{equal}"))
    return 1 if report.differences else 0
