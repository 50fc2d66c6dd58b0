"""Scales and codes of symmetric 8-bit integers (spec/codecs/int8.md), for codecs and verbs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mcodec.codec.base import NotCodableError
from mcodec.codec.maxima import numbers_of, scope_maxima
from mcodec.codec.streams import as_bytes, invalid, patterns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from mcodec.codec.scope import Scope
    from mcodec.codec.streams import Stream
    from mcodec.types import TensorSpec

    Codes = NDArray[np.uint8]
    Scales = NDArray[np.float32]

MAGNITUDE_BITS: Final = 7
SIGN: Final = 0x80
LARGEST: Final = 127
_LEAST_PATTERN: Final = 0x00800000  # of positive normal float32s: 2^-126
_MOST_PATTERN: Final = 0x7F7FFFFF


def find_scales(tensor: TensorSpec, blocks: Iterable[NDArray[Any]], scope: Scope) -> Scales:
    """Return the scale of each scope of a whole tensor.

    Parameters
    ----------
    tensor
        Of a float dtype.
    blocks
        Its values in order, one-dimensional.
    scope
        ``tensor`` or ``axis``.

    Returns
    -------
    array of float32
        One for each scope, all positive and normal; none for a tensor of no elements.

    Raises
    ------
    NotCodableError
        A value is a NaN or an infinity, or a scale would be infinite.
    """
    import numpy as np

    maxima = scope_maxima(tensor, blocks, scope)
    largest = numbers_of(tensor.dtype, maxima)
    least = np.uint32(_LEAST_PATTERN).view(np.float32)
    with np.errstate(over="ignore", under="ignore"):
        scales = np.maximum((largest / LARGEST).astype(np.float32), least)
    if np.isinf(scales).any():
        raise NotCodableError("its largest magnitude is too large for a float32 scale")
    scales[maxima == 0] = 1
    return scales


def quantize(
    tensor: TensorSpec, first: int, values: NDArray[Any], scope: Scope, scales: Scales
) -> Codes:
    """Return the codes of elements of a tensor: magnitudes of seven bits, and the sign above.

    Parameters
    ----------
    tensor
        Of a float dtype.
    first
        The place of the first of the values in the tensor.
    values
        One-dimensional, finite.
    scope, scales
        As in `find_scales`.
    """
    import numpy as np

    from mcodec.codec import kernels

    codes = np.empty(values.size, np.uint8)
    if codes.size:
        where = scope.layout(tensor.shape, first)
        kernels.quantize_int8(tensor.dtype, patterns(values), where, scales, codes)
    return codes


def dequantize(
    tensor: TensorSpec, first: int, codes: Codes, scope: Scope, scales: Scales
) -> NDArray[Any]:
    """Return the values of codes, of the tensor's dtype: the inverse of `quantize`, but for errors.

    Parameters
    ----------
    tensor, first, scope, scales
        As in `quantize`.
    codes
        One-dimensional.
    """
    import numpy as np

    from mcodec.codec import kernels
    from mcodec.types import numpy_dtype

    values = np.empty(codes.size, numpy_dtype(tensor.dtype))
    if codes.size:
        where = scope.layout(tensor.shape, first)
        kernels.dequantize_int8(tensor.dtype, patterns(values), where, scales, codes)
    return values


def integers_of(codes: Codes) -> NDArray[np.int8]:
    """Return codes as integers in two's complement, -127 to 127."""
    import numpy as np

    magnitudes = (codes & LARGEST).view(np.int8)
    return np.where(codes & SIGN, -magnitudes, magnitudes)


def scales_shape(shape: Sequence[int], scope: Scope) -> tuple[int, ...]:
    """Return the shape in which a tensor's scales broadcast against it.

    One scale for all has no dimensions; those of an axis have the axis and the later ones, which
    are 1: ``(C,)`` for the last axis, ``(C, 1, 1)`` for the third from the end.
    """
    if scope.kind == "tensor":
        return ()
    axis = scope.argument % len(shape)
    return (shape[axis], *(1 for _ in shape[axis + 1 :]))


def shaped(scales: Scales, shape: Sequence[int], scope: Scope) -> Scales:
    """Return a tensor's scales in the shape of `scales_shape`; a tensor of no elements has 1s."""
    import numpy as np

    wanted = scales_shape(shape, scope)
    return scales.reshape(wanted) if scales.size else np.ones(wanted, np.float32)


def checked(stream: Stream | None) -> Scales:
    """Return the scales of a stream.

    Raises
    ------
    FormatError
        ``stream_invalid``: one of them is no positive normal float32.
    """
    import numpy as np

    found = as_bytes(stream).view("<u4")
    if not ((found >= _LEAST_PATTERN) & (found <= _MOST_PATTERN)).all():
        raise invalid("a scale is no positive normal float32")
    return found.view("<f4").astype(np.float32, copy=False)
