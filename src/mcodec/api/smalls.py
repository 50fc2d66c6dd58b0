"""Small tensors of models: each is looked at several times, and calls cost more than bytes."""

from __future__ import annotations

import threading
from collections import deque
from itertools import count, repeat
from typing import TYPE_CHECKING, Any, Final

from mcodec import allowance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mcodec.api.planning import Place
    from mcodec.formats.base import TensorSource

SMALL: Final = 1 << 16  # bytes of a tensor that is read whole, with its neighbours, and kept


class Smalls:
    """Keeps what was read of small tensors. Safe to use from threads.

    Parameters
    ----------
    models
        The sources; more may be added to the list later.
    """

    def __init__(self, models: Sequence[TensorSource]) -> None:
        self._models = models
        self._lock = threading.Lock()
        self._found: dict[Place, NDArray[Any]] = {}
        self._order: deque[tuple[int, list[Place]]] = deque()  # bytes that were read at once
        self._bytes = 0
        self._most = allowance.current().small  # bytes; what was read first goes first

    def read(self, place: Place) -> NDArray[Any]:
        """Return a small tensor, one-dimensional; it may not be written to."""
        found = self._found.get(place)
        return self._fetch(place) if found is None else found

    def read_all(self, places: Sequence[Place]) -> list[NDArray[Any]]:
        """Return what `read` does of each, at a fraction of the time where it has been read."""
        arrays = list(map(self._found.get, places))
        return [
            self.read(place) if array is None else array
            for place, array in zip(places, arrays, strict=True)
        ]

    def _fetch(self, place: Place) -> NDArray[Any]:
        task, first = place
        model = self._models[task]
        many = getattr(model, "read_many", None)
        arrays: list[NDArray[Any]] = many(first) if many is not None else []
        if not arrays:
            arrays = [model.read(first, 0, model.tensors[first].size)]
        places = list(zip(repeat(task, len(arrays)), count(first), strict=False))
        size = sum(array.nbytes for array in arrays)
        for array in arrays:
            array.setflags(write=False)
        with self._lock:
            self._found.update(zip(places, arrays, strict=True))
            self._order.append((size, places))
            self._bytes += size
            while self._bytes > self._most and len(self._order) > 1:
                gone, old = self._order.popleft()
                self._bytes -= gone
                for one in old:
                    self._found.pop(one, None)
        return arrays[0]
