"""Read-ahead: announced ranges are fetched by a few threads before they are read.

All reads of a remote file go through one `ReadAhead`, also those that nobody announced, so that it
has never more than 8 requests in flight. What was announced is fetched in the order of reading, as
long as at most 64 MiB are on their way or fetched and not yet read. What a reader waits for is
fetched first, whatever the budget says: so no order of reads can block.
"""

from __future__ import annotations

import copy
import threading
from bisect import bisect_right
from collections import deque
from contextlib import contextmanager
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from mcodec.errors import InputOutputError
from mcodec.limits import MIB
from mcodec.storage.ranges import MOST, coalesce, union
from mcodec.storage.source import is_closed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

REQUESTS: Final = 8  # in flight
BUDGET: Final = 64 * MIB  # announced bytes that are in flight, or fetched and not yet read
LEAST: Final = 1 * MIB  # a plan is cut into so many bytes, or more, so that all threads have some
PIECES: Final = 2 * REQUESTS


class Request:
    """One range that is fetched whole, or was."""

    __slots__ = ("counted", "data", "done", "error", "left", "plan", "start", "started", "stop")

    def __init__(self, start: int, stop: int, plan: Plan | None = None) -> None:
        self.start, self.stop, self.plan = start, stop, plan
        self.left = 0  # announced bytes that are still to be read
        self.started = self.done = False
        self.counted = False  # in the budget
        self.data = b""
        self.error: BaseException | None = None


class Plan:
    """The requests for ranges that were announced together.

    Parameters
    ----------
    ranges
        (start, stop) in the order of reading; one that stands there twice is read twice.
    """

    def __init__(self, ranges: Sequence[tuple[int, int]]) -> None:
        self.closed = False
        exact = union(ranges)
        self._starts = [start for start, _ in exact]
        self._lengths = [stop - start for start, stop in exact]
        self._before = [0, *accumulate(self._lengths)]
        piece = min(max(-(-self._before[-1] // PIECES), LEAST), MOST)
        self.requests: list[Request | None] = [
            Request(start, stop, self) for start, stop in coalesce(exact, piece)
        ]
        self._places = [request.start for request in self.requests if request]
        self._order: deque[Request] = deque()
        self._sort(ranges)

    def _sort(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Put requests into the order of reading, and count what will be read of each."""
        seen: set[int] = set()
        for start, stop in ranges:
            for request in self.cover(start, stop) or ():
                request.left += min(stop, request.stop) - max(start, request.start)
                if request.start not in seen:
                    seen.add(request.start)
                    self._order.append(request)

    def next(self) -> Request | None:
        """Return the next request that nobody has started; it stays the next."""
        while self._order and self._order[0].started:
            self._order.popleft()
        return self._order[0] if self._order else None

    def cover(self, start: int, stop: int) -> list[Request] | None:
        """Return the requests that together hold a range, if none of them was dropped."""
        found: list[Request] = []
        index = bisect_right(self._places, start) - 1
        while start < stop:
            request = self.requests[index] if 0 <= index < len(self.requests) else None
            if request is None or not request.start <= start < request.stop:
                return None
            found.append(request)
            start, index = request.stop, index + 1
        return found

    def announced(self, start: int, stop: int) -> int:
        """Return how many bytes of a range were announced."""
        return self._below(stop) - self._below(start)

    def _below(self, at: int) -> int:
        index = bisect_right(self._starts, at) - 1
        if index < 0:
            return 0
        return self._before[index] + min(at - self._starts[index], self._lengths[index])

    def drop(self, request: Request) -> None:
        """Forget a request and its bytes."""
        self.requests[bisect_right(self._places, request.start) - 1] = None


class ReadAhead:
    """Serves reads of one remote file from announced requests, or from requests of their own.

    Parameters
    ----------
    name
        The file's, for messages.
    fetch
        Returns bytes [start, stop), all of them, or raises; called from up to 8 threads.
    """

    def __init__(self, name: str, fetch: Callable[[int, int], bytes]) -> None:
        self._name, self._fetch = name, fetch
        self._changed = threading.Condition()
        self._plans: deque[Plan] = deque()
        self._urgent: deque[Request] = deque()  # somebody waits for these
        self._workers = 0
        self._held = 0  # bytes in the budget
        self._closed = False

    @contextmanager
    def announce(self, ranges: Sequence[tuple[int, int]]) -> Iterator[None]:
        """Fetch ranges ahead of their reads inside the context; drop what was not read."""
        plan = Plan(ranges)
        with self._changed:
            self._plans.append(plan)
            self._hire()
        try:
            yield
        finally:
            with self._changed:
                self._forget(plan)
                self._hire()

    def read(self, start: int, stop: int) -> bytes | memoryview:
        """Return bytes [start, stop): a view where one request holds them all.

        Raises
        ------
        InputOutputError, FormatError
            As `fetch` raised it.
        """
        with self._changed:
            pieces = self._cover(start, stop)
            self._urgent.extend(piece for piece in pieces if not piece.started)
            self._hire()
            while not all(piece.done for piece in pieces):
                self._changed.wait()
                if any(piece.error for piece in pieces):
                    break
            for piece in pieces:
                if piece.error:
                    # A copy: whoever catches it writes into it, and another may read the same.
                    raise copy.copy(piece.error)
            for piece in pieces:
                self._count(piece, max(start, piece.start), min(stop, piece.stop))
            self._hire()
        views = [
            memoryview(piece.data)[max(start - piece.start, 0) : stop - piece.start]
            for piece in pieces
        ]
        return views[0] if len(views) == 1 else b"".join(views)

    def close(self) -> None:
        """Forget all plans; reads that wait for what is not fetched yet fail."""
        with self._changed:
            self._closed = True
            for plan in list(self._plans):
                self._forget(plan)
            for request in self._urgent:
                if not request.started:
                    request.started = request.done = True
                    request.error = is_closed(self._name)
            self._urgent.clear()
            self._changed.notify_all()

    # What follows is called with the lock held.

    def _cover(self, start: int, stop: int) -> list[Request]:
        if self._closed:
            raise is_closed(self._name)
        for plan in self._plans:
            if found := plan.cover(start, stop):
                return found
        return [Request(at, min(at + MOST, stop)) for at in range(start, stop, MOST)]

    def _count(self, request: Request, start: int, stop: int) -> None:
        """Take note that bytes of a request were read."""
        plan = request.plan
        if plan is None or plan.closed or request.left <= 0:
            return
        request.left -= plan.announced(start, stop)
        if request.left <= 0:
            plan.drop(request)
            self._release(request)

    def _forget(self, plan: Plan) -> None:
        if plan.closed:
            return
        plan.closed = True
        self._plans.remove(plan)
        for request in plan.requests:
            if request is not None and request.done:
                self._release(request)
        plan.requests.clear()

    def _release(self, request: Request) -> None:
        if request.counted:
            request.counted = False
            self._held -= request.stop - request.start

    def _next(self, *, take: bool) -> Request | None:
        """Return what is to be fetched next: what is waited for, then plan by plan in turn."""
        while self._urgent:
            if not self._urgent[0].started:
                return self._urgent.popleft() if take else self._urgent[0]
            self._urgent.popleft()
        for _ in range(len(self._plans)):
            request = self._plans[0].next()
            if request is not None:
                size = request.stop - request.start
                if not self._held or self._held + size <= BUDGET:
                    if take:
                        self._plans.rotate(-1)
                    return request
            self._plans.rotate(-1)
        return None

    def _hire(self) -> None:
        """Start a thread if there is something to fetch and room for one more request."""
        if self._workers >= REQUESTS or self._next(take=False) is None:
            return
        thread = threading.Thread(target=self._work, name="mcodec-fetch", daemon=True)
        self._workers += 1
        try:
            thread.start()
        except RuntimeError as error:
            self._workers -= 1
            if not self._workers:
                raise InputOutputError(f"{self._name}: no thread to read it: {error}") from error

    # What follows runs in a thread of its own, which ends when there is nothing to fetch.

    def _work(self) -> None:
        while True:
            with self._changed:
                request = self._next(take=True)
                if request is None:
                    self._workers -= 1
                    return
                request.started = True
                if request.plan is not None and not request.plan.closed:
                    request.counted = True
                    self._held += request.stop - request.start
                self._hire()
            try:
                data, error = self._fetch(request.start, request.stop), None
            except BaseException as raised:  # it surfaces where it is read
                data, error = b"", raised
            with self._changed:
                request.data, request.error, request.done = data, error, True
                if error is not None or request.plan is None or request.plan.closed:
                    self._release(request)
                self._changed.notify_all()
