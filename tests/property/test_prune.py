"""Magnitude pruning against a sort, on any bits of any float dtype, however it is cut in blocks."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mcodec
from mcodec.api import cuts as cutting
from mcodec.api.sources import ArraySource
from support import cases, strategies
from support.models import arrays

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def by_sorting(array: NDArray[Any], count: int) -> NDArray[Any]:
    """Prune by the definition: sort positions by magnitude, and leave NaNs out."""
    flat = array.reshape(-1).copy()
    numbers = [abs(float(value)) for value in flat]
    order = sorted((size, place) for place, size in enumerate(numbers) if not math.isnan(size))
    for _, place in order[:count]:
        flat[place] = 0
    return flat.reshape(array.shape)


@given(data=st.data(), dtype=strategies.float_dtypes, step=st.sampled_from((1, 7, 64, 1 << 18)))
def test_any_bits_and_any_count(data: st.DataObject, dtype: str, step: int) -> None:
    array = data.draw(strategies.arrays(dtype))
    count = data.draw(st.integers(0, array.size))
    model = ArraySource({"w": array})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutting, "BLOCK", step)
        cut = cutting.find_cut(model, 0, count)
    expected = by_sorting(array, count)
    cuts = sorted({0, array.size, *data.draw(st.lists(st.integers(0, array.size), max_size=5))})
    parts = [cut(model.read(0, a, b).copy(), a) for a, b in pairwise(cuts)]
    joined = np.concatenate([np.zeros(0, array.dtype), *parts]).reshape(array.shape)
    assert cases.same_bits(joined, expected)
    with np.errstate(invalid="ignore"):  # signalling NaNs
        wide = array.astype(np.float64)
    assert cut.zeros == np.count_nonzero(wide == 0)
    assert cut.nans == np.count_nonzero(np.isnan(wide))
    assert cut.pruned == min(count, array.size - cut.nans)


@given(
    data=st.data(),
    dtype=strategies.float_dtypes,
    sparsity=st.floats(0, 1),
    jobs=st.sampled_from((1, 2)),
)
def test_the_verb(
    tmp_path: Path, data: st.DataObject, dtype: str, sparsity: float, jobs: int
) -> None:
    model = {
        "w": data.draw(strategies.finite(dtype, data.draw(strategies.shapes(least_dims=2)))),
        "few": data.draw(strategies.arrays(dtype)),
        "n": np.arange(6).reshape(2, 3),
    }
    report = mcodec.prune(model, tmp_path / "x.npz", sparsity, jobs=jobs, force=True)
    found = arrays(tmp_path / "x.npz")
    pruned = {one.spec.name: one for one in report.tensors}
    for name, array in model.items():
        weight = array.ndim >= 2 and array.dtype.kind != "i"
        assert (name in pruned) == weight
        count = round(sparsity * array.size) if weight else 0
        assert cases.same_bits(found[name], by_sorting(array, count)), name
        if weight:
            with np.errstate(invalid="ignore"):
                before, after = (
                    int(np.count_nonzero(a.astype(np.float64))) for a in (array, found[name])
                )
            assert (pruned[name].nonzero_before, pruned[name].nonzero_after) == (before, after)
