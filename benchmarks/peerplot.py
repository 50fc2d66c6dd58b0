"""The picture of `peers.py`: size beside speed for one model, and cost beside size.

python benchmarks/peerplot.py FIGURES.json docs/peers.svg

FIGURES.json is what `peers.py --json` wrote.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Point = tuple[str, float, float, bool]  # name, size, GB/s, whether it is lossless

MODEL: Final = ("minilm", "float32")
LABEL: Final = "MiniLM, float32, 2 threads"
# Okabe and Ito's colours, which every common kind of colour blindness tells apart.
COLOURS: Final = {
    "mcodec lossless": "#0072B2",
    "mcodec bits 12": "#56B4E9",
    "mcodec file to file": "#56B4E9",
    "safetensors": "#000000",
    "ZipNN": "#D55E00",
    "zstd 3": "#E69F00",
    "h5py gzip": "#CC79A7",
    "OpenZL": "#009E73",
}
OTHERS: Final = "#777777"
LEFT: Final = 0.6  # of the size: names of marks below it stand among the marks
SMALL: Final = 0.19  # where they stand, in widths of the panel
ALL: Final = 1.04  # where the others do
LINE: Final = {
    "arrowstyle": "-",
    "color": "#bbbbbb",
    "linewidth": 0.7,
    "relpos": (0, 0.5),
    "shrinkA": 1,
    "shrinkB": 3,
}
GAP: Final = 0.066  # between names in the column, in heights of the panel
GROWN: Final = (
    "mcodec lossless",
    "mcodec file to file",
    "safetensors",
    "ZipNN",
    "zstd 3",
    "h5py gzip",
    "OpenZL",
)
MARKS: Final = {"pack": "o", "unpack": "s"}


def points(figures: Mapping[str, Any], verb: str) -> Iterator[Point]:
    """Give name, size as a part of the arrays', GB/s, and whether it is lossless."""
    for row in figures["models"]:
        if (row["model"], row["dtype"]) != MODEL:
            continue
        for name, one in row["contenders"].items():
            times = one["seconds"]
            seconds = times.get(f"{verb} 2") or times.get(f"{verb} 1")
            if seconds:
                yield (
                    name,
                    one["bytes"] / row["bytes"],
                    row["bytes"] / seconds / 1e9,
                    one["lossless"],
                )


def beside(axes: Any, figures: Mapping[str, Any], verb: str) -> None:
    """Draw size against speed."""
    found = sorted(points(figures, verb), key=lambda point: point[1])
    for name, size, speed, lossless in found:
        colour = COLOURS.get(name, OTHERS)
        own = name.startswith("mcodec")
        axes.plot(
            size,
            speed,
            marker="o" if lossless else "D",
            markersize=9 if own else 6,
            color=colour,
            markerfacecolor=colour if lossless else "white",
            markeredgewidth=1.6,
            linestyle="none",
        )
    axes.set_yscale("log")
    axes.margins(x=0.06, y=0.1)
    round_numbers(axes)
    axes.set_xlabel("size, as part of the arrays' bytes (← smaller)")
    axes.set_ylabel("GB/s of values (↑ faster)")
    axes.set_title("pack: arrays to a file" if verb == "pack" else "unpack: a file to arrays")
    name_marks(axes, found)


def round_numbers(axes: Any) -> None:
    """Write 0.1, 0.2, 0.5, 1 on a logarithmic axis."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def name_marks(axes: Any, found: list[Point]) -> None:
    """Write names in two columns that lines lead to: of small sizes, and of all others."""
    low, high = (math.log(limit) for limit in axes.get_ylim())
    for column, left in ((SMALL, True), (ALL, False)):
        marks = {name: (size, speed) for name, size, speed, _ in found if (size < LEFT) == left}
        places = spread(
            {name: (math.log(speed) - low) / (high - low) for name, (_, speed) in marks.items()}
        )
        for name, mark in marks.items():
            axes.annotate(
                name,
                mark,
                (column, places[name]),
                textcoords="axes fraction",
                arrowprops=LINE,
                annotation_clip=False,
                fontsize=8,
                va="center",
                color=COLOURS.get(name, "#333333"),
                fontweight="bold" if name.startswith("mcodec") else "normal",
            )


def spread(heights: Mapping[str, float]) -> dict[str, float]:
    """Move heights apart until neighbours have room, all as little as can be.

    Less their place times the gap, heights only have to rise: neighbours that do not become one
    group, which stands at the mean of its members.
    """
    names = sorted(heights, key=heights.__getitem__)
    groups: list[tuple[float, int]] = []
    for index, name in enumerate(names):
        mean, count = heights[name] - index * GAP, 1
        while groups and groups[-1][0] > mean:
            other, more = groups.pop()
            mean, count = (mean * count + other * more) / (count + more), count + more
        groups.append((mean, count))
    found = [mean for mean, count in groups for _ in range(count)]
    return {
        name: mean + index * GAP
        for index, (name, mean) in enumerate(zip(names, found, strict=True))
    }


def growth(axes: Any, figures: Mapping[str, Any]) -> None:
    """Draw the seconds of a gigabyte against the size of the model."""
    for name in GROWN:
        for verb, style in (("pack", "-"), ("unpack", "--")):
            series = figures["growth"].get(f"{name}, {verb}", {})
            sizes = [int(size) for size in series]
            axes.plot(
                [size / 2**20 for size in sizes],
                [
                    1e9 * seconds / size
                    for size, seconds in zip(sizes, series.values(), strict=True)
                ],
                style,
                color=COLOURS[name],
                marker=MARKS[verb],
                markersize=3.5,
                linewidth=2 if name.startswith("mcodec") else 1.2,
            )
    axes.set_xscale("log", base=4)
    axes.set_yscale("log")
    round_numbers(axes)
    axes.set_xlabel("model, MiB of float32")
    axes.set_ylabel("seconds a GB (↓ cheaper)")
    axes.set_title("cost against size  (flat is proportional)")
    ticks = sorted({int(size) for series in figures["growth"].values() for size in series})
    axes.set_xticks([size / 2**20 for size in ticks], [f"{size >> 20:,}" for size in ticks])
    axes.minorticks_off()


def legend(axes: Any) -> None:
    """Say what lines of the last panel are."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=COLOURS[name], linewidth=2, label=name) for name in GROWN]
    for verb, style in (("pack", "-"), ("unpack", "--")):
        handles.append(
            Line2D([], [], color="#555555", linestyle=style, marker=MARKS[verb], label=verb)
        )
    axes.legend(
        handles=handles, fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False
    )


def draw(figures: Mapping[str, Any], path: str) -> None:
    """Draw the picture; the same figures give the same bytes with one version of matplotlib."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    options = {"svg.hashsalt": "mcodec", "font.size": 9, "axes.titlesize": 10}
    with mpl.rc_context({**options, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(8.4, 6.9), layout="constrained", facecolor="white")
        grid: dict[str, Any] = figure.subplot_mosaic([["pack", "unpack"], ["growth", "growth"]])
        for verb in ("pack", "unpack"):
            beside(grid[verb], figures, verb)
        growth(grid["growth"], figures)
        legend(grid["growth"])
        for axes in grid.values():
            axes.grid(visible=True, which="major", color="#e6e6e6", linewidth=0.8)
            axes.set_axisbelow(True)
        machine = figures["machine"]
        figure.suptitle(
            f"{LABEL}; {machine['processor']}, {machine['cores']} cores. Hollow marks are lossy.",
            fontsize=9,
        )
        form = Path(path).suffix[1:].lower()
        metadata: dict[str, Any] = {"Date": None} if form == "svg" else {}
        figure.savefig(path, format=form, dpi=150, metadata=metadata)


def main() -> None:
    """Draw the figures of a file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("figures")
    parser.add_argument("picture")
    options = parser.parse_args()
    draw(json.loads(Path(options.figures).read_text()), options.picture)


if __name__ == "__main__":
    main()
