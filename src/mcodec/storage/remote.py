"""Files behind a URL, through fsspec: opened with two requests at most, read ahead, tried again."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING, Any, Final

from mcodec.errors import FormatError, InputOutputError
from mcodec.storage.ahead import ReadAhead
from mcodec.storage.fetch import Remote
from mcodec.storage.source import ends_early, is_closed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

LARGEST: Final = 1 << 62  # bytes of a file that may be asked for


class RemoteFile:
    """A file behind an fsspec URL.

    Parameters
    ----------
    url
    options
        fsspec's storage options.

    Attributes
    ----------
    name : str
        The URL without its credentials and its query.

    Raises
    ------
    InputOutputError, MissingDependencyError
        See `Remote`; no request is made yet.
    """

    remote = True

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        self._remote = Remote(url, options)
        self.name = self._remote.name
        self._size: int | None = None
        self._claimed: int | None = None  # the size by the file's own word, not proven yet
        self._guessed = False  # the size is that of a short answer
        self._closed = False
        self._start()

    @property
    def descriptor(self) -> int | None:
        """None: there is no file here."""
        return None

    @property
    def mapping(self) -> memoryview | None:
        """None: it is far away."""
        return None

    @property
    def size(self) -> int:
        """Bytes of the file; a request, if nothing has told it yet."""
        self._renew()
        with self._lock:  # one thread asks
            if self._size is not None:
                return self._size
            return self.refresh() if self._claimed is None else self._claimed

    def first(self, length: int) -> bytes:
        """Return the first `length` bytes, or all where there are fewer, by one request."""
        self._check_open()
        data, total = self._remote.fetch(0, length, whole=False)
        if total is not None:
            self._size = total
        elif len(data) < length:
            self._size, self._guessed = len(data), True
        return data

    def claim(self, length: int, start: int, stop: int) -> bytes | None:
        """Take the size from the file's own word, and prove it by the request for [start, stop).

        Where something lies behind `stop`, the first `read_at` proves it, by a request of its own.
        See `ByteSource.claim`.
        """
        if self._size is not None:
            if self._guessed and self._size != length:
                self.refresh()  # the short answer may have been cut short
            return None
        last = stop if start < stop else length
        at = start if start < stop else length - 1
        if length > LARGEST:
            self.refresh()
            return None
        try:
            if last < length:
                data = self._fetch(at, last)
                self._claimed = length
                return data
            data, total = self._remote.fetch(at, length + 1, whole=False)
        except (FormatError, InputOutputError):
            self.refresh()  # raises where the server is to blame, not the number
            return None
        if len(data) != length - at or total not in (None, length):
            self.refresh()
            return None
        self._size = length
        return data[: stop - start]

    def read_at(self, offset: int, length: int) -> bytes | memoryview:
        """Return exactly `length` bytes from `offset`.

        Raises
        ------
        FormatError
            ``file_truncated``: they are not there; ``trailing_data``: the file is longer than it
            says, which could not be seen before.
        InputOutputError
            The server refuses or fails, three times where that may pass.
        """
        self._check_open()
        if offset < 0 or offset + length > self.size:
            raise ends_early(self.name)
        self._prove()
        if not length:
            return b""
        return self._reads.read(offset, offset + length)

    def ahead(self, ranges: Sequence[tuple[int, int]]) -> AbstractContextManager[None]:
        """Fetch ranges ahead of their reads, joined to few requests (see `ReadAhead`)."""
        self._check_open()
        end = self.size
        within = [(start, stop) for start, stop in ranges if 0 <= start < stop <= end]
        return self._reads.announce(within) if within else contextlib.nullcontext()

    def refresh(self) -> int:
        """Ask for the real size again, and return it."""
        self._check_open()
        self._size = size = self._remote.length()
        self._claimed, self._guessed = None, False
        return size

    def close(self) -> None:
        """Forget what was fetched ahead; requests in flight end by themselves."""
        self._renew()
        self._closed = True
        self._reads.close()

    def _check_open(self) -> None:
        if self._closed:
            raise is_closed(self.name)

    def _start(self) -> None:
        self._lock = threading.RLock()  # of the size
        self._reads = ReadAhead(self.name, self._fetch)
        self._process = os.getpid()

    def _renew(self) -> None:
        if self._process != os.getpid():  # a fork has no threads, and perhaps a locked lock
            self._start()

    def _prove(self) -> None:
        """Prove a size that was only claimed."""
        with self._lock:
            claimed = self._claimed
            if claimed is None:
                return
            data, _ = self._remote.fetch(claimed - 1, claimed + 1, whole=False)
            size = claimed if len(data) == 1 else self._remote.length()
            if size < claimed:
                message = f"the file is cut off: {size} of {claimed} bytes"
                raise FormatError(message, code="file_truncated", where=self.name)
            if size > claimed:
                message = f"{size - claimed} bytes follow the end of the file"
                raise FormatError(message, code="trailing_data", where=self.name)
            self._size, self._claimed = claimed, None

    def _fetch(self, start: int, stop: int) -> bytes:
        return self._remote.fetch(start, stop).data
