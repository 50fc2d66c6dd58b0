"""Keras 2 itself (tf_keras, in an environment of its own) loads what unpack writes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import mcodec

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-tf" / "bin" / "python"

MAKE = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np, tf_keras as keras
keras.utils.set_random_seed(1)
model = keras.Sequential([
    keras.layers.Conv2D(4, 3, input_shape=(8, 8, 3), name="stage/conv"),
    keras.layers.BatchNormalization(),
    keras.layers.ReLU(),
    keras.layers.Flatten(),
    keras.layers.Dense(300, activation="relu"),
    keras.layers.Dense(3),
])
model.compile("adam", "mse")
x = np.random.default_rng(0).normal(size=(8, 8, 8, 3)).astype("float32")
model.fit(x, np.zeros((8, 3), "float32"), epochs=1, verbose=0)
model.save(sys.argv[1] + "/whole.h5")
model.save_weights(sys.argv[1] + "/only.h5")
"""

COMPARE = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np, tf_keras as keras
first, second = (keras.models.load_model(sys.argv[1] + "/" + n) for n in ("whole.h5", "back.h5"))
def state(model):
    return [np.asarray(v) for v in list(model.variables) + list(model.optimizer.variables)]
a, b = state(first), state(second)
assert len(a) == len(b) > 20, (len(a), len(b))
assert all(p.dtype == q.dtype and p.tobytes() == q.tobytes() for p, q in zip(a, b))
x = np.random.default_rng(5).normal(size=(2, 8, 8, 3)).astype("float32")
assert np.array_equal(first.predict(x, verbose=0), second.predict(x, verbose=0))
for v in second.variables:
    v.assign(np.zeros(v.shape, v.dtype.as_numpy_dtype))
second.load_weights(sys.argv[1] + "/only-back.h5")
c, d = first.get_weights(), second.get_weights()
assert all(p.tobytes() == q.tobytes() for p, q in zip(c, d))
print("SAME")
"""


def run(code: str, *arguments: str) -> str:
    """Run a script in the environment of Keras 2; skip where `make venv-tf` has not made it."""
    if not PYTHON.exists():
        pytest.skip("no environment of Keras 2: make venv-tf")
    done = subprocess.run(
        [PYTHON, "-c", code, *arguments], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
def test_whole_model_and_weights(tmp_path: Path) -> None:
    run(MAKE, str(tmp_path))
    for name, back in (("whole.h5", "back.h5"), ("only.h5", "only-back.h5")):
        mcodec.pack(tmp_path / name, tmp_path / "model.mc")
        mcodec.unpack(tmp_path / "model.mc", out=tmp_path / back)
    assert "SAME" in run(COMPARE, str(tmp_path))
