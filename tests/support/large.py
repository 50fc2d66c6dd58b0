"""Model files too large to make in memory."""

from __future__ import annotations

import json
import math
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def write_random(path: Path, shapes: Sequence[tuple[int, ...]], seed: int) -> None:
    """Write a safetensors file of normally distributed float32, a block at a time."""
    header: dict[str, Any] = {}
    at = 0
    for index, shape in enumerate(shapes):
        end = at + 4 * math.prod(shape)
        header[f"layer.{index}.weight"] = {
            "dtype": "F32",
            "shape": shape,
            "data_offsets": [at, end],
        }
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    random = np.random.default_rng(seed)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        while at:
            block = random.standard_normal(min(at, 1 << 24) // 4, dtype=np.float32)
            file.write((block * np.float32(0.05)).tobytes())
            at -= block.nbytes
