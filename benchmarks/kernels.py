"""Speed of the plane kernels beside a copy of the same values, one thread, in one run.

    python benchmarks/kernels.py [--json] [--blocks 128] [--rounds 9] [--only PATTERN]

Every block is 2**18 elements. Sources and destinations cycle through more memory than the caches
hold, all of it touched before; runs of all rows alternate, and a row shows its median of the
thread's processor time. Planes of a block lie 64 bytes more than their length apart, as in a file.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np

from mcodec.api.timing import processor
from mcodec.codec import kernels
from mcodec.types import FLOATS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    Rows = Iterator[tuple[str, Callable[[int], None]]]

BLOCK = 1 << 18
LENGTH = BLOCK // 8
STRIDE = LENGTH + 64
BITS = (12, 24)  # 24 is all that bfp has: four groups of planes with the sign
TENSOR = kernels.Scopes(1 << 48, 1)
CLASSES = 8
CHANNELS = kernels.Scopes(576, 1 << 20)  # of a layer of 64 inputs and 3 by 3
EXPONENT = np.array([3], np.int16)
DTYPES = ("float32", "bfloat16", "float16", "float64")
ALL_KERNELS = ("float32", "bfloat16")  # the others are measured by the plane kernels alone
ZEROS = (50, 80, 90, 99)  # per cent
GAPS_FROM = 90  # where gaps are smaller than a mask
GAP_BITS = {90: 2, 99: 6}


class Store:
    """Values, decoded values and planes of many blocks of one dtype."""

    def __init__(self, dtype: str, blocks: int) -> None:
        fmt = FLOATS[dtype]
        self.dtype = dtype
        self.blocks = blocks
        self.rng = np.random.default_rng(0)
        # three sigma and a normal exponent: no subnormals, no clamping to speak of
        self.numbers = self.rng.normal(size=BLOCK)
        self.block = self.pattern(self.numbers)
        self.values = self.many(self.block)
        self.out = np.ones_like(self.values)
        count = max(fmt.mantissa, *BITS) + 1
        memory = self.rng.integers(0, 256, (blocks, count * STRIDE), dtype=np.uint8)
        self.planes: list[list[npt.NDArray[np.uint8]]] = [
            [row[i * STRIDE : i * STRIDE + LENGTH] for i in range(count)] for row in memory
        ]
        self.mantissa = fmt.mantissa

    def pattern(self, numbers: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
        width = FLOATS[self.dtype].width
        if self.dtype != "bfloat16":
            return numbers.astype(self.dtype).view(f"uint{width}")
        return (numbers.astype(np.float32).view(np.uint32) >> np.uint32(16)).astype(np.uint16)

    def many(self, block: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return as many copies of a block."""
        return np.tile(block, self.blocks).reshape(self.blocks, block.size)

    def copy(self, i: int) -> None:
        np.copyto(self.out[i], self.values[i])


def bfp(store: Store, bits: int) -> Rows:
    """Rows of block floating point, with one exponent and full signs."""

    def merge(i: int) -> None:
        sign, *planes = store.planes[i][: bits + 1]
        kernels.merge_bfp(
            store.dtype, store.out[i], bits, False, TENSOR, EXPONENT, None, sign, planes
        )

    def split(i: int) -> None:
        sign, *planes = store.planes[i][: bits + 1]
        kernels.split_bfp(
            store.dtype, store.values[i], bits, False, TENSOR, EXPONENT, None, sign, planes
        )

    yield f"merge_bfp {bits}", merge
    yield f"split_bfp {bits}", split


def lossless(store: Store) -> Rows:
    """Rows of IEEE fields as they are; merged exponents are normal."""
    top = FLOATS[store.dtype].exponent - 8
    exponents = [np.full((store.blocks, BLOCK), 3, np.uint8)] if top > 0 else []
    normal = 10 if FLOATS[store.dtype].exponent < 8 else 120
    exponents.append(np.full((store.blocks, BLOCK), normal, np.uint8))

    def merge(i: int) -> None:
        sign, *planes = store.planes[i][: store.mantissa + 1]
        kernels.merge_float(store.dtype, store.out[i], sign, [e[i] for e in exponents], planes)

    def split(i: int) -> None:
        sign, *planes = store.planes[i][: store.mantissa + 1]
        kernels.split_float(store.dtype, store.values[i], sign, [e[i] for e in exponents], planes)

    yield "merge_float", merge
    yield "split_float", split


def sparse(store: Store, zeros: int) -> Rows:
    """Rows that put the values of a pruned block back, by a mask and by gaps."""
    chosen = store.rng.random(BLOCK) * 100 >= zeros
    plane = np.packbits(chosen, bitorder="little")
    masks, packed = store.many(plane), store.many(store.block[chosen])
    kept = np.empty_like(packed)

    def expand(i: int) -> None:
        kernels.spread_elements(masks[i], packed[i], store.out[i])

    def compress(i: int) -> None:
        kernels.gather_elements(masks[i], store.values[i], kept[i])

    yield f"expand {zeros} % zeros", expand
    yield f"compress {zeros} %", compress
    if zeros < GAPS_FROM:
        return
    stored, planes = kernels.plane_to_gaps(plane, BLOCK, GAP_BITS[zeros])
    high, low = store.many(stored), [store.many(bits) for bits in planes]

    def expand_gaps(i: int) -> None:
        kernels.gaps_to_plane(high[i], [bits[i] for bits in low], masks[i], BLOCK)
        expand(i)

    yield f"gaps {zeros} %", expand_gaps


def int8(store: Store) -> Rows:
    """Rows of one scale for all, and of one for each channel."""
    codes = np.empty((store.blocks, BLOCK), np.uint8)
    for name, scopes, count in (("tensor", TENSOR, 1), ("channel", CHANNELS, BLOCK // 576 + 1)):
        scales = np.linspace(0.03, 0.04, count, dtype=np.float32)

        def quantize(i: int, scopes: kernels.Scopes = scopes, scales: Any = scales) -> None:
            kernels.quantize_int8(store.dtype, store.values[i], scopes, scales, codes[i])

        def dequantize(i: int, scopes: kernels.Scopes = scopes, scales: Any = scales) -> None:
            kernels.dequantize_int8(store.dtype, store.out[i], scopes, scales, codes[i])

        yield f"quantize {name}", quantize
        yield f"dequantize {name}", dequantize


def delta(store: Store) -> Rows:
    """Rows of a tensor that was trained on for a while: its weights moved by a thousandth."""
    width = FLOATS[store.dtype].width
    moved = store.pattern(store.rng.normal(size=BLOCK) * 1e-3 + store.numbers)
    lengths = np.empty(BLOCK, np.uint8)
    kernels.delta_lengths(store.block, moved, lengths)
    emax = kernels.max_exponent(store.dtype, store.block)
    counts = kernels.count_classes(store.dtype, store.block, emax, CLASSES)
    above = kernels.count_above(lengths, width)
    streams = [np.empty((store.blocks, count), np.uint8) for count in counts]
    sizes = [(int(count) + 7) // 8 for count in (*above[:0:-1], above[0])]
    packed = [np.empty((store.blocks, size), np.uint8) for size in sizes]
    found = store.many(lengths)
    values = store.many(moved)

    def encode(i: int) -> None:
        kernels.delta_lengths(store.values[i], values[i], found[i])
        kernels.split_classes(
            store.dtype, store.values[i], emax, found[i], [stream[i] for stream in streams]
        )
        kernels.pack_delta(store.values[i], values[i], found[i], [bits[i] for bits in packed])

    def merge_lengths(i: int) -> None:
        kernels.merge_classes(
            store.dtype, store.values[i], emax, [stream[i] for stream in streams], found[i]
        )

    def merge(i: int) -> None:
        kernels.count_above(found[i], width)
        kernels.merge_delta(store.values[i], found[i], [bits[i] for bits in packed], store.out[i])

    def decode(i: int) -> None:
        merge_lengths(i)
        merge(i)

    for i in range(store.blocks):
        encode(i)
    yield "delta encode", encode
    yield "delta classes", merge_lengths
    yield "delta merge", merge
    yield "delta decode", decode


def mask(store: Store) -> Rows:
    def keep(i: int) -> None:
        kernels.mask_elements(store.planes[i][0], store.values[i], store.out[i], False)

    yield "mask", keep


def rows_of(store: Store, only: str) -> Iterator[tuple[str, str, Callable[[int], None]]]:
    """Yield (target, kernel, function of the block) of a dtype, the copy first."""
    yield "", "copy", store.copy
    kinds = [kind for bits in BITS for kind in bfp(store, bits)]
    kinds += lossless(store)
    if store.dtype in ALL_KERNELS:
        for zeros in ZEROS:
            kinds += sparse(store, zeros)
        kinds += [*int8(store), *delta(store), *mask(store)]
    for target in kernels.targets():
        yield from ((target, name, do) for name, do in kinds if fnmatchcase(name, only))


def seconds(target: str, function: Callable[[int], None], blocks: int) -> float:
    with kernels.forced(target or kernels.target()):
        start = time.thread_time()
        for i in range(blocks):
            function(i)
        return time.thread_time() - start


def measure(dtype: str, blocks: int, rounds: int, only: str) -> list[dict[str, Any]]:
    store = Store(dtype, blocks)
    rows = list(rows_of(store, only))
    times: list[list[float]] = [[] for _ in rows]
    for turn in range(rounds + 1):
        for row, taken in zip(rows, times, strict=True):
            elapsed = seconds(row[0], row[2], blocks)
            if turn:  # the first round warms up
                taken.append(elapsed)
    medians = [statistics.median(taken) for taken in times]
    size = store.values.nbytes
    return [
        {
            "dtype": dtype,
            "target": target,
            "kernel": name,
            "gigabytes_per_second": size / median / 1e9,
            "ratio_to_copy": medians[0] / median,
        }
        for (target, name, _), median in zip(rows, medians, strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--blocks", type=int, default=128, help="blocks of 2**18 elements")
    parser.add_argument("--rounds", type=int, default=9, help="runs of which the median counts")
    parser.add_argument("--only", default="*", help="pattern of the kernels to measure")
    parser.add_argument("--dtype", action="append", choices=DTYPES, help="default: all")
    args = parser.parse_args()
    rows = [
        row
        for dtype in args.dtype or DTYPES
        for row in measure(dtype, args.blocks, args.rounds, args.only)
    ]
    command = "python benchmarks/kernels.py " + " ".join(sys.argv[1:])
    if args.json:
        print(json.dumps({"machine": processor(), "command": command.strip(), "rows": rows}))
        return
    print(f"{processor()}; {command.strip()}; one thread; GB/s of values, median of {args.rounds}")
    print(f"{'dtype':10}{'target':10}{'kernel':20}{'GB/s':>7}{'of a copy':>11}")
    for row in rows:
        print(
            f"{row['dtype']:10}{row['target']:10}{row['kernel']:20}"
            f"{row['gigabytes_per_second']:7.2f}{row['ratio_to_copy']:11.2f}"
        )


if __name__ == "__main__":
    main()
