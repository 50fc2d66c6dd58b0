"""`mcodec pack`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from mcodec.cli import options, render
from mcodec.errors import UsageError

if TYPE_CHECKING:
    from mcodec.api.choices import ChoiceRow
    from mcodec.api.pack import PackReport

_AIMS: Final = {"load": "load of one task", "file": "file"}


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
@options.rounding_option
@click.option(
    "--fusion",
    type=click.Choice(["v1", "v2"]),
    default="v2",
    show_default=True,
    help="What --bits are of: v2 magnitudes under a shared exponent, n+1 bits a weight; v1 IEEE "
    "mantissas beside each sign and exponent, n+9 bits.",
)
@click.option(
    "--report",
    "with_report",
    is_flag=True,
    help="For two tasks: theory beside file for each way of paper 001's table 1.",
)
@options.codec_option
@click.option(
    "--optimize",
    type=click.Choice(["load", "file"]),
    default="load",
    show_default=True,
    help="What auto makes small: what one task has to read, or the file.",
)
@options.force_option
@options.plan_option
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
@click.option(
    "--meta",
    "metas",
    multiple=True,
    metavar="TASK.KEY=VALUE",
    help="A word or number to keep with a task, for ls; may be given several times.",
)
@options.keys_option
@options.sandbox_option
@options.jobs_option
@options.engine_option
@options.parts_option
@options.max_memory_option
@options.json_option
@options.quiet_option
@click.pass_context
def command(
    context: click.Context,
    sources: tuple[str, ...],
    output: str,
    bits: str | None,
    rounding: str,
    fusion: str,
    with_report: bool,
    codec: str | None,
    optimize: str,
    force: bool,
    plan: str | None,
    layout: str | None,
    pairs: tuple[str, ...],
    metas: tuple[str, ...],
    keys: tuple[str, ...],
    sandbox: bool,
    jobs: int | None,
    engine: str,
    parts: str | None,
    max_memory: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Pack models into one .mc file, each as a task.

    Tasks are named A, B, C, … or as NAME=PATH says. Without --bits, --codec or --plan every bit is
    kept.

    \b
    mcodec pack a.h5 b.h5 -o fused.mc                  lossless
    mcodec pack a.h5 b.h5 -o fused.mc --bits 12,11     bit fusion: 12 bits for A, 11 for B
    mcodec pack base=b.h5 v1=v.h5 -o family.mc --optimize file    v1 is told from base
    """  # noqa: D301 (click reads the control character)
    from mcodec.api.fusionreport import fusion_report
    from mcodec.api.pack import pack
    from mcodec.cli import fusiontable

    named = options.split_named(sources)
    given = {
        name
        for name in ("rounding", "fusion")
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT
    }
    _check(bits, rounding, fusion, given)
    if with_report and len(named) != 2:
        raise UsageError(f"--report is of two tasks (paper 001), and there are {len(named)}")
    if pairs and bits is None and layout != "interleaved":
        raise UsageError("--pair fuses tensors: it needs --bits, or --layout interleaved")
    with render.progress_bar("packing", shown=not (quiet or as_json)) as progress:
        report = pack(
            named,
            output,
            bits=options.parse_bits(bits),
            rounding=rounding,
            fusion=fusion,
            codec=codec,
            plan=plan,
            optimize=optimize,
            force=force,
            layout=layout,
            meta=options.parse_meta(metas, named),
            pair=[_split_pair(pair) for pair in pairs],
            key=options.parse_keys(keys),
            sandbox=sandbox,
            jobs=jobs,
            engine=engine,
            parts=parts,
            max_memory=max_memory,
            progress=progress,
        )
    for warning in report.warnings:
        render.warn(warning)
    theory = fusion_report(output) if with_report else None
    if as_json:
        more = {} if theory is None else {"report": fusiontable.to_json(theory)}
        render.emit_json(_to_json(report) | more)
    elif not quiet:
        click.echo(_table(report))
        if theory is not None:
            click.echo(fusiontable.table(theory))


def _check(bits: str | None, rounding: str, fusion: str, given: set[str]) -> None:
    """Refuse options of `given` that say how --bits are meant where they cannot."""
    if bits is None and "rounding" in given:
        raise UsageError("--rounding says how --bits rounds, and there is no --bits")
    if bits is None and "fusion" in given:
        raise UsageError("--fusion says what --bits are of, and there is no --bits")
    if fusion == "v1" and "rounding" in given and rounding != "truncate":
        raise UsageError(f"--fusion v1 truncates: it takes no --rounding {rounding}")


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
        "optimize": report.optimize,
        "choices": [choice_json(choice) for choice in report.choices],
        "tasks": [{**cost.row.to_json(), "paper_bytes": cost.paper_bytes} for cost in report.tasks],
        "warnings": list(report.warnings),
    }


def choice_json(choice: ChoiceRow) -> dict[str, Any]:
    """Return the keys that ``--json`` promises of a choice."""
    return {
        "task": choice.task,
        "tensors": list(choice.tensors),
        "codec": choice.codec,
        "read_bytes": choice.read_bytes,
        "file_bytes": choice.file_bytes,
        "float_bytes": choice.float_bytes,
        "tried": {
            name: {"read_bytes": cost.read, "file_bytes": cost.file}
            for name, cost in choice.costs.items()
        },
    }


def _table(report: PackReport) -> str:
    """Say what each task costs: as it came, by the papers' n + 1 bits if it is fused, and here."""
    fused = any(cost.paper_bytes is not None for cost in report.tasks)
    header = [
        "task",
        "tensors",
        "weights",
        "as it came",
        "by the papers",
        "stored",
        "bits/weight",
        "to read",
    ]
    rows = []
    for cost in report.tasks:
        row = cost.row
        paper = "-" if cost.paper_bytes is None else render.size(cost.paper_bytes)
        cells = [row.name, f"{row.tensors:,}", f"{row.parameters:,}", render.size(row.source_bytes)]
        stored = [render.size(row.stored_bytes), f"{row.bits_per_weight:.2f}"]
        rows.append([*cells, paper, *stored, render.size(row.read_bytes)])
    if not fused:
        for cells in (header, *rows):
            del cells[4]
    came = sum(cost.row.source_bytes for cost in report.tasks)
    share = f", {report.file_bytes / came:.1%} of the arrays" if came else ""
    path = render.printable(report.path)
    lines = [render.table(header, rows)]
    if any(choice.codec != "float" for choice in report.choices):
        lines += [f"chosen for the smallest {_AIMS[report.optimize]}:", _chosen(report)]
    lines.append(f"{path}: {render.size(report.file_bytes)}{share}, layout {report.layout}")
    return "\n".join(lines)


def _chosen(report: PackReport) -> str:
    """Say how many tensors got which codec, and what that saves: cost now, and as plain float."""
    header = ["task", "codec", "tensors", "to read", "in the file", "as float"]
    order = [cost.row.name for cost in report.tasks]
    rows: dict[tuple[str, str], list[int]] = {}
    for choice in report.choices:
        row = rows.setdefault((choice.task, choice.codec), [0, 0, 0, 0])
        row[0] += len(choice.tensors)
        for place, cost in enumerate((choice.read_bytes, choice.file_bytes, choice.float_bytes), 1):
            row[place] += cost
    cells = [
        [task, codec, f"{row[0]:,}", *map(render.size, row[1:])]
        for (task, codec), row in sorted(rows.items(), key=lambda item: order.index(item[0][0]))
    ]
    return render.table(header, cells, left=2)
