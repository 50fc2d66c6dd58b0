"""Positional reads of files and URLs, and outputs that are whole or absent."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mcodec.errors import (
    FormatError,
    InputOutputError,
    McodecError,
    MissingDependencyError,
    UsageError,
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
            _check_regular(status.st_mode)
        self.size = status.st_size

    def read_at(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset`."""
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
        self._lock = threading.Lock()
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
        with io_errors(self.name), self._lock:
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


def check_output(path: str | os.PathLike[str]) -> None:
    """Refuse an output that cannot be; callers with long work to do ask before it.

    Raises
    ------
    UsageError
        The path is empty or a URL.
    InputOutputError
        It is a folder, a pipe or a device, or its folder is not there.
    """
    name = os.fspath(path)
    if not name:
        raise UsageError("the name of the output is empty")
    if is_url(name):
        raise UsageError(f"{name}: an output is a file of this machine; copy it later")
    with io_errors(name):
        with contextlib.suppress(FileNotFoundError):
            _check_regular(os.stat(name).st_mode)  # a rename would replace /dev/null itself
        folder = os.path.dirname(os.path.realpath(name))
        if not os.path.isdir(folder):
            raise OSError(errno.ENOENT, "the folder to write it in is not there")


def _check_regular(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "not a regular file")


@contextlib.contextmanager
def atomic_output(path: str | os.PathLike[str]) -> Iterator[str]:
    """Give the name of a temporary file that becomes `path` if the block ends well.

    The temporary file lies in the target's folder, is synced and then renamed; on any error or
    interrupt it is removed, and an existing `path` stays as it was.
    """
    name = os.fspath(path)
    check_output(name)
    target = Path(os.path.realpath(name))  # a link to a file is kept, and its target replaced
    with io_errors(name):
        mode = _mode_for(target)
        # The name is there before the file: an interrupt right behind its making still removes it.
        temporary = str(target.with_name(f".{target.name[:40]}.{os.urandom(8).hex()}.tmp"))
        try:
            _create(temporary)
            yield temporary
            os.chmod(temporary, mode)
            _sync(temporary)
            os.replace(temporary, target)
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            if isinstance(error, McodecError):  # people know the file by the name they gave it
                error.where = error.where.replace(temporary, name)
                error.message = error.message.replace(temporary, name)
            raise
        _sync(str(target.parent))


def _create(path: str) -> None:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
    os.close(os.open(path, flags, 0o600))


def _mode_for(target: Path) -> int:
    """Keep an existing file's permissions; a new file gets what open() would give it."""
    try:
        return stat.S_IMODE(target.stat().st_mode)
    except FileNotFoundError:
        umask = os.umask(0)
        os.umask(umask)
        return 0o666 & ~umask


def _sync(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    except OSError as error:  # some file systems cannot sync a folder
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)
