"""Keras and PyTorch load what `prune` and `quantize` write, and compute with it."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mcodec
from conversion.test_keras_own import run
from mcodec.errors import UsageError
from support import cases
from support.models import arrays

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow
NEEDS_KERAS = pytest.mark.skipif(
    not importlib.util.find_spec("keras"), reason="Keras is not installed"
)

MAKE = """
import sys, numpy as np, keras
keras.utils.set_random_seed(1)
layers = keras.layers
inputs = keras.Input((8, 12))
x = layers.Conv1D(16, 3)(inputs)
x = layers.BatchNormalization(name="norm")(x)
x = layers.MultiHeadAttention(2, 8)(x, x)
x = layers.GRU(24)(x)
model = keras.Model(inputs, layers.Dense(40)(x))
model.compile("adam", keras.losses.MeanSquaredError())
model.fit(np.ones((4, 8, 12)), np.zeros((4, 40)), verbose=0)
for variable in model.trainable_variables:  # biases that are not zero
    noise = np.random.default_rng(1).normal(size=variable.shape)
    variable.assign(variable + 0.1 * noise.astype("float32"))
model.save(sys.argv[1])
"""
# Prints, for the kernels and for all other variables, what is zero and what is as it was.
LOOK = """
import sys, numpy as np, keras
a, b = (keras.models.load_model(path) for path in sys.argv[1:3])
raw = keras.ops.convert_to_numpy
x = np.random.default_rng(1).normal(size=(2, 8, 12)).astype("float32")
assert np.isfinite(raw(b(x))).all()
kernels = zeros = size = 0
for p, q in zip(a.variables, b.variables, strict=True):
    one, two = raw(p), raw(q)
    if "optimizer" not in p.path and p.name.endswith("kernel"):
        kernels, zeros, size = kernels + 1, zeros + (two == 0).sum(), size + two.size
        assert one.tobytes() != two.tobytes(), p.path
    elif "seed" not in p.path:  # which a legacy file does not hold
        assert one.tobytes() == two.tobytes(), p.path
left = np.abs(raw(a(x)) - raw(b(x))).max() / np.abs(raw(a(x))).max()
print(kernels, round(zeros / size, 3), "near" if left < 0.1 else "far")
b.compile("adam", keras.losses.MeanSquaredError())
b.fit(np.ones((4, 8, 12)), np.zeros((4, 40)), verbose=0)  # it can be trained on
"""


@NEEDS_KERAS
@pytest.mark.parametrize("suffix", ["h5", "keras"])
def test_keras(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    run("-c", MAKE, str(path))
    pruned, rounded, back = (tmp_path / f"{name}.{suffix}" for name in ("p", "q", "back"))
    mcodec.prune(path, pruned, 0.8)
    assert run("-c", LOOK, str(path), str(pruned)).split()[:2] == ["8", "0.8"]
    mcodec.quantize(path, rounded)
    assert run("-c", LOOK, str(path), str(rounded)).split()[::2] == ["8", "near"]
    mcodec.prune(path, tmp_path / "p.mc", 0.8)
    mcodec.quantize(tmp_path / "p.mc", tmp_path / "q.mc")
    mcodec.unpack(tmp_path / "q.mc", out=back)
    assert run("-c", LOOK, str(pruned), str(back)).split()[::2] == ["8", "near"]


@NEEDS_KERAS
@pytest.mark.parametrize("suffix", ["weights.h5", "keras"])
def test_a_model_that_keras_quantised_is_not_pruned(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    save = "model.save_weights" if suffix == "weights.h5" else "model.save"
    program = (
        "import sys, keras\n"
        "model = keras.Sequential([keras.Input((12,)), keras.layers.Dense(40)])\n"
        "model.quantize('int8')\n"
        f"{save}(sys.argv[1])\n"
    )
    run("-c", program, str(path))
    with pytest.raises(UsageError, match=r"vars/0' is int8\)"):
        mcodec.prune(path, tmp_path / "x.h5", 0.5)


def _checkpoint(torch: Any, path: Path) -> Any:
    class Net(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embed = torch.nn.Embedding(50, 32)
            self.lstm = torch.nn.LSTM(32, 32)
            self.conv = torch.nn.Conv1d(32, 32, 3)
            self.norm = torch.nn.BatchNorm1d(32)
            self.head = torch.nn.Linear(32, 50)
            self.head.weight = self.embed.weight

        def forward(self, words: Any) -> Any:
            x, _ = self.lstm(self.embed(words))
            return self.head(self.norm(self.conv(x.transpose(1, 2))).mean(2))

    torch.manual_seed(1)
    model = Net().eval()
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.zeros(5, 4, dtype=torch.int64)).sum().backward()
    optimizer.step()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}, path)
    return model


@pytest.mark.parametrize("how", ["prune", "quantize"])
def test_torch(tmp_path: Path, how: str) -> None:
    torch = pytest.importorskip("torch")
    model = _checkpoint(torch, tmp_path / "a.pt")
    verbs: dict[str, Callable[..., Any]] = {
        "prune": lambda source, out: mcodec.prune(source, out, 0.75),
        "quantize": mcodec.quantize,
    }
    report = verbs[how](tmp_path / "a.pt", tmp_path / "b.pt")
    assert len(report.tensors) == 4  # embed and head are one
    before, after = (torch.load(tmp_path / name, weights_only=True) for name in ("a.pt", "b.pt"))
    kernels = {name for name, tensor in before["model"].items() if tensor.dim() >= 2}
    assert kernels == {
        "embed.weight",
        "lstm.weight_ih_l0",
        "lstm.weight_hh_l0",
        "conv.weight",
        "head.weight",
    }
    for name, tensor in before["model"].items():
        same = torch.equal(tensor, after["model"][name])
        assert same == (name not in kernels), name
        if how == "prune" and name in kernels:
            left = int(after["model"][name].count_nonzero())
            assert left == tensor.numel() - round(0.75 * tensor.numel())
    assert str(before["optimizer"]) == str(after["optimizer"])
    assert after["epoch"] == 3
    one, two = (after["model"][name] for name in ("embed.weight", "head.weight"))
    assert one.untyped_storage().data_ptr() == two.untyped_storage().data_ptr()
    words = torch.arange(20).reshape(5, 4)
    expected = model(words).detach()
    model.load_state_dict(after["model"])
    off = float((model(words).detach() - expected).abs().max() / expected.abs().max())
    assert off < (0.05 if how == "quantize" else 5)


def test_torch_computes_the_floats_of_integers_and_scales(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    model = {"w": cases.weights("float32", (6, 5, 3)), "b": np.ones(3, np.float32)}
    mcodec.quantize(model, tmp_path / "i.pt", integers=True)
    mcodec.quantize(model, tmp_path / "f.npz")
    found = torch.load(tmp_path / "i.pt", weights_only=True)
    assert (found["w"].dtype, found["w.scale"].dtype) == (torch.int8, torch.float32)
    floats = (found["w"] * found["w.scale"]).numpy()
    assert cases.same_bits(floats, arrays(tmp_path / "f.npz")["w"])
