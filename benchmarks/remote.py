"""Loading one task over HTTP at 100 MB/s, beside the same task's float32 safetensors, in turn.

    python benchmarks/remote.py [--rate 100] [--rounds 9] [--model minilm] [--json]

A pair of tasks is packed with bits 12 and 11 and the layout `task`: a real model, and the same with
seeded noise of 1 %. A server of its own process (tests/support/rangeserver.py) sends over loopback
at the rate, of all connections together. What is timed is opening, fetching and decoding task B
into NumPy arrays; of safetensors, fetching the file through fsspec in as many concurrent requests
and `safetensors.numpy.load`. Rounds alternate in both orders; medians.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import corpus
import fsspec
import numpy as np
import safetensors.numpy

import mcodec
from mcodec.api.timing import alternate
from mcodec.storage.ahead import PIECES, REQUESTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]

SERVER: Final = Path(__file__).resolve().parent.parent / "tests" / "support" / "rangeserver.py"
BITS: Final = {"A": 12, "B": 11}
GOAL: Final = 0.45


def load_safetensors(url: str, size: int) -> Arrays:
    """Fetch a file in concurrent requests, and take it apart."""
    fs, path = fsspec.core.url_to_fs(url)
    step = -(-size // PIECES)

    def fetch(at: int) -> bytes:
        data: bytes = fs.cat_file(path, start=at, end=min(at + step, size))
        return data

    with ThreadPoolExecutor(REQUESTS) as pool:
        return safetensors.numpy.load(b"".join(pool.map(fetch, range(0, size, step))))


def load_task(url: str) -> Arrays:
    """Open a file, and load its task B."""
    with mcodec.open(url) as file:
        return dict(file.task("B").load())


def measure(folder: Path, arrays: Arrays, rate: float, rounds: int) -> dict[str, Any]:
    """Return sizes and seconds."""
    tasks = {"A": arrays, "B": corpus.noisy(arrays)}
    mcodec.pack(tasks, folder / "pair.mc", bits=BITS, layout="task")
    safetensors.numpy.save_file(
        {name: np.ascontiguousarray(array) for name, array in tasks["B"].items()},
        folder / "b.safetensors",
    )
    sizes = {name: (folder / name).stat().st_size for name in ("pair.mc", "b.safetensors")}
    command = [sys.executable, str(SERVER), str(folder), "--rate", str(rate * 1e6)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        url = server.stdout.readline().decode().strip()
        try:
            plain = f"{url}/b.safetensors"
            ways: dict[str, Callable[[], Arrays]] = {
                "safetensors, float32": lambda: load_safetensors(plain, sizes["b.safetensors"]),
                "mcodec, task B of two": lambda: load_task(f"{url}/pair.mc"),
            }
            seconds = alternate(ways, rounds)
        finally:
            server.stdin.close()
    return {"bytes": sizes, "seconds": seconds}


def main() -> None:
    """Print medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=100, help="MB/s")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    arrays = corpus.arrays(options.model)
    if arrays is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), arrays, options.rate, options.rounds)
    base = next(iter(found["seconds"].values()))
    if options.json:
        print(json.dumps({"machine": corpus.machine(), **found}, indent=2))
        return
    print(f"{corpus.machine()}; {corpus.command()}; {options.rate:g} MB/s, goal {GOAL}")
    for name, size in found["bytes"].items():
        print(f"  {name:<24} {size:>12,} bytes")
    for name, value in found["seconds"].items():
        print(f"  {name:<24} {value * 1000:9.1f} ms  {value / base:.3f}")


if __name__ == "__main__":
    main()
