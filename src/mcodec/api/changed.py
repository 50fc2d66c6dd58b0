"""A model with other values in some of its tensors; all else as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from mcodec.formats.base import TensorSource
    from mcodec.types import TensorSpec

Change = Callable[[Any, int], Any]
"""Takes elements of a tensor as an array that it may change, and the place of the first of them;
gives what they become."""


class ChangedSource:
    """A source that wraps another one; names, dtypes, shapes, order and skeleton are the other's.

    Parameters
    ----------
    source
        Stays its owner's to close.
    changes
        By tensor; what is one array has its change under the first name.
    """

    def __init__(self, source: TensorSource, changes: Mapping[int, Change]) -> None:
        self._source = source
        self._changes = changes
        self.format = source.format
        self.tensors: Sequence[TensorSpec] = source.tensors
        self.metadata: Mapping[str, str] = source.metadata
        self.notes: Sequence[str] = source.notes
        self.same_as: Mapping[int, int] = source.same_as

    def skeleton(self) -> bytes:
        """Return what the source holds besides arrays."""
        return self._source.skeleton()

    def read(self, index: int, start: int, stop: int) -> NDArray[Any]:
        """Return elements [start, stop) of tensor `index`, changed."""
        values: NDArray[Any] = self._source.read(index, start, stop)
        change = self._changes.get(self.same_as.get(index, index))
        if change is None:
            return values
        own: NDArray[Any] = values if values.flags.writeable else values.copy()
        changed: NDArray[Any] = change(own, start)
        return changed

    def close(self) -> None:
        """Nothing to release."""


def blocks_of(source: TensorSource, index: int, step: int) -> Iterator[NDArray[Any]]:
    """Yield a tensor's values in order, `step` elements at a time."""
    size = source.tensors[index].size
    for start in range(0, size, step):
        yield source.read(index, start, min(start + step, size))
