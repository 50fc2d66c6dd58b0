"""The asking side's end of the line to the process that reads: every wait has an end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import msgspec

from mcodec.formats import sandbox_wire as wire
from mcodec.limits import MAX_ANSWER

if TYPE_CHECKING:
    import socket

_STEP: Final = 1 << 20
_ANSWERS: Final = msgspec.msgpack.Decoder(wire.Answer)


class LateError(Exception):
    """The other side took too long."""


class GoneError(Exception):
    """The other side has hung up."""


class NonsenseError(Exception):
    """The other side said what it may not say."""


class Line:
    """Messages over a socket.

    Parameters
    ----------
    connection : socket
        Connected; closed by its owner.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def send(self, request: wire.Request, seconds: float) -> None:
        """Send a request.

        Raises
        ------
        LateError, GoneError
            Nobody takes it.
        """
        try:
            self._connection.settimeout(seconds)
            self._connection.sendall(wire.framed(wire.encode(request)))
        except TimeoutError as error:
            raise LateError from error
        except OSError as error:
            raise GoneError from error

    def receive(self, seconds: float) -> wire.Answer:
        """Return the next answer; `seconds` is for all of it.

        Raises
        ------
        LateError, GoneError, NonsenseError
            There is none, or none that makes sense.
        """
        end = time.monotonic() + seconds
        head = bytearray(wire.LENGTH.size)
        self._fill(memoryview(head), end)
        left = wire.LENGTH.unpack(head)[0]
        if left > MAX_ANSWER:
            raise NonsenseError
        body = bytearray()
        while left:  # no more memory than bytes have come
            part = bytearray(min(left, _STEP))
            self._fill(memoryview(part), end)
            body += part
            left -= len(part)
        try:
            answer: wire.Answer = _ANSWERS.decode(body)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise NonsenseError from error
        return answer

    def fill(self, out: memoryview, seconds: float) -> None:
        """Fill `out` with the bytes that follow an answer; `seconds` is for all of them.

        Raises
        ------
        LateError, GoneError
            They do not come.
        """
        self._fill(out, time.monotonic() + seconds)

    def _fill(self, out: memoryview, end: float) -> None:
        while out:
            left = end - time.monotonic()
            if left <= 0:
                raise LateError
            try:
                self._connection.settimeout(left)
                count = self._connection.recv_into(out)
            except TimeoutError as error:
                raise LateError from error
            except OSError as error:
                raise GoneError from error
            if not count:
                raise GoneError
            out = out[count:]
