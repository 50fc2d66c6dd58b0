"""What will be read, told before it is read: a file that is far away is fetched in few requests.

Work on a whole task, or a whole file, tells it window by window, so that what is fetched and not
yet used is bounded whatever the size and the layout.
"""

from __future__ import annotations

from collections import deque
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final, TypeVar

from mcodec.api.decode import reads
from mcodec.codec.base import CANONICAL
from mcodec.limits import MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from typing import Self

    from mcodec.codec.base import View
    from mcodec.container.reader import ContainerReader

    Place = tuple[int, int]  # run, block; block -1 is the head
    Extents = list[tuple[int, int]]  # (start, stop) in the file

T = TypeVar("T")
WINDOW: Final = 32 * MIB  # bytes that are told at a time


def ahead(
    reader: ContainerReader, places: Iterable[Place], view: View = CANONICAL, above: int = -1
) -> AbstractContextManager[None]:
    """Tell what decoding blocks reads; nothing is listed of a file of this machine.

    Parameters
    ----------
    reader
    places
        (run, block) in the order of reading.
    view
        How they will be decoded.
    above
        Only levels above this one are read.
    """
    if not reader.remote:
        return nullcontext()
    every = dict.fromkeys(place for item in places for place in reads(reader, *item, view))
    return reader.ahead([extent for place in every for extent in reader.extents(*place, above)])


class Telling:
    """Tells window by window what work will read; a context manager, around all of the work."""

    def __init__(self, reader: ContainerReader) -> None:
        self._reader = reader
        self._plans: deque[AbstractContextManager[None]] = deque()

    def of(self, items: Iterable[T], extents: Callable[[T], Extents]) -> Iterator[T]:
        """Yield pieces of work, each after what it reads was told.

        Parameters
        ----------
        items
            In the order of reading; some may still be in work while later ones are taken.
        extents
            Gives what one of them reads, twice what it reads twice. Not asked of local files.
        """
        if not self._reader.remote:
            yield from items
            return
        for window, ranges in _windows(items, extents):
            plan = self._reader.ahead(ranges)
            plan.__enter__()
            self._plans.append(plan)
            if len(self._plans) > 2:  # what is still in work is of the window before this
                self._forget()
            yield from window

    def _forget(self) -> None:
        self._plans.popleft().__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self._plans:
            self._forget()


def _windows(
    items: Iterable[T], extents: Callable[[T], Extents]
) -> Iterator[tuple[Sequence[T], Extents]]:
    window: list[T] = []
    ranges: Extents = []
    size = 0
    for item in items:
        found = extents(item)
        window.append(item)
        ranges += found
        size += sum(stop - start for start, stop in found)
        if size >= WINDOW:
            yield window, ranges
            window, ranges, size = [], [], 0
    if window:
        yield window, ranges


def decoded(reader: ContainerReader, place: Place, view: View = CANONICAL) -> Extents:
    """Return the extents that decoding a block reads, where its head was read before.

    Block -1 is the head itself. What the block stands on is read for each block anew.
    """
    run, block = place
    if block < 0:
        return reader.extents(run, block)
    every = dict.fromkeys(reads(reader, run, block, view))
    return [
        extent for wanted in every if wanted[:2] != (run, -1) for extent in reader.extents(*wanted)
    ]


def blocks(reader: ContainerReader, runs: Iterable[int]) -> Iterator[Place]:
    """Yield the head and the blocks of each run."""
    for run in runs:
        for block in range(-1, reader.runs[run].blocks):
            yield run, block
