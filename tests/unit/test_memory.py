"""Arrays for many tensors at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcodec import memory

KINDS = st.sampled_from(["u1", "<f2", "<f4", "<f8"]).map(np.dtype)
SHAPES = st.lists(st.integers(0, 40), max_size=3).map(tuple)


@given(st.lists(st.tuples(SHAPES, KINDS), max_size=12))
def test_shapes_and_no_overlap(wanted: list[tuple[tuple[int, ...], np.dtype[np.generic]]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "SMALL", 16)
        patch.setattr(memory, "HUGE", 2_000)
        patch.setattr(memory, "SLAB", 5_000)
        arrays = memory.empties(wanted)
    assert [(array.shape, array.dtype) for array in arrays] == wanted
    for i, array in enumerate(arrays):
        assert array.flags.c_contiguous
        assert array.flags.writeable
        array.reshape(-1).view(np.uint8)[:] = i
    for i, array in enumerate(arrays):
        assert (array.reshape(-1).view(np.uint8) == i).all()


def test_what_stays_with_one_array_is_bounded() -> None:
    arrays = memory.empties([((1 << 18,), np.dtype("<f4"))] * 40)
    slabs = {id(array.base): array.base.nbytes for array in arrays if array.base is not None}
    assert len(slabs) == 3
    assert max(slabs.values()) <= memory.SLAB + memory.PAGE
    assert all(array.ctypes.data % memory.ALIGNMENT == 0 for array in arrays)


def test_few_and_large_arrays_are_alone() -> None:
    few = [((1000,), np.dtype("<f4"))] * 3
    large = [((memory.HUGE,), np.dtype("u1"))] * 2
    assert all(array.base is None for array in memory.empties([*few, *large]))
