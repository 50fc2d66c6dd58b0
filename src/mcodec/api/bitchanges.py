"""What an operation on bits does to the values of tensors, block by block."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcodec.api.bitops import is_special
from mcodec.api.copying import placed
from mcodec.api.listing import sqnr_db
from mcodec.codec import error
from mcodec.codec.streams import patterns
from mcodec.engine import map_ordered
from mcodec.errors import McodecError
from mcodec.types import BLOCK, FLOATS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Executor

    from numpy.typing import NDArray

    from mcodec.api.bitops import BitOperation
    from mcodec.formats.base import TensorSource
    from mcodec.types import TensorSpec


@dataclass(frozen=True, slots=True)
class TruncatedTensor:
    """What became of one tensor.

    Attributes
    ----------
    spec
    changed
        Values of which any bit changed.
    stats
        max |error|, Σ error², Σ value² of the values that were finite and are.
    broken
        Finite numbers that became an infinity or a NaN.
    lost
        Infinities and NaNs that are no longer what they were: a number, or the other of the two.
    held
        Finite numbers that were truncated, since rounding would have made them infinite.
    """

    spec: TensorSpec
    changed: int = 0
    stats: error.Stats = error.NO_ERROR
    broken: int = 0
    lost: int = 0
    held: int = 0

    @property
    def max_abs_error(self) -> float | None:
        """The largest |error|; None where it overflows."""
        return finite(self.stats[0])

    @property
    def sqnr_db(self) -> float | None:
        """Signal to error, in dB; None where there is no error, or a sum overflows."""
        return sqnr_db(self.stats[2], self.stats[1])

    def __add__(self, other: TruncatedTensor) -> TruncatedTensor:
        return TruncatedTensor(
            self.spec,
            self.changed + other.changed,
            error.add(self.stats, other.stats),
            self.broken + other.broken,
            self.lost + other.lost,
            self.held + other.held,
        )


def finite(number: float) -> float | None:
    """Return a number, or None for what is none: squares of large numbers overflow."""
    return number if math.isfinite(number) else None


def measure(
    model: TensorSource, chosen: Sequence[int], what: BitOperation, executor: Executor | None
) -> Iterator[tuple[int, int, TruncatedTensor]]:
    """Yield the index, the bytes and what becomes of each block of each tensor, in order.

    Raises
    ------
    FormatError, InputOutputError
        A tensor cannot be read.
    """

    def look(place: tuple[int, int]) -> tuple[int, int, TruncatedTensor]:
        index, start = place
        tensor = model.tensors[index]
        try:
            values = model.read(index, start, min(start + BLOCK, tensor.size))
        except McodecError as failure:
            raise placed(failure, tensor.name) from failure.__cause__
        return index, values.nbytes, _outcome(tensor, what, values)

    places = (
        (index, start) for index in chosen for start in range(0, model.tensors[index].size, BLOCK)
    )
    return map_ordered(executor, look, places)


def _outcome(tensor: TensorSpec, what: BitOperation, values: NDArray[Any]) -> TruncatedTensor:
    import numpy as np

    before = patterns(values)
    after = what.apply(tensor.dtype, before)
    count = int(np.count_nonzero(before != after))
    was, now = is_special(tensor.dtype, before), is_special(tensor.dtype, after)
    broken = lost = 0
    if was.any() or now.any():
        # A NaN and an infinity are told apart by whether any mantissa bit is set.
        mantissa = before.dtype.type((1 << FLOATS[tensor.dtype].mantissa) - 1)
        other = ((before & mantissa) == 0) != ((after & mantissa) == 0)
        broken = int(np.count_nonzero(now & ~was))
        lost = int(np.count_nonzero(was & (~now | other)))
        numbers = ~(was | now)
        before, after = before * numbers, after * numbers
    stats = error.measure(tensor.dtype, before.view(values.dtype), after.view(values.dtype))
    return TruncatedTensor(tensor, count, stats, broken, lost, what.held(tensor.dtype, before))


def warnings_of(tensors: Sequence[TruncatedTensor]) -> list[str]:
    """Say what happened at the edges of the dtypes' ranges."""
    found = (
        (sum(one.broken for one in tensors), "finite values became infinite or NaN"),
        (sum(one.lost for one in tensors), "NaNs and infinities are not what they were"),
        (
            sum(one.held for one in tensors),
            "values were truncated: rounding would have made them infinite",
        ),
    )
    return [f"{what}: {count:,}" for count, what in found if count]
