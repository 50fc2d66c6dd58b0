"""Whose turn it is: many threads use a model under one task, or one of them changes the task."""

from __future__ import annotations

import threading
from collections import Counter, deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mcodec.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Turns:
    """Lets threads in by their order: those of one task together, of another when all have left."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()
        self._inside: Counter[int] = Counter()  # by thread
        self.task: str | None = None

    @contextmanager
    def of(self, task: str, change: Callable[[], None], *, force: bool = False) -> Iterator[None]:
        """Wait for the turn of a task, call `change` if it is not there, and keep others out.

        Raises
        ------
        UsageError
            This thread is inside, under another task: it would wait for itself.
        """
        me = threading.get_ident()
        with self._changed:
            if self._inside[me]:
                if task != self.task or force:
                    message = f"this thread uses task {self.task!r}: leave that `use` before"
                    raise UsageError(f"{message} changing to {task!r}")
            else:
                self._enter(task, change, force=force)
            self._inside[me] += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside[me] -= 1
                if not self._inside[me]:
                    del self._inside[me]
                self._changed.notify_all()

    def _enter(self, task: str, change: Callable[[], None], *, force: bool) -> None:
        ticket = object()
        self._queue.append(ticket)

        def mine() -> bool:
            same = task == self.task and not force
            return self._queue[0] is ticket and (same or not self._inside)

        try:
            self._changed.wait_for(mine)
            if task != self.task or force:
                change()
                self.task = task
        finally:
            self._queue.remove(ticket)
            self._changed.notify_all()
