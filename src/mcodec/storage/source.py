"""What is read by position, and how an operating system's refusal becomes one line."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING, Protocol

from mcodec.errors import FormatError, InputOutputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager


class ByteSource(Protocol):
    """Something that is read by position, from any thread.

    Attributes
    ----------
    name : str
        For messages; credentials of a URL are left out.
    size : int
        Bytes. Of a remote file it may cost a request, unless `first` or `claim` brought it.
    """

    name: str
    remote: bool  # whether `ahead` makes reading faster

    @property
    def size(self) -> int:
        """Bytes of the file."""
        ...

    @property
    def descriptor(self) -> int | None:
        """What the system reads it by position with; None where only `read_at` can."""
        ...

    @property
    def mapping(self) -> memoryview | None:
        """All of it, where it is in memory already; else None."""
        ...

    def first(self, length: int) -> bytes:
        """Return the first `length` bytes, or all where there are fewer."""
        ...

    def claim(self, length: int, start: int, stop: int) -> bytes | None:
        """Take the size from the file's own word, and have the next read prove it.

        Parameters
        ----------
        length
            Bytes of the file, as it says itself.
        start, stop
            What is to be read next, inside `length`; may be empty.

        Returns
        -------
        bytes or None
            Bytes [start, stop). None where the size was known already, or is another one: then
            nothing was read, and `size` is the real one.
        """
        ...

    def read_at(self, offset: int, length: int) -> bytes | memoryview:
        """Return exactly `length` bytes from `offset`; FormatError if they are not there."""
        ...

    def ahead(self, ranges: Sequence[tuple[int, int]]) -> AbstractContextManager[None]:
        """Say what (start, stop) the context will read, about in this order, each once."""
        ...

    def refresh(self) -> int:
        """Look at the real size again (a download may grow), and return it."""
        ...

    def close(self) -> None:
        """Release it; a second call does nothing."""
        ...


@contextlib.contextmanager
def io_errors(name: str) -> Iterator[None]:
    """Turn an OSError into one line that names the file."""
    try:
        yield
    except InputOutputError:
        raise
    except OSError as error:
        # fsspec's backends raise without an error number.
        missing = os.strerror(errno.ENOENT) if isinstance(error, FileNotFoundError) else ""
        reason = error.strerror or missing or str(error)
        raise InputOutputError(f"{name}: {reason[:1].lower()}{reason[1:]}") from error


def is_url(path: str) -> bool:
    """Tell whether a path is a URL for fsspec rather than a file of this machine."""
    return "://" in path


def check_regular(mode: int) -> None:
    """Refuse what is no regular file, as the operating system would: by an OSError."""
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "not a regular file")


def ends_early(name: str) -> FormatError:
    """Return the error of a read past the end."""
    return FormatError("the file ends early", code="file_truncated", where=name)


def is_closed(name: str) -> InputOutputError:
    """Return the error of a read after `close`."""
    return InputOutputError(f"{name}: the file is closed")
