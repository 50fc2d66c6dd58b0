"""How the memory that a verb may take is shared out (``--max-memory``).

A limit is for the whole process. What the process holds when the work is known (the libraries, the
names and shapes of all tensors) is taken off, and the rest is room: for chunks that wait until
their place in the file is known, for small tensors that are kept, and for blocks in work. The bytes
of an output do not depend on any of this.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mcodec.errors import UsageError
from mcodec.limits import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT: Final = 512 * MIB  # of a process that holds nothing but mcodec
BLOCKS: Final = 7  # times a block's bytes that encoding or decoding it holds at most
_USUAL: Final = 64 * MIB  # what a process holds before it works; a guess where it cannot be asked
_LATER: Final = 10 * MIB  # libraries that are loaded when work begins
_LEAST: Final = 16 * MIB  # room for the least work
_ITEM: Final = 4 * MIB  # what a piece of work holds that nobody has reckoned: a few blocks
_SPOOL: Final = 64 * MIB
_SMALL: Final = 48 * MIB
_PIECE: Final = 4 * MIB  # a thread's share of a cache
_TIGHT: Final = 384 * MIB
_LOW: Final = 1024 * MIB  # a room that threads leave no memory unused in
# glibc, malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be held beside what the process holds already.

    Attributes
    ----------
    room : int
        Bytes, in all.
    """

    room: int = DEFAULT - _USUAL - _LATER

    @classmethod
    def of(cls, max_memory: int | None, beside: int = 0, largest: int = 0) -> Budget:
        """Share out a limit.

        Parameters
        ----------
        max_memory
            Bytes that the process may take; None: the default, beside what it holds already.
        beside
            Bytes that the work will hold whatever the room, such as the names of tensors.
        largest
            Bytes that the largest piece of work holds.

        Raises
        ------
        UsageError
            The work takes more than the limit, however little is done at a time.
        """
        if max_memory is None:
            return cls()
        least = max(_LEAST, largest + largest // 2)  # 7/24 of the room is for what waits
        taken = held() + _LATER + beside
        if max_memory < taken + least:
            raise UsageError(
                f"--max-memory {max_memory / 1e6:,.0f}M is too little: these models need "
                f"{-(-(taken + least) // 1_000_000):,}M at least"
            )
        return cls(max_memory - taken)

    @property
    def spool(self) -> int:
        """Bytes of chunks that wait in memory; more of them wait on disk."""
        return min(_SPOOL, self.room // 6)

    @property
    def small(self) -> int:
        """Bytes of small tensors that are kept, since each is looked at several times."""
        return min(_SMALL, self.room // 8)

    @property
    def flight(self) -> int:
        """Bytes of all pieces of work that are begun and not yet taken."""
        return self.room - self.spool - self.small

    @property
    def kept(self) -> int:
        """Bytes of decoded blocks that are kept for others that stand on them."""
        return self.flight // 8

    @property
    def batch(self) -> int:
        """Bytes that a batch of blocks may decode to."""
        return min(16 * MIB, self.flight // 8)

    @property
    def piece(self) -> int:
        """Bytes of a tensor that are copied at a time."""
        return min(_PIECE, max(MIB, self.flight // 16))

    def pieces(self, size: int = 0) -> int:
        """Return how many pieces of work of a size may be in flight; 1 at least."""
        return max(1, self.flight // (size or _ITEM))


_lows: Final[list[Budget]] = []  # of verbs that run; threads that work for them have no context
_budget: ContextVar[Budget | None] = ContextVar("budget", default=None)


def current() -> Budget:
    """Return the budget of the verb that runs, else the default."""
    return _budget.get() or Budget()


@contextmanager
def limited(max_memory: int | None, beside: int = 0, largest: int = 0) -> Iterator[Budget]:
    """Hold to a limit in a context; parameters and errors are those of `Budget.of`."""
    budget = Budget.of(max_memory, beside, largest)
    low = max_memory is not None and budget.room < _LOW
    token = _budget.set(budget)
    if low:
        _lows.append(budget)
    try:
        yield budget
    finally:
        _budget.reset(token)
        if low:
            _lows.remove(budget)


def is_low() -> bool:
    """Tell whether a limit is held to that is too low to keep memory for later, in any thread."""
    return bool(_lows)


def held() -> int:
    """Return the bytes that the process holds in memory."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return _USUAL


def tighten(max_memory: int) -> None:
    """Have freed memory given back at once, for the rest of this process, where a limit is low.

    The allocator would keep some for each thread, and more the larger the arrays were: that saves
    page faults, and can be as much again as what is in use.
    """
    if max_memory >= _TIGHT or not sys.platform.startswith("linux"):
        return
    import ctypes

    change = getattr(ctypes.CDLL(None), "mallopt", None)
    if change is not None:  # it is glibc
        for option, value in (
            (_M_MMAP_THRESHOLD, MIB // 8),
            (_M_TRIM_THRESHOLD, MIB),
            (_M_ARENA_MAX, 2),
        ):
            change(option, value)
