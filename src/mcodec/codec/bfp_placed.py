"""Blocks of block floating point that a kernel takes whole, without an object for each plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcodec.codec.magnitudes import SYMBOL_BITS, SYMBOLS
from mcodec.codec.merges import Merges

if TYPE_CHECKING:
    from mcodec.codec.base import View
    from mcodec.codec.bfp import BfpCodec
    from mcodec.codec.exponents import Exponents
    from mcodec.stored.placed import Placed
    from mcodec.types import RunSpec


def can_merge(codec: BfpCodec, run: RunSpec, mode: int, streams: Placed, view: View) -> bool:
    """Whether a block is one tensor's, with all of its planes, and nothing is left to check."""
    if not (streams.plain and view.canonical and codec.signs == "full" and len(run.shapes) == 1):
        return False
    narrow = mode == SYMBOLS and codec.bits < SYMBOL_BITS  # symbols may be wider
    return not narrow and run.elements % 8 == 0


def merge_placed(
    codec: BfpCodec, run: RunSpec, block: int, mode: int, streams: Placed, exponents: Exponents
) -> Merges:
    """Return the merge of such a block."""
    middle = codec.reconstruct == "mid"
    where = streams.memory, streams.offsets[codec.first_magnitude - 1 :], mode == SYMBOLS
    calls = []
    for _, _, scopes, own in codec.scope.parts(run, block, exponents):
        unit = (None, codec.step) if codec.step is not None else (own, None)
        how = codec.bits, middle, scopes.flat, *unit, *where
        calls.append(("placed_bfp", None, run.dtype, how))
    return Merges(tuple(calls))
