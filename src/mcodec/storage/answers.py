"""What an HTTP server may answer to a range request, checked before its body is read.

fsspec reads a body to its end whatever the server says of it, so the answer's head is checked by a
function that aiohttp calls in between (its `raise_for_status` parameter).
"""

from __future__ import annotations

import re
from typing import Any, Final

from mcodec.errors import InputOutputError

OK: Final = 200
PARTIAL: Final = 206
UNSATISFIABLE: Final = 416
RANGE: Final = re.compile(r"bytes (?:(\d{1,19})-(\d{1,19})|\*)/(\d{1,19}|\*)", re.ASCII)


class ShortAnswerError(Exception):
    """A server sends fewer bytes than were asked for, and not because the file ends."""

    def __init__(self) -> None:
        super().__init__("the server sends fewer bytes than were asked for")


class RangeCheck:
    """Checks the answer to one range request; called by aiohttp with the response.

    Parameters
    ----------
    name
        Of the file, for messages.
    start, stop
        The bytes that were asked for.

    Attributes
    ----------
    total : int or None
        Bytes of the whole file, if the answer says so.
    """

    def __init__(self, name: str, start: int, stop: int) -> None:
        self._name = name
        self._start, self._stop = start, stop
        self.total: int | None = None

    async def __call__(self, response: Any) -> None:
        """Let pass what brings the bytes asked for, and errors, which fsspec raises."""
        try:
            self._check(response)
        except Exception:
            response.close()  # the body is never read
            raise

    def _check(self, response: Any) -> None:
        status, length = response.status, response.content_length
        found = RANGE.fullmatch(response.headers.get("Content-Range", ""))
        first, last, total = found.groups("") if found else ("", "", "")
        if total.isdigit() and status in (PARTIAL, UNSATISFIABLE):
            self.total = int(total)
        if status == OK:
            if self._start or length is None or length > self._stop:
                raise InputOutputError(f"{self._name}: the server does not answer range requests")
            self.total = length
        elif status == PARTIAL:
            if not first or int(first) != self._start or int(last) >= self._stop:
                message = "the server answers other bytes than were asked for"
                raise InputOutputError(f"{self._name}: {message}")
            if length is None or length > self._stop - self._start:
                message = "the server does not say how long its answers to range requests are"
                raise InputOutputError(f"{self._name}: {message}")
            if length < int(last) + 1 - self._start:
                raise ShortAnswerError
        else:
            return
        if response.headers.get("Content-Encoding", "identity") != "identity":
            message = "the server compresses its answers, unasked"
            raise InputOutputError(f"{self._name}: {message}")
