"""`mcodec quantize`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mcodec.cli import options, render
from mcodec.errors import UsageError

if TYPE_CHECKING:
    from mcodec.api.quantize import QuantizedTensor, QuantizeReport


@click.command("quantize")
@click.argument("source", metavar="IN", type=options.PATH)
@click.option(
    "-o", "--output", required=True, metavar="OUT", type=options.PATH, help="The file to make."
)
@options.to_option
@click.option(
    "--axis",
    metavar="tensor|A",
    help="One scale a tensor, or one for each channel of axis A [default: -1 for Keras' kernels,"
    " else 0].",
)
@click.option(
    "--integers",
    is_flag=True,
    help="Write int8 NAME and float32 NAME.scale instead of the floats that they stand for.",
)
@options.task_option
@options.include_option
@options.exclude_option
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
    axis: str | None,
    integers: bool,
    task: str | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    key: str | None,
    no_check: bool,
    sandbox: bool,
    jobs: int | None,
    max_memory: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Round weights to 8-bit integers under scales.

    A scale is the largest magnitude of its channel, divided by 127. OUT is of the format of IN and
    holds floats, which frameworks load; or, as its suffix says, another format, or an .mc file,
    which holds the integers. Biases, normalisations, vectors and training state stay. Prune before,
    not after.

    \b
    mcodec quantize model.keras -o rounded.keras
    mcodec quantize model.pt -o model.mc
    """  # noqa: D301 (click reads the control character)
    from mcodec.api.quantize import quantize

    with render.progress_bar("quantising", shown=not (quiet or as_json)) as progress:
        report = quantize(
            source,
            output,
            axis=_parse_axis(axis),
            integers=integers,
            to=to,
            task=task,
            include=include,
            exclude=exclude,
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


def _parse_axis(text: str | None) -> int | str | None:
    if text is None or text == "tensor":
        return text
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"--axis {text!r} is neither a number nor 'tensor'") from None


def _to_json(report: QuantizeReport) -> dict[str, Any]:
    return {
        "file": report.path,
        "format": report.format,
        "integers": report.integers,
        "file_bytes": report.file_bytes,
        "source_bytes": report.source_bytes,
        "integer_bytes": report.integer_bytes,
        "checked": report.checked,
        "tensors": [
            {
                "name": one.spec.name,
                "dtype": one.spec.dtype,
                "shape": list(one.spec.shape),
                "scope": one.scope,
                "scales": one.scales,
                "nonzero_before": one.nonzero_before,
                "nonzero_after": one.nonzero_after,
                "max_abs_error": one.max_error,
                "sqnr_db": one.sqnr_db,
                "codec": one.codec,
            }
            for one in report.tensors
        ],
        "untouched": report.untouched,
        "notes": list(report.notes),
    }


def _row(one: QuantizedTensor, *, coded: bool) -> list[str]:
    return [
        one.spec.name,
        *([one.codec or "-"] if coded else []),
        f"{one.spec.size:,}",
        f"{one.scales:,}",
        f"{one.nonzero_before:,}",
        f"{one.nonzero_after:,}",
        f"{one.max_error:.3g}",
        "-" if one.sqnr_db is None else f"{one.sqnr_db:.2f}",
    ]


def _table(report: QuantizeReport) -> str:
    """Say what rounding did to each tensor, and what integers and the file take."""
    coded = report.format == "mc"
    header = ["tensor", "weights", "scales", "not zero, before", "not zero", "error", "SQNR, dB"]
    if coded:
        header.insert(1, "codec")
    rows = [_row(one, coded=coded) for one in report.tensors]
    how = "read back equal, " if report.checked else ""
    return (
        f"{render.table(header, rows, left=1 + coded)}\n"
        f"{render.counted(len(report.tensors), 'tensor')} quantised, "
        f"{report.untouched:,} untouched; arrays as they came {render.size(report.source_bytes)}, "
        f"as integers and scales {render.size(report.integer_bytes)}\n"
        f"{render.printable(report.path)}: {render.size(report.file_bytes)}, "
        f"{how}{'integers' if report.integers or coded else 'floats'}"
    )
