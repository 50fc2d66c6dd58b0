"""A tensor that is read when it is indexed: the calls that users of safetensors know.

An index is tried on an array of the same shape and no memory first, so a wrong one fails as it does
in its library before anything is read. Then `touched` says which rows of each axis it touches, and
`gather` reads no blocks but those.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, TypeAlias

from mcodec.types import block_elements, itemsize, numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from mcodec.types import TensorSpec

Read: TypeAlias = "Callable[[int, int], NDArray[Any]]"
Rows: TypeAlias = "range | NDArray[Any]"  # of one axis, rising
Gather: TypeAlias = "Callable[[Sequence[Rows]], NDArray[Any]]"


class TensorSlice:
    """A tensor of which only the blocks that an index touches are read.

    Parameters
    ----------
    spec
        The tensor.
    gather
        Gives its elements in rows of its axes: the function `gather` for this tensor.
    """

    def __init__(self, spec: TensorSpec, gather: Gather) -> None:
        self._spec = spec
        self._gather = gather

    def get_shape(self) -> list[int]:
        """Return the tensor's shape."""
        return list(self._spec.shape)

    def get_dtype(self) -> str:
        """Return the dtype's name."""
        return self._spec.dtype

    def __getitem__(self, index: Any) -> NDArray[Any]:
        try_index(self._spec.shape, index)
        axes, rest = touched(self._spec.shape, index)
        return owned(self._gather(axes), rest)


def try_index(shape: tuple[int, ...], index: Any) -> None:
    """Raise what NumPy raises for an index of an array of this shape."""
    import numpy as np

    np.broadcast_to(np.zeros((), np.bool_), shape)[index]


def owned(array: NDArray[Any], index: Any) -> NDArray[Any]:
    """Return ``array[index]``; it keeps no more memory than its own."""
    found: NDArray[Any] = array[index]
    return found if found.nbytes == array.nbytes and found.flags.c_contiguous else found.copy()


def touched(shape: tuple[int, ...], index: Any) -> tuple[list[Rows], Any]:
    """Return what an index touches of each axis, and the index that takes its result from that.

    Integers, slices and integer arrays or flat lists narrow their axes. What else there is (masks,
    nested lists) leaves its axis whole, and those between it and the next end of the index.

    Parameters
    ----------
    shape
        Of the tensor.
    index
        One that NumPy, or PyTorch, takes for this shape.

    Returns
    -------
    axes : list of range or array of int
        Rising rows of each axis.
    index
        ``whole[numpy.ix_(*axes)][this]`` is ``whole[index]``.
    """
    axes: list[Rows] = [range(length) for length in shape]
    items = list(index) if isinstance(index, tuple) else [index]
    if _narrow(axes, items, range(len(items)), 0, 1) is Ellipsis:
        _narrow(axes, items, range(len(items) - 1, -1, -1), len(shape) - 1, -1)
    if not isinstance(index, tuple) and items[0] is index:
        return axes, index  # a list alone is not to PyTorch what it is in a tuple
    return axes, tuple(items)


def _narrow(axes: list[Rows], items: list[Any], places: range, axis: int, step: int) -> Any:
    """Narrow axes and items from one end on; return the item that ends it, if any."""
    for place in places:
        item = items[place]
        if item is None:
            continue
        found = None if item is Ellipsis else _rows(item, len(axes[axis]))
        if found is None:
            return item
        axes[axis], items[place] = found
        axis += step
    return None


def _rows(item: Any, length: int) -> tuple[Rows, Any] | None:
    """Return the rows that one item touches and the item that takes them from those."""
    if isinstance(item, slice):
        rows = range(length)[item]
        return (rows, slice(None)) if rows.step > 0 else (rows[::-1], slice(None, None, -1))
    if isinstance(item, bool):
        return None
    if isinstance(item, list | range) or hasattr(item, "dtype"):
        return _listed_rows(item, length)
    try:
        row = range(length)[operator.index(item)]
    except TypeError:
        return None
    return range(row, row + 1), 0


def _listed_rows(item: Any, length: int) -> tuple[Rows, Any] | None:
    import numpy as np

    try:
        array = np.asarray(item)
    except (TypeError, ValueError, RuntimeError):  # ragged; on a device
        return None
    flat = array.ndim == 1 or hasattr(item, "dtype")
    if array.dtype.kind != "i" or not flat or (isinstance(item, list) and bool in map(type, item)):
        return None
    array = np.where(array < 0, array + length, array)
    if array.ndim == 0:
        return range(int(array), int(array) + 1), 0
    rows, inverse = np.unique(array, return_inverse=True)
    return rows if rows.size else range(0), inverse.reshape(array.shape)


def gather(spec: TensorSpec, read: Read, axes: Sequence[Rows]) -> NDArray[Any]:
    """Return the elements of a tensor in these rows of its axes.

    Parameters
    ----------
    spec
        The tensor.
    read
        Gives its elements [start, stop), flat and in an array of their own.
    axes
        For each axis rising rows, all inside it.

    Returns
    -------
    array
        C-contiguous, writable, one axis an axis.
    """
    import numpy as np

    if not all(map(len, axes)):
        return np.empty(tuple(map(len, axes)), numpy_dtype(spec.dtype))
    axis = _listed_axis(axes)
    if axis is None:
        return _Box.of(spec, axes).gather(read)
    parts = []
    for near, dense in _dense(spec, axes, axis):
        part = gather(spec, read, dense)
        parts.append(part.take(near - int(near[0]), axis))
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis)


def spans(spec: TensorSpec, axes: Sequence[Rows]) -> Iterator[tuple[int, int]]:
    """Yield the elements (start, stop) that `gather` reads, in its order."""
    if not all(map(len, axes)):
        return
    axis = _listed_axis(axes)
    if axis is None:
        yield from _Box.of(spec, axes).reads()
        return
    for _, dense in _dense(spec, axes, axis):
        yield from spans(spec, dense)


def _listed_axis(axes: Sequence[Rows]) -> int | None:
    """Return the first axis whose rows are a list; None where all are ranges."""
    return next((axis for axis, rows in enumerate(axes) if not isinstance(rows, range)), None)


def _dense(
    spec: TensorSpec, axes: Sequence[Rows], axis: int
) -> Iterator[tuple[NDArray[Any], list[Rows]]]:
    """Yield the listed rows of an axis that are read together, and the axes that hold them all."""
    for near in _together(spec, axes, axis, axes[axis]):
        low, high = int(near[0]), int(near[-1]) + 1
        yield near, [*axes[:axis], range(low, high), *axes[axis + 1 :]]


def _together(spec: TensorSpec, axes: Sequence[Rows], axis: int, rows: Rows) -> list[NDArray[Any]]:
    """Part rows where between two of them whole blocks may lie that nobody asked for."""
    import numpy as np

    widths = _widths(spec)
    inside = zip(axes[axis + 1 :], widths[axis + 1 :], strict=True)
    span = 1 + sum(int(some[-1] - some[0]) * width for some, width in inside)
    wide = np.diff(rows) * widths[axis] - span >= block_elements(itemsize(spec.dtype))
    return np.split(rows, np.flatnonzero(wide) + 1)


def _widths(spec: TensorSpec) -> list[int]:
    """Return the elements from one row of each axis to its next."""
    if not spec.shape:
        return []
    return list(accumulate(reversed(spec.shape[1:]), operator.mul, initial=1))[::-1]


@dataclass(frozen=True, slots=True)
class _Box:
    """Equally spaced rows of every axis.

    Attributes
    ----------
    counts, strides
        Of each axis: how many rows, and elements from one to the next.
    spans
        Elements from the first to the last one of the axes from each on; 1 behind the last axis.
    wide
        Whether these axes leave out so much between two rows that whole blocks may lie there.
    """

    dtype: str
    first: int
    counts: tuple[int, ...]
    strides: tuple[int, ...]
    spans: tuple[int, ...]
    wide: tuple[bool, ...]

    @classmethod
    def of(cls, spec: TensorSpec, rows: Sequence[Rows]) -> _Box:
        """Return the box of axes all of whose rows are ranges."""
        axes = [some for some in rows if isinstance(some, range)]
        block = block_elements(itemsize(spec.dtype))
        widths = _widths(spec)
        counts = tuple(map(len, axes))
        strides = tuple(rows.step * width for rows, width in zip(axes, widths, strict=True))
        first = sum(rows.start * width for rows, width in zip(axes, widths, strict=True))
        spans, wide = [1], [False]
        for count, stride in zip(reversed(counts), reversed(strides), strict=True):
            wide.append(wide[-1] or (count > 1 and stride - spans[-1] >= block))
            spans.append(spans[-1] + (count - 1) * stride)
        return cls(spec.dtype, first, counts, strides, tuple(spans[::-1]), tuple(wide[::-1]))

    def gather(self, read: Read) -> NDArray[Any]:
        """Return the elements, in an array of their own."""
        import numpy as np

        if not self.wide[0]:
            return np.ascontiguousarray(self._near(read, 0, self.first)).reshape(self.counts)
        out = np.empty(self.counts, numpy_dtype(self.dtype))
        self._fill(read, 0, self.first, out)
        return out

    def reads(self, axis: int = 0, start: int | None = None) -> Iterator[tuple[int, int]]:
        """Yield the elements (start, stop) that `gather` reads, in its order."""
        at = self.first if start is None else start
        if not self.wide[axis]:
            yield at, at + self.spans[axis]
            return
        for row in range(self.counts[axis]):
            yield from self.reads(axis + 1, at + row * self.strides[axis])

    def _fill(self, read: Read, axis: int, start: int, out: NDArray[Any]) -> None:
        if not self.wide[axis]:
            out[...] = self._near(read, axis, start)
            return
        for row in range(self.counts[axis]):
            self._fill(read, axis + 1, start + row * self.strides[axis], out[row, ...])

    def _near(self, read: Read, axis: int, start: int) -> NDArray[Any]:
        """Read the axes from one on in one piece."""
        import numpy as np

        data = read(start, start + self.spans[axis])
        strides = [stride * data.itemsize for stride in self.strides[axis:]]
        return np.ndarray(self.counts[axis:], data.dtype, data.view("u1").data, strides=strides)
