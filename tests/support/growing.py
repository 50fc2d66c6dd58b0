"""Progressive files that grow, and modules that are refined from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import mcodec
from support import cases, torch_models

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def model(seed: int) -> dict[str, NDArray[Any]]:
    """Return a network with NaN, integers, nothing at all, and a head of its own shape."""
    arrays = {
        "kernel": cases.weights("float32", (140, 130), seed),
        "small": cases.weights("float32", (5, 7), seed + 1),
        "half": cases.weights("float16", (9, 9), seed + 2),
        "bias": cases.weights("float32", (130,), seed + 3),
        "head": cases.weights("float32", (3 + seed, 4), seed + 4),
        "same": cases.weights("bfloat16", (130, 130), 5),
        "steps": np.arange(4) + seed,
        "nothing": np.zeros((0, 2), np.float32),
    }
    arrays["bias"][:2] = np.nan, -np.inf
    return arrays


def starts(path: Path) -> list[int]:
    """Return where each level begins, and the file's end."""
    found: dict[int, int] = {}
    with mcodec.open(path) as file:
        reader = file.reader
        for run, spec in enumerate(reader.runs):
            for block in range(-1, spec.blocks):
                for row in reader.rows(run, block):
                    level = reader.specs(run, block, row.mode)[row.first].level
                    if row.stored:
                        found[level] = min(found.get(level, row.offset), row.offset)
    return [found[level] for level in sorted(found)] + [path.stat().st_size]


def grow(path: Path, data: bytes, to: int) -> None:
    """Append what a file of these bytes lacks up to a size."""
    with path.open("ab") as file:
        file.write(data[file.tell() : to])


def fresh(path: Path, task: str) -> dict[str, bytes]:
    """Return the bits of a task as a new reader has them."""
    with mcodec.open(path, partial=True) as file:
        return torch_models.bits_of(file.task(task).load())


def switcher(path: Path, resident: str, **options: Any) -> Any:
    module = torch_models.holder(model(1), zero=True)
    return mcodec.torch.TaskSwitcher(
        module, path, resident=resident, partial=True, rename=torch_models.key, **options
    )
