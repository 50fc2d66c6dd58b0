"""Any dtype, shape and bit pattern survives pack and unpack bit for bit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mcodec
from mcodec.types import FLOATS, numpy_dtype
from support import cases, strategies
from support.cases import assert_same_model, same_bits

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray


def survive(folder: Path, *models: Mapping[str, NDArray[Any]], **options: Any) -> None:
    """Pack models, and check what `verify` says and what comes back."""
    path = folder / "family.mc"
    tasks = dict(zip("ABCDEF", models, strict=False))
    mcodec.pack(tasks, path, jobs=1, **options)
    report = mcodec.verify(path, deep=True, against=tasks, jobs=1)
    assert report.differences == ()
    with mcodec.open(path, jobs=1) as file:
        assert file.tasks == tuple(tasks)
        for name, model in tasks.items():
            assert_same_model(file.task(name), model)


@given(model=strategies.models())
def test_any_model(tmp_path: Path, model: dict[str, NDArray[Any]]) -> None:
    survive(tmp_path, model)


@given(
    first=strategies.models(),
    second=strategies.models(),
    layout=st.sampled_from(("task", "interleaved", "progressive")),
)
def test_any_two_models_in_any_layout(
    tmp_path: Path, first: dict[str, NDArray[Any]], second: dict[str, NDArray[Any]], layout: str
) -> None:
    survive(tmp_path, first, second, layout=layout)


@given(array=strategies.arrays(), data=st.data())
def test_any_memory_layout(tmp_path: Path, array: NDArray[Any], data: st.DataObject) -> None:
    survive(tmp_path, {"w": data.draw(strategies.views(array))})


@given(array=st.one_of([strategies.arrays(dtype) for dtype in FLOATS]))
def test_floats_as_raw_bytes(tmp_path: Path, array: NDArray[Any]) -> None:
    survive(tmp_path, {"w": array}, codec="raw")


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_every_dtype_at_every_small_shape(tmp_path: Path, dtype: str) -> None:
    shapes = enumerate(cases.SHAPES)
    survive(tmp_path, {f"t{seed}": cases.noise(dtype, shape, seed) for seed, shape in shapes})


@pytest.mark.parametrize("dtype", ["bool", "int64", "complex128", "float8_e5m2", *FLOATS, "V17"])
def test_sizes_where_runs_are_cut(tmp_path: Path, dtype: str) -> None:
    sizes = enumerate(cases.SIZES)
    survive(tmp_path, {f"t{size}": cases.noise(dtype, (size,), seed) for seed, size in sizes})


@pytest.mark.parametrize("size", cases.BLOCK_SIZES)
@pytest.mark.parametrize("dtype", ["uint8", "bfloat16", "float32"])
def test_sizes_where_blocks_are_cut(tmp_path: Path, dtype: str, size: int) -> None:
    survive(tmp_path, {"w": cases.noise(dtype, (size,), size)})


def test_shared_runs_are_full_at_65536_elements(tmp_path: Path) -> None:
    # 4 tensors of 16,383 elements (16,384 with the gap) fill a run; the fifth opens another.
    survive(tmp_path, {f"t{i}": cases.noise("float32", (16_383,), i) for i in range(5)})
    with mcodec.open(tmp_path / "family.mc") as file:
        assert [len(run.shapes) for run in file.reader.runs] == [4, 1]
        assert file.reader.runs[0].elements == 65_535


@pytest.mark.parametrize("dtype", ["V257", "V4096", "V65536"])
def test_wide_elements_have_smaller_blocks(tmp_path: Path, dtype: str) -> None:
    elements = 1025 if dtype == "V65536" else 3
    survive(tmp_path, {"w": cases.noise(dtype, (elements,))})


@pytest.mark.parametrize("dtype", FLOATS)
def test_every_exponent(tmp_path: Path, dtype: str) -> None:
    survive(tmp_path, {"w": cases.exponents(dtype)})


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_every_pattern_of_16_bits(tmp_path: Path, dtype: str) -> None:
    survive(tmp_path, {"w": np.arange(1 << 16, dtype="<u2").view(numpy_dtype(dtype))})


def test_a_model_of_nothing(tmp_path: Path) -> None:
    survive(tmp_path, {}, {"empty": np.zeros((0, 4), np.float32)})


@given(array=strategies.arrays())
def test_unpacked_arrays_are_the_callers_own(tmp_path: Path, array: NDArray[Any]) -> None:
    path = tmp_path / "own.mc"
    mcodec.pack({"A": {"w": array, "v": array}}, path, jobs=1)
    with mcodec.open(path) as file:
        task = file.task()
        first = task["w"]
        first.reshape(-1).view("u1")[...] ^= 1
        assert same_bits(task["w"], array)
        assert same_bits(task["v"], array)
    assert first.flags.writeable
    assert first.flags.c_contiguous
