"""Differences of two tensors as numbers, and their sums."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mcodec.codec.kernels.checks import FLOAT32_MAX, check_format, check_size, require
from mcodec.codec.kernels.reference.floats import round_into, to_float64

if TYPE_CHECKING:
    import numpy.typing as npt

    from mcodec.types import FloatFormat

    Patterns = npt.NDArray[np.unsignedinteger[Any]]


def subtract_base(
    dtype: str, base: Patterns, values: Patterns, out: npt.NDArray[np.float64]
) -> None:
    """See `mcodec.codec.kernels.subtract_base`."""
    _check(dtype, base)
    check_format(dtype, values, "values")
    check_size(values, base.size, "values")
    check_size(out, base.size, "out")
    with np.errstate(invalid="ignore"):  # inf - inf
        np.subtract(to_float64(dtype, values), to_float64(dtype, base), out=out)
    out[~np.isfinite(out)] = np.nan


def add_residual(
    dtype: str, base: Patterns, residual: npt.NDArray[np.float32], out: Patterns
) -> None:
    """See `mcodec.codec.kernels.add_residual`."""
    fmt = _check(dtype, base)
    check_size(residual, base.size, "residual")
    check_format(dtype, out, "out")
    check_size(out, base.size, "out")
    with np.errstate(over="ignore"):
        total = to_float64(dtype, base).astype(np.float32) + residual
        total = np.clip(total, -np.float32(FLOAT32_MAX), np.float32(FLOAT32_MAX))
        rounded = round_into(dtype, np.abs(total).astype(np.float64))
    sign = np.signbit(total).astype(np.uint64) << np.uint64(fmt.width - 1)
    out[:] = rounded | sign


def _check(dtype: str, base: Patterns) -> FloatFormat:
    fmt = check_format(dtype, base, "base")
    require(fmt.width <= 32, "dtype: must have 16 or 32 bits")
    return fmt
