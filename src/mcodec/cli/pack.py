"""`mcodec pack`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from mcodec.cli import options, render
from mcodec.errors import UsageError

if TYPE_CHECKING:
    from mcodec.api.pack import PackReport


@click.command("pack")
@click.argument("sources", nargs=-1, required=True, metavar="[NAME=]PATH...", type=options.PATH)
@click.option(
    "-o", "--output", required=True, metavar="OUT", type=options.PATH, help="The file to make."
)
@click.option(
    "--bits",
    metavar="N,...",
    help="Bit fusion: magnitude bits of weights, 12 or 12,11 or A=12,B=11 [default: lossless].",
)
@click.option(
    "--rounding",
    type=click.Choice(["nearest", "truncate"]),
    default="nearest",
    show_default=True,
    help="How --bits rounds; the papers truncate.",
)
@click.option(
    "--codec",
    metavar="CODEC",
    help="Such as 'float' or 'bfp(bits=8,scope=axis:-1)'; --bits goes before it for weights.",
)
@click.option("--plan", metavar="TOML", type=options.PATH, help="Codecs by tensor name.")
@click.option(
    "--layout",
    type=click.Choice(["task", "interleaved", "progressive"]),
    help="Order of chunks [default: interleaved if tasks are fused, else task].",
)
@click.option(
    "--pair",
    "pairs",
    multiple=True,
    metavar="A:NAME=B:NAME",
    help="Fuse these two tensors; may be given several times.",
)
@options.keys_option
@options.sandbox_option
@options.jobs_option
@options.json_option
@options.quiet_option
@click.pass_context
def command(
    context: click.Context,
    sources: tuple[str, ...],
    output: str,
    bits: str | None,
    rounding: str,
    codec: str | None,
    plan: str | None,
    layout: str | None,
    pairs: tuple[str, ...],
    keys: tuple[str, ...],
    sandbox: bool,
    jobs: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Pack models into one .mc file, each as a task.

    Tasks are named A, B, C, … or as NAME=PATH says. Without --bits, --codec or --plan every bit is
    kept.

    \b
    mcodec pack a.h5 b.h5 -o fused.mc                  lossless
    mcodec pack a.h5 b.h5 -o fused.mc --bits 12,11     bit fusion: 12 bits for A, 11 for B
    """  # noqa: D301 (click reads the control character)
    from mcodec.api.pack import pack

    named = options.split_named(sources)
    given = context.get_parameter_source("rounding")
    if bits is None and given is not ParameterSource.DEFAULT:
        raise UsageError("--rounding says how --bits rounds, and there is no --bits")
    if pairs and bits is None and layout != "interleaved":
        raise UsageError("--pair fuses tensors: it needs --bits, or --layout interleaved")
    with render.progress_bar("packing", shown=not (quiet or as_json)) as progress:
        report = pack(
            named,
            output,
            bits=options.parse_bits(bits),
            rounding=rounding,
            codec=codec,
            plan=plan,
            layout=layout,
            pair=[_split_pair(pair) for pair in pairs],
            key=options.parse_keys(keys),
            sandbox=sandbox,
            jobs=jobs,
            progress=progress,
        )
    for warning in report.warnings:
        render.warn(warning)
    if as_json:
        render.emit_json(_to_json(report))
    elif not quiet:
        click.echo(_table(report))


def _split_pair(text: str) -> tuple[str, str]:
    """Split at the ``=`` that a task's name and a colon follow."""
    left, equals, right = text.partition("=")
    if not equals or ":" not in left or ":" not in right:
        raise UsageError(f"--pair {text!r} is not of the form A:name=B:name")
    return left, right


def _to_json(report: PackReport) -> dict[str, Any]:
    return {
        "file": report.path,
        "file_bytes": report.file_bytes,
        "layout": report.layout,
        "fused_runs": report.fused,
        "tasks": [{**cost.row.to_json(), "paper_bytes": cost.paper_bytes} for cost in report.tasks],
        "warnings": list(report.warnings),
    }


def _table(report: PackReport) -> str:
    """Say what each task costs: as it came, by the papers' n + 1 bits if it is fused, and here."""
    fused = any(cost.paper_bytes is not None for cost in report.tasks)
    header = [
        "task",
        "tensors",
        "weights",
        "as it came",
        "paper (n+1 bits)",
        "stored",
        "bits/weight",
    ]
    rows = []
    for cost in report.tasks:
        row = cost.row
        paper = "-" if cost.paper_bytes is None else render.size(cost.paper_bytes)
        cells = [row.name, f"{row.tensors:,}", f"{row.parameters:,}", render.size(row.source_bytes)]
        rows.append([*cells, paper, render.size(row.stored_bytes), f"{row.bits_per_weight:.2f}"])
    if not fused:
        for cells in (header, *rows):
            del cells[4]
    came = sum(cost.row.source_bytes for cost in report.tasks)
    share = f", {report.file_bytes / came:.1%} of the arrays" if came else ""
    path = render.printable(report.path)
    return (
        f"{render.table(header, rows)}\n"
        f"{path}: {render.size(report.file_bytes)}{share}, layout {report.layout}"
    )
