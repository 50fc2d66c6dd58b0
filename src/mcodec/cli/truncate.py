"""`mcodec truncate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mcodec.cli import options, render

if TYPE_CHECKING:
    from mcodec.api.truncate import TruncateReport


@click.command("truncate")
@click.argument("source", metavar="IN", type=options.PATH)
@click.option(
    "--keep",
    type=options.Count(1, 64),
    metavar="K",
    help="Bits to keep, from the top of the pattern, 1 to 64.",
)
@click.option(
    "-o", "--output", required=True, metavar="OUT", type=options.PATH, help="The file to make."
)
@options.to_option
@click.option(
    "--operation",
    type=click.Choice(["truncate", "round", "set", "clear", "flip"]),
    default="truncate",
    show_default=True,
    help="What is done to each pattern: truncate and round go by --keep, the others by --mask.",
)
@click.option(
    "--mask",
    metavar="HEX",
    help="The bits to set, clear or flip, as 0000ffff; not wider than the dtype.",
)
@options.task_option
@click.option(
    "--include",
    multiple=True,
    metavar="PATTERN",
    help="Only tensors of these names, a shell pattern; may be given several times.",
)
@click.option(
    "--exclude", multiple=True, metavar="PATTERN", help="All tensors but those of these names."
)
@click.option("--codec", metavar="CODEC", help="For an .mc OUT, as pack has it [default: auto].")
@options.key_option
@options.no_check_option
@options.sandbox_option
@options.jobs_option
@options.max_memory_option
@options.json_option
@options.quiet_option
def command(
    source: str,
    keep: int | None,
    output: str,
    to: str | None,
    operation: str,
    mask: str | None,
    task: str | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    codec: str | None,
    key: str | None,
    no_check: bool,
    sandbox: bool,
    jobs: int | None,
    max_memory: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Zero the low bits of every float, or change other bits.

    All floats of 16, 32 and 64 bits are meant, vectors and batch statistics too, if no pattern
    leaves them out; all else of the file stays as it is.

    \b
    truncate  (bits >> n) << n, with n the bits that are not kept; also of NaN and infinity,
              which become numbers where the exponent is cut
    round     to the nearest such pattern, ties to even; what would become infinite, and NaN
              and infinity, are truncated
    set, clear, flip    bits | mask, bits & ~mask, bits ^ mask, whatever that makes of them

    \b
    mcodec truncate model.h5 --keep 16 -o short.h5
    mcodec truncate model.h5 --operation flip --mask 400000 --include 'conv1/*' -o worse.h5
    """  # noqa: D301 (click reads the control character)
    from mcodec.api.truncate import truncate

    with render.progress_bar("truncating", shown=not (quiet or as_json)) as progress:
        report = truncate(
            source,
            output,
            keep,
            operation=operation,
            mask=mask,
            to=to,
            task=task,
            include=include,
            exclude=exclude,
            codec=codec,
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


def _to_json(report: TruncateReport) -> dict[str, Any]:
    by_mask = {"mask": f"{report.operation.mask:x}"}
    return {
        "file": report.path,
        "format": report.format,
        "file_bytes": report.file_bytes,
        "source_bytes": report.source_bytes,
        "checked": report.checked,
        "operation": report.operation.name,
        **({"keep": report.operation.keep} if report.operation.keep else by_mask),
        "values": report.values,
        "changed": report.changed,
        "max_abs_error": report.max_abs_error,
        "sqnr_db": report.sqnr_db,
        "tensors": [
            {
                "name": one.spec.name,
                "dtype": one.spec.dtype,
                "shape": list(one.spec.shape),
                "changed": one.changed,
                "max_abs_error": one.max_abs_error,
                "sqnr_db": one.sqnr_db,
                "became_not_finite": one.broken,
                "not_finite_lost": one.lost,
                "truncated_not_rounded": one.held,
            }
            for one in report.tensors
        ],
        "untouched": report.untouched,
        "notes": list(report.notes),
    }


def _table(report: TruncateReport) -> str:
    """Say how many values changed and by how much, tensor by tensor and in sum."""
    header = ["tensor", "dtype", "values", "changed", "max error", "SQNR"]
    rows = [
        [
            one.spec.name,
            one.spec.dtype,
            f"{one.spec.size:,}",
            f"{one.changed:,}",
            _error(one.max_abs_error),
            _ratio(one.sqnr_db),
        ]
        for one in report.tensors
    ]
    how = "read back equal, " if report.checked else ""
    by = report.operation
    what = f"{by.name}, {by.keep} bits kept" if by.keep else f"{by.name} of the bits {by.mask:x}"
    return (
        f"{render.table(header, rows, left=2)}\n"
        f"{what}: {render.counted(len(report.tensors), 'tensor')}, {report.untouched:,} untouched; "
        f"{report.changed:,} of {report.values:,} values changed, "
        f"max error {_error(report.max_abs_error)}, SQNR {_ratio(report.sqnr_db)}\n"
        f"{render.printable(report.path)}: {render.size(report.file_bytes)}, {how}"
        f"arrays as they came {render.size(report.source_bytes)}"
    )


def _error(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.3g}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} dB"
