"""The tables of `mcodec sweep`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mcodec.cli import render

if TYPE_CHECKING:
    from rich.table import Table

    from mcodec.api.sweepcells import Cell
    from mcodec.api.sweepreport import SweepReport

_UNIT = {"keep": "bits kept", "bits": "bits"}


def show(report: SweepReport) -> None:
    """Print what was measured: a row a setting, and a line a task that says where loss begins."""
    from rich.console import Console

    # A pipe or a file has no width: nothing is to be cut off there.
    console = Console(highlight=False, soft_wrap=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=200)
    console.print(_curves(report))
    for task in report.tasks:
        if report.layers.get(task):
            console.print(_layers(report, task))
    for task in report.tasks:
        click.echo(_verdict(report, task))
    counts = f"{render.counted(len(report.cells), 'cell')}, {report.measured:,} measured now"
    click.echo(counts)


def _plain_table() -> Table:
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)


def _curves(report: SweepReport) -> Table:
    table = _plain_table()
    table.add_column(_UNIT[report.mode], justify="right")
    unit = f", {report.unit}" if report.unit else ""
    for task in report.tasks:
        names = [f"{task}: {report.measure(task)}{unit}", "drop", "max error", "SQNR, dB"]
        for name in names:
            table.add_column(_text(name), justify="right")
    rows = [(None, [report.baseline(task) for task in report.tasks])]
    curves = [report.curve(task) for task in report.tasks]
    lasts = [report.last_without_loss(task) for task in report.tasks]
    settings = [*rows, *zip(report.settings, zip(*curves, strict=True), strict=True)]
    for setting, cells in settings:
        words = ["exact" if setting is None else str(setting)]
        for cell, last in zip(cells, lasts, strict=True):
            mark = setting is not None and setting == last
            words += _cell(report, cell, marked=mark)
        table.add_row(*words)
    return table


def _cell(report: SweepReport, cell: Cell, *, marked: bool) -> list[str]:
    """Write a cell; the last one without loss has an arrow, and is green where there is colour."""
    score = _number(cell.score)
    if cell.setting is None:
        return [score, "", "", ""]
    if marked:
        score = f"[bold green]→ {score}[/]"
    exact = cell.max_error == 0
    return [
        score,
        _number(report.drop(cell)),
        "0" if exact else _or_dash(cell.max_error, ".2e"),
        "exact" if exact else _or_dash(cell.sqnr_db, ".1f"),
    ]


def _layers(report: SweepReport, task: str) -> Table:
    """Say of each layer down to where it may go alone, and what the fewest bits cost."""
    table = _plain_table()
    table.add_column(_text(f"{task}: layer"))
    table.add_column("values", justify="right")
    table.add_column(f"without loss down to, {_UNIT[report.mode]}", justify="right")
    table.add_column(f"drop at {report.settings[-1]}", justify="right")
    for layer, size in report.layers[task].items():
        last = report.last_without_loss(task, layer)
        drop = report.drop(report.curve(task, layer)[-1])
        table.add_row(_text(layer), f"{size:,}", "-" if last is None else str(last), _number(drop))
    return table


def _verdict(report: SweepReport, task: str) -> str:
    last = report.last_without_loss(task)
    name = render.printable(task)
    measure = render.printable(report.measure(task))
    if last is None:
        top = report.settings[0]
        return f"{name}: {measure} falls from the start: {top} bits score less than the exact model"
    return f"{name}: the last setting without loss of {measure} is {last} bits"


def _text(text: str) -> str:
    """Make a text safe for a terminal and for rich's markup."""
    from rich.markup import escape

    return escape(render.elide(text))


def _number(value: float) -> str:
    if value == 0:
        return "0"
    return f"{value:.2f}" if 0.01 <= abs(value) < 1e6 else f"{value:.2g}"


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
