"""Where packing, unpacking, loading and switching spend their time.

    python benchmarks/where.py [--runs N] [NAME]

Every call that matters is wrapped and counted: coding and merging in compiled code, zstd, hashes,
reading, writing. What is left is Python. User and system time and page faults are the process's.
Times are sums over threads, of the run whose wall time is the median.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import os
import resource
import tempfile
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import corpus

import mcodec
from mcodec import frames, stored
from mcodec.api import equal, timing
from mcodec.codec import kernels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KERNELS: Final = (
    "split_float split_bfp merge_all merge_float merge_bfp planes_to_bytes bytes_to_planes"
)
# Module or class, functions, and what they are.
PARTS: Final[tuple[tuple[Any, str, str], ...]] = (
    (kernels, KERNELS, "kernels"),
    (stored, "code code_symbols join repeats digest", "coding"),
    (stored, "join_bytes", "output"),
    (frames, "compress decompress", "zstd"),
    (stored.Scratch, "place", "read, hash, zstd"),
    (os, "writev pwritev pwrite fsync replace", "output"),
)
COLUMNS: Final = ("kernels", "coding", "zstd", "read, hash, zstd", "blake3", "output")


class Clock:
    """Sums the time of wrapped calls, the outermost of each thread."""

    def __init__(self) -> None:
        self.spent: defaultdict[str, float] = defaultdict(float)
        self._inside = threading.local()
        self._lock = threading.Lock()

    def wrap(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        """Return a function that counts its time."""

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            if getattr(self._inside, "call", False):
                return function(*args, **kwargs)
            self._inside.call = True
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self._inside.call = False
                with self._lock:
                    self.spent[part] += time.perf_counter() - start

        return timed

    @contextlib.contextmanager
    def everywhere(self) -> Iterator[None]:
        """Wrap all that counts, and take it back."""
        with contextlib.ExitStack() as stack:
            for owner, names, part in PARTS:
                for name in names.split():
                    kept = getattr(owner, name)
                    setattr(owner, name, self.wrap(kept, part))
                    stack.callback(setattr, owner, name, kept)
            from mcodec.api import encode

            for module in (encode, equal):
                kept = vars(module)["blake3"]
                vars(module)["blake3"] = self._hasher(kept)
                stack.callback(setattr, module, "blake3", kept)
            yield

    def _hasher(self, kind: Any) -> Any:
        clock = self

        class Hasher:
            def __init__(self) -> None:
                self._own = kind()
                self.update = clock.wrap(self._own.update, "blake3")
                self.digest, self.hexdigest = self._own.digest, self._own.hexdigest

        return Hasher


def measure(action: Callable[[], object], runs: int) -> dict[str, float]:
    """Run an action several times; return the figures of the median run, in ms."""
    found = []
    for _ in range(runs):
        clock = Clock()
        before = resource.getrusage(resource.RUSAGE_SELF)
        with clock.everywhere():
            start = time.perf_counter()
            action()
            wall = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_SELF)
        row = {part: 1e3 * clock.spent[part] for part in COLUMNS}
        user, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
        row |= {"wall": 1e3 * wall, "user": 1e3 * user, "system": 1e3 * system}
        row["faults"] = after.ru_minflt - before.ru_minflt
        row["rest"] = max(0.0, row["user"] + row["system"] - sum(row[part] for part in COLUMNS))
        found.append(row)
    return sorted(found, key=lambda row: row["wall"])[runs // 2]


def actions(name: str, folder: str) -> Iterator[tuple[str, int, Callable[[], object]]]:
    """Yield what is measured: words, threads, and the action."""
    arrays = corpus.arrays(name)
    if arrays is None:
        raise SystemExit(f"{name} is not here")
    from safetensors.numpy import save_file

    source = f"{folder}/model.safetensors"
    save_file({key: value.copy() for key, value in arrays.items()}, source)
    touched = {key: value.copy() for key, value in arrays.items()}
    ways: dict[str, dict[str, Any]] = {"lossless": {}, "bits 12": {"bits": 12}}
    for words, options in ways.items():
        packed = f"{folder}/{words}.mc"
        mcodec.pack({"A": source}, packed, **options)
        for jobs in (1, 2):
            pack = functools.partial(mcodec.pack, {"A": source}, packed, jobs=jobs, **options)
            yield f"pack, {words}", jobs, pack
            out = f"{folder}/out.safetensors"
            yield f"unpack, {words}", jobs, functools.partial(mcodec.unpack, packed, "A", out)
            yield f"load, {words}", jobs, functools.partial(_load, packed, jobs, touched)
    yield from _switches(folder, arrays)


def _load(path: str, jobs: int, touched: dict[str, Any]) -> None:
    with mcodec.open(path, jobs=jobs) as file:
        file.task("A").load_into(touched)


def _switches(folder: str, arrays: dict[str, Any]) -> Iterator[tuple[str, int, Any]]:
    try:
        import torch
    except ImportError:
        return
    from mcodec.torch import TaskSwitcher

    noisy = {key: value + value.std() * value.dtype.type(0.01) for key, value in arrays.items()}
    path = f"{folder}/pair.mc"
    mcodec.pack({"A": arrays, "B": noisy}, path, bits=[12, 11], layout="task")
    model = torch.nn.Module()
    for number, value in enumerate(arrays.values()):
        model.register_buffer(f"b{number}", torch.from_numpy(value.copy()))
    names = {key: f"b{number}" for number, key in enumerate(arrays)}
    for jobs in (1, 2):
        with TaskSwitcher(model, path, resident="planes", rename=names, jobs=jobs) as switcher:
            turns = itertools.cycle("AB")

            def turn(switcher: Any = switcher, turns: Any = turns) -> None:
                switcher.switch(next(turns))

            yield "switch, planes of bits 12 and 11", jobs, turn


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("name", nargs="?", default="minilm", metavar="NAME")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    print(
        f"{timing.machine()}; python benchmarks/where.py; {options.name}; ms, summed over threads"
    )
    heads = ("wall", "user", "system", *COLUMNS, "rest")
    print("| what | threads |", " | ".join(heads), "| page faults |")
    print("|---" * (len(heads) + 3) + "|")
    with tempfile.TemporaryDirectory() as folder:
        for words, jobs, action in actions(options.name, folder):
            action()
            row = measure(action, options.runs)
            cells = " | ".join(f"{row[head]:.0f}" for head in heads)
            print(f"| {words} | {jobs} | {cells} | {row['faults']:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
