"""Model files behind URLs, read by position like those of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mcodec.errors import FormatError, UsageError
from mcodec.formats.files import InputFile
from mcodec.limits import MIB
from mcodec.storage import RemoteFile, is_url

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FIRST: Final = 1 << 16  # bytes of the first request: most headers, and the file's size
_AHEAD: Final = 8 * MIB  # that are asked for at once where a file is read in order


def open_input(path: str) -> InputFile:
    """Open a file of this machine, or behind a URL, for positional reads.

    Raises
    ------
    InputOutputError
        It is not there, or cannot be read.
    """
    return RemoteInput(path) if is_url(path) else InputFile(path)


class RemoteInput(InputFile):
    """A model file behind an fsspec URL; what is read in order is fetched in long pieces.

    Raises
    ------
    MissingDependencyError
        The library for such a URL is not installed.
    InputOutputError
        There is no such file, or the server refuses.
    """

    def __init__(self, url: str) -> None:
        self._fd = -1
        self._remote: RemoteFile | None = RemoteFile(url)
        self.path = self._remote.name
        # The piece that was fetched last, and where it begins.
        self._piece: tuple[int, memoryview] = (0, memoryview(self._remote.first(_FIRST)))
        self.size = self._remote.size

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`: fewer where the file ends."""
        stop = min(offset + length, self.size)
        return b"" if stop <= offset else bytes(self._bytes(offset, stop))

    def read_into(self, out: NDArray[np.generic], offset: int) -> None:
        """Fill a contiguous array with the bytes from `offset`."""
        if offset + out.nbytes > self.size:
            raise FormatError("the file ends early", code="source_invalid", where=self.path)
        if out.nbytes:
            stored = self._bytes(offset, offset + out.nbytes)
            out.view(np.uint8)[...] = np.frombuffer(stored, np.uint8)

    def fileno(self) -> int:
        """Refuse: there is no descriptor."""
        raise UsageError("it is behind a URL: download it first", where=self.path)

    def close(self) -> None:
        """Release it; a second call does nothing."""
        remote = self.__dict__.get("_remote")  # None too where it could not be opened
        self._remote = None
        if remote is not None:
            remote.close()

    def _bytes(self, start: int, stop: int) -> Any:
        first, piece = self._piece
        last = first + len(piece)
        if first <= start and stop <= last:
            return piece[start - first : stop - first]
        if self._remote is None:
            raise UsageError("the file is closed", where=self.path)
        # Behind the last piece: what follows will be wanted next.
        end = min(max(stop, start + _AHEAD), self.size) if first < start <= last else stop
        data = memoryview(self._remote.read_at(start, end - start))
        self._piece = (start, data)  # one assignment: threads see one piece or the other
        return data[: stop - start]
