"""The storage table of paper 001: two ResNet18 in one file, in bits a weight pair.

    python benchmarks/storage.py [--json]

Shapes are the paper's (3x3 stem; 100 classes for A, 10 for B), weights are drawn (`shapes.py`).
`theory` is the paper's count for the convolutions; `file` is what their streams take, every task
that the way needs in it; `whole` is the file, with batch normalisation and heads, in MB. Masks and
owners are drawn so that all values are as frequent, which is the most that they can cost. PackNet
with two tasks is a mask; with three (here two bits, and three networks for the price) the file has
a map of owners.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import corpus
import numpy as np
import shapes

import mcodec
from mcodec.api.fusion import WAYS as NAMES
from mcodec.api.fusion import pair_bits
from mcodec.api.listing import list_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[np.float32]]
    Tasks = dict[str, Arrays]

HEADS: Final = ("fc.weight", "fc.bias")


class Way(NamedTuple):
    """A way to store two tasks: what the paper calls it and counts, and how it is packed."""

    name: str
    theory: int
    tasks: Callable[[], Tasks]
    options: dict[str, Any]
    networks: int = 2


def network(classes: int, seed: int) -> Arrays:
    """Return a ResNet18 of a seed."""
    return shapes.weights(shapes.resnet18(classes), seed)


def is_convolution(array: NDArray[np.float32]) -> bool:
    """Whether the tasks share it."""
    return array.ndim == 4


def apart() -> Tasks:
    """Two networks that were trained apart."""
    return {"A": network(100, 1), "B": network(10, 2)}


def one_classifier_each() -> Tasks:
    """All is A's but for B's classifier."""
    both = apart()
    return {"A": both["A"], "B": both["A"] | {name: both["B"][name] for name in HEADS}}


def masked(model: Arrays, seed: int) -> Arrays:
    """Set half of the weights of convolutions to zero, and draw the rest of a task anew."""
    rng = np.random.default_rng(seed)
    own = network(len(model["fc.bias"]), seed)
    return {
        name: array * (rng.random(array.shape) < 0.5) if is_convolution(array) else own[name]
        for name, array in model.items()
    }


def piggyback() -> Tasks:
    """Two masks over a network that was trained on something else."""
    backbone = network(100, 1)
    heads = {name: network(10, 1)[name] for name in HEADS}
    return {
        "backbone": {name: array for name, array in backbone.items() if is_convolution(array)},
        "A": masked(backbone, 2),
        "B": masked(backbone | heads, 3),
    }


def packnet() -> Tasks:
    """B has all weights; half of them are A's, which was trained first."""
    base = network(10, 1)
    return {
        "A": masked(base | {n: network(100, 1)[n] for n in HEADS}, 2),
        "B": base,
    }


def packnet_of_three() -> Tasks:
    """A has a third of the weights, B two thirds, C all."""
    base = network(10, 1)
    rng = np.random.default_rng(4)
    tasks: Tasks = {"A": {}, "B": {}, "C": base}
    for name, array in base.items():
        owner = rng.integers(1, 4, array.shape)
        for number, task in enumerate("AB", start=1):
            own = shapes.weights({name: array.shape}, 10 + number)[name]
            tasks[task][name] = array * (owner <= number) if is_convolution(array) else own
    return tasks


FILE: Final = {"optimize": "file"}
WAYS: Final = (
    Way(NAMES["separate"], pair_bits("separate"), apart, {}),
    Way(NAMES["classifier"], pair_bits("classifier"), one_classifier_each, {}),
    Way(NAMES["piggyback"], pair_bits("piggyback"), piggyback, FILE),
    Way(NAMES["packnet"], pair_bits("packnet"), packnet, FILE),
    Way("PackNet, owners of three", pair_bits("packnet", networks=3), packnet_of_three, FILE, 3),
    *(
        Way(
            f"{NAMES[way]}, {n}+{m}+{pair_bits(way)}",
            pair_bits(way, n, m),
            apart,
            {"fusion": way, "bits": (n, m)},
        )
        for way, n, m in (
            ("v1", 16, 15),
            ("v1", 16, 16),
            ("v2", 12, 11),
            ("v2", 23, 23),
            ("v2", 24, 24),
        )
    ),
)


def packed(way: Way, folder: Path) -> tuple[int, int, int]:
    """Return the bytes of the streams of all convolutions, and of the file, and the weights."""
    tasks = way.tasks()
    names = [name for name, array in tasks["A"].items() if is_convolution(array)]
    mcodec.pack(tasks, folder / "two.mc", **way.options)
    others: dict[tuple[int, int], int] = {}
    with mcodec.open(folder / "two.mc") as file:
        reader = file.reader
        for task in file.tasks:
            entry = file.entry(task)
            for tensor, row in zip(entry.tensors, list_tensors(reader, entry), strict=True):
                if tensor.name not in names:
                    others[tensor.run, tensor.member] = row.stored_bytes
        streams = sum(
            row.stored
            for run, spec in enumerate(reader.runs)
            for block in range(-1, spec.blocks)
            for row in reader.rows(run, block)
        )  # maps of owners, which no task names, too
        size = reader.size
    weights = sum(tasks["A"][name].size for name in names)
    return streams - sum(others.values()), size, weights


def rows() -> Iterator[dict[str, Any]]:
    """Pack all ways."""
    for way in WAYS:
        with tempfile.TemporaryDirectory() as folder:
            streams, size, weights = packed(way, Path(folder))
        yield {
            "way": way.name,
            "theory_bits": way.theory,
            "file_bits": 8 * streams / weights,
            "saved": 1 - 8 * streams / weights / (32 * way.networks),
            "theory_bytes": way.theory * weights / 8,
            "streams": streams,
            "whole": size,
        }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not options.json:
        print(f"{corpus.machine()}; {corpus.command()}; bits a weight pair of the convolutions")
        print(f"{'way':<28}{'theory':>8}{'file':>8}{'saved':>8}{'theory MB':>11}{'whole MB':>10}")
    found = []
    for row in rows():
        found.append(row)
        if not options.json:
            print(
                f"{row['way']:<28}{row['theory_bits']:8}{row['file_bits']:8.2f}{row['saved']:8.1%}"
                f"{row['theory_bytes'] / 1e6:11.2f}{row['whole'] / 1e6:10.2f}",
                flush=True,
            )
    if options.json:
        print(json.dumps({"machine": corpus.machine(), "rows": found}, indent=2))


if __name__ == "__main__":
    main()
