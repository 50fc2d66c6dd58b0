"""Pictures of a sweep: scores against bits, and layers against bits."""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING, Any, Final

from mcodec.errors import MissingDependencyError, UsageError
from mcodec.outputs import atomic_output
from mcodec.storage import io_errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mcodec.api.sweepreport import SweepReport

SUFFIXES: Final = (".png", ".svg")
# Okabe and Ito's colours, which every common kind of colour blindness tells apart.
_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKS: Final = "osD^vPX"
_WIDTH: Final = 7.6  # inches
_MORE: Final = 4.2  # inches, for each further map beside the first
_CURVES: Final = 4.4  # inches of height
_ROW: Final = 0.155  # inches of a layer in the map
_MOST_ROWS: Final = 400  # layers that are named; of more, the names would be no wider than a line
_X: Final = {
    "keep": "bits kept of each float, from the top: sign, exponent, mantissa",
    "bits": "magnitude bits a weight, in block floating point",
}


def check_plot(path: str) -> None:
    """Refuse a picture that cannot be made, before long work.

    Raises
    ------
    UsageError
        The suffix is not of a PNG or an SVG.
    MissingDependencyError
        There is no matplotlib.
    """
    if os.path.splitext(path)[1].lower() not in SUFFIXES:
        raise UsageError(f"{path}: a plot is a .png or an .svg file")
    if importlib.util.find_spec("matplotlib") is None:
        message = "a plot needs matplotlib, which is not installed: pip install 'mcodec[plot]'"
        raise MissingDependencyError(message)


def write_plot(report: SweepReport, path: str | os.PathLike[str]) -> None:
    """Draw a sweep; the same report gives the same bytes with one version of matplotlib.

    Raises
    ------
    UsageError, MissingDependencyError
        As `check_plot`.
    InputOutputError
        It cannot be written.
    """
    name = os.fspath(path)
    check_plot(name)
    import matplotlib as mpl

    form = os.path.splitext(name)[1][1:].lower()
    options = {"svg.hashsalt": "mcodec", "font.size": 9, "axes.titlesize": 10}
    with mpl.rc_context(options):
        figure = _draw(report)
        metadata: dict[str, Any] = {"Date": None} if form == "svg" else {}
        with atomic_output(name) as temporary, io_errors(name):
            figure.savefig(temporary, format=form, dpi=160, metadata=metadata)


def _draw(report: SweepReport) -> Any:
    from matplotlib.figure import Figure

    rows = max((len(layers) for layers in report.layers.values()), default=0)
    maps = [task for task in report.tasks if report.layers.get(task)]
    below = 1.2 + _ROW * min(rows, _MOST_ROWS) if maps else 0.0
    wide = _WIDTH + _MORE * max(0, len(maps) - 1)
    figure = Figure(figsize=(wide, _CURVES + below), layout="constrained")
    ratios = [_CURVES, below] if maps else [_CURVES]
    parts = figure.subfigures(len(ratios), 1, height_ratios=ratios, squeeze=False)[:, 0]
    _curves(report, parts[0].subplots())
    if maps:
        axes = parts[1].subplots(1, len(maps), squeeze=False)[0]
        for task, one in zip(maps, axes, strict=True):
            _map(report, task, one, parts[1])
    return figure


def _curves(report: SweepReport, axes: Any) -> None:
    """Draw a line a task, its baseline, and a ring around the last setting without loss."""
    for place, task in enumerate(report.tasks):
        colour, mark = _COLOURS[place % len(_COLOURS)], _MARKS[place % len(_MARKS)]
        cells = report.curve(task)
        bits = [cell.setting or 0 for cell in cells]
        label = f"{task}: {report.measure(task)}"
        last = report.last_without_loss(task)
        label += ", below the exact model from the start" if last is None else ""
        label += "" if last is None else f", without loss down to {last} bits"
        axes.axhline(report.baseline(task).score, color=colour, linewidth=0.8, linestyle=":")
        axes.plot(
            bits, [cell.score for cell in cells], color=colour, marker=mark, ms=4.5, label=label
        )
        if last is not None:
            score = next(cell.score for cell in cells if cell.setting == last)
            axes.plot(
                [last], [score], marker="o", ms=12, mfc="none", mec=colour, mew=1.6, ls="none"
            )
    measures = list(dict.fromkeys(report.measure(task) for task in report.tasks))
    what = measures[0] if len(measures) == 1 else "score"
    axes.set_ylabel(f"{what} ({report.unit})" if report.unit else f"{what}, in its own unit")
    axes.set_xlabel(_X[report.mode])
    axes.set_xticks(_ticks(report.settings))
    axes.set_title("Fewer bits: the score of the whole model", loc="left")
    axes.grid(visible=True, color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(
        edgecolor="none",
        loc="lower right",
        title="dotted: the exact model; ring: the last setting without loss",
        alignment="left",
    )


def _map(report: SweepReport, task: str, axes: Any, figure: Any) -> None:
    """Draw how much less a task scores with one layer at fewer bits and the rest exact."""
    import numpy as np

    layers = list(report.layers[task])
    drops: Mapping[str, Sequence[float]] = {
        layer: [report.drop(cell) for cell in report.curve(task, layer)] for layer in layers
    }
    # Fewer bits to the left, as above; white is no loss.
    values = np.array([drops[layer][::-1] for layer in layers]).clip(min=0)
    image = axes.imshow(values, aspect="auto", cmap="Blues", interpolation="nearest", vmin=0)
    if not values.any():
        image.set_clim(0, 1)
    axes.set_xticks(range(len(report.settings)), [str(bits) for bits in report.settings[::-1]])
    axes.tick_params(axis="x", labelsize=7)
    axes.set_xlabel("bits of the layer")
    size = 6.5 if len(layers) <= _MOST_ROWS else 2.0
    axes.set_yticks(range(len(layers)), [_short(layer) for layer in layers], fontsize=size)
    axes.set_title(f"{task}: one layer at fewer bits, the rest exact", loc="left", fontsize=9)
    unit = f" ({report.unit})" if report.unit else ""
    figure.colorbar(image, ax=axes, label=f"drop of {report.measure(task)}{unit}", shrink=0.6)


def _ticks(settings: Sequence[int]) -> list[int]:
    """Return settings to be named on the axis: at most 17, and both ends."""
    step = -(-len(settings) // 17)
    return sorted({*settings[::step], settings[-1]})


def _short(name: str, width: int = 34) -> str:
    """Leave out a long name's middle; a dollar sign would begin a formula."""
    if len(name) > width:
        name = f"{name[: width // 2 - 1]}…{name[-width // 2 :]}"
    return name.replace("$", r"\$")
