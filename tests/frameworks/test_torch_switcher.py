"""`TaskSwitcher`: after every switch the model is the task, bit for bit, whatever is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mcodec
from mcodec.errors import InputOutputError, UnknownTaskError, UsageError
from support import cases, torch_models
from support.torch_models import family

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow

Linear: Any = torch.nn.Linear
KINDS = ("file", "planes", "weights")


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
