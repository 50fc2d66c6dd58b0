"""How rounded tensors are coded in a `.mc` file: as integers, and without their zeros if that pays.

What is packed are the numbers before rounding: the codec rounds them, by the same arithmetic, and
the file's certificate has the error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcodec.api.choosing import cut
from mcodec.api.planning import Options
from mcodec.api.trial import SPARSE, sample
from mcodec.api.values import Values
from mcodec.codec.csr import CsrCodec
from mcodec.codec.int8 import Int8Codec
from mcodec.codec.planfile import Plan
from mcodec.engine import map_ordered

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Executor

    from mcodec.api.rounding import Rounding
    from mcodec.codec.base import Codec
    from mcodec.formats.base import TensorSource


def choose_integer_codecs(
    model: TensorSource, roundings: Mapping[int, Rounding], executor: Executor | None
) -> dict[int, Codec]:
    """Return ``int8`` or ``csr(values=int8)`` for each tensor, whichever makes it really smaller.

    Parameters
    ----------
    model
    roundings
        By tensor.
    executor
        Threads, or None.
    """
    values = Values([model], [{}])

    def choose(item: tuple[int, Rounding]) -> tuple[int, Codec]:
        index, rounding = item
        dense = Int8Codec(rounding.scope)
        if rounding.zeros_before <= SPARSE * rounding.tensor.size:
            return index, dense
        blocks = sample(values, [(0, index)])
        sparse = cut(CsrCodec(dense), model.format, len(rounding.tensor.shape))
        costs = [blocks.cost(codec, surveys=[rounding.scales]) for codec in (dense, sparse)]
        return index, sparse if costs[1] < costs[0] else dense

    return dict(map_ordered(executor, choose, roundings.items()))


def coded_as(codecs: Mapping[str, Codec]) -> Options:
    """Return how to pack a model: tensors of these names so, the others as small as can be.

    Parameters
    ----------
    codecs
        By the names of tensors.
    """
    return Options((None,), plan=_Named(codecs), auto=True, force=True)


class _Named(Plan):
    """Codecs by the very names of tensors."""

    def __init__(self, named: Mapping[str, Codec]) -> None:
        super().__init__()
        self._named = named

    def codec(self, task: str, name: str) -> Codec | None:
        """Return the codec that a tensor gets, or None."""
        return self._named.get(name)
