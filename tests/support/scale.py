"""Executors and models for packing in other processes."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import save_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Run in a worker: it ends itself, as if it was killed, in the middle of its part number `{count}`.
DIE = """
import os, signal
from mcodec.api import partwork
plain, seen = partwork.PartWork._group, []
def group(self, numbers, file):
    found = plain(self, numbers, file)
    seen.append(numbers)
    if len(seen) == {count}:
        os.kill(os.getpid(), signal.SIGKILL)
    return found
partwork.PartWork._group = group
"""


class Inline(Executor):
    """Does the work at once in this process, but gives it through pickles as others do."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call the function."""
        self.calls.append(args)
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def write_family(folder: Path, count: int = 4, rows: int = 600) -> list[Path]:
    """Write models that are like one another: fine-tuned, masked, with equal and tied tensors."""
    rng = np.random.default_rng(7)
    base = {f"layers.{i}.weight": _normal(rng, (rows, 300)) for i in range(3)}
    base |= {f"layers.{i}.bias": _normal(rng, (rows,)) for i in range(3)}
    base["scale"] = np.float32(3)
    base["count"] = np.arange(5)
    paths = []
    for number in range(count):
        own = dict(base)
        if number % 3 == 1:
            own = {
                name: (value * (1 + 1e-4 * _normal(rng, value.shape))).astype(value.dtype)
                for name, value in base.items()
            }
        if number % 3 == 2:
            kept = rng.random((rows, 300)) > 0.5
            own["layers.0.weight"] = base["layers.0.weight"] * kept
            own["layers.1.weight"] = _normal(rng, (rows, 300))
            own["layers.1.weight"][3, 5] = np.nan
        paths.append(folder / f"model-{number}.safetensors")
        save_file({name: np.asarray(value) for name, value in own.items()}, paths[-1])
    return paths


def write_large(folder: Path, tensors: int = 16) -> Path:
    """Write a model that makes as many parts as it has tensors."""
    rng = np.random.default_rng(3)
    path = folder / "large.safetensors"
    save_file({f"t{i:02}": _normal(rng, (512, 513)) for i in range(tensors)}, path)
    return path


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return rng.standard_normal(shape, dtype=np.float32)
