"""Linear quantisation to signed bytes: the arithmetic of the codec int8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcodec.codec.kernels.switch import impl

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from mcodec.codec.kernels.scopes import Scopes

    Bytes = npt.NDArray[np.uint8]
    Buffer = Bytes | memoryview  # of bytes: to read alone
    Patterns = npt.NDArray[np.unsignedinteger[Any]]
    Scales = npt.NDArray[np.float32]


def quantize_int8(dtype: str, values: Patterns, scopes: Scopes, scales: Scales, out: Bytes) -> None:
    """Round numbers to multiples of their scales (design, int8).

    The magnitude is min(127, rint(float64(abs(w)) / float64(s))), ties to even. Its code is one
    byte, with the sign in bit 7; a magnitude of 0 has no sign.

    Parameters
    ----------
    dtype, values
        As in `mcodec.codec.kernels.split_float`. The numbers are finite.
    scopes
        Which of the scales an element has.
    scales
        Positive normal float32s.
    out
        Written: codes, shape (n,).
    """
    impl().quantize_int8(dtype, values, scopes.flat, scales, out)


def dequantize_int8(
    dtype: str,
    out: Patterns,
    scopes: Scopes,
    scales: Scales,
    codes: Buffer,
    mask: Buffer | None = None,
) -> bool:
    """Decode codes: fl32(float32(magnitude) s) with their sign, rounded once more into the dtype.

    What would become infinite in either becomes the largest finite number. Code 0 is +0.0. (Code
    128, which `quantize_int8` never gives, is -0.0.)

    Parameters
    ----------
    dtype, scopes, scales
        As in `quantize_int8`.
    out
        Written: patterns, shape (n,).
    codes
        Shape (n,), or as many as the mask has ones; scopes are those of the codes.
    mask
        As in `mcodec.codec.kernels.merge_float`.

    Returns
    -------
    bool
        Whether no code is 128.
    """
    return bool(impl().dequantize_int8(dtype, out, scopes.flat, scales, codes, mask))


def merge_int8(
    dtype: str,
    out: Patterns,
    scopes: Scopes,
    scales: Scales,
    planes: Sequence[Buffer | None],
    mask: Buffer | None = None,
) -> bool:
    """Decode codes that are eight planes, from the top down: see `dequantize_int8`."""
    return bool(impl().merge_int8(dtype, out, scopes.flat, scales, planes, mask))
