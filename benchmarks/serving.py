"""Many threads that read and switch one file, for a while: all right, and nothing left behind.

    python benchmarks/serving.py [--seconds 60] [--threads 8]

Each thread has handles of its own on one fused file, and a model. At random it loads a task, reads
a tensor or a slice, loads a model, or switches one (from the file, from planes, from weights), and
compares every tensor, bit for bit, with what was read before the threads began. Handles are opened
and closed all the time. The descriptors that are open, and the memory that is resident, are printed
for each tenth of the time: they should not rise.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import corpus
import loading
import numpy as np
import torch

import mcodec
import mcodec.torch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray


class Worker(threading.Thread):
    """One thread: its model, and what it has done."""

    def __init__(
        self, path: Path, right: Mapping[str, Mapping[str, NDArray[Any]]], seed: int
    ) -> None:
        super().__init__(daemon=True)
        self.done: Counter[str] = Counter()
        self.error: BaseException | None = None
        self.stop = threading.Event()
        self._path = path
        self._right = right
        self._random = random.Random(seed)
        self._model = loading.tree(right["A"])
        self._ways: dict[str, Callable[[str], None]] = {
            "load": self._load,
            "tensor": self._tensor,
            "slice": self._slice,
            "model": self._load_model,
            "switch, file": lambda task: self._switch("file", task),
            "switch, planes": lambda task: self._switch("planes", task),
            "switch, weights": lambda task: self._switch("weights", task),
        }

    def run(self) -> None:
        try:
            while not self.stop.is_set():
                way = self._random.choice(list(self._ways))
                self._ways[way](self._random.choice("AB"))
                self.done[way] += 1
        except BaseException as error:
            self.error = error

    def _load(self, task: str) -> None:
        with mcodec.open(self._path, task) as weights:
            self._check(task, weights.load())

    def _tensor(self, task: str) -> None:
        with mcodec.open(
            self._path, task, backend=self._random.choice(("pread", "mmap"))
        ) as weights:
            name = self._random.choice(list(weights))
            self._check(task, {name: weights[name]}, whole=False)

    def _slice(self, task: str) -> None:
        with mcodec.open(self._path, task) as weights:
            name = self._random.choice([name for name in weights if weights.spec(name).shape])
            rows = weights.spec(name).shape[0]
            low = self._random.randrange(rows)
            index = slice(low, self._random.randint(low, rows))
            found = weights.get_slice(name)[index]
            same(f"{task}:{name}", found, self._right[task][name][index])

    def _load_model(self, task: str) -> None:
        mcodec.torch.load_model(self._model, self._path, task)
        self._check_model(task)

    def _switch(self, resident: str, task: str) -> None:
        with mcodec.torch.TaskSwitcher(self._model, self._path, resident=resident) as switcher:
            for _ in range(3):
                switcher.switch(task)
                self._check_model(task)
                task = "A" if task == "B" else "B"

    def _check_model(self, task: str) -> None:
        self._check(task, {k: v.detach().numpy() for k, v in self._model.state_dict().items()})

    def _check(self, task: str, found: Mapping[str, NDArray[Any]], *, whole: bool = True) -> None:
        right = self._right[task]
        if whole and found.keys() != right.keys():
            raise AssertionError(f"{task}: other tensors")
        for name, array in found.items():
            same(f"{task}:{name}", array, right[name])


def same(name: str, found: NDArray[Any], right: NDArray[Any]) -> None:
    """Fail where an array is not, bit for bit, what it should be."""
    if found.shape != right.shape or found.tobytes() != right.tobytes():
        raise AssertionError(f"{name} is wrong")


def held() -> tuple[int, int]:
    """Return the open descriptors and the resident bytes of this process.

    What the C library keeps of freed memory, for each thread, is given back first.
    """
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return len(os.listdir("/proc/self/fd")), loading.resident()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--threads", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(1)
    arrays = corpus.arrays("efficientnet")
    if arrays is None:
        sys.exit(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pair.mc"
        tasks = loading.pair({key: np.ascontiguousarray(array) for key, array in arrays.items()})
        mcodec.pack(tasks, path, bits=loading.BITS)
        right = {}
        for task in tasks:
            with mcodec.open(path, task) as weights:
                right[task] = {name: weights[name] for name in weights}
        workers = [Worker(path, right, seed) for seed in range(options.threads)]
        for worker in workers:
            worker.start()
        samples = []
        for _ in range(10):
            time.sleep(options.seconds / 10)
            samples.append(held())
        for worker in workers:
            worker.stop.set()
        for worker in workers:
            worker.join()
        samples.append(held())
    done: Counter[str] = sum((worker.done for worker in workers), Counter())
    print(f"{corpus.machine()}; {options.threads} threads, {options.seconds:.0f} s, EfficientNet")
    print("; ".join(f"{way} {count:,}" for way, count in sorted(done.items())))
    for error in (worker.error for worker in workers if worker.error):
        print(f"WRONG: {error!r}")
    print("descriptors, each tenth of the time and at the end:", *(files for files, _ in samples))
    print("resident MB, likewise:", *(round(memory / 1e6) for _, memory in samples))
    sys.exit(any(worker.error for worker in workers))


if __name__ == "__main__":
    main()
