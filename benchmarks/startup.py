"""How long `mcodec --help` and `mcodec ls` take, beside `python -c "import numpy"`, in turn.

python benchmarks/startup.py [--runs 21] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import corpus
import numpy as np

import mcodec


def seconds(command: list[str]) -> float:
    """Return the wall seconds of one run."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Print medians of alternating runs, and the ratio to importing NumPy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=21)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    command = str(Path(sys.executable).parent / "mcodec")
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/small.mc"
        rng = np.random.default_rng(0)
        arrays = {f"layer{i}": rng.normal(size=(64, 64)).astype(np.float32) for i in range(100)}
        mcodec.pack({"A": arrays, "B": arrays}, path)
        commands = {
            'python -c "import numpy"': [sys.executable, "-c", "import numpy"],
            "mcodec --help": [command, "--help"],
            "mcodec ls FILE": [command, "ls", path],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for run in commands.values():
            seconds(run)  # warm the caches
        for _ in range(options.runs):
            for name, run in commands.items():
                times[name].append(seconds(run))
    medians = {name: statistics.median(values) for name, values in times.items()}
    base = medians['python -c "import numpy"']
    if options.json:
        print(json.dumps({"machine": corpus.machine(), "seconds": medians}, indent=2))
        return
    print(f"{corpus.machine()}; medians of {options.runs} alternating runs")
    for name, value in medians.items():
        print(f"  {name:<26} {value * 1000:6.1f} ms  {value / base:.2f}")


if __name__ == "__main__":
    main()
