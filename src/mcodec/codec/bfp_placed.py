"""Blocks of block floating point that a kernel takes whole, without an object for each plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcodec.codec.magnitudes import SYMBOL_BITS, SYMBOLS
from mcodec.codec.merges import Merges

if TYPE_CHECKING:
    from mcodec.codec.base import View
    from mcodec.codec.bfp import BfpCodec
    from mcodec.codec.exponents import Exponents
    from mcodec.codec.merges import Call
    from mcodec.stored.placed import Placed
    from mcodec.types import RunSpec


def can_merge(codec: BfpCodec, run: RunSpec, mode: int, streams: Placed, view: View) -> bool:
    """Whether a block has all of its planes in one memory, and nothing is left to check."""
    if not (streams.plain and view.canonical and codec.signs == "full"):
        return False
    if mode == SYMBOLS and not (
        codec.bits >= SYMBOL_BITS and streams.symbols(codec.first_magnitude)
    ):
        return False  # fewer bits: symbols may be wider
    return run.elements % 8 == 0


def merge_placed(
    codec: BfpCodec, run: RunSpec, block: int, mode: int, streams: Placed, exponents: Exponents
) -> Merges:
    """Return the merges of such a block, one a member."""
    middle, several = codec.reconstruct == "mid", len(run.shapes) > 1
    where = streams.memory, streams.offsets[codec.first_magnitude - 1 :], mode == SYMBOLS
    calls: list[Call] = []
    for start, stop, scopes, own in codec.scope.parts(run, block, exponents):
        unit = (None, codec.step) if codec.step is not None else (own, None)
        how = codec.bits, middle, scopes.flat, *unit, *where, start
        calls.append(("placed_bfp", slice(start, stop) if several else None, run.dtype, how))
    return Merges(tuple(calls), gaps=several)
