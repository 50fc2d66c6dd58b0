"""Modules out of the ordinary: extra states, hooks, lazy ones, inference mode, gradients."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mcodec
from mcodec.errors import UsageError
from support import cases, torch_models
from support.torch_models import network, pack

if TYPE_CHECKING:
    from pathlib import Path

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow

Linear: Any = torch.nn.Linear


def test_opaque_elements_change_nothing(tmp_path: Path) -> None:
    model = torch.nn.Linear(3, 2, device="meta")
    arrays = {"weight": cases.weights("float32", (2, 3)), "bias": cases.noise("V4", (2,))}
    mcodec.pack({"A": arrays}, tmp_path / "x.mc", jobs=1)
    with pytest.raises(UsageError, match="'bias': PyTorch has no dtype V4"):
        mcodec.torch.load_model(model, tmp_path / "x.mc")
    assert model.weight.is_meta


def test_lazy_modules_are_refused(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.mc", torch.nn.Linear(3, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # older PyTorch calls lazy modules new
        lazy = torch.nn.LazyLinear(2)
    with pytest.raises(UsageError, match="no shape yet"):
        mcodec.torch.load_model(lazy, path)


class WithState(Linear):  # type: ignore[misc]
    """A module that says more of itself than tensors, or a tensor that it makes."""

    def __init__(self, state: Any) -> None:
        super().__init__(3, 2)
        self.state, self.got = state, None

    def get_extra_state(self) -> Any:
        return self.state

    def set_extra_state(self, state: Any) -> None:
        self.got = state


@pytest.mark.parametrize("state", [{"words": 1}, torch.zeros(3)], ids=["dict", "tensor"])
def test_extra_states_are_left_alone(tmp_path: Path, state: Any) -> None:
    path, model = pack(tmp_path / "x.mc", torch.nn.Linear(3, 2)), WithState(state)
    assert mcodec.torch.load_model(model, path) == ([], [])
    assert model.got is None
    more = torch.nn.Linear(3, 2).state_dict() | {"_extra_state": torch.ones(3)}
    with pytest.raises(RuntimeError, match="unexpected keys: '_extra_state'"):
        mcodec.torch.load_model(model, pack(tmp_path / "y.mc", more))


class MadeUp(Linear):  # type: ignore[misc]
    """A module whose state_dict has a tensor that it has not."""

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + "scale"] = torch.ones(1)


def test_what_would_be_written_to_nowhere_is_refused(tmp_path: Path) -> None:
    model = MadeUp(3, 2)
    path = pack(tmp_path / "x.mc", model)
    with pytest.raises(UsageError, match="'scale' of the model is made for its state_dict alone"):
        mcodec.torch.load_model(model, path)


def test_keys_that_hooks_rename(tmp_path: Path) -> None:
    model = torch.nn.Linear(3, 2)

    def hook(_: Any, state: Any, prefix: str, __: Any) -> None:
        state[prefix + "kernel"] = state.pop(prefix + "weight")

    model._register_state_dict_hook(hook)
    values = {"kernel": torch.randn(2, 3), "bias": torch.randn(2)}
    mcodec.torch.load_model(model, pack(tmp_path / "x.mc", values))
    assert torch.equal(model.weight, values["kernel"])


def test_complex_and_conjugated(tmp_path: Path) -> None:
    model = torch.nn.Module()
    model.register_buffer("c", torch.zeros(3, 4, dtype=torch.complex64).conj())
    model.register_buffer("negative", torch.zeros(1, dtype=torch.complex64).conj().imag)
    values = {"c": torch.randn(3, 4, dtype=torch.complex64), "negative": torch.randn(1)}
    assert model.negative.is_neg()
    mcodec.torch.load_model(model, pack(tmp_path / "x.mc", values))
    assert torch.equal(model.c, values["c"])
    assert torch.equal(model.negative, values["negative"])


def test_every_dtype(tmp_path: Path) -> None:
    kinds = ("bool", "uint8", "int16", "uint16", "float16", "bfloat16", "float8_e4m3fn", "float64")
    arrays = {kind: cases.noise(kind, (4, 5)) for kind in kinds}
    mcodec.pack({"A": arrays}, tmp_path / "x.mc", jobs=1)
    model = torch_models.holder(arrays, zero=True)
    mcodec.torch.load_model(model, tmp_path / "x.mc", rename=torch_models.key)
    assert torch_models.bits(model) == torch_models.bits_of(arrays)


def test_an_optimizer_goes_on(tmp_path: Path) -> None:
    model = network(2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    mcodec.torch.load_model(model, pack(tmp_path / "x.mc", network(1)))
    model(torch.ones(2, 1, 3, 3)).sum().backward()
    optimizer.step()
    assert not np.array_equal(model[3].bias.detach(), network(1)[3].bias.detach())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_models_of_inference_mode(tmp_path: Path, dtype: Any) -> None:
    path, wanted = pack(tmp_path / "x.mc", network(1)), network(1).to(dtype)
    with torch.inference_mode():
        model = network(2).to(dtype)
    mcodec.torch.load_model(model, path)
    assert torch_models.bits(model) == torch_models.bits(wanted)
    for kind in ("file", "planes", "weights"):
        with mcodec.torch.TaskSwitcher(model, path, resident=kind) as tasks:
            tasks.switch("A")
        assert torch_models.bits(model) == torch_models.bits(wanted)
    with torch.inference_mode():
        mcodec.torch.load_model(model, path, dtype=torch.float16)
        assert torch_models.bits(model) == torch_models.bits(network(1).half())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_gradients_go_on(tmp_path: Path, dtype: Any) -> None:
    path, model = pack(tmp_path / "x.mc", network(1)), network(2).to(dtype)
    x = torch.ones(2, 1, 3, 3, dtype=dtype)
    for kind in ("file", "planes", "weights"):
        with mcodec.torch.TaskSwitcher(model, path, resident=kind) as tasks:
            tasks.switch("A")
            model(x).sum().backward()
    mcodec.torch.load_model(model, path)
    model(x).sum().backward()
    assert all(p.grad is not None and p.is_leaf for p in model.parameters())
