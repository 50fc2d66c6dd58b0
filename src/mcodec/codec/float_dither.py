"""Floats of which the low bits are another task's (spec/codecs/float.md, "Dither"; paper 001)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcodec.codec import float_symbols
from mcodec.codec.float import FloatCodec
from mcodec.codec.streams import as_plane
from mcodec.types import FLOATS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mcodec.codec.base import Partner


def width(codec: FloatCodec, below: FloatCodec, dtype: str) -> int:
    """Return how many mantissa bits of the next run of a pair stand below those of a run.

    None below an exponent that is not whole: they would not be of the least weight.
    """
    form = FLOATS[dtype]
    if codec.keep is not None and codec.keep < 1 + form.exponent:
        return 0
    return min(below.stored_mantissa(form), form.mantissa - codec.stored_mantissa(form))


def add_noise(dtype: str, bits: NDArray[Any], codec: FloatCodec, partner: Partner) -> None:
    """Put the top mantissa bits of the next run below those of a decoded block.

    Zeros, subnormals, infinities and NaNs stay as they are.

    Parameters
    ----------
    dtype
        Of both runs.
    bits
        Patterns of the canonical decode, shape (n,); changed in place.
    codec
        The one that they are of.
    partner
        The same block of the next run, in any mode.

    Raises
    ------
    FormatError
        A stream of the partner is damaged.
    """
    import numpy as np

    from mcodec.codec import kernels

    form = FLOATS[dtype]
    assert isinstance(partner.codec, FloatCodec)  # runs of a pair have one codec id
    kept = codec.stored_mantissa(form)
    count = width(codec, partner.codec, dtype)
    planes = _top_planes(dtype, partner, bits.size, count)
    noise = np.empty_like(bits)
    zeros = [0] * (1 if form.exponent <= 8 else 2)
    kernels.merge_float(dtype, noise, None, zeros, [*[None] * kept, *planes])
    ones = bits.dtype.type(((1 << form.exponent) - 1) << form.mantissa)
    exponent = bits & ones
    outside = (exponent == 0) | (exponent == ones)
    if outside.any():
        noise[outside] = 0
    bits |= noise


def _top_planes(dtype: str, partner: Partner, n: int, count: int) -> list[NDArray[np.uint8] | None]:
    """Return the top mantissa planes of a block, whatever its mode."""
    streams = list(partner.streams[1:])  # behind the sign
    if partner.mode:
        streams[:1] = float_symbols.separate(dtype, partner.mode, streams[0], n)
    first = 1 if FLOATS[dtype].exponent <= 8 else 2
    return [as_plane(stream, n) for stream in streams[first : first + count]]
