"""Keras itself loads a model of its own that was converted and restored."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import mcodec
from mcodec.formats.registry import open_source

if TYPE_CHECKING:
    from pathlib import Path

# Not importorskip: importing Keras here would choose a backend for this process.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not importlib.util.find_spec("keras"), reason="Keras is not installed"),
]

MAKE = """
import sys, numpy as np, keras
keras.utils.set_random_seed(1)
model = keras.Sequential([
    keras.Input((6, 6, 2)), keras.layers.Conv2D(3, 3, name="conv"),
    keras.layers.BatchNormalization(), keras.layers.Flatten(), keras.layers.Dense(2),
])
model.compile("adam", keras.losses.MeanSquaredError())
model.fit(np.ones((4, 6, 6, 2)), np.zeros((4, 2)), verbose=0)
model.save(sys.argv[1])
"""
COMPARE = """
import sys, numpy as np, keras
a, b = (keras.models.load_model(path) for path in sys.argv[1:3])
raw = keras.ops.convert_to_numpy
x = np.random.default_rng(1).normal(size=(2, 6, 6, 2)).astype("float32")
for p, q in zip([*a.variables, a(x)], [*b.variables, b(x)], strict=True):
    assert raw(p).tobytes() == raw(q).tobytes()
print("SAME")
"""


def run(*arguments: str) -> str:
    """Run Python with Keras on torch; return what it prints."""
    environment = {**os.environ, "KERAS_BACKEND": "torch", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env=environment,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize("suffix", ["h5", "keras"])
@pytest.mark.parametrize("middle", ["mid.safetensors", "mid.pt"])
def test_a_model_of_ones_own(tmp_path: Path, suffix: str, middle: str) -> None:
    path, out = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    run("-c", MAKE, str(path))
    mcodec.convert(path, tmp_path / middle)
    mcodec.convert(tmp_path / middle, out)
    assert "SAME" in run("-c", COMPARE, str(path), str(out))


def test_names_of_a_legacy_model(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    run("-c", MAKE, str(path))
    source = open_source(path)
    names = [spec.name for spec in source.tensors]
    source.close()
    assert [name.rsplit("/", 2)[1:] for name in names[:2]] == [["conv", "kernel"], ["conv", "bias"]]
    assert names[-1].startswith("optimizer_weights/")
