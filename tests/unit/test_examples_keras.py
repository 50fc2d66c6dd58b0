"""Keras itself loads the example models, and agrees with examples/network.py."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
COUNT = 256  # images from each collection

# Run apart: the Keras backend is chosen once a process, and its libraries warn on import.
PREDICT = """
import sys
import keras, numpy as np
import digits, train

task, path, target = sys.argv[1:]
images, _ = digits.heldout()
images = np.concatenate([images[:{count}], images[-{count}:]])
model = keras.models.load_model(path)
rebuilt = train.build(task)
rebuilt.set_weights(model.get_weights())
np.savez(target, images=images, loaded=model.predict(images, verbose=0),
         rebuilt=rebuilt.predict(images, verbose=0))
"""


@pytest.mark.slow
@pytest.mark.parametrize("task", ["A", "B"])
def test_keras_and_numpy_agree(task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for needed in ("keras", "torch"):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"needs {needed}")
    model, target = EXAMPLES / f"digits_{task.lower()}.h5", tmp_path / "scores.npz"
    subprocess.run(
        [sys.executable, "-c", PREDICT.format(count=COUNT), task, str(model), str(target)],
        env={**os.environ, "KERAS_BACKEND": "torch", "PYTHONPATH": str(EXAMPLES)},
        check=True,
        timeout=300,
    )
    monkeypatch.syspath_prepend(str(EXAMPLES))
    network = importlib.import_module("network")
    with np.load(target) as scores:
        ours = network.logits(network.load(model), scores["images"])
        np.testing.assert_allclose(ours, scores["loaded"], rtol=0, atol=1e-4)
        np.testing.assert_array_equal(scores["rebuilt"], scores["loaded"])
        assert np.abs(ours).max() > 1
