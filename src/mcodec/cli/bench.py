"""`mcodec bench`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mcodec.cli import options, render

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcodec.api.bench import BenchReport, Figure

_HEADER = ["way", "threads", "ms", "GB/s", "of a copy"]


@click.command("bench")
@options.file_argument
@click.option(
    "--task",
    "tasks",
    multiple=True,
    metavar="NAME",
    shell_complete=options.complete_task,
    help="Only this task of an .mc file; may be given several times.",
)
@click.option(
    "--runs",
    type=options.Count(1, 1000),
    default=5,
    show_default=True,
    metavar="N",
    help="Runs of each way, of which the median counts.",
)
@options.key_option
@options.sandbox_option
@options.max_decoded_option
@options.jobs_option
@options.json_option
@options.quiet_option
def command(
    file: str | None,
    tasks: tuple[str, ...],
    runs: int,
    key: str | None,
    sandbox: bool,
    max_decoded: int | None,
    jobs: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Time what this machine does with a file, beside a plain copy.

    FILE is an .mc file, or a model file, which is packed lossless first. Of each task: copies of
    its arrays, safetensors, and mcodec with one thread and with --jobs, in alternating runs, all
    from the page cache. Loading is beside a copy into new memory, the rest beside one into memory
    that is there. What is written goes to a temporary folder (TMPDIR says where) and is removed;
    `pack` waits for the disk, and safetensors does not.

    \b
    mcodec bench model.safetensors
    mcodec bench fused.mc --task B --jobs 4
    """  # noqa: D301 (click reads the control character)
    from mcodec.api.bench import bench

    with render.progress_bar("measuring", shown=not (quiet or as_json), unit="runs") as progress:
        report = bench(
            options.find_file(file),
            tasks=tasks,
            runs=runs,
            key=key or "",
            sandbox=sandbox,
            jobs=jobs,
            max_decoded=max_decoded,
            progress=progress,
        )
    if as_json:
        render.emit_json(report.to_json())
    elif not quiet:
        click.echo("\n".join(_lines(report)))


def _lines(report: BenchReport) -> Iterator[str]:
    """Say whose figures these are, and give a table of the file and one of each task."""
    yield from map(render.printable, report.machine.words())
    runs = f"medians of {render.counted(report.runs, 'alternating run')}"
    what = "packed lossless: " if report.packed else ""
    yield f"{render.printable(report.path)}, {what}{render.size(report.file_bytes)}; {runs}"
    yield ""
    yield render.table(_HEADER[:3], [_cells(figure)[:3] for figure in report.figures])
    for task in report.tasks:
        yield ""
        sizes = [
            f"{render.size(size)} ({size / task.bytes:.3f})" if task.bytes else render.size(size)
            for size in (task.lossless_bytes, task.safetensors_bytes)
        ]
        yield (
            f"task {render.elide(task.task)}: {render.counted(task.tensors, 'tensor')}, "
            f"{render.size(task.bytes)}; alone and lossless {sizes[0]}, safetensors {sizes[1]}"
        )
        yield render.table(_HEADER, [_cells(figure) for figure in task.figures])


def _cells(figure: Figure) -> list[str]:
    speed = "-"
    if figure.copies is not None and figure.bytes is not None:
        speed = f"{figure.bytes / figure.seconds / 1e9:.2f}"
    return [
        figure.way,
        "-" if figure.threads is None else str(figure.threads),
        f"{figure.seconds * 1e3:.2f}",
        speed,
        "-" if figure.copies is None else f"{figure.copies:.2f}",
    ]
