"""The picture of `peers.py`: size beside speed for one model, and cost beside size.

python benchmarks/peerplot.py FIGURES.json docs/peers.svg

FIGURES.json is what `peers.py --json` wrote.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MODEL: Final = ("minilm", "float32")
LABEL: Final = "MiniLM, float32, 2 threads"
# Okabe and Ito's colours, which every common kind of colour blindness tells apart.
COLOURS: Final = {
    "mcodec lossless": "#0072B2",
    "mcodec bits 12": "#56B4E9",
    "safetensors": "#000000",
    "ZipNN": "#D55E00",
    "zstd 3": "#E69F00",
    "h5py gzip": "#CC79A7",
    "OpenZL": "#009E73",
}
OTHERS: Final = "#777777"
# Where a name stands beside its mark, in points, and how it is aligned, for those that would meet.
PLACES: Final[dict[str, tuple[float, float, str]]] = {}
GROWN: Final = ("mcodec lossless", "safetensors", "ZipNN", "zstd 3", "h5py gzip", "OpenZL")
MARKS: Final = {"pack": "o", "unpack": "s"}


def points(figures: Mapping[str, Any], verb: str) -> Iterator[tuple[str, float, float, bool]]:
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
    place_names(axes, found)
    axes.set_yscale("log")
    axes.margins(x=0.16, y=0.12)
    axes.set_xlabel("size, as part of the arrays' bytes  (← smaller)")
    what = "pack: arrays to a file" if verb == "pack" else "unpack: a file to arrays"
    axes.set_ylabel("GB/s of values")
    axes.set_title(what)


def place_names(axes: Any, found: list[tuple[str, float, float, bool]]) -> None:
    """Write names beside their marks, on the side where no neighbour stands."""
    for name, size, speed, _ in found:
        dx, dy, align = PLACES.get(name, (8.0, 0.0, "left"))
        axes.annotate(
            name,
            (size, speed),
            (dx, dy),
            textcoords="offset points",
            ha=align,
            va="center",
            fontsize=8,
            color=COLOURS.get(name, "#333333"),
            fontweight="bold" if name.startswith("mcodec") else "normal",
        )


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
    axes.set_xlabel("model, MiB of float32")
    axes.set_ylabel("seconds a GB")
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
        handles=handles, fontsize=8, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.2),
        frameon=False,
    )  # fmt: skip


def draw(figures: Mapping[str, Any], path: str) -> None:
    """Draw the picture; the same figures give the same bytes with one version of matplotlib."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    options = {"svg.hashsalt": "mcodec", "font.size": 9, "axes.titlesize": 10}
    with mpl.rc_context({**options, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(8.4, 7.6), layout="constrained", facecolor="white")
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
