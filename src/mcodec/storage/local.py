"""Files of this machine: read with pread, or mapped."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from mcodec.storage.source import check_regular, ends_early, io_errors, is_closed

if TYPE_CHECKING:
    import mmap
    from collections.abc import Sequence
    from contextlib import AbstractContextManager


class LocalFile:
    """A file of this machine, read with pread: no mapping, so no SIGBUS when it shrinks.

    Attributes
    ----------
    name : str
    size : int
        Bytes when it was opened, or at the last `refresh`.

    Raises
    ------
    InputOutputError
        It is not there, may not be read, or is no regular file.
    """

    remote = False

    def __init__(self, path: str) -> None:
        self.name = path
        self._fd = -1
        with io_errors(path):
            # A pipe would block here for ever; O_NONBLOCK changes nothing for a regular file.
            self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0))
            status = os.fstat(self._fd)
            check_regular(status.st_mode)
        self.size = status.st_size

    @property
    def descriptor(self) -> int | None:
        """The file's descriptor."""
        return self._open_fd()

    @property
    def mapping(self) -> memoryview | None:
        """None: it is read."""
        return None

    def first(self, length: int) -> bytes:
        """Return the first `length` bytes, or all where there are fewer."""
        return bytes(self.read_at(0, min(self.size, length)))

    def claim(self, length: int, start: int, stop: int) -> bytes | None:
        """Return None: the size is known."""
        return None

    def read_at(self, offset: int, length: int) -> bytes | memoryview:
        """Return exactly `length` bytes from `offset`."""
        fd = self._open_fd()
        with io_errors(self.name):
            data = os.pread(fd, length, offset)
            while len(data) < length:
                more = os.pread(fd, length - len(data), offset + len(data))
                if not more:
                    raise ends_early(self.name)
                data += more
        return data

    def ahead(self, ranges: Sequence[tuple[int, int]]) -> AbstractContextManager[None]:
        """Do nothing: the system reads ahead of what is read in order."""
        return contextlib.nullcontext()

    def refresh(self) -> int:
        """Look at the real size again, and return it."""
        fd = self._open_fd()
        with io_errors(self.name):
            self.size = os.fstat(fd).st_size
        return self.size

    def close(self) -> None:
        """Release the descriptor."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open_fd(self) -> int:
        if self._fd < 0:
            raise is_closed(self.name)
        return self._fd

    def __del__(self) -> None:
        self.close()


class MappedFile(LocalFile):
    """A file of this machine in a mapping: what is read is a view of it, without a copy.

    Not the default, because of what is left of its danger. The size is looked at before each read,
    so a file that has shrunk is refused; but if another process cuts the file while a view of the
    missing part is in use, the system kills this process (SIGBUS); and where it writes to the file,
    a view that was checked changes. Map only files that are replaced by renaming, as mcodec does.
    """

    def __init__(self, path: str) -> None:
        self._map: mmap.mmap | None = None
        super().__init__(path)
        self._remap()

    @property
    def descriptor(self) -> int | None:
        """None: it is read through its mapping."""
        return None

    @property
    def mapping(self) -> memoryview | None:
        """The whole file, if it is still as long as it was."""
        fd = self._open_fd()
        if self._map is None:
            return None
        with io_errors(self.name):
            if os.fstat(fd).st_size < len(self._map):
                raise ends_early(self.name)
        return memoryview(self._map)

    def read_at(self, offset: int, length: int) -> bytes | memoryview:
        """Return a view of exactly `length` bytes from `offset`."""
        fd = self._open_fd()
        with io_errors(self.name):
            if offset < 0 or offset + length > os.fstat(fd).st_size:
                raise ends_early(self.name)
        if not length:
            return b""
        if self._map is None or offset + length > len(self._map):
            raise ends_early(self.name)  # grown since; `refresh` maps it anew
        return memoryview(self._map)[offset : offset + length]

    def refresh(self) -> int:
        """Look at the real size again, map that much, and return it."""
        super().refresh()
        self._remap()
        return self.size

    def close(self) -> None:
        """Release the file; the mapping goes with the last view of it."""
        self._map = None
        super().close()

    def _remap(self) -> None:
        import mmap

        self._map = None  # views keep the old one
        if self.size:  # an empty mapping cannot be
            with io_errors(self.name):
                self._map = mmap.mmap(self._fd, self.size, access=mmap.ACCESS_READ)
