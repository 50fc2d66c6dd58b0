"""How long `mcodec --help` and `mcodec ls` take, beside `python -c "import numpy"`, in turn.

python benchmarks/startup.py [--runs 21] [--json]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import corpus
import numpy as np

import mcodec
from mcodec.api.timing import alternate


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
        medians = alternate(
            {
                name: partial(subprocess.run, run, check=True, stdout=subprocess.DEVNULL)
                for name, run in commands.items()
            },
            options.runs,
        )
    base = medians['python -c "import numpy"']
    if options.json:
        print(json.dumps({"machine": corpus.machine(), "seconds": medians}, indent=2))
        return
    print(f"{corpus.machine()}; medians of {options.runs} alternating runs")
    for name, value in medians.items():
        print(f"  {name:<26} {value * 1000:6.1f} ms  {value / base:.2f}")


if __name__ == "__main__":
    main()
