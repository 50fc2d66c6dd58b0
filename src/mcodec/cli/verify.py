"""`mcodec verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mcodec.cli import options, render
from mcodec.errors import UsageError

if TYPE_CHECKING:
    from mcodec.api.verify import VerifyReport


@click.command("verify")
@options.file_argument
@click.option("--deep", is_flag=True, help="Decode every weight and compare its digest.")
@click.option(
    "--against",
    multiple=True,
    metavar="[NAME=]PATH",
    type=options.PATH,
    help="Compare a task with its source; may be given several times.",
)
@click.option(
    "--task",
    metavar="NAME",
    shell_complete=options.complete_task,
    help="Read only what this task needs; other tasks may be damaged.",
)
@options.keys_option
@options.sandbox_option
@options.max_decoded_option
@options.jobs_option
@options.json_option
@options.quiet_option
def command(
    file: str | None,
    deep: bool,
    against: tuple[str, ...],
    task: str | None,
    keys: tuple[str, ...],
    sandbox: bool,
    max_decoded: int | None,
    jobs: int | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Check hashes and padding; on request digests and sources.

    Exit code 1 if a source differs by anything but the error that the file's certificate says, or
    is not the one that was packed.
    """
    from mcodec.api.verify import verify

    sources = _sources(against)
    with render.progress_bar("verifying", shown=not (quiet or as_json)) as progress:
        report = verify(
            options.find_file(file),
            deep=deep,
            against=sources or None,
            task=task,
            key=options.parse_keys(keys),
            sandbox=sandbox,
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
                "lossy": list(report.lossy),
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
            click.echo("\n".join(map(render.printable, _summary(report))))
    return 1 if report.differences else 0


def _sources(against: tuple[str, ...]) -> dict[str, str] | list[str]:
    """Return the sources by task name; plain paths stand for the tasks in the file's order."""
    plain = [path for name, path in map(options.split_name, against) if name is None]
    if not plain:
        return options.split_named(against)
    if len(plain) < len(against):
        message = f"--against names some sources and not others: write TASK={plain[0]}"
        raise UsageError(message)
    return plain


def _summary(report: VerifyReport) -> list[str]:
    what = render.counted(report.chunks, "chunk")
    if report.deep:
        what += f" and {render.counted(report.runs, 'digest')}"
    lines = [f"{report.path}: sound, {what}"]
    for name in report.compared:
        equal = f"task {name} equals its source, bit for bit"
        near = f"task {name} is off from its source by exactly the error that its certificate says"
        lines.append(near if name in report.lossy else equal)
    return lines
