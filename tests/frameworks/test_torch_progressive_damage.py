"""A progressive file that grows wrongly: damaged, shorter, too long, cut off anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import mcodec
from mcodec.errors import FormatError
from support import torch_models
from support.growing import fresh, grow, model, starts, switcher

if TYPE_CHECKING:
    from collections.abc import Callable
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
