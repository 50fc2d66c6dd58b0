"""Bits that the positions of a sparse matrix take, in the forms of csr and in others.

``python benchmarks/positions.py`` prints a line a matrix: bits a stored element as a raw mask, as
csr's mask and best gaps after their coder, as packed columns (a count a row of as many bits as the
largest needs, and columns of ceil(log2 C) bits; also after zstd), and the bound n H(s) of positions
without a pattern. Matrices have 2^20 elements, four blocks.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from mcodec.codec import coder, kernels, positions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

ELEMENTS = 1 << 20
BLOCK = 1 << 18
COLUMNS = 1024
ZEROS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)


def matrices() -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Give what is stored of each matrix, by name."""
    rng = np.random.default_rng(0)
    rows = ELEMENTS // COLUMNS
    for zeros in ZEROS:
        yield f"random {zeros:.1%}", rng.random((rows, COLUMNS)) >= zeros
    fours = np.tile([True, True, False, False], ELEMENTS // 4).reshape(-1, 4)
    yield "2:4", rng.permuted(fours, axis=1).reshape(rows, COLUMNS)
    for zeros in (0.5, 0.9):
        kept = np.zeros((rows, COLUMNS), np.bool_)
        kept[:, rng.random(COLUMNS) >= zeros] = True
        yield f"columns {zeros:.0%}", kept
        yield f"rows {zeros:.0%}", np.ascontiguousarray(kept.T)
        kept = kept & (rng.random(kept.shape) >= 0.5)
        yield f"columns {zeros:.0%}, half of the rest", kept


def packed_columns(there: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the bits of packed columns, raw and after zstd."""
    counts = there.sum(axis=1)
    columns = np.nonzero(there)[1]
    widths = [int(counts.max()).bit_length(), math.ceil(math.log2(there.shape[1]))]
    raw = small = 0
    for numbers, width in zip((counts, columns), widths, strict=True):
        bits = (numbers[:, None] >> np.arange(width) & 1).astype(np.uint8).reshape(-1)
        data = np.packbits(bits, bitorder="little")
        raw += 8 * data.size
        small += 8 * (coder.stored([coder.code(data, (1,))]))
    return raw, small


def measure(there: NDArray[np.bool_]) -> dict[str, float]:
    """Return the bits a stored element of each form."""
    stored = int(there.sum())
    share = stored / there.size
    sums: dict[str, Any] = dict.fromkeys(("mask", "gaps", "csr"), 0)
    for part in there.reshape(-1, BLOCK):
        mask = np.packbits(part, bitorder="little")
        own = {"mask": coder.stored([coder.code(mask, coder.SYMBOLS)])}
        own["gaps"] = min(gap_bytes(mask, k) for k in range(9))
        own["csr"] = coder.stored(positions.code(mask, BLOCK, int(part.sum()))[1])
        for name, size in own.items():
            sums[name] += 8 * size
    raw, small = packed_columns(there)
    entropy = -there.size * sum(p * math.log2(p) for p in (share, 1 - share))
    bits = {"plane": there.size, **sums, "columns": raw, "zstd": small, "n H": entropy}
    return {name: count / stored for name, count in bits.items()}


def gap_bytes(mask: NDArray[np.uint8], k: int) -> int:
    """Return the bytes of gaps with k low bits."""
    high, low = kernels.plane_to_gaps(mask, BLOCK, k)
    planes = [coder.code(plane, coder.PLANE) for plane in low]
    return coder.stored([coder.code(high, coder.SYMBOLS), *planes])


def main() -> None:
    """Print the table."""
    first = True
    for name, there in matrices():
        found = measure(there)
        if first:
            print(f"{'matrix':32}" + "".join(f"{form:>9}" for form in found))
            first = False
        print(f"{name:32}" + "".join(f"{bits:9.3f}" for bits in found.values()))


if __name__ == "__main__":
    main()
