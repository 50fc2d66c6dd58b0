"""The held-out digits of the examples, and what each task asks of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

HELDOUT: Final = Path(__file__).with_name("heldout.npz")
SIDE: Final = 28
CLASSES: Final[dict[str, int]] = {"A": 10, "B": 2}
QUESTION: Final[dict[str, str]] = {"A": "ten digits", "B": "odd or even"}


def labels(task: str, digits: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the right answers of a task, uint8 of shape (n,), for digits of that shape.

    Raises
    ------
    KeyError
        The task is neither A nor B.
    """
    return digits % np.uint8(CLASSES[task])


def from_mnist(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return uint8 pixels (n, 28, 28) as network input: float32 (n, 28, 28, 1) in 0 to 1."""
    return (pixels.astype(np.float32) / np.float32(255))[..., None]


def from_sklearn(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return pixels (n, 8, 8) of 0 to 16 as network input, drawn the way MNIST draws.

    MNIST fits a digit into 20 by 20 and leaves a margin of 4, so these are enlarged to 20 by 20
    (bilinear, pixel centres aligned) and get that margin.
    """
    small, large = 8, 20
    at = (np.arange(large) + 0.5) * small / large - 0.5
    enlarge = np.stack([np.interp(at, np.arange(small), row) for row in np.eye(small)], axis=1)
    grown = enlarge @ (pixels / 16) @ enlarge.T
    margin = (SIDE - large) // 2
    padded = np.pad(grown, ((0, 0), (margin, margin), (margin, margin)))
    return padded.astype(np.float32)[..., None]


def heldout(path: Path = HELDOUT) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return the held-out digits: images float32 (1960, 28, 28, 1), and which digit each is.

    No image among them was seen in training (see README.md). MNIST's come first.
    """
    with np.load(path, allow_pickle=False) as stored:
        images = [from_mnist(stored["mnist_images"]), from_sklearn(stored["sklearn_images"])]
        digits = [stored["mnist_digits"], stored["sklearn_digits"]]
    return np.concatenate(images), np.concatenate(digits)
