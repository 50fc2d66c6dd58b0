"""Dtype names, and the geometry of runs."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcodec.errors import FormatError
from mcodec.types import (
    BLOCK,
    ITEMSIZE,
    Fill,
    RunSpec,
    TensorSpec,
    dtype_name,
    itemsize,
    numpy_dtype,
)
from support import cases, strategies


@pytest.mark.parametrize("name", cases.DTYPES)
def test_a_name_survives_numpy(name: str) -> None:
    dtype = numpy_dtype(name)
    assert dtype.itemsize == itemsize(name)
    assert dtype_name(dtype) == name
    assert dtype_name(dtype.newbyteorder(">")) == name
    assert dtype.newbyteorder("<") == dtype


@pytest.mark.parametrize(
    "name",
    [
        *("", "float", "float128", "str", "U4", "S4", "object", "O", ">f4", "<f4", "Float32"),
        *("V", "V0", "V01", "V-1", "V65537", "V99999", "V100000", "v1", "V1 ", "V1\n", "V٣"),
        *("int4", "float8_e4m3b11fnuz", "__class__", "float32\0"),
    ],
)
def test_a_name_that_is_none(name: str) -> None:
    for function in (itemsize, numpy_dtype):
        with pytest.raises(FormatError) as caught:
            function(name)
        assert caught.value.code == "dtype_unknown"


@pytest.mark.parametrize(
    "dtype",
    [
        *(np.dtype(kind) for kind in ("O", "U4", "S4", "M8[s]", "m8[s]", "V0", "V65537", "g", "G")),
        np.dtype([("a", "f4")]),
        np.dtype(("f4", (2,))),
        np.dtype(("V4", (2,))),
        np.dtype(ml_dtypes.int4),
        np.dtype(ml_dtypes.float8_e3m4),
        np.dtype(ml_dtypes.float8_e4m3b11fnuz),
        np.dtype(ml_dtypes.float4_e2m1fn),
    ],
    ids=str,
)
def test_a_dtype_without_a_name(dtype: np.dtype[np.generic]) -> None:
    assert dtype_name(dtype) is None


def test_the_widest_opaque_element() -> None:
    assert itemsize("V65536") == 65536
    assert dtype_name(np.dtype("V65536")) == "V65536"


def test_sizes_of_tensors() -> None:
    assert TensorSpec("w", "float32", ()).size == 1
    assert TensorSpec("w", "float32", (3, 0)).nbytes == 0
    assert TensorSpec("w", "V17", (3, 2)).nbytes == 102
    assert bytes(Fill(7, 3)) == b"\7\7\7"


@pytest.mark.parametrize(
    ("size", "block"), [(1, BLOCK), (256, BLOCK), (257, 1 << 17), (512, 1 << 17), (65536, 1 << 10)]
)
def test_blocks_of_wide_elements(size: int, block: int) -> None:
    run = RunSpec.of(f"V{size}", [(1,)])
    assert run.block == block
    assert block * size <= 64 * 2**20


@given(shapes=st.lists(strategies.shapes(3000), max_size=8), name=st.sampled_from(tuple(ITEMSIZE)))
def test_members_lie_one_after_another(shapes: list[tuple[int, ...]], name: str) -> None:
    run = RunSpec.of(name, shapes)
    end = 0
    for start, size, shape in zip(run.starts, run.sizes, run.shapes, strict=True):
        assert size == np.prod(shape, dtype=int)
        assert start % 8 == 0
        assert 0 <= start - end < 8
        end = start + size
    assert run.elements == end
    assert run.nbytes == end * itemsize(name)


@given(elements=st.integers(0, 5 * BLOCK))
def test_blocks_cover_a_run(elements: int) -> None:
    run = RunSpec.of("float32", [(elements,)])
    spans = [run.span(block) for block in range(run.blocks)]
    assert [start for start, _ in spans] == list(range(0, elements, BLOCK))
    assert [stop for _, stop in spans] == [*range(BLOCK, elements, BLOCK), elements][: len(spans)]
    assert run.span(-1) == (0, 0)
