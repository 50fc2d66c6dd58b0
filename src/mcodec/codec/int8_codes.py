"""Codes of int8 as planes or bytes, and multiplied with their scales (spec/codecs/int8.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mcodec.codec.scales import LARGEST, MAGNITUDE_BITS, SIGN
from mcodec.codec.streams import (
    as_bytes,
    as_plane,
    bytes_of,
    empty_planes,
    invalid,
    patterns,
    plane_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mcodec.codec.base import Coded
    from mcodec.codec.kernels import Scopes
    from mcodec.codec.scales import Codes, Scales
    from mcodec.codec.streams import Buffer, Stream
    from mcodec.types import CodedStream

PLANES: Final = 0  # modes of a block
BYTES: Final = 1
_WORTH: Final = 64  # bytes have to save one part in so many
_NEGATIVE_ZERO: Final = "a code has a sign and no magnitude"


def planes_of(codes: Codes) -> list[CodedStream]:
    """Return the sign and the magnitudes of codes, coded."""
    from mcodec.codec import coder, kernels

    rows = empty_planes(MAGNITUDE_BITS + 1, codes.size)
    kernels.bytes_to_planes(codes, rows)
    return coder.code_planes(rows, codes.size)


def store_codes(codes: Codes, planes: list[CodedStream], *, planes_only: bool) -> Coded:
    """Return bytes where they are clearly smaller than planes, and planes may be left."""
    from mcodec.codec import coder

    if planes_only:
        return PLANES, planes
    whole = coder.code_symbols(codes)
    size = coder.stored(planes)
    # Bytes of trained weights are Huffman codes to the last bit, and take twice as long to decode.
    return (BYTES, [whole]) if len(whole.data) <= size - size // _WORTH else (PLANES, planes)


def multiply(
    dtype: str,
    mode: int,
    streams: Sequence[Stream | None],
    out: NDArray[Any],
    scopes: Scopes,
    scales: Scales,
    packed: tuple[int, Buffer] | None = None,
) -> None:
    """Multiply all codes of either mode with their scales.

    Parameters
    ----------
    packed
        The codes' count and the mask of their places in `out`; None for one a place.

    Raises
    ------
    FormatError
        ``stream_invalid``: a code has a sign and no magnitude.
    """
    from mcodec.codec import kernels

    n, mask = packed or (out.size, None)
    bits = patterns(out)
    if mode == BYTES:
        codes = bytes_of(streams[0])
        valid = kernels.dequantize_int8(dtype, bits, scopes, scales, codes, mask)
    else:
        planes = [plane_of(stream, n) for stream in streams]
        valid = kernels.merge_int8(dtype, bits, scopes, scales, planes, mask)
    if not valid:
        raise invalid(_NEGATIVE_ZERO)


def codes_of(mode: int, streams: Sequence[Stream | None], n: int) -> Codes:
    """Return the codes of a block of n elements of either mode; planes that are missing are zero.

    Raises
    ------
    FormatError
        ``stream_invalid``: a code has a sign and no magnitude.
    """
    import numpy as np

    from mcodec.codec import kernels

    if mode == BYTES:
        codes = as_bytes(streams[0])
    else:
        codes = np.empty(n, np.uint8)
        kernels.planes_to_bytes([as_plane(stream, n) for stream in streams], codes)
    # As two's complement that code is the least number of all: nothing is allocated to look for it.
    if None not in streams and n and int(codes.view(np.int8).min()) == -SIGN:
        raise invalid(_NEGATIVE_ZERO)
    return codes


def top_of(codes: Codes, planes: int, *, middle: bool) -> Codes:
    """Keep the top magnitude planes of codes, and put half of what they leave open below them."""
    import numpy as np

    rest = MAGNITUDE_BITS - planes
    top = codes & np.uint8(SIGN | LARGEST >> rest << rest)
    if middle:
        top |= np.where(top & LARGEST, np.uint8(1 << (rest - 1)), np.uint8(0))
    return top
