"""Bit fusion of 8-bit integers, which paper 001 tried first, and why it fails.

    python examples/int8_fusion.py             (four low bits of A become B's four top bits)
    python examples/int8_fusion.py --low 2

Weights are rounded to a sign and an integer of 8 bits, 255 for the largest of a tensor. In the low
bits of A's integers stand the top bits of B's: A runs with them as they are, B is shifted up. A
small integer of A is then what B's bits say: 240 becomes at most 255, which is 6.25 % more, but 1
may become 15, which is 1400 % more, and weights that were next to nothing count. It is not a part
of mcodec, which fuses block floating point (`mcodec pack --bits`); that is shown beside it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click
import digits
import network
import numpy as np
from rich.console import Console
from rich.table import Table

import mcodec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Weights = dict[str, NDArray[np.float32]]

HERE: Final = Path(__file__).resolve().parent
MODELS: Final = {task: HERE / f"digits_{task.lower()}.h5" for task in digits.CLASSES}
TOP: Final = 255
BANDS: Final = ((1, 15), (16, 31), (32, 63), (64, 127), (128, 255))
EXAMPLES: Final = ((240, 255), (1, 15))  # the paper's

console = Console(highlight=False)


class Integers(NamedTuple):
    """A tensor as signs (-1 or 1), magnitudes of 0 to 255, and what a magnitude of 1 is."""

    signs: NDArray[np.float32]
    magnitudes: NDArray[np.uint8]
    unit: np.float32

    def values(self) -> NDArray[np.float32]:
        """Return the numbers that they stand for."""
        found: NDArray[np.float32] = self.signs * self.magnitudes * self.unit
        return found


class Band(NamedTuple):
    """What fusion does to the magnitudes of a band of A."""

    low: int
    high: int
    weights: int
    mean: float  # relative change, as in the others
    worst: float


def quantise(array: NDArray[np.float32]) -> Integers:
    """Round a tensor to signs and magnitudes of 8 bits, one unit for all."""
    unit = np.float32(np.abs(array).max() / TOP) or np.float32(1)
    magnitudes = np.rint(np.abs(array) / unit).astype(np.uint8)
    return Integers(np.where(np.signbit(array), -1, 1).astype(np.float32), magnitudes, unit)


def fuse(a: NDArray[np.uint8], b: NDArray[np.uint8], low: int) -> NDArray[np.uint8]:
    """Put the top bits of B's magnitudes into the `low` low bits of A's."""
    kept = np.uint8(TOP >> low << low)
    fused: NDArray[np.uint8] = (a & kept) | (b >> np.uint8(8 - low))
    return fused


def split(fused: NDArray[np.uint8], low: int) -> NDArray[np.uint8]:
    """Return B's magnitudes as they stand in the fused ones: its top bits, zeros below."""
    return (fused & np.uint8((1 << low) - 1)) << np.uint8(8 - low)


def relative(old: int, new: int) -> float:
    """Return the change of an integer, as a part of it: (new - old) / old."""
    return (new - old) / old


def fused_names(models: dict[str, Weights]) -> list[str]:
    """Return the matrices that both tasks have in one shape: all but their heads."""
    a, b = models["A"], models["B"]
    return [name for name in a if a[name].ndim > 1 and a[name].shape == b[name].shape]


def rounded(models: dict[str, Weights]) -> dict[str, dict[str, Integers]]:
    """Round all matrices of both tasks; vectors stay as they are."""
    return {
        task: {name: quantise(array) for name, array in weights.items() if array.ndim > 1}
        for task, weights in models.items()
    }


def fusion(models: dict[str, Weights], low: int) -> dict[str, Weights]:
    """Return both networks as they run from one tensor of fused integers."""
    integers = rounded(models)
    found = {
        task: weights | {name: one.values() for name, one in integers[task].items()}
        for task, weights in models.items()
    }
    for name in fused_names(models):
        a, b = integers["A"][name], integers["B"][name]
        both = fuse(a.magnitudes, b.magnitudes, low)
        found["A"][name] = a._replace(magnitudes=both).values()
        found["B"][name] = b._replace(magnitudes=split(both, low)).values()
    return found


def bands(models: dict[str, Weights], low: int) -> list[Band]:
    """Tell how far fusion moves A's integers, by how large they are."""
    integers = rounded(models)
    pairs = [(integers["A"][n], integers["B"][n]) for n in fused_names(models)]
    old = np.concatenate([a.magnitudes.ravel() for a, _ in pairs]).astype(np.int64)
    new = np.concatenate([fuse(a.magnitudes, b.magnitudes, low).ravel() for a, b in pairs])
    rows = []
    for first, last in BANDS:
        inside = (old >= first) & (old <= last)
        change = np.abs(new[inside] - old[inside]) / old[inside]
        worst = float(change.max(initial=0))
        rows.append(Band(first, last, int(inside.sum()), float(change.mean()), worst))
    return rows


def block_floating_point(bits: tuple[int, int]) -> dict[str, Weights]:
    """Return both networks out of a file of bit fusion as mcodec has it."""
    with tempfile.TemporaryDirectory() as folder:
        fused = Path(folder) / "fused.mc"
        mcodec.pack(MODELS, fused, bits=bits)
        found = {}
        for task in MODELS:
            mcodec.unpack(fused, task, Path(folder) / f"{task}.h5")
            found[task] = network.load(Path(folder) / f"{task}.h5")
    return found


def accuracies(models: dict[str, Weights], every: int = 1) -> dict[str, float]:
    """Return what each task gets right of the held-out digits, or of each `every`-th of them."""
    images, answers = digits.heldout()
    return {
        task: network.accuracy(weights, images[::every], digits.labels(task, answers[::every]))
        for task, weights in models.items()
    }


def changes_table(rows: list[Band], low: int) -> Table:
    """Return the relative changes, measured, and the paper's two examples."""
    table = Table(title=f"A's integers with {low} low bits from B: how far they move")
    table.add_column("magnitude")
    for heading in ("weights", "mean change", "largest"):
        table.add_column(heading, justify="right")
    for band in rows:
        name = f"{band.low} to {band.high}"
        table.add_row(name, f"{band.weights:,}", f"{band.mean:.1%}", f"{band.worst:.1%}")
    table.add_section()
    for old, new in EXAMPLES:
        table.add_row(f"{old} → {new} (paper 001)", "", "", f"{relative(old, new):.2%}")
    return table


def accuracy_table(rows: list[tuple[str, int, dict[str, float]]]) -> Table:
    """Return accuracy by way; falls are in points, from the first row."""
    table = Table(title="accuracy on the held-out digits")
    table.add_column("way")
    for heading in ("bits a pair", "A", "fall", "B", "fall"):
        table.add_column(heading, justify="right")
    whole = rows[0][2]
    for name, bits, found in rows:
        marks = []
        for task, mark in found.items():
            marks += [f"{mark:.2%}", f"{100 * (whole[task] - mark):.2f}"]
        table.add_row(name, str(bits), *marks)
    return table


@click.command()
@click.option("--low", default=4, show_default=True, type=click.IntRange(1, 7), help="Bits of B.")
def main(low: int) -> None:
    """Fuse the integers of two digit classifiers, and show what that does to them."""
    models = {task: network.load(path) for task, path in MODELS.items()}
    console.print(changes_table(bands(models, low), low))
    integers = {
        task: models[task] | {name: one.values() for name, one in found.items()}
        for task, found in rounded(models).items()
    }
    rows = [
        ("float32, apart", 64, accuracies(models)),
        ("8-bit integers, apart", 18, accuracies(integers)),
        (f"8-bit integers, {low} bits from B", 10, accuracies(fusion(models, low))),
        (
            f"mcodec --bits {8 - low},{low}",
            10,
            accuracies(block_floating_point((8 - low, low))),
        ),
        ("mcodec --bits 12,11", 25, accuracies(block_floating_point((12, 11)))),
    ]
    console.print(accuracy_table(rows))


if __name__ == "__main__":
    main()
