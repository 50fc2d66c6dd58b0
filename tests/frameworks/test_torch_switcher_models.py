"""`TaskSwitcher` and models that change between switches, have no memory yet, or tie tensors."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest

import mcodec
from mcodec.errors import UsageError
from support import cases, torch_models
from support.torch_models import family

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow

Linear: Any = torch.nn.Linear
KINDS = ("file", "planes", "weights")


def pack(path: Path, models: Mapping[str, Any] | None = None, **options: Any) -> Path:
    mcodec.pack(family() if models is None else models, path, jobs=1, **options)
    return path


def switcher(model: Any, path: Path, **options: Any) -> Any:
    return mcodec.torch.TaskSwitcher(
        model, path, **({"rename": torch_models.key, "jobs": 2} | options)
    )


@pytest.mark.parametrize("resident", KINDS)
def test_models_that_change_between_switches(tmp_path: Path, resident: str) -> None:
    path, model = pack(tmp_path / "x.mc"), torch_models.holder(family()["A"])
    with switcher(model, path, resident=resident) as tasks:
        tasks.switch("A")
        for to in (torch.float64, torch.bfloat16, torch.float32, torch.float64):
            model.to(to)
            for name in "CBA":
                tasks.switch(name, force=to is torch.float32)
                wanted = torch_models.holder(family()[name]).to(to)
                if to is torch.float64 and name == "A":
                    tasks.switch("A", force=True)
                assert torch_models.bits(model) == torch_models.bits(wanted), (to, name)
        model.to(torch.float32)
        tasks.switch("B")
        # A parameter that somebody puts in place of another has nothing of a task yet.
        model.register_parameter("t:body/kernel", torch.nn.Parameter(torch.zeros(160, 130)))
        tasks.switch("A")
        assert torch_models.bits(model) == torch_models.bits_of(family()["A"])
        turned = torch.nn.Parameter(torch.zeros(130, 160).t())
        model.register_parameter("t:body/kernel", turned)
        tasks.switch("B")
        tasks.switch("B")
        assert torch_models.bits(model) == torch_models.bits_of(family()["B"])
        assert model.get_parameter("t:body/kernel") is turned


@pytest.mark.parametrize("resident", KINDS)
def test_memory_that_is_seen_another_way(tmp_path: Path, resident: str) -> None:
    # The same address, and other strides: what was planned for it does not hold any more.
    square = {n: {"w": cases.weights("float32", (140, 140), s)} for s, n in enumerate("AB")}
    path, model = pack(tmp_path / "x.mc", square), torch_models.holder(square["A"])
    with switcher(model, path, resident=resident) as tasks:
        for name in "ABAB":
            tasks.switch(name)
        parameter = model.get_parameter("t:w")
        parameter.data = parameter.data.t()
        for name in "ABAB":
            tasks.switch(name)
            assert torch_models.same(parameter, square[name]["w"])


@pytest.mark.parametrize("resident", KINDS)
def test_models_that_do_not_fit_any_more(tmp_path: Path, resident: str) -> None:
    path, model = pack(tmp_path / "x.mc"), torch_models.holder(family()["A"])
    with switcher(model, path, resident=resident) as tasks:
        tasks.switch("A")
        before = torch_models.bits(model)
        bias = model.get_parameter("t:head/bias")
        for shape in ((1, 10), (5, 2), (3, 10), (11,)):
            model.register_parameter("t:head/bias", torch.nn.Parameter(torch.zeros(shape)))
            with pytest.raises(mcodec.torch.StateDictError, match="size mismatch: t:head/bias"):
                tasks.switch("C", force=True)
            assert tasks.task == "A"
        del model._parameters["t:head/bias"]
        with pytest.raises(UsageError, match="has no 't:head/bias' any more"):
            tasks.switch("C")
        model.register_parameter("t:head/bias", bias)
        model._parameters = {key: model._parameters[key] for key in before if "steps" not in key}
        assert torch_models.bits(model) == before
        tasks.switch("C")
        assert torch_models.bits(model) == torch_models.bits_of(family()["C"])


def test_old_memory_is_let_go(tmp_path: Path) -> None:
    path, model = pack(tmp_path / "x.mc"), torch_models.holder(family()["A"])

    def seen() -> int:
        gc.collect()
        kinds = (torch.Tensor, torch.nn.Parameter)
        found = [one for one in gc.get_objects() if type(one) in kinds]
        return sum(one.dtype == torch.float32 and one.numel() == 129 * 131 for one in found)

    before = seen() - 1
    with switcher(model, path) as tasks:
        for name in "ABA":
            tasks.switch(name)
        assert seen() > before
        model.double()
        tasks.switch("B")
        tasks.switch("A")
        assert seen() == before


@pytest.mark.parametrize("resident", KINDS)
def test_a_model_without_memory(tmp_path: Path, resident: str) -> None:
    path = pack(tmp_path / "x.mc")
    model = torch_models.holder(family()["A"]).to("meta")
    with switcher(model, path, resident=resident) as tasks:
        for name in "BC":
            tasks.switch(name)
            assert torch_models.bits(model) == torch_models.bits_of(family()[name])


class Tied(Linear):  # type: ignore[misc]
    """A module with one parameter under two names."""

    def __init__(self) -> None:
        super().__init__(3, 3)
        self.again = Linear(3, 3, bias=False)
        self.again.weight = self.weight


@pytest.mark.parametrize("resident", KINDS)
def test_tied_parameters(tmp_path: Path, resident: str) -> None:
    def arrays(seed: int, *names: str) -> dict[str, NDArray[Any]]:
        weight = cases.weights("float32", (3, 3), seed)
        return dict.fromkeys(names, weight) | {"bias": cases.weights("float32", (3,), seed + 1)}

    models = {
        "both": arrays(1, "weight", "again.weight"),
        "first": arrays(2, "weight"),
        "second": arrays(3, "again.weight"),
    }
    path, model = pack(tmp_path / "x.mc", models), Tied()
    with switcher(model, path, resident=resident, rename=None) as tasks:
        for name in ("both", "second", "first", "second", "both", "first"):
            tasks.switch(name)
            wanted = models[name].get("weight", models[name].get("again.weight"))
            assert wanted is not None
            assert torch_models.same(model.weight, wanted)
            assert model.again.weight is model.weight
