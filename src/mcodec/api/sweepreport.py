"""What a sweep found: curves, baselines, the last setting without loss, and CSV."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcodec.errors import UsageError
from mcodec.outputs import atomic_output
from mcodec.storage import io_errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mcodec.api.sweepcells import Cell


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What `sweep` found.

    Attributes
    ----------
    mode
        ``keep`` or ``bits``: what settings are.
    settings
        The grid, most bits first.
    tasks
        Names, in order.
    layers
        By task, in model order, with how many values each has that a sweep may change; empty
        without ``per_layer``.
    cells
        All cells of the grid: baselines first, then by setting, then by layer.
    measured
        How many of them were measured in this run; the others were there, or follow from the
        baseline.
    unit
        Of the scores, in a person's words; may be empty.
    notes
        A line for each thing to be warned of.
    """

    mode: str
    settings: tuple[int, ...]
    tasks: tuple[str, ...]
    layers: Mapping[str, Mapping[str, int]]
    cells: tuple[Cell, ...]
    measured: int
    unit: str
    notes: tuple[str, ...]

    def baseline(self, task: str) -> Cell:
        """Return the cell of the exact model."""
        return self._cell(task, None, None)

    def curve(self, task: str, layer: str | None = None) -> list[Cell]:
        """Return a task's cells over the grid, most bits first; of one layer, or of all together.

        Raises
        ------
        UsageError
            There is no such task or layer in the sweep.
        """
        found = [cell for cell in self.cells if (cell.task, cell.layer) == (task, layer)]
        cells = [cell for cell in found if cell.setting is not None]
        if not cells:
            raise UsageError(f"the sweep has no task {task!r} with layer {layer!r}")
        return cells

    def measure(self, task: str) -> str:
        """Return the name of the number that counts."""
        return next(iter(self.baseline(task).scores))

    def drop(self, cell: Cell) -> float:
        """Return how much less than the baseline's a cell's score is; negative if it is more."""
        return self.baseline(cell.task).score - cell.score

    def last_without_loss(self, task: str, layer: str | None = None) -> int | None:
        """Return the fewest bits such that these, and all more bits, score no less than the exact.

        None if already the most bits score less.
        """
        last = None
        for cell in self.curve(task, layer):
            if self.drop(cell) > 0:
                break
            last = cell.setting
        return last

    def to_json(self) -> dict[str, Any]:
        """Return all of it, for `json.dumps`."""
        return {
            "mode": self.mode,
            "settings": list(self.settings),
            "unit": self.unit,
            "measured": self.measured,
            "tasks": [
                {
                    "name": task,
                    "measure": self.measure(task),
                    "baseline": self.baseline(task).scores,
                    "last_without_loss": self.last_without_loss(task),
                    "layers": [
                        {
                            "name": layer,
                            "values": size,
                            "last_without_loss": self.last_without_loss(task, layer),
                        }
                        for layer, size in self.layers.get(task, {}).items()
                    ],
                }
                for task in self.tasks
            ],
            "cells": [
                {
                    "task": cell.task,
                    "layer": cell.layer,
                    "setting": cell.setting,
                    "scores": cell.scores,
                    "drop": self.drop(cell),
                    "max_error": cell.max_error,
                    "sqnr_db": cell.sqnr_db,
                    "seconds": cell.seconds,
                }
                for cell in self.cells
            ],
            "notes": list(self.notes),
        }

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """Write a line for each number of each cell; the exact model has no setting.

        Raises
        ------
        UsageError, InputOutputError
            It cannot be written.
        """
        header = ["task", "layer", self.mode, "measure", "value", "drop"]
        rows: list[Sequence[object]] = [[*header, "max_error", "sqnr_db", "seconds"]]
        for cell in self.cells:
            exact = self.baseline(cell.task).scores
            errors = [_plain(cell.max_error), _plain(cell.sqnr_db), f"{cell.seconds:.3f}"]
            place = [cell.task, _plain(cell.layer), _plain(cell.setting)]
            rows += [
                [*place, name, repr(value), f"{exact[name] - value:.10g}", *errors]
                for name, value in cell.scores.items()
            ]
        name = os.fspath(path)
        with (
            atomic_output(name) as temporary,
            io_errors(name),
            open(temporary, "w", encoding="utf-8", newline="") as file,
        ):
            csv.writer(file, lineterminator="\n").writerows(rows)

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draw accuracy against bits, and with layers the map of layers and bits: PNG or SVG.

        Raises
        ------
        MissingDependencyError
            There is no matplotlib.
        UsageError, InputOutputError
            It cannot be written, or its suffix is of no picture.
        """
        from mcodec.api.sweepplot import write_plot

        write_plot(self, path)

    def _cell(self, task: str, layer: str | None, setting: int | None) -> Cell:
        for cell in self.cells:
            if cell.key == (task, layer, setting):
                return cell
        raise UsageError(f"the sweep has no task {task!r}")


def _plain(value: float | str | None) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else f"{value:.10g}"
