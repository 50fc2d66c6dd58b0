"""Masks: which elements are there, their bits and values packed, and their positions as gaps.

A *mask* is a plane (see `mcodec.codec.kernels`) whose bits past the last element are zero; its
*count* is the number of its ones. Packed bits lie from bit 0 of byte 0 on, and the bits past the
last are written as zero and ignored when read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mcodec.codec.kernels.checks import check_mask, require
from mcodec.codec.kernels.switch import impl

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
    Patterns = npt.NDArray[np.unsignedinteger[Any]]


def count_bits(plane: Bytes) -> int:
    """Count the ones of a plane, shape (L,)."""
    return int(impl().count_bits(plane))


def nonzero_plane(values: Patterns, out: Bytes) -> None:
    """Mark the elements whose pattern is not zero: -0.0 and NaN are marked.

    Parameters
    ----------
    values
        Patterns of 1, 2, 4 or 8 bytes, shape (n,).
    out
        Written: a plane, shape (L,).
    """
    impl().nonzero_plane(values, out)


def gather_bits(mask: Bytes, plane: Bytes, out: Bytes) -> None:
    """Pack the bits of a plane whose place is set in the mask, in order.

    Parameters
    ----------
    mask, plane
        Planes of one shape (L,).
    out
        Written: packed bits, shape (ceil(count / 8),).
    """
    impl().gather_bits(mask, plane, out)


def spread_bits(mask: Bytes, packed: Bytes, out: Bytes) -> None:
    """Put packed bits where the mask is set, and zeros elsewhere: the inverse of `gather_bits`.

    Parameters
    ----------
    mask
        A plane, shape (L,).
    packed
        Shape (ceil(count / 8),).
    out
        Written: a plane, shape (L,).
    """
    impl().spread_bits(mask, packed, out)


def gather_elements(mask: Bytes, values: Patterns, out: Patterns) -> None:
    """Take the elements whose place is set in the mask, in order.

    Parameters
    ----------
    mask
        A plane, shape (L,).
    values
        Patterns of 1, 2, 4 or 8 bytes, shape (n,).
    out
        Written: patterns of the same size, shape (count,).
    """
    impl().gather_elements(mask, values, out)


def spread_elements(mask: Bytes, packed: Patterns, out: Patterns) -> None:
    """Put elements where the mask is set, and zeros elsewhere: the inverse of `gather_elements`.

    Parameters
    ----------
    mask
        A plane, shape (L,).
    packed
        Patterns of 1, 2, 4 or 8 bytes, shape (count,).
    out
        Written: patterns of the same size, shape (n,).
    """
    impl().spread_elements(mask, packed, out)


def mask_elements(mask: Bytes, base: Patterns, out: Patterns, signed: bool) -> None:
    """Keep the elements whose place is set in the mask, and put zeros elsewhere (design, mask).

    Parameters
    ----------
    mask
        A plane, shape (L,).
    base
        Patterns of 1, 2, 4 or 8 bytes, shape (n,).
    out
        Written: patterns of the same size, shape (n,).
    signed
        Zeros keep the top bit of the base, as w * 0.0 does.
    """
    impl().mask_elements(mask, base, out, signed)


def gaps_to_plane(high: Bytes, low: Sequence[Bytes | None], out: Bytes, n: int) -> int:
    """Decode positions that are stored as gaps to a mask (design, csr).

    A byte 255 of ``high`` adds 255 to the high part of the gap that the next other byte ends. With
    k planes in ``low``, a gap is its high part times 2^k plus its low bits; the position is that of
    the element before, plus one, plus the gap. Any bytes may come in; nothing outside ``out`` is
    written.

    Parameters
    ----------
    high
        Shape (m,).
    low
        Up to eight planes, from the top down, over the bytes of ``high`` other than 255, which the
        caller has counted. None is a plane of zeros.
    out
        Written: a plane, shape (L,).
    n
        Elements of the mask, at most 2^31.

    Returns
    -------
    int
        The count of the mask; -1, and ``out`` then holds anything, if a position is n or more, or
        if the last byte is 255.
    """
    return int(impl().gaps_to_plane(high, low, out, n))


def plane_to_gaps(mask: Bytes, n: int, k: int) -> tuple[Bytes, list[Bytes]]:
    """Encode the positions of a mask as gaps: the inverse of `gaps_to_plane`.

    Parameters
    ----------
    mask
        A plane, shape (L,), of n elements.
    n
        Elements of the mask.
    k
        Low bits of a gap, 0 to 8.

    Returns
    -------
    tuple
        ``high``, and the k planes of ``low``.
    """
    require(0 <= k <= 8, "k: must be 0 to 8")
    positions = np.flatnonzero(np.unpackbits(check_mask(mask, n), count=n, bitorder="little"))
    gaps = np.diff(positions, prepend=-1) - 1
    escapes, rest = np.divmod(gaps >> k, 255)
    ends = np.arange(gaps.size) + np.cumsum(escapes)
    high = np.full(gaps.size + int(escapes.sum()), 255, np.uint8)
    high[ends] = rest
    low = [
        np.packbits((gaps >> bit & 1).astype(np.uint8), bitorder="little")
        for bit in range(k - 1, -1, -1)
    ]
    return high, low
