"""The process that reads a stranger's file: it limits itself, then answers on its standard input.

Run as ``python -m mcodec.formats.sandbox_child`` by `sandbox`, with a socket as descriptor 0.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import sys
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from mcodec.errors import FormatError, McodecError
from mcodec.formats import sandbox_wire as wire
from mcodec.limits import MAX_ANSWER, MAX_SKELETON
from mcodec.types import itemsize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcodec.formats.base import TensorSource

_FILES: Final = 4096  # open at a time
_REQUESTS: Final = msgspec.msgpack.Decoder(wire.Request)


def main() -> int:
    """Answer until the other side hangs up; return the exit status."""
    channel = _Channel(socket.socket(fileno=0))
    request = channel.receive()
    if not isinstance(request, wire.Open):
        return 1
    _preload()
    _limit(request)
    channel.send(wire.Ready())
    source: TensorSource | None = None
    while request is not None:
        _allow_time(request.seconds if isinstance(request, wire.Open) else channel.seconds)
        try:
            match request:
                case wire.Open():
                    channel.seconds = request.seconds
                    channel.memory = request.memory
                    source = _open(request)
                    channel.send_raw(_opened(source))
                case wire.AskSkeleton() if source is not None:
                    for part in _skeleton(source):
                        channel.answer(part)
                case wire.Read() if source is not None:
                    for part in _read(source, request):
                        channel.answer(part)
        except Exception as error:
            channel.send(wire.failure(_as_ours(error, channel.memory)))
        request = channel.receive()
    return 0


class _Channel:
    """The socket, and the limits that were agreed on."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.seconds = 0.0
        self.memory = 0

    def receive(self) -> wire.Request | None:
        """Return the next request, or None if the other side is gone."""
        head = self._exactly(wire.LENGTH.size)
        if head is None:
            return None
        body = self._exactly(wire.LENGTH.unpack(head)[0])
        return None if body is None else _REQUESTS.decode(body)

    def _exactly(self, count: int) -> bytes | None:
        found = b""
        while len(found) < count:
            part = self._connection.recv(count - len(found))
            if not part:
                return None
            found += part
        return found

    def send(self, message: wire.Answer) -> None:
        self.send_raw(wire.encode(message))

    def send_raw(self, payload: bytes) -> None:
        self._connection.sendall(wire.framed(payload))

    def answer(self, part: wire.Data | bytes | memoryview) -> None:
        """Send a message, or bytes behind the message that says how many they are."""
        if isinstance(part, wire.Data):
            self.send(part)
        else:
            self._connection.sendall(part)


def _preload() -> None:
    """Load what is large before memory is limited, so that the limit is the file's alone."""
    import h5py  # noqa: F401
    import ml_dtypes  # noqa: F401
    import zstandard  # noqa: F401

    from mcodec.formats import registry

    for name in registry.FORMATS:
        # A format may lack its library here; whoever opens such a file will hear of it.
        with contextlib.suppress(ImportError):
            registry.hook(name, "open")


def _limit(request: wire.Open) -> None:
    import resource

    def at_most(what: int, most: int) -> None:
        _, hard = resource.getrlimit(what)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))

    taken = _address_space()
    if taken:
        at_most(resource.RLIMIT_AS, taken + request.memory)
    at_most(resource.RLIMIT_CORE, 0)
    at_most(resource.RLIMIT_NOFILE, _FILES)
    at_most(resource.RLIMIT_NPROC, 0)
    at_most(resource.RLIMIT_FSIZE, request.memory if _may_spool(request.path) else 0)


def _address_space() -> int:
    """Return the bytes that this process has taken, or 0 where only Linux could say it."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _may_spool(path: bytes) -> bool:
    """Tell whether a file may have to be inflated into a temporary one: an archive."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            return os.read(fd, 2) == b"PK"
        finally:
            os.close(fd)
    except OSError:
        return False


def _allow_time(seconds: float) -> None:
    """Limit processor time, for the case that nobody is there any more to end this process."""
    import resource

    used = sum(os.times()[:2])
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = math.ceil(used + seconds) + 1
    if hard != resource.RLIM_INFINITY:
        soft = min(soft, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _open(request: wire.Open) -> TensorSource:
    from mcodec.formats import registry

    return registry.open_source(request.path.decode("utf-8", "surrogateescape"), request.key)


def _opened(source: TensorSource) -> bytes:
    tensors = [(spec.name, spec.dtype, tuple(spec.shape)) for spec in source.tensors]
    answer = wire.Opened(
        source.format, tensors, dict(source.metadata), dict(source.same_as), list(source.notes)
    )
    payload = wire.encode(answer)
    if len(payload) > MAX_ANSWER:
        raise _too_long("names and metadata", len(payload), MAX_ANSWER)
    return payload


def _skeleton(source: TensorSource) -> Iterator[wire.Data | bytes | memoryview]:
    whole = memoryview(source.skeleton())
    if len(whole) > MAX_SKELETON:
        raise _too_long("skeleton", len(whole), MAX_SKELETON)
    yield wire.Data(len(whole))
    for at in range(0, len(whole), wire.PIECE):
        part = whole[at : at + wire.PIECE]
        yield wire.Data(len(part))
        yield part


def _read(source: TensorSource, request: wire.Read) -> Iterator[wire.Data | bytes | memoryview]:
    step = max(1, wire.PIECE // itemsize(source.tensors[request.index].dtype))
    for at in range(request.start, request.stop, step):
        part = source.read(request.index, at, min(at + step, request.stop))
        yield wire.Data(part.nbytes)
        yield part.view(np.uint8).data


def _too_long(what: str, count: int, most: int) -> FormatError:
    return FormatError(f"its {what} take {count} bytes, over {most}", code="limit_exceeded")


def _as_ours(error: Exception, memory: int) -> McodecError:
    """Return an error of ours for any: want of memory may be hidden below another one."""
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, MemoryError):
            return FormatError(
                f"reading it took more than {memory} bytes of memory", code="limit_exceeded"
            )
        below = below.__cause__ or below.__context__
    if isinstance(error, McodecError):
        return error
    return FormatError(f"it cannot be read ({type(error).__name__})", code="source_invalid")


if __name__ == "__main__":
    sys.exit(main())
