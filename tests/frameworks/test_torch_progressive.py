"""A progressive file that grows: what was loaded is refined in place, plane by plane."""

from __future__ import annotations

import threading
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

import mcodec
from mcodec.errors import FormatError, InputOutputError, McodecError
from support import torch_models
from support.growing import fresh, grow, model, starts, switcher

if TYPE_CHECKING:
    from pathlib import Path


torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow

KINDS = ("file", "planes", "weights")


@pytest.fixture(params=[{"bits": [12, 5]}, {}], ids=["fused", "lossless"])
def whole(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "whole.mc"
    models = {"A": model(1), "B": model(2)}
    mcodec.pack(models, path, layout="progressive", jobs=1, **request.param)
    return path


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("resident", KINDS)
def test_it_grows(whole: Path, tmp_path: Path, resident: str, jobs: int) -> None:
    data, ends, path = whole.read_bytes(), starts(whole), tmp_path / "cut.mc"
    path.write_bytes(data[: ends[2]])
    inside = [(a + b) // 2 for a, b in pairwise(ends[2:])]
    with switcher(path, resident, jobs=jobs) as tasks:
        tasks.switch("A")
        assert tasks.levels == (1, len(ends) - 2)
        memory = {k: v.data_ptr() for k, v in tasks.model.state_dict().items()}
        for size in sorted({*ends[3::2], *inside[::3], len(data)}):
            before = tasks.levels
            grow(path, data, size)
            reached = sum(end <= size for end in ends) - 2
            assert tasks.refine() is (before[0] != reached)
            assert tasks.levels == (None if size == len(data) else (reached, len(ends) - 2))
            assert not tasks.refine()
            assert tasks.task == "A"
            assert torch_models.bits(tasks.model) == fresh(path, "A")
            if size in inside:
                for name in "BA":
                    tasks.switch(name)
                    assert torch_models.bits(tasks.model) == fresh(path, name)
        assert memory.keys() == tasks.model.state_dict().keys()
        assert all(
            value.data_ptr() == memory[key]
            for key, value in tasks.model.state_dict().items()
            if key != "t:head"
        )
        tasks.switch("B")
        assert torch_models.bits(tasks.model) == fresh(whole, "B")


@pytest.mark.parametrize("resident", KINDS)
def test_before_the_first_switch(whole: Path, tmp_path: Path, resident: str) -> None:
    data, ends, path = whole.read_bytes(), starts(whole), tmp_path / "cut.mc"
    path.write_bytes(data[: ends[1]])
    with switcher(path, resident, backend="mmap") as tasks:
        before = torch_models.bits(tasks.model)
        grow(path, data, len(data))
        assert tasks.refine()
        assert torch_models.bits(tasks.model) == before
        tasks.switch("B")
        assert torch_models.bits(tasks.model) == fresh(whole, "B")


@pytest.mark.parametrize("resident", KINDS)
def test_models_of_another_dtype(whole: Path, tmp_path: Path, resident: str) -> None:
    data, ends, path = whole.read_bytes(), starts(whole), tmp_path / "cut.mc"
    path.write_bytes(data[: ends[3]])
    with switcher(path, resident) as tasks:
        tasks.model.double()
        tasks.switch("B")
        grow(path, data, len(data))
        assert tasks.refine()
        wanted = torch_models.holder(model(2)).double()
        mcodec.torch.load_model(wanted, whole, "B", rename=torch_models.key)
        assert torch_models.bits(tasks.model) == torch_models.bits(wanted)


def test_whole_files_have_nothing_to_refine(whole: Path) -> None:
    with switcher(whole, "planes") as tasks:
        tasks.switch("A")
        assert tasks.levels is None
        assert not tasks.refine()
    with pytest.raises(InputOutputError, match="closed"):
        tasks.refine()


def test_load_file_of_a_part(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.mc"
    path.write_bytes(whole.read_bytes()[: starts(whole)[3]])
    with pytest.raises(FormatError):
        mcodec.torch.load_file(path, "A")
    found = mcodec.torch.load_file(path, "A", partial=True)
    assert {torch_models.key(k): torch_models.raw(v) for k, v in found.items()} == fresh(path, "A")


@pytest.mark.parametrize("resident", KINDS)
def test_while_threads_use_it(whole: Path, tmp_path: Path, resident: str) -> None:
    data, ends, path = whole.read_bytes(), starts(whole), tmp_path / "cut.mc"
    valid: list[dict[str, bytes]] = []
    for end in ends[2:]:
        path.write_bytes(data[:end])
        valid += [fresh(path, name) for name in "AB"]
    path.write_bytes(data[: ends[2]])
    errors: list[BaseException] = []
    stop = threading.Event()
    with switcher(path, resident) as tasks:

        def work(names: str) -> None:
            try:
                while not stop.is_set():
                    for name in names:
                        with tasks.use(name) as model:
                            assert torch_models.bits(model) in valid
            except BaseException as error:
                errors.append(error)

        threads = [
            threading.Thread(target=work, args=(names,), daemon=True) for names in ("AB", "B")
        ]
        for thread in threads:
            thread.start()
        for end in ends[3:]:
            grow(path, data, end)
            assert tasks.refine()
        stop.set()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads)
        assert not errors
        assert tasks.levels is None


@pytest.mark.parametrize("resident", KINDS)
def test_over_http(whole: Path, resident: str) -> None:
    pytest.importorskip("aiohttp")
    from support.rangeserver import RangeServer

    data, ends = whole.read_bytes(), starts(whole)
    with RangeServer() as server:
        url = server.put("/x.mc", data[: ends[3]])
        with switcher(url, resident) as tasks:  # type: ignore[arg-type]
            tasks.switch("B")
            assert tasks.levels == (2, len(ends) - 2)
            server.put("/x.mc", data[: ends[5] + 7])
            assert tasks.refine()
            assert tasks.levels == (4, len(ends) - 2)
            before = torch_models.bits(tasks.model)
            server.put("/x.mc", data)
            server.always = "flip"
            with pytest.raises(McodecError):
                tasks.refine()
            assert torch_models.bits(tasks.model) == before
            assert tasks.levels == (4, len(ends) - 2)
            server.always = ""
            assert tasks.refine()
            assert tasks.levels is None
            for name in "BA":
                tasks.switch(name)
                assert torch_models.bits(tasks.model) == fresh(whole, name)
