"""Text for people: sizes, plain tables, names made safe, JSON, progress bars."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

import click

from mcodec.api.words import counted, elide, printable, size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mcodec.api.tasklist import TaskRow

__all__ = [
    "counted",
    "elide",
    "emit_json",
    "planes",
    "printable",
    "progress_bar",
    "size",
    "status",
    "table",
    "task_table",
    "warn",
]


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Align rows in columns; the first `left` columns to the left, the others to the right."""
    cells = [list(header), *(list(map(elide, row)) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = []
    for row in cells:
        parts = [
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(parts).rstrip())
    return "\n".join(lines)


def planes(there: tuple[int, int] | None) -> str:
    """Write the planes of what is cut off: 6 of 12; all, also where there are none to be cut."""
    return "all" if there is None or there[0] == there[1] else f"{there[0]} of {there[1]}"


def task_table(
    rows: Sequence[TaskRow], levels: Sequence[tuple[int, int] | None] | None = None
) -> str:
    """Say what each task is and takes, and what was said of it with ``--meta``.

    Where tasks need each other's bytes, it says how many: what another task needs too, what is told
    from such, and what is a task's own. `levels` are the planes of each, if the file is cut off.
    """
    keys = list(dict.fromkeys(key for row in rows for key in row.meta))
    family = any(row.shared_bytes or row.delta_bytes for row in rows)
    parts = ["shared", "delta", "own"] if family else []
    parts += ["planes"] if levels else []
    header = ["task", "tensors", "weights", "arrays", "stored", "bits/weight", *parts, *keys]
    cells = []
    for index, row in enumerate(rows):
        sizes = [row.shared_bytes, row.delta_bytes, row.own_bytes] if family else []
        there = [planes(levels[index])] if levels else []
        cells.append(
            [
                row.name,
                f"{row.tensors:,}",
                f"{row.parameters:,}",
                size(row.source_bytes),
                size(row.stored_bytes),
                f"{row.bits_per_weight:.2f}",
                *map(size, sizes),
                *there,
                *(row.meta.get(key, "-") for key in keys),
            ]
        )
    return table(header, cells)


def emit_json(value: Any) -> None:
    """Print a value as JSON on stdout: every byte of it ASCII, whatever the terminal's encoding."""
    import json

    click.echo(json.dumps(value, indent=2, allow_nan=False))


def warn(message: str) -> None:
    """Print a warning on stderr, one line."""
    click.echo(f"mcodec: warning: {printable(message)}", err=True)


@contextlib.contextmanager
def progress_bar(
    what: str, *, shown: bool, unit: str = "bytes"
) -> Iterator[Callable[[int, int], None]]:
    """Give a function that moves a bar on stderr, if that is a terminal and `shown` is set.

    Of bytes it says the speed, of another unit how many are done. The bar appears with the first
    move, so that what fails at once shows its error only.
    """
    if not shown or sys.stderr is None or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    with contextlib.ExitStack() as stack:
        move: Callable[[int, int], None] | None = None

        def first(done: int, total: int) -> None:
            nonlocal move
            move = move or stack.enter_context(_bar(what, unit))
            move(done, total)

        yield first


@contextlib.contextmanager
def status(what: str, *, shown: bool) -> Iterator[Callable[[str], None]]:
    """Give a function that says a line on stderr, above a sign that work goes on.

    Nothing is said if stderr is no terminal or `shown` is not set. The sign appears with the first
    line, so that what fails at once shows its error only.
    """
    if not shown or sys.stderr is None or not sys.stderr.isatty():
        yield lambda line: None
        return
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    with contextlib.ExitStack() as stack:
        spinning = False

        def say(line: str) -> None:
            nonlocal spinning
            if not spinning:
                stack.enter_context(console.status(what))
                spinning = True
            console.print(printable(line), markup=False)

        yield say


@contextlib.contextmanager
def _bar(what: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    speed = (DownloadColumn(), TransferSpeedColumn())
    count = (MofNCompleteColumn(), TextColumn(unit), TimeElapsedColumn(), TextColumn("left:"))
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        *(speed if unit == "bytes" else count),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    # What is counted may take minutes each; the time left is told from all that were done.
    with Progress(
        *columns, console=console, transient=True, speed_estimate_period=24 * 3600
    ) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
