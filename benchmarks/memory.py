"""Peak resident memory and speed of packing and unpacking a model larger than memory should hold.

    python benchmarks/memory.py [--gigabytes 4] [--bits 12] [--limits 100M,256M,-] [--json]

Makes a random float32 safetensors file of that size in a temporary folder (twice the room is needed
there), runs the `mcodec` command in processes of its own, and reads their peak resident set.
A limit is one of `--max-memory`; a dash is none.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import struct
import sys
import tempfile
from pathlib import Path
from typing import Any

import children
import corpus
import numpy as np

TENSOR = 1 << 28  # bytes of each of its tensors, but the first, which is four times as large


def make_model(path: str, total: int) -> None:
    """Write a safetensors file of normally distributed float32, a block at a time."""
    sizes = [4 * TENSOR]
    while sum(sizes) < total:
        sizes.append(min(TENSOR, total - sum(sizes)))
    header: dict[str, Any] = {}
    at = 0
    for index, size in enumerate(sizes):
        shape = [size // 4096, 1024]
        header[f"layer.{index}.weight"] = {
            "dtype": "F32",
            "shape": shape,
            "data_offsets": [at, at + size],
        }
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    rng = np.random.default_rng(0)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        left = at
        while left:
            block = rng.standard_normal(min(left, 1 << 26) // 4, dtype=np.float32) * np.float32(
                0.05
            )
            file.write(block.tobytes())
            left -= block.nbytes


def run(*arguments: str) -> tuple[float, int]:
    """Run the command; return its wall seconds and its peak resident set in bytes."""
    return children.run([str(Path(sys.executable).parent / "mcodec"), *arguments, "--quiet"])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=4)
    parser.add_argument("--bits", default="12")
    parser.add_argument("--limits", default="100M,256M,-")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    total = int(options.gigabytes * 1e9) // 4096 * 4096
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        model, packed, back = (
            f"{folder}/{name}" for name in ("m.safetensors", "m.mc", "b.safetensors")
        )
        make_model(model, max(total, 4 * TENSOR))
        size = os.path.getsize(model)
        modes: tuple[tuple[str, list[str]], ...] = (
            ("lossless", []),
            (f"--bits {options.bits}", ["--bits", options.bits]),
        )
        for limit, (name, flags) in itertools.product(options.limits.split(","), modes):
            held = [] if limit == "-" else ["--max-memory", limit]
            for verb, arguments in (
                ("pack", ["pack", model, "-o", packed, *flags]),
                ("unpack", ["unpack", packed, "-o", back]),
            ):
                seconds, peak = run(*arguments, *held)
                row: dict[str, Any] = {
                    "mode": name,
                    "verb": verb,
                    "seconds": seconds,
                    "peak_bytes": peak,
                }
                rows.append(row | {"limit": limit})
            os.unlink(back)
    if options.json:
        print(json.dumps({"machine": corpus.machine(), "bytes": size, "rows": rows}, indent=2))
        return
    print(f"{corpus.machine()}; model of {size:,} bytes of float32")
    for row in rows:
        speed = size / row["seconds"] / 1e9
        print(
            f"  {row['limit']:>6}  {row['mode']:<10} {row['verb']:<7} "
            f"{row['seconds']:6.1f} s  {speed:5.2f} GB/s  peak {row['peak_bytes'] / 1e6:6.0f} MB"
        )


if __name__ == "__main__":
    main()
