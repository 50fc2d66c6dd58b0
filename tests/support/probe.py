"""Small models with every kind of stream, and a probe that does all that reads a file."""

from __future__ import annotations

import contextlib
import tracemalloc
from typing import TYPE_CHECKING, Any, Final

import numpy as np

import mcodec
from mcodec.errors import REASONS, FormatError, UsageError
from support import cases

if TYPE_CHECKING:
    from pathlib import Path

MOST_MEMORY: Final = 200 * 2**20  # three times the largest chunk
BUDGET: Final = 1 << 22  # decoded bytes of a task


def small_models() -> dict[str, dict[str, Any]]:
    """Two models with every kind of stream: heads, planes, symbols, fills, frames."""
    model = {
        "kernel": cases.weights("float32", (12, 16), 1),
        "compact": cases.weights("float32", (6, 5), 2),
        "blocks": cases.weights("float64", (70,), 3),
        "step": cases.weights("float16", (4, 5), 4),
        "bias": cases.noise("float32", (5,), 5),
        "symbols": cases.weights("float32", (130, 130), 6, 0.001),
        "flags": np.array([True, False, True]),
        "zeros": np.zeros((3, 3), np.int32),
        "half": cases.noise("bfloat16", (3,), 7),
    }
    return {"A": model, "B": {name: array[::-1] for name, array in model.items()}}


PLAN: Final = """
[[tensor]]
match = "*:kernel"
codec = "bfp(bits=5,scope=axis:1)"
[[tensor]]
match = "*:compact"
codec = "bfp(bits=3,signs=compact)"
[[tensor]]
match = "*:blocks"
codec = "bfp(bits=2,scope=block:16,reconstruct=mid)"
[[tensor]]
match = "*:step"
codec = "bfp(bits=4,step=0.0625)"
[[tensor]]
match = "*:symbols"
codec = "bfp(bits=3)"
"""


def probe(path: Path, data: bytes) -> str:
    """Do all that reads a file; return "sound" or the reason code of the first refusal."""
    path.write_bytes(data)
    calls = (open_and_read, verify, relayout)
    tracemalloc.start()
    try:
        codes = [attempt(call, path) for call in calls]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MOST_MEMORY
    return next((code for code in codes if code != "sound"), "sound")


def attempt(call: Any, path: Path) -> str:
    """Call; all that may come out is a FormatError with a known reason."""
    try:
        call(path)
    except FormatError as error:
        refusal = error
    else:
        return "sound"
    assert refusal.code in REASONS
    assert "\n" not in str(refusal)
    return refusal.code


VIEWS: tuple[dict[str, Any], ...] = ({}, {"planes": 2}, {"planes": 1, "midpoint": True})


def open_and_read(path: Path) -> None:
    """Decode all tensors, canonical and derived."""
    refused: FormatError | None = None
    for partial in (False, True):
        with mcodec.open(path, jobs=1, partial=partial, max_decoded=BUDGET) as file:
            for name in file.tasks:
                for view in VIEWS:
                    task = file.task(name, **view)
                    for tensor in task:
                        try:
                            assert task[tensor].shape == task.spec(tensor).shape
                        except FormatError as error:
                            refused = error
    if refused is not None:
        raise refused


def verify(path: Path) -> None:
    mcodec.verify(path, deep=True, jobs=1, max_decoded=BUDGET)


def relayout(path: Path) -> None:
    with contextlib.suppress(UsageError):  # a file with compact signs cannot be progressive
        mcodec.relayout(path, path.with_suffix(".out"), "progressive")
