"""Local model files by position: reads and writes that any thread may make at any time."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import numpy as np

from mcodec.errors import FormatError, UsageError
from mcodec.outputs import write_pieces
from mcodec.storage import io_errors, is_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mcodec.types import TensorSpec

_CLOEXEC: Final = getattr(os, "O_CLOEXEC", 0)


class InputFile:
    """A model file that is open for positional reads.

    Raises
    ------
    InputOutputError
        There is no such file, it is a folder or a device, or it may not be read.
    UsageError
        The path is a URL.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = -1
        if is_url(path):
            raise UsageError(
                "model files are read from this machine: download it first", where=path
            )
        with io_errors(path):
            # A pipe would block here for ever; O_NONBLOCK changes nothing for a regular file.
            self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | _CLOEXEC)
            status = os.fstat(self._fd)
            if stat.S_ISDIR(status.st_mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "not a regular file")
        self.size = status.st_size

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`: fewer where the file ends."""
        with io_errors(self.path):
            return os.pread(self._fd, length, offset)

    def read_into(self, out: NDArray[np.generic], offset: int) -> None:
        """Fill a contiguous array with the bytes from `offset`.

        Raises
        ------
        FormatError
            ``source_invalid`` if the file ends before the array is full.
        """
        view = out.view(np.uint8).data
        while view:
            with io_errors(self.path):
                count = os.preadv(self._fd, [view], offset)
            if not count:
                raise FormatError("the file ends early", code="source_invalid", where=self.path)
            view, offset = view[count:], offset + count

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._fd

    def close(self) -> None:
        """Release the descriptor; a second call does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __del__(self) -> None:
        self.close()


class Window(InputFile):
    """A part of an open file that is read as if it were a file of its own.

    It has its own descriptor: the other may be closed. Nothing outside of it can be read.

    Parameters
    ----------
    fd : int
        An open regular file.
    base, size : int
        Where the part begins, and its bytes; the caller has checked that they are there.
    path : str
        What messages say for a path.

    Raises
    ------
    InputOutputError
        The system has no descriptor left.
    """

    def __init__(self, fd: int, base: int, size: int, path: str) -> None:
        self.path = path
        self._fd = -1
        self._base = base
        self.size = size
        with io_errors(path):
            self._fd = os.dup(fd)

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`: fewer where the part ends."""
        return super().read(self._base + offset, max(0, min(length, self.size - offset)))

    def read_into(self, out: NDArray[np.generic], offset: int) -> None:
        """Fill a contiguous array with the bytes from `offset`.

        Raises
        ------
        FormatError
            ``source_invalid`` if the part ends before the array is full.
        """
        if offset + out.nbytes > self.size:
            raise FormatError("the file ends early", code="source_invalid", where=self.path)
        super().read_into(out, self._base + offset)


class TensorFile:
    """A model file whose tensors have their places: bytes come in any order, from any thread.

    Parameters
    ----------
    path : str
        An existing file.
    specs : sequence of TensorSpec
    offsets : sequence of int
        Where each tensor's first byte lies in the file.
    same_as : mapping of int to int, optional
        Tensors that share another's place; what is written to them is not kept.
    """

    def __init__(
        self,
        path: str,
        specs: Sequence[TensorSpec],
        offsets: Sequence[int],
        same_as: Mapping[int, int] | None = None,
    ) -> None:
        self.same_as: Mapping[int, int] = same_as or {}
        self.notes: Sequence[str] = ()
        self._path = path
        self._specs = specs
        self._offsets = offsets
        self._fd = -1
        with io_errors(path):
            self._fd = os.open(path, os.O_RDWR | _CLOEXEC)

    def write(self, index: int, offset: int, data: memoryview) -> None:
        """Put `data` at byte `offset` of tensor `index`.

        Raises
        ------
        UsageError
            The bytes do not lie inside the tensor.
        InputOutputError
            The operating system refuses to write.
        """
        view = data.cast("B") if data.nbytes else memoryview(b"")
        spec = self._specs[index]
        if offset < 0 or offset + len(view) > spec.nbytes:
            raise UsageError(f"bytes past the end of tensor {spec.name!r}", where=self._path)
        if index in self.same_as:
            return
        place = self._offsets[index] + offset
        while view:
            with io_errors(self._path):
                count = os.pwrite(self._fd, view, place)
            view, place = view[count:], place + count

    def write_many(self, parts: Sequence[tuple[int, int, memoryview]]) -> None:
        """Put bytes of several tensors, (index, offset, data) each, as `write` does one by one.

        Those that follow one another in the file are written in one call.
        """
        pieces: list[memoryview] = []
        start = end = -1
        for index, offset, data in parts:
            spec = self._specs[index]
            if offset < 0 or offset + data.nbytes > spec.nbytes:
                raise UsageError(f"bytes past the end of tensor {spec.name!r}", where=self._path)
            if index in self.same_as or not data.nbytes:
                continue
            place = self._offsets[index] + offset
            if place != end:
                self._put(pieces, start)
                pieces, start = [], place
            pieces.append(data.cast("B"))
            end = place + data.nbytes
        self._put(pieces, start)

    def _put(self, pieces: list[memoryview], place: int) -> None:
        with io_errors(self._path):
            write_pieces(self._fd, place, pieces)

    def close(self) -> None:
        """Sync and release the file; a second call does nothing."""
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        with io_errors(self._path):
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def discard(self) -> None:
        """Release the file without syncing it; nothing if it is closed."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with suppress(OSError):
                os.close(fd)

    def __del__(self) -> None:
        self.discard()
