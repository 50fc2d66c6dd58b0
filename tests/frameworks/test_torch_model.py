"""`mcodec.torch.load_model`: in place, beside what `load_state_dict` does with the same."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

import mcodec
from mcodec.errors import McodecError
from support import torch_models
from support.torch_models import network, pack

if TYPE_CHECKING:
    from pathlib import Path

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow

Linear: Any = torch.nn.Linear


def where(model: Any) -> dict[str, tuple[int, int]]:
    """Return the identity and the memory of each tensor."""
    return {k: (id(v), v.data_ptr()) for k, v in model.state_dict(keep_vars=True).items()}


@pytest.mark.parametrize("jobs", [1, 3])
def test_in_place(tmp_path: Path, jobs: int) -> None:
    path, model = pack(tmp_path / "x.mc", network(1)), network(2)
    before = where(model)
    keys = mcodec.torch.load_model(model, path, jobs=jobs)
    assert keys == ([], [])
    assert (keys.missing_keys, keys.unexpected_keys) == ([], [])
    assert where(model) == before
    assert torch_models.bits(model) == torch_models.bits(network(1))
    assert all(parameter.requires_grad for parameter in model.parameters())
    model(torch.randn(2, 1, 3, 3)).sum().backward()


@pytest.mark.parametrize("mine", ["float64", "float16", "bfloat16"])
def test_the_models_dtype_stays(tmp_path: Path, mine: str) -> None:
    path, model = pack(tmp_path / "x.mc", network(1)), network(2).to(getattr(torch, mine))
    before = where(model)
    wanted = copy.deepcopy(model)
    wanted.load_state_dict(network(1).state_dict())
    mcodec.torch.load_model(model, path)
    assert where(model) == before
    assert torch_models.bits(model) == torch_models.bits(wanted)
    assert model[0].weight.dtype == getattr(torch, mine)
    assert model[1].num_batches_tracked.dtype == torch.int64


def test_another_dtype_first(tmp_path: Path) -> None:
    path, model = pack(tmp_path / "x.mc", network(1)), network(2)
    model(torch.randn(2, 1, 3, 3)).sum().backward()
    objects = [id(value) for value in model.state_dict(keep_vars=True).values()]
    mcodec.torch.load_model(model, path, dtype=torch.bfloat16)
    assert torch_models.bits(model) == torch_models.bits(network(1).bfloat16())
    # As `Module.to` does: an optimizer that holds the parameters goes on with them.
    assert [id(value) for value in model.state_dict(keep_vars=True).values()] == objects
    assert all(p.grad.dtype == torch.bfloat16 for p in model.parameters())


def test_another_dtype_and_what_the_file_lacks(tmp_path: Path) -> None:
    state = network(1).state_dict()
    del state["3.bias"], state["1.num_batches_tracked"]
    path, model = pack(tmp_path / "x.mc", state), network(2)
    mcodec.torch.load_model(model, path, dtype=torch.float64, strict=False)
    assert torch.equal(model[3].bias, network(2)[3].bias.double())
    assert torch.equal(model[3].weight, network(1)[3].weight.double())
    assert int(model[1].num_batches_tracked) == 7


def test_memory_that_is_not_contiguous(tmp_path: Path) -> None:
    model = torch.nn.Module()
    model.last = torch.nn.Parameter(torch.zeros(2, 8, 5, 6).to(memory_format=torch.channels_last))
    model.turned = torch.nn.Parameter(torch.zeros(6, 5).t())
    whole = torch.zeros(10, 10)
    model.register_buffer("part", whole[2:5, 1:4])
    model.register_buffer("wide", torch.ones(3, 1).expand(3, 4).contiguous())
    values = {k: torch.randn(v.shape) for k, v in model.state_dict().items()}
    path, before = pack(tmp_path / "x.mc", values), where(model)
    mcodec.torch.load_model(model, path)
    assert where(model) == before
    assert all(torch.equal(value, values[key]) for key, value in model.state_dict().items())
    assert torch.equal(whole[2:5, 1:4], values["part"])
    assert float(whole.abs().sum() - values["part"].abs().sum()) == pytest.approx(0, abs=1e-4)


def tied(device: str) -> Any:
    """Return a module of which two keys are one parameter."""
    model = torch.nn.Module()
    model.emb = torch.nn.Embedding(9, 4, device=device)
    model.head = torch.nn.Linear(4, 9, bias=False, device=device)
    model.head.weight = model.emb.weight
    return model


@pytest.mark.parametrize("kept", [["emb.weight"], ["head.weight"], ["emb.weight", "head.weight"]])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_tied_parameters(tmp_path: Path, kept: list[str], device: str) -> None:
    values = torch.randn(9, 4)
    path, model = pack(tmp_path / "x.mc", dict.fromkeys(kept, values)), tied(device)
    assert mcodec.torch.load_model(model, path) == ([], [])
    assert model.emb.weight is model.head.weight
    assert torch.equal(model.emb.weight, values)


def test_a_model_without_memory(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.mc", network(1))
    with torch.device("meta"):
        model = network(2)
    model[0].weight.requires_grad = False
    mcodec.torch.load_model(model, path)
    assert torch_models.bits(model) == torch_models.bits(network(1))
    assert not model[0].weight.requires_grad
    assert isinstance(model[0].bias, torch.nn.Parameter)
    assert model[0].bias.requires_grad
    model(torch.randn(2, 1, 3, 3))


def test_a_model_without_memory_and_another_dtype(tmp_path: Path) -> None:
    state = network(1).state_dict()
    del state["3.bias"]
    path = pack(tmp_path / "x.mc", state)
    model = network(2).to("meta")
    keys = mcodec.torch.load_model(model, path, dtype=torch.float64, strict=False)
    assert keys.missing_keys == ["3.bias"]
    assert torch.equal(model[3].weight, network(1)[3].weight.double())
    assert model[3].bias.is_meta  # nothing is made up for it
    assert model[3].bias.dtype == torch.float64


def broken(**changes: Any) -> dict[str, Any]:
    state = network(1).state_dict() | changes
    return {key: value for key, value in state.items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"0.bias": None}, r"missing keys: '0.bias'"),
        ({"extra": torch.zeros(2)}, r"unexpected keys: 'extra'"),
        ({"0.bias": torch.zeros(9)}, r"size mismatch: 0.bias \[9\], and the model has \[8\]"),
        ({"0.bias": torch.zeros(1)}, "size mismatch"),
        ({"0.bias": torch.zeros(2, 4)}, "size mismatch"),
        ({"1.num_batches_tracked": torch.zeros(1)}, "size mismatch"),
    ],
)
def test_what_does_not_fit(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    path, model = pack(tmp_path / "x.mc", broken(**changes)), network(2)
    with pytest.raises(mcodec.torch.StateDictError, match=words) as caught:
        mcodec.torch.load_model(model, path)
    assert isinstance(caught.value, RuntimeError)
    assert isinstance(caught.value, McodecError)
    assert "'A' does not fit Sequential" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert torch_models.bits(model) == torch_models.bits(network(2))


def test_many_keys_are_not_all_listed(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.mc", {f"k{n}": torch.zeros(1) for n in range(30)})
    with pytest.raises(RuntimeError, match=r"'k7' and 22 more"):
        mcodec.torch.load_model(network(), path)


def test_not_strict(tmp_path: Path) -> None:
    state = broken(**{"0.bias": None, "extra": torch.zeros(2)})
    path, model, theirs = pack(tmp_path / "x.mc", state), network(2), network(2)
    expected = theirs.load_state_dict(state, strict=False)
    assert mcodec.torch.load_model(model, path, strict=False) == tuple(expected)
    assert torch_models.bits(model) == torch_models.bits(theirs)
    wrong = pack(tmp_path / "y.mc", broken(**{"0.bias": torch.zeros(9)}))
    with pytest.raises(RuntimeError, match="size mismatch"):
        mcodec.torch.load_model(model, wrong, strict=False)


def test_prefix_and_rename(tmp_path: Path) -> None:
    state = {f"model.{key}": value for key, value in network(1).state_dict().items()}
    path, model = pack(tmp_path / "x.mc", state | {"step": torch.zeros(1)}), network(2)
    mcodec.torch.load_model(model, path, prefix="model.")
    assert torch_models.bits(model) == torch_models.bits(network(1))
    model = network(2)
    mcodec.torch.load_model(
        model, path, rename=lambda name: None if name == "step" else name.removeprefix("model.")
    )
    assert torch_models.bits(model) == torch_models.bits(network(1))


def test_an_open_task_with_fewer_planes(tmp_path: Path) -> None:
    path, model = pack(tmp_path / "x.mc", network(1)), network(2)
    with mcodec.open(path) as file:
        task = file.task("A", planes=3)
        mcodec.torch.load_model(model, task)
        for name, value in model.state_dict().items():
            assert torch_models.same(value, task[name])
