"""Positions of the elements that are not zero: a mask, or gaps (spec/codecs/csr.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mcodec.codec.streams import as_bytes, as_plane, invalid, plane_bytes
from mcodec.types import StreamSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from mcodec.codec.streams import Stream
    from mcodec.types import CodedStream, RunSpec

    Mask = NDArray[np.uint8]  # a plane

MASK: Final = 0  # forms; 1 + k is gaps with k low bits
GAPS: Final = 1
_MOST_LOW: Final = 8
_ESCAPE: Final = 255
# Bits of the mean gap that are left to the high parts, which are entropy-coded; the rest is low
# bits. Few suit short streams, whose tables weigh most; more come closer to the entropy.
_HIGH_BITS: Final = (2, 4, 7)
_SLOWER: Final = 64  # gaps are read several times slower than a mask: they save a part of so many


def specs(form: int, n: int, count: int | None = None) -> tuple[StreamSpec, ...] | None:
    """Return the streams of a form for a block of n elements; None for a form that is not there.

    Parameters
    ----------
    form, n
        Of which block.
    count
        Its stored elements, where they have been counted.
    """
    if form == MASK:
        return (StreamSpec("mask", plane_bytes(n)),)
    if not GAPS <= form <= GAPS + _MOST_LOW:
        return None
    length = plane_bytes(n if count is None else count)
    low = (
        StreamSpec(f"gap.low.{bit}", length, variable=True, counted=True)
        for bit in range(form - GAPS - 1, -1, -1)
    )
    return (StreamSpec("gap", n, variable=True), *low)


def streams_of(form: int) -> int:
    """Return how many streams a form has."""
    return 1 if form == MASK else form


def count(form: int, streams: Sequence[Stream | None], n: int) -> int:
    """Return how many elements of a block of n are stored; only the first stream is looked at.

    Raises
    ------
    FormatError
        ``stream_invalid``: a mask has bits past its last element.
    """
    import numpy as np

    from mcodec.codec import kernels

    if form != MASK:
        return int(np.count_nonzero(as_bytes(streams[0]) != _ESCAPE))
    plane = as_plane(streams[0], n)
    return 0 if plane is None else kernels.count_bits(plane)


def read(form: int, streams: Sequence[Stream | None], run: RunSpec, block: int) -> tuple[Mask, int]:
    """Return the mask of a block, and the count of its stored elements.

    Parameters
    ----------
    form, streams
        As they are in the file, of the lengths that `specs` gives for the count.
    run, block
        Where.

    Raises
    ------
    FormatError
        ``stream_invalid``: a position is past the block or between two members, or the last gap
        has no end.
    """
    import numpy as np

    from mcodec.codec import kernels

    first, last = run.span(block)
    n = last - first
    stored = count(form, streams, n)
    if form == MASK:
        plane = as_plane(streams[0], n)
        mask = np.zeros(plane_bytes(n), np.uint8) if plane is None else plane
    else:
        mask = np.empty(plane_bytes(n), np.uint8)
        low = [as_plane(stream, stored) for stream in streams[1 : streams_of(form)]]
        if kernels.gaps_to_plane(as_bytes(streams[0]), low, mask, n) != stored:
            raise invalid("a position is past the block's last element, or the last gap has no end")
    if len(run.shapes) > 1:
        _check_gaps(run, block, mask)
    return mask, stored


def _check_gaps(run: RunSpec, block: int, mask: Mask) -> None:
    """Refuse positions between members: the bits behind a member in the last byte that it has."""
    import numpy as np

    first, last = run.span(block)
    ends = np.add(run.starts, run.sizes)
    ends = ends[(ends % 8 > 0) & (ends > first) & (ends < last)] - first
    if (mask[ends // 8] >> (ends % 8).astype(np.uint8)).any():
        raise invalid("a position lies in the gap between two members")


def code(mask: Mask, n: int, stored: int) -> tuple[int, list[CodedStream]]:
    """Return the form that is smallest for a mask of n elements, and its coded streams.

    Gaps have to be smaller than the mask by a part of `_SLOWER`.

    Parameters
    ----------
    mask
        Contiguous; the result may keep a view of it.
    n, stored
        Its elements, and how many of them are set.
    """
    from mcodec.codec import coder, kernels

    form, best = MASK, [coder.code(mask, coder.SYMBOLS)]
    if 2 * stored > n or not best[0].data:  # gaps are no shorter than a bit an element, or nothing
        return form, best
    most = coder.stored(best)
    most -= most // _SLOWER
    mean = ((n - stored) // stored).bit_length()
    for k in sorted({min(max(0, mean - high), _MOST_LOW) for high in _HIGH_BITS}):
        high, low = kernels.plane_to_gaps(mask, n, k)
        coded = [coder.code(high, coder.SYMBOLS)]
        coded += [coder.code(plane, coder.PLANE) for plane in low]
        if coder.stored(coded) < most:
            form, best, most = GAPS + k, coded, coder.stored(coded)
    return form, best


def indices(mask: Mask, n: int) -> NDArray[Any]:
    """Return the positions of a mask, rising."""
    import numpy as np

    return np.flatnonzero(np.unpackbits(mask, count=n, bitorder="little"))
