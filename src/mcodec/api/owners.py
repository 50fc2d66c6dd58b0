"""Owner maps: which of several tasks first sees each weight of a base (PackNet; paper 001)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from mcodec.types import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mcodec.api.planning import Place
    from mcodec.api.values import Values


class OwnerSource:
    """A source of one uint8 tensor: the first of `masked` that sees a weight, counted from 1.

    What none of them sees has the number behind the last. Made block by block, when it is read.

    Parameters
    ----------
    values
        Of all tasks.
    masked
        Tensors that are one base times masks, each of which covers the one before it.

    Attributes
    ----------
    masked : sequence of Place
    """

    format = "arrays"

    def __init__(self, values: Values, masked: Sequence[Place]) -> None:
        self._values = values
        self.masked = masked
        self.tensors: Sequence[TensorSpec] = [
            TensorSpec("owner", "uint8", values.spec(masked[0]).shape)
        ]
        self.metadata: Mapping[str, str] = {}
        self.same_as: Mapping[int, int] = {}
        self.notes: Sequence[str] = ()

    def skeleton(self) -> bytes:
        """There is nothing besides."""
        return b""

    def read(self, index: int, start: int, stop: int) -> NDArray[Any]:
        """Return elements [start, stop)."""
        import numpy as np

        owner = np.full(stop - start, len(self.masked) + 1, np.uint8)
        for number in range(len(self.masked), 0, -1):
            owner[seen(self._values.read(self.masked[number - 1], start, stop))] = number
        return owner

    def close(self) -> None:
        """Nothing to release."""


def seen(array: NDArray[Any]) -> NDArray[Any]:
    """Tell which elements of a masked tensor are its base's: those that are not zero."""
    patterns = array.view(f"u{array.itemsize}")
    found: NDArray[Any] = (patterns << 1) != 0  # the sign of a zero may be the base's
    return found


def chain(values: Values, masked: Sequence[Place]) -> list[Place] | None:
    """Return masked tensors in the order in which each covers the one before; None if none does.

    A weight of the base that is zero itself is seen by none of them.
    """
    import numpy as np

    counts = {
        place: sum(int(np.count_nonzero(seen(block))) for block in values.blocks(place))
        for place in masked
    }
    ordered = sorted(masked, key=lambda place: (counts[place], place))
    for blocks in zip(*map(values.blocks, ordered), strict=True):
        for below, now in pairwise(map(seen, blocks)):
            if bool((below & ~now).any()):
                return None
    return ordered
