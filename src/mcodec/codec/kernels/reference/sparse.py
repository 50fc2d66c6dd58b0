"""Masks: elements and bits taken out of arrays and put back, and positions as gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mcodec.codec.kernels.checks import (
    check_elements,
    check_mask,
    check_planes,
    check_size,
    require,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
    Patterns = npt.NDArray[np.unsignedinteger[Any]]
    Truths = npt.NDArray[np.bool_]

_ESCAPE: Final = 255


def _bits(plane: Bytes, count: int | None = None) -> Truths:
    return np.unpackbits(plane, count=count, bitorder="little").view(np.bool_)


def _pack(bits: Truths, out: Bytes) -> None:
    out[:] = np.packbits(bits, bitorder="little")


def count_bits(plane: Bytes) -> int:
    """See `mcodec.codec.kernels.count_bits`."""
    return int(np.count_nonzero(_bits(plane)))


def nonzero_plane(values: Patterns, out: Bytes) -> None:
    """See `mcodec.codec.kernels.nonzero_plane`."""
    check_elements(values, "values")
    check_planes([out], values.size, 1, 1)
    _pack(values != 0, out)


def gather_bits(mask: Bytes, plane: Bytes, out: Bytes) -> None:
    """See `mcodec.codec.kernels.gather_bits`."""
    bits = _bits(mask)
    check_size(plane, mask.size, "plane")
    check_size(out, (int(np.count_nonzero(bits)) + 7) // 8, "out")
    _pack(_bits(plane)[bits], out)


def spread_bits(mask: Bytes, packed: Bytes, out: Bytes) -> None:
    """See `mcodec.codec.kernels.spread_bits`."""
    bits = _bits(mask)
    count = int(np.count_nonzero(bits))
    check_size(packed, (count + 7) // 8, "packed")
    check_size(out, mask.size, "out")
    spread = np.zeros(bits.size, np.bool_)
    spread[bits] = _bits(packed, count)
    _pack(spread, out)


def gather_elements(mask: Bytes, values: Patterns, out: Patterns) -> None:
    """See `mcodec.codec.kernels.gather_elements`."""
    check_elements(values, "values")
    check_elements(out, "out", values.itemsize)
    bits = _bits(check_mask(mask, values.size), values.size)
    check_size(out, int(np.count_nonzero(bits)), "out")
    out[:] = values[bits]


def spread_elements(mask: Bytes, packed: Patterns, out: Patterns) -> None:
    """See `mcodec.codec.kernels.spread_elements`."""
    check_elements(out, "out")
    check_elements(packed, "packed", out.itemsize)
    bits = _bits(check_mask(mask, out.size), out.size)
    check_size(packed, int(np.count_nonzero(bits)), "packed")
    out[:] = 0
    out[bits] = packed


def mask_elements(mask: Bytes, base: Patterns, out: Patterns, signed: bool) -> None:
    """See `mcodec.codec.kernels.mask_elements`."""
    check_elements(base, "base")
    check_elements(out, "out", base.itemsize)
    check_size(out, base.size, "out")
    bits = _bits(check_mask(mask, base.size), base.size)
    sign = base.dtype.type((1 << (8 * base.itemsize - 1)) if signed else 0)
    out[:] = np.where(bits, base, base & sign)


def gaps_to_plane(high: Bytes, low: Sequence[Bytes | None], out: Bytes, n: int) -> int:
    """See `mcodec.codec.kernels.gaps_to_plane`."""
    require(n <= 1 << 31, "n: must be at most 2^31")
    ends = np.flatnonzero(high != _ESCAPE)
    check_planes(low, ends.size, 0, 8)
    check_size(out, (n + 7) // 8, "out")
    if high.size and high[-1] == _ESCAPE:
        return -1
    # at most 2^8 * 255 a byte: no sum of what fits in a memory comes near 2^63
    sums = np.cumsum(high, dtype=np.int64)[ends]
    gaps = np.diff(sums, prepend=0)
    for plane in low:
        bits = 0 if plane is None else _bits(plane, ends.size)
        gaps = 2 * gaps + bits
    positions = np.cumsum(gaps + 1) - 1
    if positions.size and positions[-1] >= n:
        return -1
    found = np.zeros(n, np.bool_)
    found[positions] = True
    _pack(found, out)
    return int(ends.size)
