"""`mcodec prune`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import click

from mcodec.cli import options, render
from mcodec.errors import UsageError

if TYPE_CHECKING:
    from mcodec.api.prune import PruneReport

_SCHEDULE: Final = re.compile(r"([0-9]{1,18})/([0-9]{1,18})\Z")


@click.command("prune")
@click.argument("source", metavar="IN", type=options.PATH)
@click.option(
    "--sparsity",
    type=float,
    required=True,
    metavar="S",
    help="The part of each tensor's weights to be zero, 0 to 1.",
)
@click.option(
    "-o", "--output", required=True, metavar="OUT", type=options.PATH, help="The file to make."
)
@options.to_option
@click.option(
    "--schedule",
    metavar="STEP/STEPS",
    help="Prune to what the gradual schedule has at STEP, if it ends with S after STEPS.",
)
@click.option(
    "--initial", type=float, metavar="S", help="Sparsity at the schedule's begin [default: 0]."
)
@click.option(
    "--start", type=options.Count(0), metavar="STEP", help="Where it begins [default: 0]."
)
@options.task_option
@options.include_option
@options.exclude_option
@click.option("--codec", metavar="CODEC", help="For an .mc OUT, as pack has it [default: auto].")
@click.option("--force", is_flag=True, help="Prune also what is quantised already.")
@options.key_option
@options.no_check_option
@options.sandbox_option
@options.jobs_option
@options.max_memory_option
@options.json_option
@options.quiet_option
def command(
    source: str,
    sparsity: float,
    output: str,
    to: str | None,
    schedule: str | None,
    initial: float | None,
    start: int | None,
    task: str | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    codec: str | None,
    force: bool,
    key: str | None,
    no_check: bool,
    sandbox: bool,
    jobs: int | None,
    max_memory: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Set the smallest weights of each tensor to zero.

    Of n weights the S·n of least magnitude go, of equal ones those that come first. Biases,
    normalisations, vectors and training state stay. IN is a model of any format, or an .mc file;
    OUT is of the same format, or as its suffix says: an .mc file holds only what is not zero.

    \b
    mcodec prune model.keras --sparsity 0.9 -o pruned.keras
    mcodec prune model.h5 --sparsity 0.9 --schedule 25000/250000 -o step.mc
    """  # noqa: D301 (click reads the control character)
    from mcodec.api.prune import prune

    with render.progress_bar("pruning", shown=not (quiet or as_json)) as progress:
        report = prune(
            source,
            output,
            _scheduled(sparsity, schedule, initial, start),
            to=to,
            task=task,
            include=include,
            exclude=exclude,
            codec=codec,
            force=force,
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
        render.emit_json(_to_json(report))
    elif not quiet:
        click.echo(_table(report))


def _scheduled(
    final: float, schedule: str | None, initial: float | None, start: int | None
) -> float:
    """Return the sparsity to prune to: the final one, or the schedule's at a step."""
    from mcodec.api.schedule import gradual_sparsity

    if schedule is None:
        if initial is not None or start is not None:
            raise UsageError("--initial and --start are of a schedule, and there is no --schedule")
        return final
    match = _SCHEDULE.match(schedule)
    if match is None:
        raise UsageError(f"--schedule {schedule!r} is not of the form STEP/STEPS, as 25000/250000")
    return gradual_sparsity(int(match[1]), final, initial or 0.0, start or 0, steps=int(match[2]))


def _share(nonzero: int, weights: int) -> float:
    """Return the part of weights that is zero."""
    return 1 - nonzero / weights if weights else 0.0


def _to_json(report: PruneReport) -> dict[str, Any]:
    return {
        "file": report.path,
        "format": report.format,
        "file_bytes": report.file_bytes,
        "source_bytes": report.source_bytes,
        "checked": report.checked,
        "sparsity": report.sparsity,
        "reached": _share(report.nonzero_after, report.weights),
        "weights": report.weights,
        "nonzero_before": report.nonzero_before,
        "nonzero_after": report.nonzero_after,
        "tensors": [
            {
                "name": one.spec.name,
                "dtype": one.spec.dtype,
                "shape": list(one.spec.shape),
                "nonzero_before": one.nonzero_before,
                "nonzero_after": one.nonzero_after,
            }
            for one in report.tensors
        ],
        "untouched": report.untouched,
        "notes": list(report.notes),
    }


def _table(report: PruneReport) -> str:
    """Say what was and is not zero, tensor by tensor and in sum, and what the file takes."""
    header = ["tensor", "weights", "not zero, before", "not zero", "zeros"]
    rows = [
        [
            one.spec.name,
            f"{one.spec.size:,}",
            f"{one.nonzero_before:,}",
            f"{one.nonzero_after:,}",
            f"{_share(one.nonzero_after, one.spec.size):.2%}",
        ]
        for one in report.tensors
    ]
    before = _share(report.nonzero_before, report.weights)
    after = _share(report.nonzero_after, report.weights)
    how = "read back equal, " if report.checked else ""
    return (
        f"{render.table(header, rows)}\n"
        f"{render.counted(len(report.tensors), 'tensor')} pruned, {report.untouched:,} untouched; "
        f"zeros among the weights: {before:.2%} before, {after:.2%} now\n"
        f"{render.printable(report.path)}: {render.size(report.file_bytes)}, {how}"
        f"arrays as they came {render.size(report.source_bytes)}"
    )
