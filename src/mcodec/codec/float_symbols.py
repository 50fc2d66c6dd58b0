"""Exponents and the first two mantissa bits of floats as one byte (spec/codecs/float.md).

One Huffman code for both is nearer to their entropy than a code for exponents beside two planes:
codes of whole bits waste less on more symbols, and within one exponent small numbers are more
frequent than large ones, which the exponent alone does not say (docs/adr/0014).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mcodec import stored
from mcodec.codec.scratch import take
from mcodec.codec.streams import as_bytes, empty_planes, invalid
from mcodec.types import FILL, FLOATS, ZSTD, CodedStream

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from mcodec.codec.streams import Stream

    Bytes = NDArray[np.uint8]

BITS: Final = 2  # mantissa bits in a symbol
_MODES: Final = {"float16": 1, "bfloat16": 15, "float32": 15}
_STEP: Final = 14  # exponents from one mode's window to the next
_LAST: Final = (1 << 8 - BITS) - 1  # of a window, counted from its first exponent
_ROUNDED: Final = 1.01  # what codes of whole bits make of the entropy of exponents, at least
TOO_WIDE: Final = "a symbol stands for an exponent wider than its field"


def has_mode(dtype: str, mode: int, mantissa: int) -> bool:
    """Whether a dtype of which so many mantissa bits are kept has this mode of symbols."""
    return mantissa >= BITS and 1 <= mode <= _MODES.get(dtype, 0)


def first_exponent(mode: int) -> int:
    """Return the first exponent of a mode's window."""
    return _STEP * (mode - 1)


def code_top(
    dtype: str,
    exponent: Bytes,
    planes: Sequence[Bytes],
    *,
    planes_only: bool,
    search: bool,
) -> tuple[int, list[CodedStream]]:
    """Code the exponents of a block, and its first two planes where they are kept.

    Parameters
    ----------
    dtype
        One with exponents of a byte.
    exponent
        Biased, shape (n,).
    planes
        Mantissa planes from the top down: the first `BITS`, or all if there are fewer.
    planes_only
        Stay in mode 0.
    search
        Whether matches are looked for (`coder.search`).

    Returns
    -------
    The mode, and the streams: exponents and planes, or symbols.
    """
    from mcodec.codec import coder

    mode, symbols = 0, None
    if len(planes) == BITS and not planes_only:
        mode, symbols = _join(exponent, planes)
    if search or coder.matches(exponent):
        return _best(exponent, planes, mode, symbols)
    frame, apart = None, 0
    if symbols is not None:
        frame, apart = stored.code_symbols(symbols, coder.ROW_COST, BITS)
    if frame is not None and len(frame) < _ROUNDED * apart:
        return mode, [CodedStream(ZSTD, 0, exponent.size, frame)]
    fields = coder.code_all([exponent, *planes], coder.PLANE, search=False)
    if frame is not None and len(frame) < coder.stored(fields):
        return mode, [CodedStream(ZSTD, 0, exponent.size, frame)]
    return 0, fields


def _best(
    exponent: Bytes, planes: Sequence[Bytes], mode: int, symbols: Bytes | None
) -> tuple[int, list[CodedStream]]:
    """Try fields and symbols at every level that may pay."""
    from mcodec.codec import coder

    coded = [coder.code(plane, coder.PLANE) for plane in planes]
    small = exponent.size <= coder.SMALL
    fields = coder.code(exponent, coder.SYMBOLS if small else coder.ENTROPY)
    if fields.coder == FILL:
        return 0, [fields, *coded]
    if symbols is not None:
        joined = coder.code(symbols, coder.PLANE)
        if len(joined.data) < coder.stored([fields, *coded]):
            return mode, [joined]
    if not small:
        # Where rows repeat a search is worth its time; symbols were searched, and won if they do.
        searched = coder.code(exponent, coder.PLANE)
        fields = min(fields, searched, key=lambda stream: len(stream.data))
    return 0, [fields, *coded]


def _join(exponent: Bytes, planes: Sequence[Bytes]) -> tuple[int, Bytes | None]:
    """Return the mode and symbols of a block, or None if no window holds its exponents."""
    symbols = take(exponent.size)
    high, low = planes
    # The first exponent of a window would need the symbol 0, which is zero's own.
    first = stored.join(exponent, high, low, _LAST, _STEP, symbols)
    return (0, None) if first < 0 else (1 + first // _STEP, symbols)


def recode_top(
    dtype: str,
    mode: int,
    streams: Sequence[CodedStream],
    n: int,
    *,
    planes_only: bool,
    search: bool,
) -> tuple[int, list[CodedStream]]:
    """Code anew what `code_top` coded, as it would with these options.

    Raises
    ------
    FormatError
        A stream is damaged.
    """
    from mcodec.codec import coder

    decoded: Sequence[Stream] = [coder.decode(stream) for stream in streams]
    if mode:
        decoded = separate(dtype, mode, decoded[0], n)
    exponent, *planes = (as_bytes(stream) for stream in decoded)
    return code_top(dtype, exponent, planes, planes_only=planes_only, search=search)


def separate(dtype: str, mode: int, stream: Stream | None, n: int) -> list[Stream]:
    """Return the exponents and the two planes of the symbols of a block of n elements.

    Raises
    ------
    FormatError
        ``stream_invalid``: a symbol stands for an exponent that the dtype does not have.
    """
    import numpy as np

    from mcodec.codec import kernels

    symbols = as_bytes(stream)
    first = first_exponent(mode)
    most = (1 << FLOATS[dtype].exponent) - 1 - first
    if most < _LAST and int(symbols.max(initial=0)) >> BITS > most:
        raise invalid(TOO_WIDE)
    exponent = symbols >> np.uint8(BITS)
    if first:
        exponent += np.uint8(first)
        if not symbols.all():
            exponent *= symbols != 0  # whole passes: an index of zeros takes ten times as long
    planes = empty_planes(BITS, n)
    kernels.bytes_to_planes(symbols, planes)
    return [exponent.data, *(plane.data for plane in planes)]
