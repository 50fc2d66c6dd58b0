"""`mcodec sweep`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from mcodec.cli import options, render, streams
from mcodec.errors import InputOutputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


@click.command("sweep")
@click.argument("sources", nargs=-1, required=True, metavar="[NAME=]IN…", type=options.PATH)
@options.evaluate_option
@click.option(
    "--keep", metavar="GRID", help="Bits of each float that stay, from the top: 32:2:-2, or 16,12."
)
@click.option(
    "--bits", metavar="GRID", help="Magnitude bits of weights in block floating point: 24:1:-1."
)
@click.option("--rounding", metavar="HOW", help="Of --bits: nearest or truncate.")
@click.option("--scope", metavar="SCOPE", help="Of --bits: tensor, axis:A or block:K.")
@click.option("--per-layer", is_flag=True, help="Each layer by itself too, the rest exact.")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="OUT.json",
    type=options.PATH,
    help="What was measured; a finished cell is not run again.",
)
@click.option("--csv", "table", metavar="FILE", type=options.PATH, help="The same as CSV.")
@click.option(
    "--plot",
    "plots",
    multiple=True,
    metavar="FILE",
    type=options.PATH,
    help="A picture, .png or .svg; may be given several times.",
)
@click.option("--unit", default="", metavar="UNIT", help="Of the numbers: %, dB, …")
@click.option("--fresh", is_flag=True, help="Measure all anew, whatever OUT.json holds.")
@options.as_file_option
@options.include_option
@options.exclude_option
@options.keys_option
@options.sandbox_option
@click.option(
    "-j",
    "--jobs",
    type=options.Count(1, 1024),
    default=1,
    metavar="N",
    help="Processes that measure [default: 1].",
)
@options.json_option
@options.quiet_option
def command(
    sources: tuple[str, ...],
    evaluate: str | None,
    keep: str | None,
    bits: str | None,
    rounding: str | None,
    scope: str | None,
    per_layer: bool,
    output: str,
    table: str | None,
    plots: tuple[str, ...],
    unit: str,
    fresh: bool,
    as_file: bool,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    keys: tuple[str, ...],
    sandbox: bool,
    jobs: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure models with fewer and fewer bits, by your own function.

    FUNCTION gets the weights as arrays by name, and the task; it returns a number, larger for
    better. The exact model comes first, as the baseline. Run again, it goes on where it was
    stopped.

    \b
    mcodec sweep a.h5 b.h5 --evaluate score.py:accuracy --keep 32:2:-2 -o sweep.json
    mcodec sweep a.h5 --evaluate score.py:accuracy --bits 12:1:-1 --per-layer \\
        -o layers.json --csv layers.csv --plot layers.png
    """  # noqa: D301 (click reads the control character)
    from mcodec.evaluate import sweep

    if evaluate is None:
        raise UsageError("say what measures the models: --evaluate FILE.py:FUNCTION")
    if (keep is None) == (bits is None):
        raise UsageError("give either --keep, such as 32:2:-2, or --bits, such as 24:1:-1")
    named = options.split_named(sources)
    _check_outputs([output, *([] if table is None else [table]), *plots], plots, named.values())
    bar = render.progress_bar("measuring", shown=not (quiet or as_json), unit="cells")
    with streams.stdout_kept(), bar as progress:
        report = sweep(
            named,
            evaluate,
            keep=keep,
            bits=bits,
            per_layer=per_layer,
            include=include,
            exclude=exclude,
            rounding=rounding or "nearest",
            scope=scope or "tensor",
            as_file=as_file,
            out=output,
            fresh=fresh,
            key=options.parse_keys(keys),
            sandbox=sandbox,
            jobs=jobs,
            unit=unit,
            progress=progress,
        )
        if table is not None:
            report.write_csv(table)
        for plot in plots:
            report.plot(plot)
    for note in report.notes:
        render.warn(note)
    if as_json:
        render.emit_json(report.to_json())
    elif not quiet:
        from mcodec.cli.sweeptable import show

        show(report)


def _check_outputs(paths: Sequence[str], plots: Sequence[str], inputs: Collection[str]) -> None:
    """Refuse what cannot be written, before hours of work.

    Raises
    ------
    UsageError, InputOutputError, MissingDependencyError
        Two outputs are one file, one cannot be written, or there is no matplotlib.
    """
    from mcodec.api.sweepplot import check_plot
    from mcodec.outputs import check_output

    seen: set[str] = set()
    for path in paths:
        check_output(path, inputs)
        real = os.path.realpath(path)
        if real in seen:
            raise UsageError(f"{path} is asked for twice; give each output a name")
        seen.add(real)
        if not os.access(os.path.dirname(real), os.W_OK):
            raise InputOutputError(f"{path}: its folder may not be written to")
    for path in plots:
        check_plot(path)
