"""No weight is off by more than a plan allows, whatever the weights are."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import mcodec
from mcodec.types import FLOATS, numpy_dtype

if TYPE_CHECKING:
    from numpy.typing import NDArray

DTYPES = tuple(FLOATS)


@st.composite
def weights(draw: st.DrawFn) -> NDArray[Any]:
    """Draw a matrix of a float dtype: Gaussian, sparse, on a grid, or with outliers."""
    dtype = draw(st.sampled_from(DTYPES))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    shape = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    values = rng.standard_normal(shape) * 10.0 ** draw(st.integers(-6, 3))
    kind = draw(st.sampled_from(["plain", "sparse", "grid", "outliers"]))
    if kind == "sparse":
        values[rng.random(shape) < 0.8] = 0
    elif kind == "grid":
        values = np.rint(values * 16) / 16
    elif kind == "outliers":
        values[rng.random(shape) < 0.05] *= 1000
    return np.asarray(np.clip(values, -6e4, 6e4)).astype(numpy_dtype(dtype))


@settings(max_examples=40)
@given(weights(), st.floats(-8, 1), st.floats(-3, 3))
def test_errors_stay_within_the_limit(array: NDArray[Any], log10: float, moved: float) -> None:
    limit = 10.0**log10
    with np.errstate(over="ignore"):
        other = (array.astype(np.float64) * (1 + 10.0 ** (moved - 4))).astype(array.dtype)
    models = {"A": {"w": array}, "B": {"w": np.where(np.isfinite(other), other, array)}}
    with tempfile.TemporaryDirectory() as folder:
        plan = mcodec.plan(models, f"{folder}/plan.toml", max_error=limit, jobs=1)
        done = mcodec.pack(models, f"{folder}/x.mc", plan=f"{folder}/plan.toml", jobs=1)
        assert done.file_bytes == plan.head.file_bytes
        with mcodec.open(done.path) as file:
            for name, given_arrays in models.items():
                decoded = file.task(name)["w"].astype(np.float64)
                error = np.abs(decoded - given_arrays["w"].astype(np.float64)).max()
                assert error <= limit
