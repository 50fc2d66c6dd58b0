"""Differences between two tensors, bit by bit: the arithmetic of the codec delta (design, delta).

Patterns become integers in the order of their numbers: o(u) = u, or ~(u without its sign bit) if
the sign is set, in two's complement of their width W. d = o(value) - o(base) modulo 2^W, as a
signed number; its *length* is the bit length of abs(d), 0 to W. *Classes* part the elements by the
exponent field of the base: min(c - 1, emax - field), with the signs left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mcodec.codec.kernels.switch import impl

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
    Patterns = npt.NDArray[np.unsignedinteger[Any]]
    Counts = npt.NDArray[np.int64]


def delta_lengths(base: Patterns, values: Patterns, out: Bytes) -> None:
    """Find the length of each difference.

    Parameters
    ----------
    base, values
        Patterns of one width W of 16, 32 or 64 bits, shape (n,).
    out
        Written: lengths, 0 to W, shape (n,).
    """
    impl().delta_lengths(base, values, out)


def pack_delta(base: Patterns, values: Patterns, lengths: Bytes, packed: Sequence[Bytes]) -> None:
    """Write the bits of the differences that their lengths leave open.

    Parameters
    ----------
    base, values
        As in `delta_lengths`.
    lengths
        What `delta_lengths` gives, shape (n,).
    packed
        Written, W arrays: low.k for k from W - 2 down to 0, bit k of abs(d) of the elements whose
        length is above k + 1; then the signs of those whose length is above 0. In the order of the
        elements, from bit 0 of byte 0 on, ceil(count / 8) bytes each (see `count_above`), and the
        bits past the last are zero.
    """
    impl().pack_delta(base, values, lengths, packed)


def merge_delta(base: Patterns, lengths: Bytes, packed: Sequence[Bytes], out: Patterns) -> None:
    """Add differences to a base: the inverse of `pack_delta`.

    Parameters
    ----------
    base, packed
        As in `pack_delta`. Any bits are a difference, and bits past the last are ignored.
    lengths
        0 to W each, which the caller has checked, shape (n,).
    out
        Written: patterns of the width of the base, shape (n,).
    """
    impl().merge_delta(base, lengths, packed, out)


def count_above(lengths: Bytes, most: int) -> Counts:
    """Count, for k from 0 to ``most`` - 1, the lengths above k.

    Parameters
    ----------
    lengths
        Any bytes, shape (n,).
    most
        0 to 256.

    Returns
    -------
    numpy.ndarray
        int64, shape (most,).
    """
    return np.array(impl().count_above(lengths, most), np.int64)


def max_exponent(dtype: str, base: Patterns) -> int:
    """Return the largest exponent field of patterns; 0 if there are none."""
    return int(impl().max_exponent(dtype, base))


def count_classes(dtype: str, base: Patterns, emax: int, count: int) -> list[int]:
    """Count the elements of each class.

    Parameters
    ----------
    dtype
        ``float16``, ``bfloat16``, ``float32`` or ``float64``.
    base
        Patterns, shape (n,).
    emax
        An exponent field; one that is larger counts as this one.
    count
        Classes: 1, 2, 4, 8 or 16.

    Returns
    -------
    list of int
        ``count`` numbers.
    """
    found: list[int] = impl().count_classes(dtype, base, emax, count)
    return found


def split_classes(
    dtype: str, base: Patterns, emax: int, lengths: Bytes, streams: Sequence[Bytes]
) -> None:
    """Part the lengths by the class of their element, in order.

    Parameters
    ----------
    dtype, base, emax
        As in `count_classes`.
    lengths
        Shape (n,).
    streams
        Written: one array a class, of the sizes that `count_classes` gives.
    """
    impl().split_classes(dtype, base, emax, lengths, streams)


def merge_classes(
    dtype: str, base: Patterns, emax: int, streams: Sequence[Bytes], out: Bytes
) -> None:
    """Bring the lengths into the order of the elements: the inverse of `split_classes`.

    Parameters
    ----------
    dtype, base, emax, streams
        As in `split_classes`.
    out
        Written: lengths, shape (n,).
    """
    impl().merge_classes(dtype, base, emax, streams, out)
