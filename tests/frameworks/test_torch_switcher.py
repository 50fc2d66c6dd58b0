"""`TaskSwitcher`: after every switch the model is the task, bit for bit, whatever is kept."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mcodec
from mcodec.errors import InputOutputError, UnknownTaskError, UsageError
from support import cases, torch_models

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow

Linear: Any = torch.nn.Linear
KINDS = ("file", "planes", "weights")


def family(dtype: str = "float32") -> dict[str, dict[str, NDArray[Any]]]:
    """Return three networks: B shares a layer and fine-tunes and masks others, C is far away."""
    one = cases.network(1, dtype)
    tuned, far = cases.network(2, dtype), cases.network(3, dtype)
    tuned["body/kernel"] = one["body/kernel"]
    rng = np.random.default_rng(4)
    near = one["tall/kernel"].astype(np.float64) * (1 + 1e-3 * rng.normal(size=(129, 131)))
    tuned["tall/kernel"] = near.astype(one["tall/kernel"].dtype)
    kept = rng.random(one["stem/kernel"].shape) < 0.5
    tuned["stem/kernel"] = np.where(kept, one["stem/kernel"], np.zeros((), kept.dtype)).astype(
        one["stem/kernel"].dtype
    )
    far["tall/kernel"] = np.where(
        rng.random((129, 131)) < 0.1, far["tall/kernel"], np.zeros_like(far["tall/kernel"])
    )
    far["body/bias"][:3] = np.nan, -np.inf, -0.0
    return {"A": one, "B": tuned, "C": far}


def pack(path: Path, models: Mapping[str, Any] | None = None, **options: Any) -> Path:
    mcodec.pack(family() if models is None else models, path, jobs=1, **options)
    return path


def expected(path: Path) -> dict[str, dict[str, bytes]]:
    """Return the bits of every task, by its own way of reading."""
    with mcodec.open(path) as file:
        return {n: torch_models.bits_of(file.task(n).load()) for n in file.tasks}


def switcher(model: Any, path: Path, **options: Any) -> Any:
    return mcodec.torch.TaskSwitcher(
        model, path, **({"rename": torch_models.key, "jobs": 2} | options)
    )


WAYS: dict[str, dict[str, Any]] = {
    "lossless": {},
    "deltas": {"optimize": "file"},
    "fused": {"bits": [12, 11, 5]},
    "v1": {"bits": [9, 8, 7], "fusion": "v1"},
    "float": {"codec": "float(keep=13)"},
    "raw": {"codec": "raw"},
    "axis": {"codec": "bfp(bits=7,scope=axis:-1)"},
    "block": {"codec": "bfp(bits=5,scope=block:32,reconstruct=mid)"},
    "compact": {"codec": "bfp(bits=4,step=0.0625,signs=compact)"},
    "int8": {"codec": "int8(scope=axis:-1)"},
    "csr": {"codec": "csr(values=float)", "force": True},
    "progressive": {"bits": 9, "layout": "progressive"},
}


@pytest.mark.parametrize("resident", KINDS)
@pytest.mark.parametrize("way", WAYS)
def test_every_codec(tmp_path: Path, way: str, resident: str) -> None:
    path = pack(tmp_path / "x.mc", **WAYS[way])
    bits, model = expected(path), torch_models.holder(family()["A"], zero=True)
    memory = {k: (id(v), v.data_ptr()) for k, v in model.state_dict(keep_vars=True).items()}
    with switcher(model, path, resident=resident) as tasks:
        assert tasks.tasks == ("A", "B", "C")
        assert not tasks.task
        assert tasks.model is model
        for name in "ABACBCABBC":
            tasks.switch(name)
            assert tasks.task == name
            assert torch_models.bits(model) == bits[name]
    assert memory == {k: (id(v), v.data_ptr()) for k, v in model.state_dict(keep_vars=True).items()}


@pytest.mark.parametrize("resident", KINDS)
def test_shared_tensors_are_left_alone(tmp_path: Path, resident: str) -> None:
    path = pack(tmp_path / "x.mc")
    model = torch_models.holder(family()["A"], zero=True)
    shared = model.get_parameter("t:body/kernel").detach()
    with switcher(model, path, resident=resident) as tasks:
        tasks.switch("A")
        with torch.no_grad():
            shared[3, 4] = 77
        tasks.switch("B")
        assert float(shared[3, 4]) == 77
        tasks.switch("B", force=True)
        assert torch_models.bits(model) == expected(path)["B"]
        tasks.switch("A")
        tasks.switch("C")
        tasks.switch("A")
        assert torch_models.bits(model) == expected(path)["A"]


@pytest.mark.parametrize("resident", ["planes", "weights"])
def test_the_file_may_go(tmp_path: Path, resident: str) -> None:
    path = pack(tmp_path / "x.mc", optimize="file")
    bits, model = expected(path), torch_models.holder(family()["A"], zero=True)
    with switcher(model, path, resident=resident) as tasks:
        with path.open("r+b") as file:  # not only its name
            file.truncate(100)
        path.unlink()
        for name in "CAB":
            tasks.switch(name)
            assert torch_models.bits(model) == bits[name]


def test_what_is_kept(tmp_path: Path) -> None:
    big = {n: {"w": cases.weights("float32", (600, 600), s)} for s, n in enumerate("AB")}
    path, model = pack(tmp_path / "x.mc", big, bits=7), torch_models.holder(big["A"])
    size = big["A"]["w"].nbytes
    kept = {}
    for kind in KINDS:
        with switcher(model, path, resident=kind) as tasks:
            kept[kind] = tasks.nbytes
    assert kept["file"] == 0
    assert kept["weights"] == 2 * size
    # Signs and 7 planes of each: a quarter of the weights.
    assert kept["planes"] <= 2 * size // 4 + 1000
    assert kept["planes"] >= 2 * size // 4 * 0.8
    with switcher(model, path, tasks=["B"]) as tasks:
        assert tasks.nbytes <= size // 4 + 1000
        tasks.close()
        assert tasks.nbytes == 0


@pytest.mark.parametrize("resident", KINDS)
def test_some_tasks(tmp_path: Path, resident: str) -> None:
    models = family() | {"other": {"nothing": np.ones(3, np.float32)}}
    path, model = pack(tmp_path / "x.mc", models), torch_models.holder(family()["A"])
    with switcher(model, path, resident=resident, tasks=["C", "A", "C"]) as tasks:
        assert tasks.tasks == ("C", "A")
        tasks.switch("C")
        with pytest.raises(UnknownTaskError, match=r"no task 'B'; the switcher has: 'C', 'A'"):
            tasks.switch("B")
        assert tasks.task == "C"
        with pytest.raises(UnknownTaskError), tasks.use("other"):
            pass
    with pytest.raises(UnknownTaskError):
        switcher(model, path, tasks=["D"])
    with pytest.raises(mcodec.torch.StateDictError, match="'other' does not fit Module"):
        switcher(model, path, resident=resident)


def test_closed(tmp_path: Path) -> None:
    path, model = pack(tmp_path / "x.mc"), torch_models.holder(family()["A"])
    bits = expected(path)
    for kind in KINDS:
        tasks = switcher(model, path, resident=kind)
        tasks.switch("B")
        tasks.close()
        tasks.close()
        assert torch_models.bits(model) == bits["B"]
        with pytest.raises(InputOutputError, match="closed"):
            tasks.switch("A")
        with pytest.raises(InputOutputError, match="closed"):
            tasks.refine()
        with tasks.use("B"):  # which the model has
            assert torch_models.bits(model) == bits["B"]
        assert tasks.task == "B"


def test_usage(tmp_path: Path) -> None:
    path, model = pack(tmp_path / "x.mc"), torch_models.holder(family()["A"])
    with pytest.raises(UsageError, match="resident is file, planes, weights, not 'disk'"):
        switcher(model, path, resident="disk")
    with pytest.raises(UsageError, match="heads"):
        switcher(model, path, heads="none")
    with pytest.raises(InputOutputError):
        switcher(model, tmp_path / "nothing.mc")
    with pytest.raises(RuntimeError, match="missing keys: 't:stem"):
        switcher(model, path, rename=None)
    assert torch_models.bits(model) == torch_models.bits_of(family()["A"])
    with switcher(model, path) as tasks:
        assert not tasks.refine()  # the file is whole
        assert tasks.levels is None


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


def test_opaque_elements_are_refused(tmp_path: Path) -> None:
    models = {"A": {"weight": cases.noise("V4", (2, 3)), "bias": cases.noise("float32", (2,))}}
    for kind in KINDS:
        with pytest.raises(UsageError, match="'weight': PyTorch has no dtype V4"):
            switcher(Linear(3, 2), pack(tmp_path / "x.mc", models), resident=kind, rename=None)


def test_a_url(tmp_path: Path) -> None:
    import fsspec

    path, files = pack(tmp_path / "x.mc"), fsspec.filesystem("memory")
    files.pipe("/torch_switcher.mc", path.read_bytes())
    model = torch_models.holder(family()["A"])
    try:
        for kind in KINDS:
            with switcher(model, "memory://torch_switcher.mc", resident=kind) as tasks:  # type: ignore[arg-type]
                for name in "BC":
                    tasks.switch(name)
                    assert torch_models.bits(model) == torch_models.bits_of(family()[name])
    finally:
        files.rm("/torch_switcher.mc")
