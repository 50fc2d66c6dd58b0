"""The example network as a PyTorch module, and both tasks' weights in one `.mc` file for it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import nn

import mcodec

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODELS: Final = Path(__file__).resolve().parents[1]  # digits_a.h5: ten digits; digits_b.h5: odd?
NAMES: Final = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}  # a variable of Keras to its name in PyTorch; a bias is a bias
ORDER: Final = {4: (3, 2, 0, 1), 2: (1, 0)}  # of axes: Keras has outputs last, PyTorch first
CHANNELS: Final = (1, 16, 32, 64, 64)


class Digits(nn.Module):  # type: ignore[misc]
    """The network of `examples/train.py`; `head` has 10 outputs in task A and 2 in task B."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        for number in range(1, 5):
            wide = CHANNELS[number - 1], CHANNELS[number]
            setattr(self, f"conv{number}", nn.Conv2d(*wide, 3, padding=1, bias=False))
            setattr(self, f"bn{number}", nn.BatchNorm2d(wide[1], eps=1e-3))
        self.dense = nn.Linear(64, 64)
        self.head = nn.Linear(64, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits, float32 (n, classes), of images, float32 (n, 1, 28, 28)."""
        for number in range(1, 5):
            convolved = getattr(self, f"conv{number}")(x)
            x = torch.relu(getattr(self, f"bn{number}")(convolved))
            if number <= 2:
                x = torch.max_pool2d(x, 2)
        found: torch.Tensor = self.head(torch.relu(self.dense(x.mean((2, 3)))))
        return found


def pack(out: Path) -> None:
    """Pack the two Keras models of `examples/` under the keys and in the shapes of PyTorch."""
    with tempfile.TemporaryDirectory() as folder:
        both = Path(folder) / "keras.mc"
        mcodec.pack([MODELS / "digits_a.h5", MODELS / "digits_b.h5"], both)
        with mcodec.open(both) as file:
            tasks = {name: converted(file.task(name).load()) for name in file.tasks}
    mcodec.pack(tasks, out)


def converted(weights: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the weights of a Keras model as PyTorch has them."""
    found = {}
    for path, array in weights.items():
        *_, layer, variable = path.split("/")
        key = f"{layer}.{NAMES.get(variable, variable)}"
        found[key] = np.ascontiguousarray(array.transpose(ORDER.get(array.ndim, (0,))))
        if variable == "gamma":  # which PyTorch counts, and Keras does not
            found[f"{layer}.num_batches_tracked"] = np.zeros((), np.int64)
    return found
