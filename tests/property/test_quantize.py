"""Quantisation to 8-bit integers against the papers' equations, in every kind of output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import mcodec
from mcodec.types import numpy_dtype
from support import cases, strategies
from support.models import arrays

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def by_the_equations(
    array: NDArray[Any], axis: int | None
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return integers, scales and floats, by equations 2 and 3 within ±127."""
    wide = array.astype(np.float64)
    others = tuple(i for i in range(array.ndim) if axis is not None and i != axis % array.ndim)
    largest = np.abs(wide).max(axis=None if axis is None else others, keepdims=True, initial=0)
    with np.errstate(over="ignore", under="ignore"):
        scales = (largest / 127).astype(np.float32)
    scales = np.where(largest == 0, 1, np.maximum(scales, np.finfo(np.float32).smallest_normal))
    integers = np.clip(np.rint(wide / scales), -127, 127)
    with np.errstate(over="ignore", under="ignore"):
        floats = (integers.astype(np.float32) * scales).astype(array.dtype)
    most = ml_dtypes.finfo(array.dtype).max  # type: ignore[no-untyped-call]
    wide = floats.astype(np.float64)
    floats = np.where(np.isinf(wide), np.sign(wide).astype(array.dtype) * most, floats)
    floats = np.where(integers == 0, np.zeros(1, array.dtype), floats)  # +0.0
    return integers.astype(np.int8), scales.astype(np.float32), floats.astype(array.dtype)


@st.composite
def weights(draw: st.DrawFn) -> NDArray[Any]:
    dtype = draw(strategies.float_dtypes)
    shape = draw(strategies.shapes(least_dims=2))
    array = draw(strategies.finite(dtype, shape))
    if dtype == "float64":  # a scale is a float32
        array = np.clip(array, -1e38, 1e38)
    return array


@given(array=weights(), data=st.data())
def test_any_weights_and_any_axis(tmp_path: Path, array: NDArray[Any], data: st.DataObject) -> None:
    axis = data.draw(st.sampled_from([None, *range(-array.ndim, array.ndim)]))
    integers, scales, floats = by_the_equations(array, axis)
    model = {"w": array, "b": np.arange(3.0)}
    chosen = "tensor" if axis is None else axis
    report = mcodec.quantize(model, tmp_path / "x.npz", axis=chosen, jobs=1)
    found = arrays(tmp_path / "x.npz")
    assert cases.same_bits(found["w"], floats)
    assert cases.same_bits(found["b"], model["b"])
    (one,) = report.tensors
    assert one.nonzero_before == np.count_nonzero(array.astype(np.float64))
    assert one.nonzero_after == np.count_nonzero(floats.astype(np.float64))
    error = np.abs(array.astype(np.float64) - floats.astype(np.float64)).max(initial=0)
    assert one.max_error == error

    mcodec.quantize(model, tmp_path / "i.npz", axis=chosen, integers=True, jobs=1)
    found = arrays(tmp_path / "i.npz")
    assert list(found) == ["w", "w.scale", "b"]
    assert cases.same_bits(found["w"], integers)
    assert found["w.scale"].dtype == np.float32
    if array.size:
        assert np.array_equal(np.broadcast_to(found["w.scale"], array.shape), scales + 0 * integers)
        assert found["w.scale"].size == scales.size

    mcodec.quantize(model, tmp_path / "x.mc", axis=chosen, jobs=1)
    assert mcodec.verify(tmp_path / "x.mc", deep=True, jobs=1).differences == ()
    with mcodec.open(tmp_path / "x.mc", jobs=1) as file:
        assert cases.same_bits(file.task()["w"], floats)
        assert cases.same_bits(file.task()["b"], model["b"])


@given(array=weights())
def test_scales_of_any_dtype_have_no_underflow(tmp_path: Path, array: NDArray[Any]) -> None:
    tiny = (array.astype(np.float64) * 1e-30).astype(array.dtype)
    mcodec.quantize({"w": tiny}, tmp_path / "x.npz", axis=0, jobs=1, check=False)
    found = arrays(tmp_path / "x.npz")["w"]
    assert cases.same_bits(found, by_the_equations(tiny, 0)[2])
    assert found.dtype == numpy_dtype(str(array.dtype))
