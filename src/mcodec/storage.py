"""Positional reads of files and URLs."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING, Any, Protocol

from mcodec.errors import (
    FormatError,
    InputOutputError,
    MissingDependencyError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


class ByteSource(Protocol):
    """Something that is read by position, from any thread."""

    name: str
    size: int

    def read_at(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset`; FormatError if they are not there."""
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


class LocalFile:
    """A file of this machine, read with pread: no mapping, so no SIGBUS when it shrinks."""

    def __init__(self, path: str) -> None:
        self.name = path
        self._fd = -1
        with io_errors(path):
            # A pipe would block here for ever; O_NONBLOCK changes nothing for a regular file.
            self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0))
            status = os.fstat(self._fd)
            check_regular(status.st_mode)
        self.size = status.st_size

    def read_at(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset`."""
        if self._fd < 0:
            raise InputOutputError(f"{self.name}: the file is closed")
        with io_errors(self.name):
            data = os.pread(self._fd, length, offset)
            while len(data) < length:
                more = os.pread(self._fd, length - len(data), offset + len(data))
                if not more:
                    raise FormatError("the file ends early", code="file_truncated", where=self.name)
                data += more
        return data

    def close(self) -> None:
        """Release the descriptor."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __del__(self) -> None:
        self.close()


class RemoteFile:
    """A file behind an fsspec URL; one range request a read."""

    def __init__(self, url: str) -> None:
        import fsspec

        self.name = url
        with io_errors(url):
            try:
                self._fs, self._path = fsspec.core.url_to_fs(url)
                self.size = int(self._fs.size(self._path))
            except ImportError as error:
                raise MissingDependencyError(f"{url}: {error}") from error
            except (ValueError, TypeError) as error:
                raise InputOutputError(f"{url}: {error}") from error

    def read_at(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset`."""
        with io_errors(self.name):
            data: Any = self._fs.cat_file(self._path, start=offset, end=offset + length)
        if len(data) != length:
            raise FormatError("the file ends early", code="file_truncated", where=self.name)
        return bytes(data)

    def close(self) -> None:
        """Nothing is held open between reads."""


def is_url(path: str) -> bool:
    """Tell whether a path is a URL for fsspec rather than a file of this machine."""
    return "://" in path


def open_bytes(path: str | os.PathLike[str]) -> ByteSource:
    """Open a path or an fsspec URL for positional reads.

    Raises
    ------
    InputOutputError
        There is no such file, or it may not be read.
    """
    name = os.fspath(path)
    return RemoteFile(name) if is_url(name) else LocalFile(name)


def check_regular(mode: int) -> None:
    """Refuse what is no regular file, as the operating system would: by an OSError."""
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "not a regular file")
