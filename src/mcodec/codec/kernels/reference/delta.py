"""Differences between two tensors: lengths, bits, and classes by the exponent of the base."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mcodec.codec.kernels.checks import check_elements, check_format, check_size, require

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
    Patterns = npt.NDArray[np.unsignedinteger[Any]]


# --- differences ---


def _width(values: Patterns, name: str) -> int:
    check_elements(values, name)
    require(values.itemsize > 1, f"{name}: must be patterns of 16, 32 or 64 bits")
    return 8 * values.itemsize


def _flipped(patterns: Patterns) -> Patterns:
    """Patterns to two's complement in the order of their numbers, and back: it is its inverse."""
    top = patterns.dtype.type(1 << (8 * patterns.itemsize - 1))
    return np.where(patterns & top, ~patterns | top, patterns)


def _difference(base: Patterns, values: Patterns) -> tuple[Patterns, npt.NDArray[np.bool_]]:
    """Return |d|, and where d is negative."""
    difference = _flipped(values) - _flipped(base)
    negative = difference >> difference.dtype.type(8 * difference.itemsize - 1) != 0
    return np.where(negative, ~difference + difference.dtype.type(1), difference), negative


def _check_pair(base: Patterns, other: Patterns, name: str) -> int:
    width = _width(base, "base")
    check_elements(other, name, base.itemsize)
    check_size(other, base.size, name)
    return width


def delta_lengths(base: Patterns, values: Patterns, out: Bytes) -> None:
    """See `mcodec.codec.kernels.delta_lengths`."""
    _check_pair(base, values, "values")
    check_size(out, base.size, "out")
    left = _difference(base, values)[0].astype(np.uint64)
    out[:] = 0
    for step in (32, 16, 8, 4, 2, 1):
        large = left >= np.uint64(1 << step)
        out[large] += np.uint8(step)
        left[large] >>= np.uint64(step)
    out += left.astype(np.uint8)


def _check_packed(packed: Sequence[Bytes], lengths: Bytes, n: int, width: int) -> None:
    require(len(packed) == width, f"packed: there must be {width}")
    check_size(lengths, n, "lengths")
    above = [*count_above(lengths, width)[:0:-1], count_above(lengths, 1)[0]]
    for array, count in zip(packed, above, strict=True):
        check_size(array, (count + 7) // 8, "packed")


def pack_delta(base: Patterns, values: Patterns, lengths: Bytes, packed: Sequence[Bytes]) -> None:
    """See `mcodec.codec.kernels.pack_delta`."""
    width = _check_pair(base, values, "values")
    _check_packed(packed, lengths, base.size, width)
    size, negative = _difference(base, values)
    for out, bit in zip(packed, range(width - 2, -1, -1), strict=False):
        chosen = size[lengths > bit + 1] >> size.dtype.type(bit) & size.dtype.type(1)
        out[:] = np.packbits(chosen.astype(np.uint8), bitorder="little")
    packed[-1][:] = np.packbits(negative[lengths > 0], bitorder="little")


def merge_delta(base: Patterns, lengths: Bytes, packed: Sequence[Bytes], out: Patterns) -> None:
    """See `mcodec.codec.kernels.merge_delta`."""
    width = _check_pair(base, out, "out")
    _check_packed(packed, lengths, base.size, width)
    size = np.zeros_like(base)
    for plane, bit in zip(packed, range(width - 2, -1, -1), strict=False):
        size[lengths == bit + 2] |= size.dtype.type(2 << bit)
        _add_bits(size, lengths > bit + 1, plane, bit)
    size[lengths == 1] = 1
    sign = np.zeros_like(base)
    _add_bits(sign, lengths > 0, packed[-1], 0)
    out[:] = _flipped(_flipped(base) + np.where(sign, ~size + size.dtype.type(1), size))


def _add_bits(to: Patterns, where: npt.NDArray[np.bool_], packed: Bytes, bit: int) -> None:
    bits = np.unpackbits(packed, count=int(np.count_nonzero(where)), bitorder="little")
    to[where] |= bits.astype(to.dtype) << to.dtype.type(bit)


def count_above(lengths: Bytes, most: int) -> list[int]:
    """See `mcodec.codec.kernels.count_above`."""
    require(0 <= most <= 256, "most: must be 0 to 256")
    histogram = np.bincount(lengths, minlength=256)
    above: list[int] = (lengths.size - np.cumsum(histogram)).tolist()
    return above[:most]


# --- classes ---


def _fields(dtype: str, base: Patterns) -> npt.NDArray[np.int64]:
    fmt = check_format(dtype, base, "base")
    field = base >> base.dtype.type(fmt.mantissa) & base.dtype.type((1 << fmt.exponent) - 1)
    return field.astype(np.int64)


def _classes(dtype: str, base: Patterns, emax: int, count: int) -> npt.NDArray[np.int64]:
    require(count in {1, 2, 4, 8, 16}, "classes: there must be 1, 2, 4, 8 or 16")
    require(0 <= emax < 1 << 11, "emax: must be an exponent field")
    return np.clip(emax - _fields(dtype, base), 0, count - 1)


def max_exponent(dtype: str, base: Patterns) -> int:
    """See `mcodec.codec.kernels.max_exponent`."""
    return int(_fields(dtype, base).max(initial=0))


def count_classes(dtype: str, base: Patterns, emax: int, count: int) -> list[int]:
    """See `mcodec.codec.kernels.count_classes`."""
    found: list[int] = np.bincount(_classes(dtype, base, emax, count), minlength=count).tolist()
    return found


def split_classes(
    dtype: str, base: Patterns, emax: int, lengths: Bytes, streams: Sequence[Bytes]
) -> None:
    """See `mcodec.codec.kernels.split_classes`."""
    check_size(lengths, base.size, "lengths")
    for place, stream in _places(dtype, base, emax, streams):
        stream[:] = lengths[place]


def merge_classes(
    dtype: str, base: Patterns, emax: int, streams: Sequence[Bytes], out: Bytes
) -> None:
    """See `mcodec.codec.kernels.merge_classes`."""
    check_size(out, base.size, "out")
    for place, stream in _places(dtype, base, emax, streams):
        out[place] = stream


def _places(
    dtype: str, base: Patterns, emax: int, streams: Sequence[Bytes]
) -> list[tuple[npt.NDArray[np.bool_], Bytes]]:
    classes = _classes(dtype, base, emax, len(streams))
    places = [classes == i for i in range(len(streams))]
    for place, stream in zip(places, streams, strict=True):
        check_size(stream, int(np.count_nonzero(place)), "streams")
    return list(zip(places, streams, strict=True))
