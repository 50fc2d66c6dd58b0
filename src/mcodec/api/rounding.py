"""Tensors rounded to 8-bit integers under scales (paper 003, equations 2 and 3), block by block.

The arithmetic is that of the codec int8 (spec/codecs/int8.md), and its code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcodec.api.changed import blocks_of
from mcodec.api.cuts import magnitudes_of
from mcodec.api.integersource import laid_ties, with_scales
from mcodec.codec import error
from mcodec.codec.scales import dequantize, find_scales, integers_of, quantize, shaped
from mcodec.types import BLOCK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from mcodec.codec.error import Stats
    from mcodec.codec.scope import Scope
    from mcodec.formats.base import TensorSource
    from mcodec.types import TensorSpec


@dataclass(frozen=True, slots=True)
class Rounding:
    """How a tensor is rounded, and what that does to it.

    Attributes
    ----------
    tensor
    scope
        What shares a scale.
    scales
        Of all scopes.
    stats
        The error, as certificates have it.
    zeros_before, zeros
        Elements that were zero, of either sign, and that are.
    """

    tensor: TensorSpec
    scope: Scope
    scales: NDArray[np.float32]
    stats: Stats = error.NO_ERROR
    zeros_before: int = 0
    zeros: int = 0

    def codes(self, values: NDArray[Any], start: int) -> NDArray[np.uint8]:
        """Return the codes of elements, the first of which is `start` of the tensor."""
        return quantize(self.tensor, start, values, self.scope, self.scales)

    def values(self, codes: NDArray[np.uint8], start: int) -> NDArray[Any]:
        """Return what codes stand for, of the tensor's dtype."""
        return dequantize(self.tensor, start, codes, self.scope, self.scales)

    def __call__(self, values: NDArray[Any], start: int) -> NDArray[Any]:
        """Return elements, rounded."""
        return self.values(self.codes(values, start), start)


def find_rounding(source: TensorSource, index: int, scope: Scope) -> Rounding:
    """Find a tensor's scales, and the error of rounding to them. Reads the tensor twice.

    Parameters
    ----------
    source, index
        A tensor of a float dtype.
    scope
        ``tensor``, or an axis that the tensor has.

    Raises
    ------
    NotCodableError
        A value is a NaN or an infinity, or too large for a float32 scale.
    """
    import numpy as np

    tensor = source.tensors[index]
    rounding = Rounding(tensor, scope, find_scales(tensor, blocks_of(source, index, BLOCK), scope))
    stats, before, after, start = error.NO_ERROR, 0, 0, 0
    for values in blocks_of(source, index, BLOCK):
        codes = rounding.codes(values, start)
        back = rounding.values(codes, start)
        stats = error.add(stats, error.measure(tensor.dtype, values, back))
        before += values.size - int(np.count_nonzero(magnitudes_of(values)[1]))
        after += values.size - int(np.count_nonzero(magnitudes_of(back)[1]))
        start += values.size
    return Rounding(tensor, scope, rounding.scales, stats, before, after)


class RoundedSource:
    """A model whose rounded tensors are int8 NAME and float32 NAME.scale (docs/formats.md).

    Parameters
    ----------
    source
        Stays its owner's to close.
    roundings
        By tensor; what is one array has its rounding under the first name.

    Raises
    ------
    UsageError
        A tensor has the name of another's scales.
    """

    def __init__(self, source: TensorSource, roundings: Mapping[int, Rounding]) -> None:
        self._source = source
        self._roundings = {
            index: roundings[first]
            for index in range(len(source.tensors))
            if (first := source.same_as.get(index, index)) in roundings
        }
        scopes = {index: rounding.scope for index, rounding in self._roundings.items()}
        self._laid = with_scales(source.tensors, scopes)
        self.format = source.format
        self.tensors: Sequence[TensorSpec] = [one.spec for one in self._laid]
        self.metadata: Mapping[str, str] = source.metadata
        self.notes: Sequence[str] = source.notes
        self.same_as: Mapping[int, int] = laid_ties(self._laid, source.same_as)

    def skeleton(self) -> bytes:
        """Nothing: what the source holds besides arrays speaks of floats."""
        return b""

    def read(self, index: int, start: int, stop: int) -> NDArray[np.generic]:
        """Return elements [start, stop) of tensor `index`."""
        of, kind, _ = self._laid[index]
        if kind == "values":
            return self._source.read(of, start, stop)
        rounding = self._roundings[of]
        if kind == "integers":
            return integers_of(rounding.codes(self._source.read(of, start, stop), start))
        scales = shaped(rounding.scales, rounding.tensor.shape, rounding.scope)
        return scales.reshape(-1)[start:stop].astype("<f4")

    def close(self) -> None:
        """Nothing to release."""
