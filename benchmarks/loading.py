"""Loading and switching one task in PyTorch, beside the same reload from safetensors, in one run.

    python benchmarks/loading.py [--json] [--rounds 15] [--model minilm]

A pair of tasks is packed: a real model, and the same with seeded noise of 1 %. Fused means bits 12
and 11. What is timed is the way of one task's weights into a model that is there, from the page
cache: `safetensors.torch.load_file` and `load_state_dict` of the task's own float32 file;
`mcodec.torch.load_model`, hashes checked; `TaskSwitcher.switch`. Rounds alternate in both orders;
medians. Then memory: what a switcher keeps for both tasks beside the model, and what a switch
allocates.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import tracemalloc
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import corpus
import numpy as np
import safetensors.torch
import torch

import mcodec
import mcodec.torch
from mcodec.api.timing import alternate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

MODELS: Final = ("minilm", "efficientnet")
BITS: Final = {"A": 12, "B": 11}
PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def tree(arrays: Mapping[str, NDArray[Any]]) -> torch.nn.Module:
    """Return modules nested as the names say, with these weights as parameters and buffers."""
    root = torch.nn.Module()
    for name, array in arrays.items():
        module = root
        *path, last = name.split(".")
        for part in path:
            if part not in module._modules:
                module.add_module(part, torch.nn.Module())
            child = module._modules[part]
            assert child is not None
            module = child
        tensor = torch.from_numpy(np.array(array))
        if tensor.is_floating_point():
            module.register_parameter(last, torch.nn.Parameter(tensor, requires_grad=False))
        else:
            module.register_buffer(last, tensor)
    return root


def pair(arrays: Mapping[str, NDArray[Any]]) -> dict[str, dict[str, NDArray[Any]]]:
    """Return two tasks: a model, and the same with noise."""
    return {"A": dict(arrays), "B": corpus.noisy(arrays)}


def resident() -> int:
    """Return the bytes of the process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def measure(name: str, folder: Path, rounds: int) -> dict[str, Any] | None:
    """Return the figures of one model; None where it cannot be had."""
    arrays = corpus.arrays(name)
    if arrays is None:
        return None
    arrays = {key: np.ascontiguousarray(array) for key, array in arrays.items()}
    tasks = pair(arrays)
    size = sum(array.nbytes for array in arrays.values())
    plain = folder / f"{name}.safetensors"
    safetensors.torch.save_file({k: torch.from_numpy(v) for k, v in tasks["B"].items()}, plain)
    files: dict[str, Path] = {}
    kinds: tuple[tuple[str, dict[str, Any]], ...] = (
        ("fused, layout task", {"bits": BITS, "layout": "task"}),
        ("fused, interleaved", {"bits": BITS}),
        ("lossless", {}),
    )
    for what, options in kinds:
        files[what] = folder / f"{name}-{len(files)}.mc"
        mcodec.pack(tasks, files[what], **options)
    model = tree(arrays)

    def reload() -> None:
        model.load_state_dict(safetensors.torch.load_file(plain))

    ways: dict[str, Callable[[], object]] = {"safetensors": reload}
    for what, path in files.items():
        for backend, note in ((None, ""), ("mmap", ", mmap")):
            load = partial(mcodec.torch.load_model, model, path, "B", backend=backend)
            ways[f"load_model, {what}{note}"] = load
    times = alternate(ways, rounds)
    with mcodec.torch.TaskSwitcher(model, files["fused, layout task"]) as switcher:
        beside = {"safetensors, beside the switch": reload, "switch, planes": turn(switcher)}
        times |= alternate(beside, rounds)
        kept, (peak, grown) = switcher.nbytes, allocations(switcher)
    with mcodec.torch.TaskSwitcher(model, files["lossless"]) as switcher:
        times |= alternate({"switch, lossless planes": turn(switcher)}, rounds)
    return {
        "bytes": size,
        "seconds": times,
        "kept": kept / (2 * size),
        "switch allocates": peak,
        "switch grows": grown,
    }


def turn(switcher: mcodec.torch.TaskSwitcher) -> Callable[[], object]:
    """Return what switches to the other of two tasks."""
    return lambda: switcher.switch("A" if switcher.task == "B" else "B")


def allocations(switcher: mcodec.torch.TaskSwitcher) -> tuple[int, int]:
    """Return the most that Python holds more during switches, and how the process grows by them."""
    for task in "ABAB":
        switcher.switch(task)
    before = resident()
    tracemalloc.start()
    for task in "ABABAB":
        switcher.switch(task)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak, resident() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--model", choices=MODELS, action="append")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = {
            name: measure(name, Path(folder), options.rounds) for name in options.model or MODELS
        }
    if options.json:
        print(json.dumps(found))
        return
    print(f"{corpus.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    for name, figures in found.items():
        if figures is None:
            print(f"{name}: not to be had here")
            continue
        times = figures["seconds"]
        print(f"{name}: {figures['bytes'] / 1e6:.1f} MB of weights a task")
        for way, seconds in times.items():
            base = times["safetensors, beside the switch" if "switch" in way else "safetensors"]
            print(f"  {way:38} {1e3 * seconds:7.2f} ms  {seconds / base:5.2f} of safetensors")
        print(f"  a switcher keeps {figures['kept']:.3f} of two models beside the live one")
        print(
            f"  a switch allocates {figures['switch allocates']:,} bytes at most, and six of them"
            f" make the process {figures['switch grows']:,} bytes larger"
        )


if __name__ == "__main__":
    main()
