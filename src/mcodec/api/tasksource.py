"""A task of a `.mc` file as a source: what `unpack`, `diff` and the like read it through."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcodec.api.sources import ArraySource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from mcodec.api.handle import Task
    from mcodec.types import TensorSpec


class TaskSource:
    """A task, read lazily; the file it lies in stays its owner's."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.format = task.format or ArraySource.format
        self.tensors: Sequence[TensorSpec] = task.specs()
        self.metadata: Mapping[str, str] = task.metadata()
        self.notes: Sequence[str] = ()
        self.same_as: Mapping[int, int] = task.ties

    def skeleton(self) -> bytes:
        """Return what the task's source held besides arrays."""
        return self.task.skeleton()

    def read(self, index: int, start: int, stop: int) -> NDArray[np.generic]:
        """Return elements [start, stop) of tensor `index`."""
        return self.task.elements(self.tensors[index].name, start, stop)

    def close(self) -> None:
        """Nothing to release."""
