"""A file that is in memory already."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from mcodec.storage.source import ends_early, is_closed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager


class InMemory:
    """Bytes that are read where they lie, like a mapped file.

    Parameters
    ----------
    data
        Contiguous; kept as long as it is open, and not to be changed meanwhile.
    """

    remote = False
    name = "(memory)"

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._data: memoryview | None = memoryview(data).cast("B").toreadonly()

    @property
    def size(self) -> int:
        """All bytes."""
        return len(self._open())

    @property
    def descriptor(self) -> int | None:
        """None: there is no file."""
        return None

    @property
    def mapping(self) -> memoryview | None:
        """All of it."""
        return self._open()

    def first(self, length: int) -> bytes:
        """Return the first `length` bytes, or all where there are fewer."""
        return bytes(self._open()[:length])

    def claim(self, length: int, start: int, stop: int) -> bytes | None:
        """Return None: the size is known."""
        return None

    def read_at(self, offset: int, length: int) -> bytes | memoryview:
        """Return a view of exactly `length` bytes from `offset`."""
        data = self._open()
        if offset < 0 or offset + length > len(data):
            raise ends_early(self.name)
        return data[offset : offset + length]

    def ahead(self, ranges: Sequence[tuple[int, int]]) -> AbstractContextManager[None]:
        """Do nothing: all is here."""
        return contextlib.nullcontext()

    def refresh(self) -> int:
        """Return the size, which stays."""
        return self.size

    def close(self) -> None:
        """Let the bytes go; a second call does nothing."""
        self._data = None

    def _open(self) -> memoryview:
        if self._data is None:
            raise is_closed(self.name)
        return self._data
