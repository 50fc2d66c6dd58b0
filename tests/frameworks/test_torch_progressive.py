"""A progressive file that grows: what was loaded is refined in place, plane by plane."""

from __future__ import annotations

import threading
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mcodec
from mcodec.errors import FormatError, InputOutputError, McodecError
from support import cases, torch_models

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow

KINDS = ("file", "planes", "weights")


def model(seed: int) -> dict[str, NDArray[Any]]:
    """Return a network with NaN, integers, nothing at all, and a head of its own shape."""
    arrays = {
        "kernel": cases.weights("float32", (140, 130), seed),
        "small": cases.weights("float32", (5, 7), seed + 1),
        "half": cases.weights("float16", (9, 9), seed + 2),
        "bias": cases.weights("float32", (130,), seed + 3),
        "head": cases.weights("float32", (3 + seed, 4), seed + 4),
        "same": cases.weights("bfloat16", (130, 130), 5),
        "steps": np.arange(4) + seed,
        "nothing": np.zeros((0, 2), np.float32),
    }
    arrays["bias"][:2] = np.nan, -np.inf
    return arrays


@pytest.fixture(params=[{"bits": [12, 5]}, {}], ids=["fused", "lossless"])
def whole(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "whole.mc"
    models = {"A": model(1), "B": model(2)}
    mcodec.pack(models, path, layout="progressive", jobs=1, **request.param)
    return path


def starts(path: Path) -> list[int]:
    """Return where each level begins, and the file's end."""
    found: dict[int, int] = {}
    with mcodec.open(path) as file:
        reader = file.reader
        for run, spec in enumerate(reader.runs):
            for block in range(-1, spec.blocks):
                for row in reader.rows(run, block):
                    level = reader.specs(run, block, row.mode)[row.first].level
                    if row.stored:
                        found[level] = min(found.get(level, row.offset), row.offset)
    return [found[level] for level in sorted(found)] + [path.stat().st_size]


def grow(path: Path, data: bytes, to: int) -> None:
    """Append what a file of these bytes lacks up to a size."""
    with path.open("ab") as file:
        file.write(data[file.tell() : to])


def fresh(path: Path, task: str) -> dict[str, bytes]:
    """Return the bits of a task as a new reader has them."""
    with mcodec.open(path, partial=True) as file:
        return torch_models.bits_of(file.task(task).load())


def switcher(path: Path, resident: str, **options: Any) -> Any:
    module = torch_models.holder(model(1), zero=True)
    return mcodec.torch.TaskSwitcher(
        module, path, resident=resident, partial=True, rename=torch_models.key, **options
    )


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


def refused(function: Callable[[], object]) -> str | None:
    """Return the code of the error that a function raises; None if it does not."""
    try:
        function()
    except FormatError as error:
        return error.code
    return None


@pytest.mark.parametrize("resident", KINDS)
def test_damage_in_what_is_new(whole: Path, tmp_path: Path, resident: str) -> None:
    data, ends, path = whole.read_bytes(), starts(whole), tmp_path / "cut.mc"
    path.write_bytes(data[: ends[3]])
    rng = np.random.default_rng(1)
    with mcodec.open(whole) as file:
        reader = file.reader
        rows = [
            row
            for run, spec in enumerate(reader.runs)
            for block in range(spec.blocks)
            for row in reader.rows(run, block)
            if row.offset >= ends[3] and row.stored
        ]
    with switcher(path, resident) as tasks:
        tasks.switch("B")
        old = {name: fresh(path, name) for name in "AB"}
        for row in rng.permutation(np.array(rows, object))[:12]:
            bad, at = bytearray(data), row[0] + row[1] // 2
            bad[at] ^= 4
            grow(path, bytes(bad), len(data))
            before = tasks.levels
            if refused(tasks.refine) is None:  # what B does not need is not looked at
                assert resident == "file"
                assert torch_models.bits(tasks.model) == fresh(whole, "B")
                break
            assert tasks.levels == before
            assert torch_models.bits(tasks.model) == old["B"]
            for name in "AB":
                tasks.switch(name)
                assert torch_models.bits(tasks.model) == old[name]
            with path.open("r+b") as file:
                file.truncate(ends[3])
        with path.open("r+b") as file:  # what was damaged is sent again
            file.write(data)
        assert tasks.refine() or tasks.levels is None
        for name in "AB":
            tasks.switch(name)
            assert torch_models.bits(tasks.model) == fresh(whole, name)


@pytest.mark.parametrize("resident", KINDS)
def test_files_that_shrink_or_grow_too_much(whole: Path, tmp_path: Path, resident: str) -> None:
    data, ends, path = whole.read_bytes(), starts(whole), tmp_path / "cut.mc"
    path.write_bytes(data[: ends[4]])
    with switcher(path, resident) as tasks:
        tasks.switch("A")
        old = torch_models.bits(tasks.model)
        for size, code in ((ends[2], "file_truncated"), (10, "file_truncated")):
            path.write_bytes(data[:size])
            with pytest.raises(FormatError) as caught:
                tasks.refine()
            assert caught.value.code == code
            assert torch_models.bits(tasks.model) == old
        path.write_bytes(data + b"\0")
        with pytest.raises(FormatError) as caught:
            tasks.refine()
        assert caught.value.code == "trailing_data"
        path.write_bytes(data)
        assert tasks.refine()
        assert torch_models.bits(tasks.model) == fresh(whole, "A")


def test_only_new_planes_are_read(whole: Path, tmp_path: Path) -> None:
    # The old part of the file may be gone: planes that are kept are not read again.
    data, ends, path = whole.read_bytes(), starts(whole), tmp_path / "cut.mc"
    path.write_bytes(data[: ends[4]])
    with mcodec.open(whole) as file:
        reader = file.reader
        rows = [
            row
            for run, spec in enumerate(reader.runs)
            for block in range(spec.blocks)
            for row in reader.rows(run, block)
            if row.stored and ends[1] <= row.offset < ends[4]
        ]
    with switcher(path, "planes") as tasks:
        tasks.switch("A")
        holes = bytearray(data)
        for row in rows:
            holes[row.offset : row.offset + row.stored] = bytes(row.stored)
        path.write_bytes(holes)
        assert tasks.refine()
        for name in "AB":
            tasks.switch(name)
            assert torch_models.bits(tasks.model) == fresh(whole, name)


@pytest.mark.parametrize("resident", KINDS)
def test_cut_off_at_any_byte(whole: Path, tmp_path: Path, resident: str) -> None:
    data, ends, path = whole.read_bytes(), starts(whole), tmp_path / "cut.mc"
    rng = np.random.default_rng(2)
    for size in rng.integers(0, len(data), 15).tolist():
        path.write_bytes(data[:size])
        if size < ends[1]:
            with pytest.raises(FormatError):
                switcher(path, resident)
            continue
        with switcher(path, resident) as tasks:
            tasks.switch("B")
            assert torch_models.bits(tasks.model) == fresh(path, "B")
            grow(path, data, len(data))
            assert tasks.refine()
            assert torch_models.bits(tasks.model) == fresh(whole, "B")


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
