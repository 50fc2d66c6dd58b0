"""A real HTTP server of files on loopback, with ranges, faults on demand and a rate limit.

    python tests/support/rangeserver.py FOLDER [--rate BYTES_A_SECOND]

serves a folder until its standard input ends, and prints its address first.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

PIECE = 64 * 1024


class Seen(NamedTuple):
    """One request: the range as [start, stop), the status, and the bytes of the body sent."""

    method: str
    path: str
    start: int
    stop: int
    status: int
    sent: int


@dataclass
class Bucket:
    """Lets `rate` bytes a second pass, of all connections together; None is no limit."""

    rate: float | None
    _free: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, count: int) -> None:
        """Wait until `count` bytes may be sent."""
        if self.rate is None:
            return
        with self._lock:
            self._free = max(self._free, time.monotonic()) + count / self.rate
            wait = self._free - time.monotonic()
        if wait > 0:
            time.sleep(wait)


class RangeServer:
    """Serves `files` (path -> bytes) and the files of `folder`; a context manager.

    Attributes
    ----------
    files : dict of str to bytes
        By path, with its slash.
    faults : deque of str
        What goes wrong with the next GETs, in order; an empty string is no fault.
    always : str
        What goes wrong with each GET that has no fault of its own.
    seen : list of Seen
        All requests that were answered.
    headers : dict of str to str
        Of the last GET.
    most : int
        Requests that were answered at one time.

    The faults: ``cut`` breaks the connection in the middle of the body, ``whole`` answers 200 and
    all, ``short`` says and sends half, ``quiet-short`` says all of the range and sends half,
    ``flip`` damages the middle byte, ``wait`` sleeps a second first, ``chunked`` does not say how
    long the body is, ``more`` sends twice as much, ``shifted`` another range, ``gzip`` claims a
    compressed body, ``unknown`` does not say the file's length; a number is a status.
    """

    def __init__(self, *, folder: str = "", rate: float | None = None) -> None:
        self.files: dict[str, bytes] = {}
        self.folder = folder
        self.faults: deque[str] = deque()
        self.always = ""
        self.seen: list[Seen] = []
        self.headers: dict[str, str] = {}
        self.most = 0
        self.bucket = Bucket(rate)
        self._busy = 0
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        """The address, without a slash at its end."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def sent(self) -> int:
        """Bytes of all bodies together."""
        return sum(one.sent for one in self.seen)

    def put(self, path: str, data: bytes) -> str:
        """Serve bytes under a path, and return their URL."""
        self.files[path] = data
        return self.url + path

    def content(self, path: str) -> bytes | None:
        """Return what is served under a path."""
        path = path.partition("?")[0]
        if path in self.files:
            return self.files[path]
        name = os.path.basename(path)
        if self.folder and name in os.listdir(self.folder):
            with open(os.path.join(self.folder, name), "rb") as file:
                self.files[path] = file.read()
            return self.files[path]
        return None

    def fault(self) -> str:
        """Return what goes wrong with the next GET."""
        with self._lock:
            return self.faults.popleft() if self.faults else self.always

    def enter(self, step: int) -> None:
        """Count the requests that are answered at one time."""
        with self._lock:
            self._busy += step
            self.most = max(self.most, self._busy)

    def idle(self) -> None:
        """Wait until all requests are answered."""
        while self._busy:
            time.sleep(0.001)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # connections that clients keep open
    owner: RangeServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that go away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing; `seen` has it."""

    def do_HEAD(self) -> None:
        data = self.server.owner.content(self.path)
        status = 404 if data is None else 200
        self._answer(status, b"", 0, 0, {"Content-Length": str(len(data or b""))})

    def do_GET(self) -> None:
        owner = self.server.owner
        owner.headers = dict(self.headers.items())
        owner.enter(1)
        try:
            self._get(owner, owner.fault())
        finally:
            owner.enter(-1)

    def _get(self, owner: RangeServer, fault: str) -> None:
        data = owner.content(self.path)
        if fault == "wait":
            time.sleep(1)
        if data is None or fault.isdigit():
            self._refuse(404 if data is None else int(fault))
            return
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not found or fault == "whole":
            self._answer(200, data, 0, len(data), {"Content-Length": str(len(data))})
            return
        start = int(found[1])
        stop = min(int(found[2] or len(data)) + 1, len(data))
        if start >= len(data):
            self._refuse(416, {"Content-Range": f"bytes */{len(data)}"})
            return
        self._partial(data, start, stop, fault)

    def _partial(self, data: bytes, start: int, stop: int, fault: str) -> None:
        if fault == "short":
            stop = start + max((stop - start) // 2, 1)
        stated = (start + 64, stop + 64) if fault == "shifted" else (start, stop)
        total = "*" if fault == "unknown" else str(len(data))
        head = {"Content-Range": f"bytes {stated[0]}-{stated[1] - 1}/{total}"}
        if fault == "quiet-short":
            stop = start + (stop - start) // 2
        body = data[start:stop]
        if fault == "flip":
            middle = len(body) // 2
            body = body[:middle] + bytes([body[middle] ^ 16]) + body[middle + 1 :]
        if fault == "more":
            body += body
        if fault == "gzip":
            head["Content-Encoding"] = "gzip"
        if fault == "chunked":
            head["Transfer-Encoding"] = "chunked"
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        else:
            head["Content-Length"] = str(len(body))
        if fault == "cut":
            body = body[: len(body) // 2]
        self._answer(206, body, start, stop, head)
        if fault == "cut":
            self.close_connection = True

    def _answer(
        self, status: int, body: bytes, start: int, stop: int, head: dict[str, str]
    ) -> None:
        seen = self.server.owner.seen
        note = Seen(self.command, self.path, start, stop, status, len(body))
        seen.append(note)  # before the last byte goes, or a test may look too early
        sent = 0
        try:
            self.send_response(status)
            for name, value in head.items():
                self.send_header(name, value)
            self.end_headers()
            for at in range(0, len(body), PIECE):
                piece = memoryview(body)[at : at + PIECE]
                self.server.owner.bucket.take(len(piece))
                self.wfile.write(piece)
                sent += len(piece)
        except OSError:  # the client went away
            seen[seen.index(note)] = note._replace(sent=sent)
            self.close_connection = True

    def _refuse(self, status: int, head: dict[str, str] | None = None) -> None:
        self._answer(status, b"", 0, 0, {"Content-Length": "0", **(head or {})})


def main() -> None:
    """Serve a folder to another process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--rate", type=float, default=None)
    options = parser.parse_args()
    with RangeServer(folder=options.folder, rate=options.rate) as server:
        print(server.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
