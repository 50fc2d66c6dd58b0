"""Values of two tensors compared: which bits differ, and by how much."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcodec.api.copying import placed
from mcodec.errors import McodecError
from mcodec.types import EXTENSION_DTYPES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mcodec.api.copying import Piece
    from mcodec.formats.base import TensorSource


@dataclass(frozen=True, slots=True)
class Values:
    """What a comparison has seen: a sum over pieces.

    Attributes
    ----------
    nbytes : int
        Of the left side.
    unequal : int
        Values that are not the same number, or not in the same bits.
    peak : float
        The largest |left - right|; NaN if one cannot be told.
    error, weight : float
        Σ (left - right)² and Σ left².
    """

    nbytes: int = 0
    unequal: int = 0
    peak: float = 0.0
    error: float = 0.0
    weight: float = 0.0

    def __add__(self, other: Values) -> Values:
        later = other.peak > self.peak or math.isnan(other.peak)  # a NaN stays
        return Values(
            self.nbytes + other.nbytes,
            self.unequal + other.unequal,
            other.peak if later else self.peak,
            self.error + other.error,
            self.weight + other.weight,
        )


def compare_pieces(
    left: TensorSource, right: TensorSource, pairs: Mapping[int, int], work: Sequence[Piece]
) -> tuple[Sequence[Piece], list[Values]]:
    """Compare pieces of tensors of the same shapes; `pairs` are their indices on both sides."""
    found = []
    for piece in work:
        try:
            a = left.read(piece.index, piece.start, piece.stop)
            b = right.read(pairs[piece.index], piece.start, piece.stop)
        except McodecError as error:
            raise placed(error, left.tensors[piece.index].name) from error.__cause__
        found.append(compare(a, b))
    return work, found


def compare(a: NDArray[Any], b: NDArray[Any]) -> Values:
    """Compare two one-dimensional arrays of the same length.

    Of one dtype they are compared bit by bit, so that NaN equals the same NaN and -0.0 is not 0.0;
    of two, as numbers.
    """
    import numpy as np

    if a.dtype == b.dtype:
        unequal = (a.view("u1") != b.view("u1")).reshape(-1, a.itemsize).any(axis=1)
    else:
        x, y = _numbers(a), _numbers(b)
        if x is None or y is None:
            return Values(a.nbytes, len(a), float("nan"))
        unequal = (x != y) & ~(np.isnan(x) & np.isnan(y))
    count = int(np.count_nonzero(unequal))
    numbers = _numbers(a)
    if numbers is None:
        return Values(a.nbytes, count, float("nan") if count else 0.0)
    with np.errstate(all="ignore"):
        weight = float(np.square(np.abs(numbers)).sum())
        if not count:
            return Values(a.nbytes, weight=weight)
        other = _numbers(b)
        assert other is not None
        x, y = numbers[unequal], other[unequal]
        alike = (x == y) | (np.isnan(x) & np.isnan(y))
        gap = np.where(alike, 0.0, np.abs(x - y))
        return Values(a.nbytes, count, float(gap.max()), float(np.square(gap).sum()), weight)


def _numbers(array: NDArray[Any]) -> NDArray[Any] | None:
    """Return values as float64 or complex128; None for bytes."""
    import numpy as np

    if array.dtype.kind == "V" and array.dtype.name not in EXTENSION_DTYPES:
        return None
    with np.errstate(invalid="ignore"):  # a NaN that signals
        return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
