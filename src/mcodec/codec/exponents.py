"""Shared exponents of block floating point (spec/codecs/bfp.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mcodec.codec.base import NotCodableError
from mcodec.codec.maxima import NOT_FINITE, numbers_of
from mcodec.codec.streams import as_bytes, invalid
from mcodec.types import FLOATS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mcodec.codec.scope import Scope
    from mcodec.codec.streams import Stream
    from mcodec.types import FloatFormat, RunSpec

    Exponents = NDArray[np.int16]

ZERO_SCOPE: Final = -32768  # the exponent of a scope of zeros only
# dtype -> the least and the largest exponent that a scope can have
RANGES: Final = {
    "float16": (-23, 16),
    "bfloat16": (-132, 128),
    "float32": (-148, 128),
    "float64": (-1073, 1024),
}


def exponents_of(dtype: str, maxima: NDArray[np.uint64]) -> Exponents:
    """Return E, the least integer with max < 2^E, for patterns of largest magnitudes.

    Raises
    ------
    NotCodableError
        One of them is a NaN or an infinity.
    """
    import numpy as np

    if len(maxima) == 1:  # of a tensor scope, as most are: a third of a small tensor's survey
        return np.array([_exponent_of(FLOATS[dtype], int(maxima[0]))], np.int16)
    exponents = np.frexp(numbers_of(dtype, maxima))[1].astype(np.int16)
    exponents[maxima == 0] = ZERO_SCOPE
    return exponents


def _exponent_of(form: FloatFormat, pattern: int) -> int:
    if pattern == 0:
        return ZERO_SCOPE
    exponent = pattern >> form.mantissa
    least = 2 - (1 << form.exponent - 1)  # of normal numbers, and of what is below them
    if exponent == 0:
        return pattern.bit_length() - form.mantissa + least
    if exponent == (1 << form.exponent) - 1:
        raise NotCodableError(NOT_FINITE)
    return exponent + least


def block_exponents(run: RunSpec, block: int, bits: NDArray[Any], scope: Scope) -> Exponents:
    """Return the exponents of the ``block`` scopes that start in a block, of its patterns."""
    import numpy as np

    from mcodec.codec import kernels

    found = [np.zeros(0, np.int16)]
    for start, stop, scopes, _ in scope.parts(run, block, None):
        maxima = np.zeros(-(-(stop - start) // scope.argument), np.uint64)
        kernels.scope_max(run.dtype, bits[start:stop], scopes, maxima)
        found.append(exponents_of(run.dtype, maxima))
    return np.concatenate(found)


def checked(dtype: str, stream: Stream | None) -> Exponents:
    """Return the exponents of a stream.

    Raises
    ------
    FormatError
        ``stream_invalid``: one of them is outside the dtype's range.
    """
    import numpy as np

    low, high = RANGES[dtype]
    if isinstance(stream, memoryview) and len(stream) == 2:  # of a tensor scope, as most are
        one = int.from_bytes(stream, "little", signed=True)
        if one == ZERO_SCOPE or low <= one <= high:
            return np.array([one], np.int16)
    exponents = as_bytes(stream).view("<i2")
    if not ((exponents == ZERO_SCOPE) | ((exponents >= low) & (exponents <= high))).all():
        raise invalid(f"a shared exponent is outside the range of {dtype}")
    return exponents.astype(np.int16, copy=False)
