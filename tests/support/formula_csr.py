"""Positions of sparse tensors in whole numbers (spec/codecs/csr.md): shares no code with mcodec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mcodec.types import FLOATS, numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

FORMS = range(10)  # a mask, and gaps with none to eight low bits


def pack_bits(bits: Sequence[int]) -> bytes:
    """Put bits into bytes, the first into the lowest bit."""
    found = bytearray(-(-len(bits) // 8))
    for place, bit in enumerate(bits):
        found[place // 8] |= bit << place % 8
    return bytes(found)


def write(positions: Sequence[int], n: int, form: int) -> list[bytes]:
    """Return the streams of positions in a form."""
    if form == 0:
        there = set(positions)
        return [pack_bits([int(place in there) for place in range(n)])]
    k = form - 1
    gaps = [b - a - 1 for a, b in zip([-1, *positions], positions, strict=False)]
    high = b"".join(b"\xff" * (gap // 2**k // 255) + bytes([gap // 2**k % 255]) for gap in gaps)
    return [high, *(pack_bits([gap >> bit & 1 for gap in gaps]) for bit in range(k - 1, -1, -1))]


def read(streams: Sequence[bytes], n: int, form: int) -> list[int]:
    """Return the positions that the streams of a form hold."""
    if form == 0:
        return [place for place in range(n) if streams[0][place // 8] >> place % 8 & 1]
    found: list[int] = []
    position, high = -1, 0
    for byte in streams[0]:
        high += byte
        if byte < 255:
            place, low = len(found), 0
            for plane in streams[1:form]:
                low = 2 * low + (plane[place // 8] >> place % 8 & 1)
            position += 1 + high * 2 ** (form - 1) + low
            found.append(position)
            high = 0
    return found


def sparse(
    dtype: str, shape: tuple[int, ...], zeros: float, seed: int, *, finite: bool = False
) -> NDArray[Any]:
    """Make an array of any patterns, or of any finite numbers, of which a share is zero."""
    rng = np.random.default_rng(seed)
    form = FLOATS[dtype]
    size = int(np.prod(shape, dtype=np.int64))
    bits = rng.integers(0, 2**form.width - 1, size, np.uint64, endpoint=True)
    infinity = ((1 << form.exponent) - 1) << form.mantissa
    special = (1 << (form.width - 1), 1, infinity, infinity | 1)  # -0.0, the least, NaN
    bits[rng.permutation(size)[:4]] = special[:size]
    if finite:  # a field of one less than all ones at most
        bits &= ~(np.uint64(1) << np.uint64(form.mantissa))
    bits[rng.random(size) < zeros] = 0
    patterns = bits.astype(f"<u{form.width // 8}")
    array: NDArray[Any] = patterns.view(numpy_dtype(dtype)).reshape(shape)
    return array


def rows_of(array: NDArray[Any], split: int) -> Iterator[list[tuple[int, Any]]]:
    """Yield for each row of an array as a matrix its columns and values that are not zero."""
    shape = array.shape
    rows = int(np.prod(shape[:split])) if array.ndim > 1 else 1
    unsigned = f"<u{array.dtype.itemsize}"
    matrix = array.reshape(rows, array.size // rows if rows else 0)
    for row in matrix:
        there = np.flatnonzero(row.view(unsigned))
        yield [(int(place), row[place]) for place in there]
