"""Pruned networks of paper 003 (Tables 3, 6 and 7) beside what the paper prints, and the bound.

    python benchmarks/sizes.py [--json]

Shapes are the paper's, weights are drawn (`shapes.py`): each kernel is pruned by magnitude, as
`mcodec prune` does, packed, and read back. MB are 10^6 bytes. `paper`, `file` and `folded` are the
whole network: `file` with all four vectors of each batch normalisation, `folded` with the scale and
the offset that TensorFlow Lite, the paper's format, makes of them. All other columns are kernels:
`bound` is n H(s) + nnz · 32 bits (8 for int8); `tight` has the order-0 entropy of the real
exponents (of the integers, for int8) in place of 8 bits; both are summed over tensors.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import corpus
import numpy as np
import shapes

import mcodec
from mcodec.api.listing import list_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[np.float32]]

# Table -> network, codec of kernels, percent of zeros -> MB as printed.
TABLES: Final = {
    "3": (
        "DenseNet201",
        "auto",
        {50: 51.0, 60: 41.0, 70: 32.0, 80: 22.0, 90: 12.0, 95: 6.2, 99: 2.2},
    ),
    "6": (
        "DenseNet121",
        "auto",
        {50: 20.0, 60: 16.0, 70: 12.0, 80: 8.0, 90: 4.3, 95: 2.4, 99: 0.9},
    ),
    "7": ("DenseNet121", "csr(values=int8)", {80: 4.6, 90: 2.8, 95: 1.9}),
}


def entropy(symbols: Iterable[int] | NDArray[Any]) -> float:
    """Return the order-0 entropy of some small integers, in bits for all of them."""
    counts = np.bincount(np.asarray(symbols).reshape(-1))
    counts = counts[counts > 0]
    return float(-(counts * np.log2(counts / counts.sum())).sum())


def exponent_bits(kernel: NDArray[np.float32]) -> float:
    """Return the bits of signs, mantissas, and exponents by their entropy, of what is not zero."""
    stored = kernel[kernel != 0].view(np.uint32)
    return 24.0 * int(stored.size) + entropy(stored >> 23 & 255)


def integer_bits(kernel: NDArray[np.float32]) -> float:
    """Return the entropy of int8's integers, one scale a tensor, of what is not zero."""
    stored = kernel[kernel != 0].astype(np.float64)
    scale = float(np.float32(np.abs(stored).max(initial=127.0 * 2**-126) / 127))
    return entropy(np.rint(stored / scale).astype(np.int64) + 127)


def bound(kernels: Arrays, values: Callable[[NDArray[np.float32]], float]) -> float:
    """Return n H(s) and the bits of the values, in bytes, summed over tensors."""
    return sum(entropy(kernel != 0) + values(kernel) for kernel in kernels.values()) / 8


def pruned(model: Arrays, sparsity: float, folder: Path) -> dict[str, NDArray[np.float32]]:
    """Prune as the library does."""
    mcodec.prune(model, folder / "pruned.mc", sparsity)
    with mcodec.open(folder / "pruned.mc") as file:
        return dict(file.task("A"))


def packed(model: Arrays, codec: str, folder: Path) -> tuple[int, int]:
    """Pack, and return the bytes of the file and of the streams of its kernels."""
    path = folder / "packed.mc"
    plan = folder / "plan.toml"
    plan.write_text(f'[[tensor]]\nmatch = "*/kernel"\ncodec = "{codec}"\n')
    mcodec.pack({"A": model}, path, plan=None if codec == "auto" else plan)
    with mcodec.open(path) as file:
        task = file.task("A")
        for name, array in model.items():
            if codec == "auto" and task[name].tobytes() != array.tobytes():
                raise SystemExit(f"{name} did not come back")
        rows = list_tensors(file.reader, file.entry("A"))
        return file.reader.size, sum(
            row.stored_bytes for row in rows if shapes.is_kernel(row.spec.shape)
        )


def folded(model: Arrays) -> dict[str, NDArray[np.float32]]:
    """Replace each batch normalisation by the scale and the offset that it comes to."""
    found = {}
    for name, array in model.items():
        layer, _, kind = name.rpartition("/")
        if kind == "gamma":
            scale = array / np.sqrt(model[f"{layer}/moving_variance"] + np.float32(1.001e-5))
            found[f"{layer}/scale"] = scale
            found[f"{layer}/offset"] = (
                model[f"{layer}/beta"] - model[f"{layer}/moving_mean"] * scale
            )
        elif kind in ("kernel", "bias"):
            found[name] = array
    return found


def measure(network: str, codec: str, percent: int, paper: float) -> dict[str, Any]:
    """Return one row, in bytes."""
    model = shapes.weights(shapes.densenet(network))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model = pruned(model, percent / 100, folder)
        file, streams = packed(model, codec, folder)
        short, _ = packed(folded(model), codec, folder)
    kernels = {name: array for name, array in model.items() if shapes.is_kernel(array.shape)}
    width = 4 if codec == "auto" else 1
    stored = sum(int(np.count_nonzero(array)) for array in kernels.values())
    elements = sum(array.size for array in kernels.values())
    rows = sum(math.prod(array.shape[:-1]) + 1 for array in kernels.values())
    return {
        "network": network,
        "percent": percent,
        "paper": paper * 1e6,
        "file": file,
        "folded": short,
        "streams": streams,
        "bound": bound(kernels, lambda kernel: 8.0 * width * np.count_nonzero(kernel)),
        "tight": bound(kernels, exponent_bits if width == 4 else integer_bits),
        "csr32": stored * (width + 4) + 4 * rows,
        "csr16": stored * (width + 2) + 4 * rows,
        "bitmask": stored * width + elements / 8,
    }


def rows() -> Iterator[dict[str, Any]]:
    """Measure all pruned rows of the tables."""
    for table, (network, codec, printed) in TABLES.items():
        for percent, paper in printed.items():
            yield {"table": table, **measure(network, codec, percent, paper)}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    sizes = ("paper", "file", "folded", "streams", "bound", "tight", "csr32", "csr16", "bitmask")
    if not options.json:
        print(f"{corpus.machine()}; {corpus.command()}; MB")
        heads = "".join(f"{head:>9}" for head in sizes)
        print(f"{'table':<6}{'network':<13}{'zeros':>6}{heads}{'to tight':>10}{'to paper':>10}")
    found = []
    for row in rows():
        found.append(row)
        if not options.json:
            cells = "".join(f"{row[size] / 1e6:9.3f}" for size in sizes)
            shares = (row["streams"] / row["tight"], row["file"] / row["paper"])
            share = "".join(f"{share:10.3f}" for share in shares)
            print(f"{row['table']:<6}{row['network']:<13}{row['percent']:>5}%{cells}{share}")
    if options.json:
        print(json.dumps({"machine": corpus.machine(), "rows": found}, indent=2))


if __name__ == "__main__":
    main()
