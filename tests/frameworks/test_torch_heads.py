"""Tensors whose shape differs between tasks: each task has its own, and the model shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import mcodec
from mcodec.errors import UsageError
from support import cases, torch_models

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow

KINDS = ("file", "planes", "weights")
CLASSES = {"A": 10, "B": 2, "C": 10}
Linear: Any = torch.nn.Linear


def network(classes: int = 10) -> Any:
    return torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.ReLU(), torch.nn.Linear(5, classes))


def models() -> dict[str, dict[str, NDArray[Any]]]:
    return {
        name: {
            "0.weight": cases.weights("float32", (5, 6), 1),
            "0.bias": cases.weights("float32", (5,), seed),
            "2.weight": cases.weights("float32", (classes, 5), seed + 10),
            "2.bias": cases.weights("float32", (classes,), seed + 20),
        }
        for seed, (name, classes) in enumerate(CLASSES.items(), 2)
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    mcodec.pack(models(), tmp_path / "x.mc", jobs=1)
    return tmp_path / "x.mc"


def own(name: str, dtype: Any = torch.float32) -> Any:
    """Return a model of its own for a task."""
    made = network(CLASSES[name])
    made.load_state_dict({k: torch.from_numpy(v) for k, v in models()[name].items()})
    return made.to(dtype)


def bits(name: str) -> dict[str, bytes]:
    return {key: array.tobytes() for key, array in models()[name].items()}


@pytest.mark.parametrize("resident", KINDS)
@pytest.mark.parametrize("classes", [10, 2, 7], ids="of {}".format)
def test_each_task_has_its_own(path: Path, resident: str, classes: int) -> None:
    model, x = network(classes), torch.randn(4, 6)
    model[2].weight.requires_grad = False
    body = model[0].weight
    with mcodec.torch.TaskSwitcher(model, path, resident=resident) as tasks:
        for name in "ABACBCCB":
            tasks.switch(name)
            assert torch_models.bits(model) == bits(name)
            assert torch.equal(model(x), own(name)(x))
            assert model[2].weight.shape == (CLASSES[name], 5)
            assert not model[2].weight.requires_grad
            assert model[2].bias.requires_grad
            assert model[0].weight is body
            model(x).sum().backward()
            assert model[2].bias.grad.shape == (CLASSES[name],)
            model.zero_grad()
    assert torch_models.bits(model) == bits("B")


def test_they_are_kept_apart(path: Path) -> None:
    with mcodec.torch.TaskSwitcher(network(), path, resident="file") as tasks:
        # C is of the model's shape and of A's, and B is not: all three have their own.
        assert tasks.nbytes == 4 * 6 * (10 + 2 + 10)
        tasks.switch("A")
        head = tasks.model[2].weight
        tasks.switch("B")
        assert tasks.model[2].weight is not head
        tasks.switch("A")
        assert tasks.model[2].weight is head


@pytest.mark.parametrize("resident", KINDS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_they_follow_the_model(path: Path, resident: str, dtype: Any) -> None:
    model, x = network(), torch.randn(4, 6).to(dtype)
    with mcodec.torch.TaskSwitcher(model, path, resident=resident) as tasks:
        tasks.switch("A")
        tasks.switch("B")
        model.to(dtype)
        for name in "ACBA":
            tasks.switch(name)
            assert torch_models.bits(model) == torch_models.bits(own(name, dtype))
            assert torch.equal(model(x), own(name, dtype)(x))


@pytest.mark.parametrize("resident", KINDS)
def test_a_model_without_memory(path: Path, resident: str) -> None:
    model = network(3).to("meta")
    with mcodec.torch.TaskSwitcher(model, path, resident=resident) as tasks:
        for name in "BAC":
            tasks.switch(name)
            assert torch_models.bits(model) == bits(name)


def test_refused(path: Path) -> None:
    model = network()
    before = torch_models.bits(model)
    words = r"'B' does not fit Sequential: size mismatch: 2.weight \[2, 5\], .* \[10, 5\]"
    with pytest.raises(mcodec.torch.StateDictError, match=words):
        mcodec.torch.TaskSwitcher(model, path, heads="refuse")
    assert torch_models.bits(model) == before
    with mcodec.torch.TaskSwitcher(model, path, heads="refuse", tasks=["A", "C"]) as tasks:
        tasks.switch("C")
    assert torch_models.bits(model) == bits("C")


def test_tasks_that_agree_against_the_model(path: Path) -> None:
    for names in (["B"], ["A", "C"]):
        model = network(2 if names[0] == "A" else 10)
        with pytest.raises(mcodec.torch.StateDictError, match=r"size mismatch: 2\.weight"):
            mcodec.torch.TaskSwitcher(model, path, tasks=names)


class Tied(Linear):  # type: ignore[misc]
    """A layer that is one with another."""

    def __init__(self) -> None:
        super().__init__(5, 7, bias=False)
        self.again = Linear(5, 7, bias=False)
        self.again.weight = self.weight


@pytest.mark.parametrize("key", ["weight", "again.weight"])
def test_tied_heads(tmp_path: Path, key: str) -> None:
    arrays = {name: {key: cases.weights("float32", (n, 5), n)} for name, n in CLASSES.items()}
    arrays["B"] = {"weight": arrays["B"][key]}
    mcodec.pack(arrays, tmp_path / "x.mc", jobs=1)
    model = Tied()
    with mcodec.torch.TaskSwitcher(model, tmp_path / "x.mc") as tasks:
        for name in "ABCA":
            tasks.switch(name)
            assert model.weight is model.again.weight
            assert torch_models.same(model.weight, next(iter(arrays[name].values())))


def test_a_head_that_no_module_has(tmp_path: Path) -> None:
    model = torch.nn.Linear(5, 4, bias=False)

    def hook(_: Any, state: Any, prefix: str, __: Any) -> None:
        state[prefix + "kernel"] = state.pop(prefix + "weight")

    model._register_state_dict_hook(hook)
    arrays = {name: {"kernel": cases.weights("float32", (n, 5), n)} for name, n in CLASSES.items()}
    mcodec.pack(arrays, tmp_path / "x.mc", jobs=1)
    before = torch_models.bits(model)
    with pytest.raises(UsageError, match="'kernel' is no parameter or buffer of its module"):
        mcodec.torch.TaskSwitcher(model, tmp_path / "x.mc")
    assert torch_models.bits(model) == before
