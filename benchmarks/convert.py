"""Converting a large HDF5 file to safetensors, beside h5py and safetensors by hand.

    python benchmarks/convert.py [--gigabytes 1] [--runs 5] [--json]

Makes an HDF5 file of float32 datasets of 4 MB in a temporary folder, and converts it in processes
of their own, alternately: read with h5py and written by safetensors' save_file; `mcodec convert
--no-check`; and `mcodec convert`, which reads back and compares hashes. Nobody syncs: save_file
does not, so fsync does nothing in the others' processes. Prints medians, ratios and peak memory.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from typing import Any

import children
import corpus
import h5py
import numpy as np

TENSOR = 4_000_000  # bytes of each dataset
BY_HAND = """
import sys, h5py, safetensors.numpy
arrays = {}
with h5py.File(sys.argv[1]) as file:
    file.visititems(lambda n, d: arrays.update({n: d[()]}) if isinstance(d, h5py.Dataset) else None)
safetensors.numpy.save_file(arrays, sys.argv[2])
"""
OURS = """
import os, sys
os.fsync = lambda fd: None
from mcodec.cli.app import main
main(["convert", *sys.argv[1:], "--quiet"])
"""
WAYS = {"by hand": (BY_HAND,), "--no-check": (OURS, "--no-check"), "checked": (OURS,)}


def make_model(path: str, total: int) -> None:
    """Write an HDF5 file of normally distributed float32."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for index in range(-(-total // TENSOR)):
            values = rng.standard_normal((1000, TENSOR // 4000), dtype=np.float32)
            file[f"layers/layer_{index}/kernel"] = values


def measure(folder: str, total: int, runs: int) -> dict[str, tuple[float, int]]:
    """Return the median seconds and the largest peak of each way."""
    source, out = f"{folder}/model.h5", f"{folder}/out.safetensors"
    make_model(source, total)
    seen: dict[str, list[tuple[float, int]]] = {way: [] for way in WAYS}
    for _ in range(runs):
        for way, (code, *flags) in WAYS.items():
            os.sync()  # what the last run wrote does not slow this one
            seen[way].append(children.run([sys.executable, "-c", code, source, out, *flags]))
            os.unlink(out)
    return {
        way: (statistics.median(t for t, _ in found), max(peak for _, peak in found))
        for way, found in seen.items()
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=1)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--folder", help="where to work [default: the system's temporary folder]")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    total = int(options.gigabytes * 1e9)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        found = measure(folder, total, options.runs)
    base = found["by hand"][0]
    rows: list[dict[str, Any]] = [
        {"way": way, "seconds": seconds, "ratio": seconds / base, "peak_bytes": peak}
        for way, (seconds, peak) in found.items()
    ]
    if options.json:
        print(json.dumps({"machine": corpus.machine(), "bytes": total, "rows": rows}, indent=2))
        return
    print(f"{corpus.machine()}; {total:,} bytes of float32, medians of {options.runs} runs")
    for row in rows:
        print(
            f"  {row['way']:<10} {row['seconds']:6.2f} s  {row['ratio']:5.2f} of by hand  "
            f"peak {row['peak_bytes'] / 1e6:6.0f} MB"
        )


if __name__ == "__main__":
    main()
