"""Memory that streams are made in.

Fresh pages cost as much as what is written to them, and huge ones a third of small ones. So streams
of several blocks lie in one piece, and a piece is used again when nothing of it is in use any more.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from mcodec import allowance

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PIECE: Final = 4 << 20
MOST: Final = 1 << 20  # what is larger has memory of its own
_KEPT: Final = 2  # pieces that a thread keeps for another time
_ALIGNMENT: Final = 64
_HUGE: Final = 2 << 20  # bytes of a huge page, on most machines


class _Pieces(threading.local):
    """What a thread has."""

    def __init__(self) -> None:
        self.all: list[NDArray[Any]] = []
        self.at = 0  # of the last one, from where on it is free
        self.left = 0  # bytes from there on


_own: Final = _Pieces()


def take(size: int) -> NDArray[np.uint8]:
    """Return an array of so many bytes of any content, aligned to 64."""
    import numpy as np

    if not size or size > MOST or allowance.is_low():
        return np.empty(size, np.uint8)
    if _own.left < size:
        _next()
    start = _own.at
    step = -(-size // _ALIGNMENT) * _ALIGNMENT
    _own.at += step
    _own.left -= step
    return _own.all[-1][start : start + size]


def _piece() -> NDArray[np.uint8]:
    """Return new memory with room for `PIECE` bytes behind the first border of huge pages.

    It is the system's own: what an allocator has for a thread it grows a few pages at a time, and
    then none of them is huge.
    """
    import mmap

    import numpy as np

    try:
        area = mmap.mmap(-1, PIECE + _HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise MemoryError(f"no memory for {PIECE} bytes: {error.strerror}") from None
    with contextlib.suppress(AttributeError, OSError):  # not every system has them
        area.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(area, np.uint8)


def _next() -> None:
    """Go on in a piece that nobody uses, or in a new one."""
    pieces, lone = _own.all, [object()]
    unused = sys.getrefcount(lone[0])  # as this interpreter counts what only a list has
    for index in range(len(pieces)):
        # An array that is a part of one that is a part of a piece holds the piece itself, as long
        # as that is the owner of its memory.
        if sys.getrefcount(pieces[index]) == unused:
            pieces.append(pieces.pop(index))
            break
    else:
        pieces.append(_piece())
        del pieces[:-_KEPT]
    _own.at = -pieces[-1].ctypes.data % _HUGE
    _own.left = PIECE
