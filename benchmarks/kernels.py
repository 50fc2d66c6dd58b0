"""Speed of the plane kernels beside a copy of the same values, one thread, in one run.

    python benchmarks/kernels.py [--json] [--blocks 128] [--rounds 9]

Every block is 2**18 elements. Sources and destinations cycle through more memory than the caches
hold, all of it touched before; runs of all rows alternate, and a row shows its median. Planes of a
block lie 64 bytes more than their length apart, as in a file.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mcodec.codec import kernels
from mcodec.types import FLOATS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

BLOCK = 1 << 18
LENGTH = BLOCK // 8
STRIDE = LENGTH + 64
BITS = 12
TENSOR = kernels.Scopes(1 << 48, 1)
EXPONENT = np.array([3], np.int16)
DTYPES = ("float32", "bfloat16")


class Store:
    """Values, decoded values and planes of many blocks of one dtype."""

    def __init__(self, dtype: str, blocks: int) -> None:
        fmt = FLOATS[dtype]
        self.dtype = dtype
        kind = f"uint{fmt.width}"
        rng = np.random.default_rng(0)
        # three sigma and a normal exponent: no subnormals, no clamping to speak of
        weights = rng.normal(size=BLOCK).astype(np.float32).view(np.uint32)
        pattern = (weights >> np.uint32(32 - fmt.width)).astype(kind)
        self.values = np.tile(pattern, blocks).reshape(blocks, BLOCK)
        self.out = np.ones_like(self.values)
        count = max(fmt.mantissa, BITS) + 1
        memory = rng.integers(0, 256, (blocks, count * STRIDE), dtype=np.uint8)
        self.planes: list[list[npt.NDArray[np.uint8]]] = [
            [row[i * STRIDE : i * STRIDE + LENGTH] for i in range(count)] for row in memory
        ]
        self.exponents = np.full((blocks, BLOCK), 120, np.uint8)
        self.mantissa = fmt.mantissa

    def copy(self, i: int) -> None:
        np.copyto(self.out[i], self.values[i])

    def merge_bfp(self, i: int) -> None:
        p = self.planes[i]
        kernels.merge_bfp(
            self.dtype, self.out[i], BITS, False, TENSOR, EXPONENT, None, p[0], p[1 : BITS + 1]
        )

    def split_bfp(self, i: int) -> None:
        p = self.planes[i]
        kernels.split_bfp(
            self.dtype, self.values[i], BITS, False, TENSOR, EXPONENT, None, p[0], p[1 : BITS + 1]
        )

    def merge_float(self, i: int) -> None:
        p = self.planes[i]
        kernels.merge_float(
            self.dtype, self.out[i], p[0], [self.exponents[i]], p[1 : self.mantissa + 1]
        )

    def split_float(self, i: int) -> None:
        p = self.planes[i]
        kernels.split_float(
            self.dtype, self.values[i], p[0], [self.exponents[i]], p[1 : self.mantissa + 1]
        )


def rows_of(store: Store) -> Iterator[tuple[str, str, Callable[[int], None]]]:
    """Yield (target, kernel, function of the block) of a dtype, the copy first."""
    yield "", "copy", store.copy
    for target in kernels.targets():
        for name in ("merge_bfp", "split_bfp", "merge_float", "split_float"):
            yield target, name, getattr(store, name)


def seconds(target: str, function: Callable[[int], None], blocks: int) -> float:
    with kernels.forced(target or kernels.target()):
        start = time.perf_counter()
        for i in range(blocks):
            function(i)
        return time.perf_counter() - start


def measure(dtype: str, blocks: int, rounds: int) -> list[dict[str, Any]]:
    store = Store(dtype, blocks)
    rows = list(rows_of(store))
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


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--blocks", type=int, default=128, help="blocks of 2**18 elements")
    parser.add_argument("--rounds", type=int, default=9, help="runs of which the median counts")
    args = parser.parse_args()
    rows = [row for dtype in DTYPES for row in measure(dtype, args.blocks, args.rounds)]
    command = "python benchmarks/kernels.py " + " ".join(sys.argv[1:])
    if args.json:
        print(json.dumps({"machine": processor(), "command": command.strip(), "rows": rows}))
        return
    print(f"{processor()}; {command.strip()}; one thread; GB/s of values, median of {args.rounds}")
    print(f"{'dtype':10}{'target':10}{'kernel':13}{'GB/s':>7}{'of a copy':>11}")
    for row in rows:
        print(
            f"{row['dtype']:10}{row['target']:10}{row['kernel']:13}"
            f"{row['gigabytes_per_second']:7.2f}{row['ratio_to_copy']:11.2f}"
        )


if __name__ == "__main__":
    main()
