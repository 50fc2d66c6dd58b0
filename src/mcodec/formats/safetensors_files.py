"""The files of a safetensors model: their headers, and few of them open at a time."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import numpy as np

from mcodec.errors import FormatError, InputOutputError
from mcodec.formats.safetensors_header import Header, parse_header
from mcodec.limits import MAX_SOURCE_HEADER
from mcodec.storage import io_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcodec.formats.files import InputFile

PREFIX: Final = 8  # bytes of the header's length
_MOST_OPEN: Final = 16
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Shard:
    """One safetensors file, read but for its tensors' bytes.

    Attributes
    ----------
    raw : bytes
        The header as it stands, padding included.
    header : Header
        What it says.
    """

    raw: bytes
    header: Header

    @property
    def start(self) -> int:
        """The first byte of the tensors' data."""
        return PREFIX + len(self.raw)

    @property
    def size(self) -> int:
        """The bytes of the file."""
        return self.start + self.header.length


def read_shard(file: InputFile, most: int) -> Shard:
    """Read the header of a safetensors file, and compare it with the file's size.

    Parameters
    ----------
    file : InputFile
    most : int
        Bytes that the header may have; never more than the format allows.

    Raises
    ------
    FormatError
        The file breaks a rule of the format.
    InputOutputError
        The file cannot be read.
    """
    try:
        raw = _read_header(file, min(most, MAX_SOURCE_HEADER))
        shard = Shard(raw, parse_header(raw))
        if shard.size != file.size:
            raise FormatError(
                f"the file has {file.size} bytes, its header speaks of {shard.size}: it is cut"
                " short, or damaged",
                code="source_invalid",
            )
    except FormatError as error:
        raise (error if error.where else error.at(file.path)) from error.__cause__
    return shard


def _read_header(file: InputFile, most: int) -> bytes:
    prefix = file.read(0, PREFIX)
    length = int.from_bytes(prefix, "little")
    if len(prefix) < PREFIX or length == 0:
        raise FormatError("no safetensors header", code="source_invalid")
    if length > most:
        raise FormatError(
            f"a header of {length} bytes is over the limit of {most}", code="limit_exceeded"
        )
    if length > file.size - PREFIX:
        raise FormatError(
            f"a header of {length} bytes does not fit the file", code="source_invalid"
        )
    raw = np.empty(length, np.uint8)
    file.read_into(raw, PREFIX)
    return raw.tobytes()


def write_header(path: str, raw: bytes, length: int, *, new: bool) -> None:
    """Write the begin of a safetensors file, and give it its size.

    Setting the size takes no time. Having the blocks allocated too (posix_fallocate) was measured
    on ext4 and tmpfs: it gains little, and writes all blocks where a file system has no such call.

    Parameters
    ----------
    path : str
    raw : bytes
        The header.
    length : int
        Bytes of the tensors' data.
    new : bool
        The file must not be there.

    Raises
    ------
    InputOutputError
        The file cannot be written.
    """
    with io_errors(path), open(path, "xb" if new else "wb") as file:
        file.write(len(raw).to_bytes(PREFIX, "little") + raw)
        file.truncate(PREFIX + len(raw) + length)


class OpenFiles(Generic[_T]):
    """Files by number, opened when they are asked for; the last few stay open.

    Parameters
    ----------
    opener : callable
        Opens a file by its number. A file is closed when the last reference to it is gone: one
        that another thread still uses is not closed under it.
    """

    def __init__(self, opener: Callable[[int], _T]) -> None:
        self._opener = opener
        self._lock = threading.Lock()
        self._files: dict[int, _T] = {}  # the one asked for last is the last
        self._closed = False

    def get(self, number: int) -> _T:
        """Return a file, open.

        Raises
        ------
        FormatError, InputOutputError
            What the opener raises; `close` was called.
        """
        with self._lock:
            if self._closed:
                raise InputOutputError("the file is closed")
            file = self._files.pop(number) if number in self._files else self._opener(number)
            self._files[number] = file
            if len(self._files) > _MOST_OPEN:
                del self._files[next(iter(self._files))]
            return file

    def close(self) -> None:
        """Release all files; a second call does nothing."""
        with self._lock:
            self._closed = True
            self._files.clear()
