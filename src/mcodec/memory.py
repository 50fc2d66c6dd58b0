"""Memory for many arrays at once.

A fresh page costs more than the numbers that are decoded into it: the system clears it, and where
it is small (4 KiB) asks for it one by one. NumPy has large arrays, from 4 MiB on, in huge pages
where the system has them for who asks. `empties` gives smaller ones the same by laying several of
them into one such array.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

HUGE: Final = 4 << 20  # from here on NumPy asks for huge pages
SLAB: Final = 16 << 20  # at most so much stays while one of its arrays does
SMALL: Final = 4 << 10  # smaller arrays share pages anyhow
ALIGNMENT: Final = 64
PAGE: Final = 2 << 20  # a huge one; an array begins at one, and ends with one


def empties(
    wanted: Iterable[tuple[tuple[int, ...], np.dtype[Any]]],
) -> list[npt.NDArray[Any]]:
    """Return an array of any content for each shape and dtype.

    Parameters
    ----------
    wanted
        Shapes and dtypes; no dtype holds objects.

    Returns
    -------
    list of array
        In the order of `wanted`, writable, in C order, none overlapping another. Arrays below 4 MiB
        may be parts of one of at most 16 MiB, and 2 MiB that nobody touches, which is freed with
        the last of them.
    """
    shapes = list(wanted)
    sizes = [prod(shape) * dtype.itemsize for shape, dtype in shapes]
    found: list[npt.NDArray[Any] | None] = [None] * len(shapes)
    for group in _slabs(sizes):
        total = sum(map(_padded, (sizes[i] for i in group)))
        slab = np.empty(-(-total // PAGE) * PAGE + PAGE, np.uint8)
        at = -slab.ctypes.data % PAGE
        for i in group:
            shape, dtype = shapes[i]
            found[i] = slab[at : at + sizes[i]].view(dtype).reshape(shape)
            at += _padded(sizes[i])
    return [
        np.empty(*shape) if array is None else array
        for array, shape in zip(found, shapes, strict=True)
    ]


def _padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _slabs(sizes: list[int]) -> list[list[int]]:
    """Return which arrays lie together, in groups large enough for huge pages."""
    groups: list[list[int]] = []
    group: list[int] = []
    total = 0
    for i, size in enumerate(sizes):
        if not SMALL <= size < HUGE:
            continue
        if total + _padded(size) > SLAB:
            groups.append(group)
            group, total = [], 0
        group.append(i)
        total += _padded(size)
    return [*groups, group] if total >= HUGE else groups
