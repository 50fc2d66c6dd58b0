"""Blocks of block floating point as others need them: in the other mode, or as a dither."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcodec.codec import coder
from mcodec.codec.bfp import BfpCodec
from mcodec.codec.magnitudes import (
    PLANES,
    SYMBOL_BITS,
    SYMBOLS,
    code_top,
    magnitude_planes,
)
from mcodec.codec.streams import as_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcodec.codec.base import Partner
    from mcodec.codec.magnitudes import Plane
    from mcodec.types import CodedStream, RunSpec


def without_symbols(
    codec: BfpCodec, run: RunSpec, block: int, coded: Sequence[CodedStream]
) -> tuple[int, list[CodedStream]]:
    """Code a block of mode 1 anew as planes, and return the mode and the streams.

    Raises
    ------
    FormatError
        The stream of symbols is damaged.
    """
    start, stop = run.span(block)
    first = codec.first_magnitude
    planes = magnitude_planes(SYMBOLS, [coder.decode(coded[first])], codec.bits, stop - start)
    new = coder.code_planes([plane for plane in planes if plane is not None], stop - start)
    return PLANES, [*coded[:first], *new, *coded[first + 1 :]]


def with_symbols(
    codec: BfpCodec, run: RunSpec, block: int, coded: Sequence[CodedStream]
) -> tuple[int, list[CodedStream]]:
    """Code a block of mode 0 anew where `BfpCodec.encode` would have taken symbols.

    Raises
    ------
    FormatError
        A stream is damaged.
    """
    start, stop = run.span(block)
    first = codec.first_magnitude
    magnitudes = list(coded[first:])
    planes = [as_bytes(coder.decode(stream)) for stream in magnitudes[:SYMBOL_BITS]]
    mode, top = code_top(planes, stop - start)
    return mode, [*coded[:first], *top, *magnitudes[SYMBOL_BITS:]]


def noise(partner: Partner, n: int, room: int) -> list[Plane]:
    """Return the top planes of the next task of the pair, as many as fit below ours."""
    codec = partner.codec
    assert isinstance(codec, BfpCodec)  # runs of a pair have one codec id
    streams = partner.streams[codec.first_magnitude :]
    return magnitude_planes(partner.mode, streams, codec.bits, n)[:room]
