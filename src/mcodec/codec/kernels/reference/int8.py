"""Numbers to signed bytes and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mcodec.codec.kernels.checks import (
    FLOAT32_MAX,
    MIN_NORMAL,
    check_format,
    check_scopes,
    check_size,
    require,
)
from mcodec.codec.kernels.reference.floats import magnitudes, round_into, scope_index, to_float64

if TYPE_CHECKING:
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
    Patterns = npt.NDArray[np.unsignedinteger[Any]]
    Scales = npt.NDArray[np.float32]
    Scopes = tuple[int, int, int]  # inner, count, first

_SIGN: Final = np.uint8(0x80)
_LARGEST: Final = 127


def _by_element(n: int, scopes: Scopes, scales: Scales) -> Scales:
    check_scopes(n, scopes, scales)
    scale = scales[scope_index(n, scopes)]
    normal = bool(((scale >= MIN_NORMAL) & (scale <= FLOAT32_MAX)).all())
    require(normal, "scales: must be positive normal float32s")
    return scale


def quantize_int8(dtype: str, values: Patterns, scopes: Scopes, scales: Scales, out: Bytes) -> None:
    """See `mcodec.codec.kernels.quantize_int8`."""
    fmt = check_format(dtype, values, "values")
    check_size(out, values.size, "out")
    scale = _by_element(values.size, scopes, scales).astype(np.float64)
    with np.errstate(over="ignore", under="ignore"):
        quotient = to_float64(dtype, magnitudes(fmt, values)) / scale
    codes = np.rint(np.where(quotient < _LARGEST, quotient, _LARGEST)).astype(np.uint8)
    negative = (values >> values.dtype.type(fmt.width - 1)).astype(np.bool_) & (codes != 0)
    out[:] = codes | np.where(negative, _SIGN, np.uint8(0))


def dequantize_int8(
    dtype: str, out: Patterns, scopes: Scopes, scales: Scales, codes: Bytes
) -> None:
    """See `mcodec.codec.kernels.dequantize_int8`."""
    fmt = check_format(dtype, out, "out")
    check_size(codes, out.size, "codes")
    scale = _by_element(out.size, scopes, scales)
    with np.errstate(over="ignore", under="ignore"):
        product = (codes & ~_SIGN).astype(np.float32) * scale
        value = np.minimum(product, np.float32(FLOAT32_MAX)).astype(np.float64)
        patterns = round_into(dtype, value)
    out[:] = patterns | ((codes >> 7).astype(np.uint64) << np.uint64(fmt.width - 1))
