"""How good the example networks are, for `mcodec sweep --evaluate` and `mcodec plan --evaluate`.

    mcodec sweep examples/digits_a.h5 examples/digits_b.h5 --keep 32:2:-2 --unit % \
        --evaluate examples/accuracy.py:accuracy -o sweep.json

`accuracy` takes arrays and needs NumPy; `by_keras` takes a model file (`--as-file`), and Keras.
Both return the percentage of the 1,960 held-out digits that task A names right, or of which task B
tells odd from even.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import digits
import network
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


def accuracy(weights: Mapping[str, NDArray[Any]], task: str) -> dict[str, float]:
    """Return the accuracy of the network in NumPy; arrays are named as in the Keras file."""
    images, answers = _heldout()
    short = {"/".join(name.split("/")[-2:]): array for name, array in weights.items()}
    with np.errstate(all="ignore"):  # of a few bits the numbers may be anything
        return {"accuracy": 100 * network.accuracy(short, images, digits.labels(task, answers))}


def by_keras(path: str, task: str) -> dict[str, float]:
    """Return the accuracy of the model file, as Keras predicts."""
    import keras

    images, answers = _heldout()
    found = keras.models.load_model(path).predict(images, verbose=0).argmax(axis=1)
    return {"accuracy": 100 * float(np.mean(found == digits.labels(task, answers)))}


@functools.cache
def _heldout() -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    return digits.heldout()
