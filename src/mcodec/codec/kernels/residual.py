"""Residuals: the difference of two tensors as numbers, and their sum again (design, delta)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcodec.codec.kernels.switch import impl

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Patterns = npt.NDArray[np.unsignedinteger[Any]]


def subtract_base(
    dtype: str, base: Patterns, values: Patterns, out: npt.NDArray[np.float64]
) -> None:
    """Subtract a base from values in float64, rounded to nearest.

    Parameters
    ----------
    dtype
        ``float16``, ``bfloat16`` or ``float32``.
    base, values
        Patterns, shape (n,).
    out
        Written: float64(values) - float64(base), shape (n,); NaN where one is not finite.
    """
    impl().subtract_base(dtype, base, values, out)


def add_residual(
    dtype: str, base: Patterns, residual: npt.NDArray[np.float32], out: Patterns
) -> None:
    """Add residuals to a base: one sum in float32, rounded once more into a narrower dtype.

    Both round to nearest, ties to even; what would become infinite becomes the largest finite
    number of that sign.

    Parameters
    ----------
    dtype
        ``float16``, ``bfloat16`` or ``float32``.
    base
        Patterns of finite numbers, shape (n,).
    residual
        Finite numbers, shape (n,).
    out
        Written: patterns of the dtype, shape (n,).
    """
    impl().add_residual(dtype, base, residual, out)
