"""The smallest magnitudes of a tensor, found exactly and block by block (magnitude pruning)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mcodec.api.changed import blocks_of
from mcodec.errors import InputOutputError
from mcodec.types import BLOCK, FLOATS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from mcodec.formats.base import TensorSource
    from mcodec.types import FloatFormat

_DIGIT: Final = 16  # bits of a pattern that a pass sorts by


@dataclass(frozen=True, slots=True)
class Cut:
    """Which elements of a tensor go: all below a magnitude, and the first of those that equal it.

    Attributes
    ----------
    pattern
        The magnitude: the bits of a number without its sign.
    until
        Of the elements of just that magnitude, those before this place go.
    zeros
        Elements that are zero already, of either sign.
    nans
        Elements that are no number; they stay.
    pruned
        Elements that go, zeros among them.
    """

    pattern: int
    until: int
    zeros: int
    nans: int
    pruned: int

    def __call__(self, values: NDArray[Any], start: int) -> NDArray[Any]:
        """Return elements of the tensor, with +0.0 for those that go.

        Parameters
        ----------
        values
            One-dimensional, contiguous; changed in place.
        start
            The place of the first of them.
        """
        bits, sizes = magnitudes_of(values)
        gone = sizes < self.pattern
        ties = max(0, self.until - start)
        gone[:ties] |= sizes[:ties] == self.pattern
        bits[gone] = 0
        return values


def find_cut(source: TensorSource, index: int, count: int) -> Cut:
    """Find the `count` smallest magnitudes of a tensor; of equal ones those that come first.

    Patterns without their sign are in the order of the magnitudes, so their bits are sorted by from
    the top down, 16 in a pass over the tensor: one pass for 16-bit dtypes, two for float32; one
    more, up to the last that goes, where equal magnitudes are parted. Memory is a block's.

    Parameters
    ----------
    source, index
        A tensor of a float dtype.
    count
        How many; what is no number is never among them.

    Raises
    ------
    InputOutputError
        The tensor is another one from one pass to the next.
    """
    tensor = source.tensors[index]
    form = FLOATS[tensor.dtype]
    left = form.width - 1  # bits of the pattern that are still open
    width = min(_DIGIT, left)
    histogram, zeros, nans = _first_pass(source, index, left - width, form)
    pruned = min(count, tensor.size - nans)
    pattern, rank, until = 0, pruned, 0
    while rank:
        place, before = _find(histogram, rank)
        pattern, rank, left = pattern << width | place, rank - before, left - width
        if rank == histogram[place]:  # all that begin so
            pattern, rank = pattern + 1 << left, 0
        elif left == 0:
            until, rank = _place_of(source, index, pattern, rank) + 1, 0
        else:
            width = min(_DIGIT, left)
            histogram = _next_pass(source, index, pattern, left, width)
    return Cut(pattern, until, zeros, nans, pruned)


def _first_pass(
    source: TensorSource, index: int, shift: int, form: FloatFormat
) -> tuple[NDArray[np.int64], int, int]:
    """Return how often each top digit is there, and the numbers of zeros and NaNs."""
    import numpy as np

    infinity = ((1 << form.exponent) - 1) << form.mantissa
    total = np.zeros(1 << form.width - 1 - shift, np.int64)
    zeros = nans = 0
    for sizes in _blocks(source, index):
        total += np.bincount((sizes >> shift).astype(np.intp), minlength=total.size)
        zeros += sizes.size - int(np.count_nonzero(sizes))
        nans += int(np.count_nonzero(sizes > infinity))
    return total, zeros, nans


def _next_pass(
    source: TensorSource, index: int, prefix: int, left: int, width: int
) -> NDArray[np.int64]:
    """Return how often each next digit is there in the patterns that begin with `prefix`."""
    import numpy as np

    total = np.zeros(1 << width, np.int64)
    for sizes in _blocks(source, index):
        digits = sizes[sizes >> left == prefix] >> left - width & (1 << width) - 1
        total += np.bincount(digits.astype(np.intp), minlength=total.size)
    return total


def _find(histogram: NDArray[np.int64], rank: int) -> tuple[int, int]:
    """Return the digit of the element of a rank, counted from 1, and how many come before it."""
    import numpy as np

    sums = np.cumsum(histogram)
    place = int(np.searchsorted(sums, rank))
    if place == sums.size:
        raise _changed()
    return place, int(sums[place] - histogram[place])


def _place_of(source: TensorSource, index: int, pattern: int, rank: int) -> int:
    """Return where the element of a magnitude is that is `rank`-th of its like, counted from 1."""
    import numpy as np

    start = 0
    for sizes in _blocks(source, index):
        places = np.flatnonzero(sizes == pattern)
        if places.size >= rank:
            return start + int(places[rank - 1])
        rank -= places.size
        start += sizes.size
    raise _changed()


def _changed() -> InputOutputError:
    return InputOutputError("the tensor has changed while it was read")


def _blocks(source: TensorSource, index: int) -> Iterator[NDArray[Any]]:
    for values in blocks_of(source, index, BLOCK):
        yield magnitudes_of(values)[1]


def magnitudes_of(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the patterns of floats, as a view, and the patterns without their signs.

    Parameters
    ----------
    values
        One-dimensional, of a float dtype.
    """
    bits = values.view(f"<u{values.dtype.itemsize}")
    return bits, bits & bits.dtype.type((1 << 8 * bits.dtype.itemsize - 1) - 1)
