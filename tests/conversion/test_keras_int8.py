"""A model that Keras quantised to int8 is known as one: its integers and scales are never lossy.

Keras makes the model, loads what comes out, and computes the same.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import mcodec
from support import cases

if TYPE_CHECKING:
    from pathlib import Path

# Not importorskip: importing Keras here would choose a backend for this process.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not importlib.util.find_spec("keras"), reason="Keras is not installed"),
]

MAKE = """
import sys, keras
keras.utils.set_random_seed(1)
words = keras.Input((6,), dtype="int32")
x = keras.layers.Embedding(20, 16)(words)
x = keras.layers.EinsumDense("abc,cde->abde", output_shape=(6, 4, 8), bias_axes="de")(x)
x = keras.layers.Reshape((6, 32))(x)
x = keras.layers.GlobalAveragePooling1D()(x)
model = keras.Model(words, keras.layers.Dense(5)(x))
model.quantize("int8")
model.save(sys.argv[1])
"""
COMPARE = """
import sys, numpy as np, keras
first, *others = (keras.models.load_model(path) for path in sys.argv[1:])
raw = keras.ops.convert_to_numpy
words = np.random.default_rng(1).integers(0, 20, (3, 6))
assert any(v.dtype == "int8" for v in first.variables)
for other in others:
    pairs = zip([*first.variables, first(words)], [*other.variables, other(words)], strict=True)
    for p, q in pairs:
        assert raw(p).tobytes() == raw(q).tobytes()
print("SAME", len(others))
"""
HOW: list[dict[str, Any]] = [
    {},
    {"bits": 4},
    {"codec": "int8(scope=axis:-1)"},
    {"codec": "bfp(bits=3)"},
]


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


def arrays(path: Path) -> dict[str, Any]:
    mcodec.pack(path, path.with_suffix(".all.mc"), jobs=1)
    with mcodec.open(path.with_suffix(".all.mc")) as file:
        return dict(file.task())


def test_integers_and_scales_are_kept(tmp_path: Path) -> None:
    model, middle = tmp_path / "a.keras", tmp_path / "a.safetensors"
    run("-c", MAKE, str(model))
    made = [tmp_path / f"{number}.keras" for number in range(len(HOW) + 1)]
    for how, out in zip(HOW, made, strict=False):
        mcodec.pack(model, tmp_path / "a.mc", **how)
        assert mcodec.unpack(tmp_path / "a.mc", out=out).exact, how
        cases.assert_same_model(arrays(model), arrays(out))
    mcodec.convert(model, middle)
    mcodec.convert(middle, made[-1])
    assert run("-c", COMPARE, str(model), *map(str, made)).split() == ["SAME", str(len(made))]
