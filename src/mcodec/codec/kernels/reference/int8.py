"""Numbers to signed bytes and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mcodec.codec.kernels.checks import (
    FLOAT32_MAX,
    MIN_NORMAL,
    array_of,
    arrays_of,
    check_format,
    check_planes,
    check_scopes,
    check_size,
    places_of,
    require,
)
from mcodec.codec.kernels.reference.floats import (
    magnitudes,
    planes_to_bytes,
    round_into,
    scope_index,
    to_float64,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
    Buffer = Bytes | memoryview
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
    dtype: str,
    out: Patterns,
    scopes: Scopes,
    scales: Scales,
    codes: Buffer,
    mask: Buffer | None = None,
) -> bool:
    """See `mcodec.codec.kernels.dequantize_int8`."""
    fmt = check_format(dtype, out, "out")
    places, found = places_of(mask, out.size), array_of(codes)
    check_size(found, places.size, "codes")
    scale = _by_element(found.size, scopes, scales)
    with np.errstate(over="ignore", under="ignore"):
        product = (found & ~_SIGN).astype(np.float32) * scale
        value = np.minimum(product, np.float32(FLOAT32_MAX)).astype(np.float64)
        patterns = round_into(dtype, value)
    out[:] = 0
    out[places] = patterns | ((found >> 7).astype(np.uint64) << np.uint64(fmt.width - 1))
    return not (found == _SIGN).any()


def merge_int8(
    dtype: str,
    out: Patterns,
    scopes: Scopes,
    scales: Scales,
    planes: Sequence[Buffer | None],
    mask: Buffer | None = None,
) -> bool:
    """See `mcodec.codec.kernels.merge_int8`."""
    codes, found = np.empty(places_of(mask, out.size).size, np.uint8), arrays_of(planes)
    check_planes(found, codes.size, 8, 8)
    planes_to_bytes(found, codes)
    return dequantize_int8(dtype, out, scopes, scales, codes, mask)
