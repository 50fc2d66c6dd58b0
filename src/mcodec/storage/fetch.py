"""Requests to a file behind an fsspec URL: tried again, checked, and each error one line."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mcodec.errors import InputOutputError, McodecError, MissingDependencyError, one_line
from mcodec.storage.answers import UNSATISFIABLE, RangeCheck, ShortAnswerError
from mcodec.storage.source import ends_early

if TYPE_CHECKING:
    from collections.abc import Mapping

TRIES: Final = 3
PAUSE: Final = 0.1  # seconds before the second try; twice as long before the next
AGAIN: Final = frozenset((408, 425, 429, 500, 502, 503, 504))  # HTTP statuses that may pass
# What fsspec's backends call a file's length, time and version.
STAMPS: Final = frozenset(
    ("size", "etag", "mtime", "created", "updated", "lastmodified", "last_modified", "generation")
)
HTTP: Final = ("http", "https")
S3: Final = ("s3", "s3a")


class Answer(NamedTuple):
    """What a request brought, and the bytes of the whole file where the answer says so."""

    data: bytes
    total: int | None


class Remote:
    """A file behind a URL, as requests; from any thread, and across forks.

    Parameters
    ----------
    url
        An fsspec URL.
    options
        fsspec's storage options.

    Attributes
    ----------
    name : str
        The URL without its credentials and its query.

    Raises
    ------
    MissingDependencyError
        The library for such a URL is not installed.
    InputOutputError
        There is no such protocol, or an option cannot be.
    """

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        self.name = shown(url)
        self._url, self._options = url, dict(options or {})
        self._process = 0
        self._fs: Any = None
        self._path = ""
        self._tells = True  # answers of HTTP say how long the file is
        self._connect()

    def fetch(self, start: int, stop: int, *, whole: bool = True) -> Answer:
        """Return bytes [start, stop), after at most 3 tries.

        Parameters
        ----------
        start, stop
        whole
            False takes fewer bytes for an answer, where the file seems to end.

        Raises
        ------
        FormatError
            ``file_truncated``: the file ends before `stop`, and `whole` was asked for.
        InputOutputError
            The backend refuses or fails.
        """
        for attempt in range(TRIES):
            if attempt:
                time.sleep(PAUSE * 2 ** (attempt - 1))
            try:
                answer = self._once(start, stop)
                if len(answer.data) == stop - start or not whole:
                    return answer
                if answer.total is not None:
                    raise ends_early(self.name)
                failure: Exception = ShortAnswerError()
            except (McodecError, MemoryError):
                raise
            except Exception as error:  # aiohttp's, botocore's, …
                failure = error
                if not may_pass(error):
                    break
        if whole and isinstance(failure, ShortAnswerError) and self.length() < stop:
            raise ends_early(self.name)
        raise self._error(failure)

    def length(self) -> int:
        """Ask how long the file is now.

        Raises
        ------
        InputOutputError
            The backend refuses, or does not know.
        """
        size = None
        if self._tells and self._is(HTTP):  # a HEAD is often not allowed where a GET is
            size = self.fetch(0, 1, whole=False).total
        if size is None:
            size = self._stated()
        if not isinstance(size, int) or size < 0:
            raise InputOutputError(f"{self.name}: the server does not say how long the file is")
        return size

    def stamp(self) -> list[tuple[str, str]]:
        """Return what the backend says of the file that changes when the file does.

        Raises
        ------
        InputOutputError
            There is no such file, or the backend refuses.
        """
        try:
            fs = self._connect()
            fs.invalidate_cache(self._path)
            info = fs.info(self._path)
        except McodecError:
            raise
        except Exception as error:
            failure = error
        else:
            return sorted((key, str(info[key])) for key in info if key.lower() in STAMPS)
        raise self._error(failure)

    def _stated(self) -> Any:
        try:
            fs = self._connect()
            fs.invalidate_cache(self._path)
            return fs.size(self._path)
        except Exception as error:
            failure = error
        raise self._error(failure)

    def _once(self, start: int, stop: int) -> Answer:
        """Ask once; raises what the backend raises."""
        fs = self._connect()
        check, extra = RangeCheck(self.name, start, stop), {}
        if self._is(HTTP):
            headers = {**fs.storage_options.get("headers", {}), "Accept-Encoding": "identity"}
            extra = {"headers": headers, "raise_for_status": check}
        try:
            data = fs.cat_file(self._path, start=start, end=stop, **extra)
        except Exception as error:
            if _is_behind_the_end(error):
                return Answer(b"", check.total)
            raise
        if len(data) > stop - start:
            raise InputOutputError(f"{self.name}: the server sends more than was asked for")
        if check.total is not None and start + len(data) < min(stop, check.total):
            raise ShortAnswerError
        if data:
            self._tells = check.total is not None
        return Answer(data, check.total)

    def _is(self, protocols: tuple[str, ...]) -> bool:
        known = self._connect().protocol
        return not set(protocols).isdisjoint((known,) if isinstance(known, str) else known)

    def _connect(self) -> Any:
        """Return the file system, a new one after a fork: its thread stayed in the parent."""
        if self._process == os.getpid():
            return self._fs
        try:
            import fsspec

            options = dict(self._options)
            if self._url.partition("://")[0] in S3:
                options.setdefault("use_listings_cache", False)
            self._fs, self._path = fsspec.core.url_to_fs(self._url, **options)
        except ImportError as error:
            failure: McodecError = MissingDependencyError(f"{self.name}: {_words(error)}")
        except Exception as error:
            failure = self._error(error)
        else:
            self._process = os.getpid()
            return self._fs
        raise failure

    def _error(self, error: Exception) -> InputOutputError:
        return InputOutputError(f"{self.name}: {reason(error)}")


def may_pass(error: Exception) -> bool:
    """Tell whether another try may help; s3fs and botocore have tried theirs several times."""
    status = getattr(error, "status", None)
    if isinstance(status, int) and status:
        return status in AGAIN
    if isinstance(error, FileNotFoundError | PermissionError):
        return False
    ours = ShortAnswerError | TimeoutError | ConnectionError
    network = any(kind.__module__.startswith("aiohttp") for kind in type(error).__mro__)
    return isinstance(error, ours) or (network and not isinstance(error, ValueError))


def reason(error: Exception) -> str:
    """Say what went wrong, in one line without credentials."""
    status = getattr(error, "status", None)
    if isinstance(status, int) and status:
        said = one_line(Exception(getattr(error, "message", "")))
        return f"the server answers {status}" + (f" ({said})" if said != "Exception" else "")
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, TimeoutError):
        return "the server does not answer in time"
    words = _words(error)
    if isinstance(error, PermissionError):
        return f"permission denied ({words})"
    return words[:1].lower() + words[1:]


def shown(text: str) -> str:
    """Return a URL, or words with URLs in them, without users, passwords and signed queries."""
    text = re.sub(r"(://)[^/@\s]*@", r"\1", text)
    return re.sub(r"(://[^\s?'\"]*)\?[^\s'\")>]+", r"\1", text)


def _words(error: Exception) -> str:
    text = str(error)
    if type(error).__module__ == "builtins" and isinstance(error, OSError) and error.strerror:
        text = error.strerror  # without the number and the path
    return one_line(Exception(shown(text) or type(error).__name__))


def _is_behind_the_end(error: Exception) -> bool:
    """Tell whether the backend refuses a range because it starts behind the file's end."""
    if getattr(error, "status", None) == UNSATISFIABLE:
        return True
    said = getattr(error.__cause__, "response", None)  # botocore's
    code = said.get("Error", {}).get("Code") if isinstance(said, dict) else None
    return isinstance(error, OSError) and code in ("InvalidRange", "416")
