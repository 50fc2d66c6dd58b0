"""Packing many models over a Dask cluster: two worker processes beside one.

    python benchmarks/scaleout.py [--models 64] [--megabytes 8] [--runs 5] [--bits N] [--json]

Writes models of bfloat16 weights in a temporary folder, and packs them all into one file over two
clusters of this machine, of one and of two workers with one thread each, alternately; and with one
thread and without a cluster. Clusters are started before the clock. Compares the files, and prints
medians and ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import filecmp
import json
import logging
import os
import statistics
import tempfile
import time
from typing import TYPE_CHECKING, Any

import distributed
import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

import mcodec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

LAYERS = 4  # of each model


def write_models(folder: str, count: int, megabytes: float) -> list[str]:
    """Write models of normally distributed weights, all different."""
    rng = np.random.default_rng(0)
    rows = int(megabytes * 1e6) // (LAYERS * 2 * 1024)
    paths = []
    for number in range(count):
        weights = {
            f"layers.{layer}.weight": (
                0.02 * rng.standard_normal((rows, 1024), dtype=np.float32)
            ).astype(ml_dtypes.bfloat16)
            for layer in range(LAYERS)
        }
        paths.append(os.path.join(folder, f"{number:04}.safetensors"))
        save_file(weights, paths[-1])
    return paths


@contextlib.contextmanager
def cluster(count: int) -> Iterator[Executor]:
    """Give the executor of a cluster of this machine that has started."""
    with (
        distributed.LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        ) as local,
        distributed.Client(local, set_as_default=False) as client,
    ):
        yield client.get_executor(pure=False)


def measure(folder: str, paths: list[str], runs: int, bits: int | None) -> dict[str, float]:
    """Return the median seconds of each way; the first round is not counted."""
    seconds: dict[str, list[float]] = {"1 thread": [], "1 worker": [], "2 workers": []}
    with cluster(1) as one, cluster(2) as two:
        how: dict[str, dict[str, Any]] = {
            "1 thread": {"jobs": 1},
            "1 worker": {"executor": one},
            "2 workers": {"executor": two},
        }
        for round_ in range(runs + 1):
            for way, options in how.items():
                os.sync()  # what the last run wrote does not slow this one
                start = time.perf_counter()
                mcodec.pack(paths, f"{folder}/{way}.mc", bits=bits, layout="task", **options)
                if round_:
                    seconds[way].append(time.perf_counter() - start)
    for way in how:
        if not filecmp.cmp(f"{folder}/1 thread.mc", f"{folder}/{way}.mc", shallow=False):
            raise SystemExit(f"{way}: the file is another one")
    return {way: statistics.median(found) for way, found in seconds.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=64)
    parser.add_argument("--megabytes", type=float, default=8)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--bits", type=int, help="bit fusion [default: lossless]")
    parser.add_argument("--folder", help="where to work [default: the system's temporary folder]")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        paths = write_models(folder, options.models, options.megabytes)
        total = sum(map(os.path.getsize, paths))
        found = measure(folder, paths, options.runs, options.bits)
    ratio = found["1 worker"] / found["2 workers"]
    if options.json:
        print(json.dumps({"bytes": total, "seconds": found, "ratio": ratio}))
        return
    print(f"{options.models} models, {total / 1e6:,.0f} MB, load {os.getloadavg()[0]:.1f}")
    for way, seconds in found.items():
        print(f"{way:<10} {seconds:6.2f} s  {total / seconds / 1e6:6.0f} MB/s")
    print(f"2 workers are {ratio:.2f} times as fast as 1")


if __name__ == "__main__":
    main()
