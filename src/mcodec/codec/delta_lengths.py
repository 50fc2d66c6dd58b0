"""The lossless delta of a block: lengths by class, the bits below, signs (spec/codecs/delta.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mcodec.codec import coder, kernels
from mcodec.codec.streams import as_bytes, as_plane, invalid, plane_bytes
from mcodec.types import FLOATS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mcodec.codec.base import Coded
    from mcodec.codec.streams import Stream
    from mcodec.types import CodedStream

_FINEST: Final = 4  # mode of 16 classes
_TRIED: Final = 2  # modes that are coded, to see what they really take
_CHUNK_COST: Final = 36  # a stream of lengths is a chunk: its row, and half of an alignment
_TABLE_COST: Final = 24  # of a frame: its header, and how its symbols are coded


def encode(dtype: str, base: NDArray[Any], values: NDArray[Any]) -> Coded:
    """Return the mode and the streams of one block.

    Parameters
    ----------
    dtype
        A float dtype.
    base, values
        Patterns of its width, of equal size.
    """
    width = FLOATS[dtype].width
    lengths = np.empty(base.size, np.uint8)
    kernels.delta_lengths(base, values, lengths)
    mode, streams = _cheapest(dtype, base, lengths)
    above = kernels.count_above(lengths, width).tolist()
    packed = [np.empty(plane_bytes(count), np.uint8) for count in [*above[:0:-1], above[0]]]
    kernels.pack_delta(base, values, lengths, packed)
    return mode, [*streams, *coder.code_planes(packed, base.size)]


def _cheapest(
    dtype: str, base: NDArray[Any], lengths: NDArray[np.uint8]
) -> tuple[int, list[CodedStream]]:
    """Code the lengths in the classes that take the fewest bytes."""
    emax = kernels.max_exponent(dtype, base)
    finest = _split(dtype, base, emax, lengths, _FINEST)
    tables = np.stack([np.bincount(part, minlength=FLOATS[dtype].width + 1) for part in finest])
    costs = [_estimate(_merged(tables, 1 << mode)) for mode in range(_FINEST + 1)]
    best: tuple[int, int, list[CodedStream]] | None = None
    for mode in sorted(sorted(range(_FINEST + 1), key=costs.__getitem__)[:_TRIED]):
        parts = finest if mode == _FINEST else _split(dtype, base, emax, lengths, mode)
        streams = [coder.code_symbols(part) for part in parts]
        size = coder.stored(streams) + _CHUNK_COST * len(streams)
        if best is None or size < best[0]:
            best = size, mode, streams
    assert best is not None
    return best[1], best[2]


def _split(
    dtype: str, base: NDArray[Any], emax: int, lengths: NDArray[np.uint8], mode: int
) -> list[NDArray[np.uint8]]:
    """Part the lengths by class."""
    if mode == 0:
        return [lengths]
    sizes = kernels.count_classes(dtype, base, emax, 1 << mode)
    parts = [np.empty(size, np.uint8) for size in sizes]
    kernels.split_classes(dtype, base, emax, lengths, parts)
    return parts


def _merged(tables: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Return the histograms of fewer classes: the last one takes all that follow."""
    return np.concatenate([tables[: classes - 1], tables[classes - 1 :].sum(axis=0, keepdims=True)])


def _estimate(tables: NDArray[np.int64]) -> float:
    """Return the bytes that lengths of these histograms, one a class, will take or so."""
    totals = tables.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = np.where(tables > 0, tables * np.log2(totals / tables), 0.0).sum()
    return float(bits) / 8 + len(tables) * _CHUNK_COST + int((totals > 0).sum()) * _TABLE_COST


def counts(dtype: str, lengths: Sequence[NDArray[np.uint8]], n: int) -> list[int]:
    """Return how many bits each counted stream has, of the lengths of n differences, by class.

    Raises
    ------
    FormatError
        ``stream_invalid``: they are not n, or one is above the width.
    """
    width = FLOATS[dtype].width
    above = [0] * (width + 1)
    for part in lengths:
        found = kernels.count_above(part, width + 1).tolist()
        above = [a + b for a, b in zip(above, found, strict=True)]
    if sum(part.size for part in lengths) != n or above[width]:
        raise invalid("the lengths of the differences are not those of the block")
    return [*above[width - 1 : 0 : -1], above[0]]


def decode(
    dtype: str,
    mode: int,
    streams: Sequence[Stream | None],
    base: NDArray[Any],
    out: NDArray[Any],
) -> None:
    """Decode a block of lossless differences."""
    first = 1 << mode
    parts = [as_bytes(stream) for stream in streams[:first]]
    bits = counts(dtype, parts, base.size)
    lengths = parts[0]
    if mode:
        emax = kernels.max_exponent(dtype, base)
        lengths = np.empty(base.size, np.uint8)
        try:  # it counts the classes on its way: once is enough
            kernels.merge_classes(dtype, base, emax, parts, lengths)
        except ValueError:
            message = "the classes of the differences are not those of the base"
            raise invalid(message) from None
    packed = []
    for stream, count in zip(streams[first:], bits, strict=True):
        plane = as_plane(stream, count)
        packed.append(np.zeros(plane_bytes(count), np.uint8) if plane is None else plane)
    kernels.merge_delta(base, lengths, packed, out)
