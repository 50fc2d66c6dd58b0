"""`mcodec.safe_open` beside safetensors' own, call by call, for PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import safetensors

import mcodec
from mcodec.errors import McodecError
from mcodec.types import ITEMSIZE
from support import cases, likeness

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow

DTYPES = [name for name in ITEMSIZE if name != "complex128"]  # which safetensors has not


def tensors() -> dict[str, Any]:
    """Every dtype with every bit, and the shapes at the edges."""
    made = {}
    for name in DTYPES:
        data = torch.from_numpy(cases.noise(name, (3, 5)).view("u1").copy())
        made[name] = data.view(getattr(torch, name)).reshape(3, 5)
    return made | {
        likeness.SLICED: torch.randn(2, 3, 4),
        "a/scalar": torch.tensor(3.0, dtype=torch.bfloat16),
        "a/empty": torch.zeros(0, 3),
        "Zebra": torch.randn(300, 1100),
    }


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    from safetensors.torch import save_file

    theirs, ours = str(tmp_path / "model.safetensors"), str(tmp_path / "model.mc")
    save_file(tensors(), theirs)
    mcodec.pack(theirs, ours, jobs=1)
    return theirs, ours


def test_every_call_is_the_same(files: tuple[str, str]) -> None:
    theirs = likeness.calls(safetensors, files[0], "pt")
    ours = likeness.calls(mcodec, files[1], "pt")
    wider = set()
    for (name, wanted), (same, found) in zip(theirs, ours, strict=True):
        assert name == same
        if wanted.error is None:
            assert found == wanted, name
        elif found.error is None:
            wider.add(name)
        else:
            kinds = (safetensors.SafetensorError, IndexError, ValueError, TypeError, RuntimeError)
            caught = next(kind for kind in kinds if isinstance(wanted.error, kind))
            assert isinstance(found.error, caught), name
            assert isinstance(found.error, McodecError | TypeError | RuntimeError), name
    assert not wider


@pytest.mark.parametrize("index", [*likeness.BASIC, *likeness.FURTHER], ids=str)
@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e8m0fnu", "uint16", "bool"])
def test_parts_of_small_dtypes(tmp_path: Path, name: str, index: Any) -> None:
    bits = cases.noise(name, (2, 3, 4))
    mcodec.pack({"A": {"w": bits}}, tmp_path / "x.mc", jobs=1)
    whole = torch.from_numpy(bits.view(f"i{bits.itemsize}").copy())
    with mcodec.safe_open(tmp_path / "x.mc", "torch") as file:
        part = file.get_slice("w")
        expected = likeness.outcome(lambda: whole[index])
        found = likeness.outcome(lambda: part[index].view(whole.dtype))
        assert str(file.get_slice("w")[...].dtype) == f"torch.{name}"
    assert found == expected or (found.error and expected.error)


@pytest.mark.parametrize("device", ["cpu", "cpu:0", torch.device("cpu"), None, "meta"], ids=str)
def test_devices(tmp_path: Path, device: Any) -> None:
    mcodec.pack({"A": {"w": np.ones((2, 3), np.float32)}}, tmp_path / "x.mc", jobs=1)
    with mcodec.safe_open(tmp_path / "x.mc", "pt", device=device) as file:
        kind = "cpu" if device is None else torch.device(device).type
        assert file.get_tensor("w").device.type == kind
        assert file.get_slice("w")[1:].device.type == kind


@pytest.mark.parametrize("device", ["gpu", "cpu:cpu", 1.5, -7], ids=str)
def test_devices_that_are_none(tmp_path: Path, device: Any) -> None:
    mcodec.pack({"A": {"w": np.ones(3)}}, tmp_path / "x.mc", jobs=1)
    with pytest.raises(mcodec.errors.UsageError, match="device") as caught:
        mcodec.safe_open(tmp_path / "x.mc", "pt", device=device)
    assert isinstance(caught.value, safetensors.SafetensorError)
    assert "\n" not in str(caught.value)


def test_dtypes_that_pytorch_has_not(tmp_path: Path) -> None:
    mcodec.pack({"A": {"w": cases.noise("V3", (5,))}}, tmp_path / "x.mc", jobs=1)
    with mcodec.safe_open(tmp_path / "x.mc", "pt") as file:
        reads: list[Callable[[], Any]] = [
            lambda: file.get_tensor("w"),
            lambda: file.get_slice("w")[:2],
        ]
        for read in reads:
            with pytest.raises(mcodec.errors.UsageError, match=r"tensor 'w': PyTorch .* no dtype"):
                read()


def test_tensors_own_no_more_than_their_memory(tmp_path: Path) -> None:
    arrays = {name: np.zeros((64, 64), np.float32) for name in "vw"}
    mcodec.pack({"A": arrays}, tmp_path / "x.mc", jobs=1)
    with mcodec.safe_open(tmp_path / "x.mc", "pt") as file:
        part = file.get_slice("w")
        for tensor in (file.get_tensor("w"), part[...], part[3], part[:, 5], part[::2, ::3]):
            assert tensor.untyped_storage().nbytes() == tensor.nbytes
            tensor.fill_(1)
        assert not file.get_tensor("w").any()
    assert tensor.sum() == tensor.numel()


def test_a_module_loads_a_state_dict(tmp_path: Path) -> None:
    torch.manual_seed(1)
    first, second = (
        torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8)) for _ in "ab"
    )
    mcodec.pack({"A": first.state_dict()}, tmp_path / "x.mc", jobs=1)
    with mcodec.safe_open(tmp_path / "x.mc", framework="pt", device="cpu") as file:
        second.load_state_dict(file.get_tensors())
    x = torch.randn(3, 4)
    assert torch.equal(first.eval()(x), second.eval()(x))
