"""A tensor that is read when it is indexed: the calls that users of safetensors know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mcodec.types import TensorSpec


class TensorSlice:
    """A tensor of which only the blocks that an index touches are read.

    The first axis decides what is read; further axes are cut from that.

    Parameters
    ----------
    spec
        The tensor.
    read
        Gives its elements [start, stop), flat.
    """

    def __init__(self, spec: TensorSpec, read: Callable[[int, int], NDArray[Any]]) -> None:
        self._spec = spec
        self._read = read

    def get_shape(self) -> list[int]:
        """Return the tensor's shape."""
        return list(self._spec.shape)

    def get_dtype(self) -> str:
        """Return the dtype's name."""
        return self._spec.dtype

    def __getitem__(self, index: Any) -> NDArray[Any]:
        key = index if isinstance(index, tuple) else (index,)
        first = key[0] if key and self._spec.shape else None
        length = self._spec.shape[0] if self._spec.shape else 0
        found: NDArray[Any]
        if isinstance(first, slice):
            rows = range(length)[first]
            low = min(rows, default=0)
            high = max(rows, default=-1) + 1
            found = self._rows(low, max(high, low))[(_relative(rows, low), *key[1:])]
        elif type(first) is int:
            row = range(length)[first]  # IndexError as NumPy's
            found = self._rows(row, row + 1)[(0, *key[1:])]
        else:
            found = self._rows(0, length)[index] if self._spec.shape else self._scalar()[index]
        return found.copy()

    def _rows(self, low: int, high: int) -> NDArray[Any]:
        shape = self._spec.shape
        width = self._spec.size // shape[0] if shape[0] else 0
        return self._read(low * width, high * width).reshape((high - low, *shape[1:]))

    def _scalar(self) -> NDArray[Any]:
        return self._read(0, 1).reshape(())


def _relative(rows: range, low: int) -> slice:
    """Return the slice that takes `rows` out of rows that start at `low`."""
    if not rows:
        return slice(0, 0)
    last = rows[-1] - low + (1 if rows.step > 0 else -1)
    return slice(rows[0] - low, None if last < 0 else last, rows.step)
