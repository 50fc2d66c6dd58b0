"""The forward pass of the example network in NumPy, so that the demo needs no Keras.

The architecture is the one that `train.build` makes; `tests/unit/test_examples_keras.py` holds
the two together. Images are channels-last, as in Keras on every backend.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import h5py
import numpy as np

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import NDArray

    Array = NDArray[np.float32]
    Weights = dict[str, Array]

EPSILON: Final = np.float32(1e-3)  # of keras.layers.BatchNormalization
BATCH: Final = 128  # bounds the memory of the unrolled windows


def load(path: str | PathLike[str]) -> Weights:
    """Read a whole-model Keras HDF5 file into arrays by layer and variable: ``conv1/kernel``.

    Raises
    ------
    KeyError
        The file has no ``model_weights``: it is not one that ``model.save("x.h5")`` wrote.
    OSError
        The file is missing, or is not HDF5.
    """
    weights: Weights = {}
    with h5py.File(path, "r") as file:
        root = file["model_weights"]
        for layer in root.attrs["layer_names"]:
            group = root[layer]
            for name in group.attrs["weight_names"]:
                variable = str(name).rsplit("/", 1)[-1]
                weights[f"{layer}/{variable}"] = np.asarray(group[name], dtype=np.float32)
    return weights


def conv2d(x: Array, kernel: Array) -> Array:
    """Convolve (n, h, w, c) with an odd-sized kernel (kh, kw, c, d), "same" padding, stride 1."""
    high, wide, channels, filters = kernel.shape
    top, left = high // 2, wide // 2
    padded = np.pad(x, ((0, 0), (top, top), (left, left), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (high, wide), axis=(1, 2))
    columns = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, high * wide * channels)
    result: Array = (columns @ kernel.reshape(-1, filters)).reshape(*x.shape[:3], filters)
    return result


def batch_norm(x: Array, weights: Weights, layer: str) -> Array:
    """Normalise the last axis with the mean and variance that training left behind."""
    variance, mean = weights[f"{layer}/moving_variance"], weights[f"{layer}/moving_mean"]
    scale: Array = weights[f"{layer}/gamma"] / np.sqrt(variance + EPSILON)
    return (x - mean) * scale + weights[f"{layer}/beta"]


def relu(x: Array) -> Array:
    """Return x where it is positive, else 0."""
    return np.maximum(x, np.float32(0))


def max_pool(x: Array) -> Array:
    """Halve height and width of (n, h, w, c), both even, keeping the largest of each 2 by 2."""
    count, high, wide, channels = x.shape
    pooled: Array = x.reshape(count, high // 2, 2, wide // 2, 2, channels).max(axis=(2, 4))
    return pooled


def dense(x: Array, weights: Weights, layer: str) -> Array:
    """Return x (n, c) times the layer's kernel (c, d), plus its bias (d,)."""
    return x @ weights[f"{layer}/kernel"] + weights[f"{layer}/bias"]


def logits(weights: Weights, images: Array) -> Array:
    """Return the scores before softmax, float32 (n, classes), of images (n, 28, 28, 1)."""
    return np.concatenate(
        [_forward(weights, images[i : i + BATCH]) for i in range(0, len(images), BATCH)]
    )


def _forward(weights: Weights, x: Array) -> Array:
    for number, pooled in ((1, True), (2, True), (3, False), (4, False)):
        x = conv2d(x, weights[f"conv{number}/kernel"])
        x = relu(batch_norm(x, weights, f"bn{number}"))
        x = max_pool(x) if pooled else x
    x = x.mean(axis=(1, 2), dtype=np.float32)
    x = relu(dense(x, weights, "dense"))
    return dense(x, weights, "head")


def accuracy(weights: Weights, images: Array, answers: NDArray[np.uint8]) -> float:
    """Return the share of images whose largest score is at the right answer."""
    return float(np.mean(logits(weights, images).argmax(axis=1) == answers))
