"""A range of elements in C order as a few boxes of an array: HDF5 reads boxes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Box = tuple[tuple[int, ...], tuple[int, ...]]  # first index, extent


def boxes(shape: tuple[int, ...], start: int, stop: int) -> Iterator[Box]:
    """Cut elements [start, stop) of an array, in C order, into boxes in the same order.

    There are at most ``2 * len(shape) - 1`` of them.

    Parameters
    ----------
    shape : tuple of int
        Of one dimension or more.
    start, stop : int
        0 <= start <= stop <= the number of elements.
    """
    yield from _boxes((), shape, start, stop)


def _boxes(prefix: tuple[int, ...], shape: tuple[int, ...], start: int, stop: int) -> Iterator[Box]:
    """Cut a range of the sub-array at `prefix`: a part of a row, whole rows, a part of a row."""
    if start >= stop:
        return
    row = math.prod(shape[1:])
    first, last = -(-start // row), stop // row
    ones = (1,) * len(prefix)
    if first > last:  # all of it lies inside one row
        yield from _boxes((*prefix, last), shape[1:], start - last * row, stop - last * row)
        return
    if start < first * row:
        yield from _boxes((*prefix, first - 1), shape[1:], start - (first - 1) * row, row)
    if first < last:
        inner = len(shape) - 1
        yield (*prefix, first, *(0,) * inner), (*ones, last - first, *shape[1:])
    if last * row < stop:
        yield from _boxes((*prefix, last), shape[1:], 0, stop - last * row)
