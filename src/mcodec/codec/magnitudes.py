"""Signs and magnitudes of block floating point: compact signs, and the two modes of a block."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from mcodec.codec.scratch import take
from mcodec.codec.streams import as_bytes, as_plane, empty_planes, invalid, plane_bytes
from mcodec.errors import FormatError
from mcodec.types import ZSTD, CodedStream, StreamSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from mcodec.codec.streams import Stream

    Plane = NDArray[np.uint8] | None

PLANES: Final = 0  # modes of a block
SYMBOLS: Final = 1
_SKEWED: Final = 0.4  # of a byte an element, below which runs of one symbol are long
_SHRUNK: Final = 0.98  # of the planes' bytes that symbols take at most where no plane is tried
SYMBOL_BITS: Final = 8  # top bits that a symbol takes, where there are so many


@lru_cache(maxsize=1024)  # blocks are alike, and every reading of one asks
def block_specs(bits: int, signs: str, exponents: int, n: int, mode: int) -> tuple[StreamSpec, ...]:
    """Return the streams of a block of n elements; `exponents` is -1 where they are in the head."""
    length = plane_bytes(n)
    streams = [] if exponents < 0 else [StreamSpec("exponent", 2 * exponents)]
    streams.append(StreamSpec("sign", length, variable=signs == "compact"))
    top = bits
    if mode == SYMBOLS:
        streams.append(StreamSpec("symbols", n))
        top -= min(SYMBOL_BITS, bits)
    streams.extend(StreamSpec(f"mantissa.{k}", length, bits - k) for k in range(top - 1, -1, -1))
    return tuple(streams)


def gather_signs(sign: NDArray[np.uint8], planes: Sequence[Plane], n: int) -> NDArray[np.uint8]:
    """Keep the signs of the magnitudes that are not zero, packed."""
    import numpy as np

    bits = np.unpackbits(sign, count=n, bitorder="little")
    return np.packbits(bits[_nonzero(planes, n)], bitorder="little")


def spread_signs(
    stream: Stream | None, planes: Sequence[Plane], n: int, *, missing: bool
) -> NDArray[np.uint8]:
    """Return the sign plane of signs that `gather_signs` packed.

    Raises
    ------
    FormatError
        ``stream_invalid``: they are not as many as the magnitudes that are not zero;
        ``file_truncated``: planes are `missing`, and all of them are needed.
    """
    import numpy as np

    if missing:
        message = "the file is cut off, and compact signs need all planes"
        raise FormatError(message, code="file_truncated")
    present = _nonzero(planes, n)
    count = int(np.count_nonzero(present))
    packed = as_bytes(stream)
    if packed.size != plane_bytes(count) or (count % 8 and packed[-1] >> count % 8):
        raise invalid("compact signs are not as many as the magnitudes that are not zero")
    spread = np.zeros(n, np.uint8)
    spread[present] = np.unpackbits(packed, count=count, bitorder="little")
    return np.packbits(spread, bitorder="little")


def code_top(
    planes: Sequence[NDArray[np.uint8]], n: int, *, planes_only: bool = False
) -> tuple[int, list[CodedStream]]:
    """Code the top planes of a block as they are, or as bytes where these are smaller.

    Bytes of numbers that come again nowhere always are: one code for all bits of a magnitude is
    nearer to its entropy than a code for each. Elsewhere both are tried.

    Parameters
    ----------
    planes
        The magnitude planes that a symbol takes, from the top down.
    n
        The block's elements.
    planes_only
        Stay with planes.

    Returns
    -------
    The mode, and the streams.
    """
    from mcodec import stored
    from mcodec.codec import coder, kernels

    raw = len(planes) * plane_bytes(n)
    if planes_only or n <= coder.ROW_COST:
        return PLANES, coder.code_planes(planes, n)
    symbols = take(n)
    kernels.planes_to_bytes(planes, symbols)
    searched = n <= coder.SMALL or coder.matches(symbols)
    if not searched:
        frame, _ = stored.code_symbols(symbols, coder.ROW_COST, 0)
        if frame is not None and _SKEWED * n < len(frame) < _SHRUNK * raw:
            return SYMBOLS, [CodedStream(ZSTD, 0, n, frame)]
    coded = coder.code_planes(planes, n)
    size = coder.stored(coded)
    if size < raw:  # else no plane shrank: neither will the bytes
        (joined,) = coder.code_all([symbols], coder.SYMBOLS, search=searched)
        if len(joined.data) < size:
            return SYMBOLS, [joined]
    return PLANES, coded


def magnitude_planes(mode: int, streams: Sequence[Stream | None], bits: int, n: int) -> list[Plane]:
    """Return the magnitude planes of a block of n elements from the top down, of either mode."""
    if mode == PLANES:
        return [as_plane(stream, n) for stream in streams]
    top = symbol_planes(streams[0], min(SYMBOL_BITS, bits), n)
    return [*top, *(as_plane(stream, n) for stream in streams[1:])]


def symbol_planes(stream: Stream | None, bits: int, n: int) -> list[NDArray[np.uint8]]:
    """Return the planes of symbols of so many bits.

    Raises
    ------
    FormatError
        As `symbols_of`.
    """
    from mcodec.codec import kernels

    planes = empty_planes(bits, n)
    kernels.bytes_to_planes(symbols_of(stream, bits), planes)
    return planes


def symbols_of(stream: Stream | None, bits: int) -> NDArray[np.uint8]:
    """Return symbols of so many bits as an array.

    Raises
    ------
    FormatError
        ``stream_invalid``: a symbol is wider.
    """
    symbols = as_bytes(stream)
    if bits < SYMBOL_BITS and symbols.size and int(symbols.max()) >> bits:
        raise invalid("a symbol is wider than its bits")
    return symbols


def _nonzero(planes: Sequence[Plane], n: int) -> NDArray[np.bool_]:
    """Tell for each element whether its magnitude is not zero."""
    import numpy as np

    joined = np.zeros(plane_bytes(n), np.uint8)
    for plane in planes:
        if plane is not None:
            joined |= plane
    return np.unpackbits(joined, count=n, bitorder="little").view(np.bool_)
