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
        self.lock = threading.RLock()  # held while a task is changed
        self._changed = threading.Condition(self.lock)
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
                with self._ticket(None if force else task):
                    if force or task != self.task:
                        change()
                        self.task = task
            self._inside[me] += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside[me] -= 1
                if not self._inside[me]:
                    del self._inside[me]
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until no thread is inside, and keep all out.

        Raises
        ------
        UsageError
            This thread is inside.
        """
        with self._changed:
            if self._inside[threading.get_ident()]:
                raise UsageError(f"this thread uses task {self.task!r}: leave that `use` before")
            with self._ticket(None):
                yield

    @contextmanager
    def _ticket(self, task: str | None) -> Iterator[None]:
        """Wait for all who came before, and until nobody is inside under another task."""
        ticket = object()
        self._queue.append(ticket)
        try:
            self._changed.wait_for(
                lambda: self._queue[0] is ticket and (task == self.task or not self._inside)
            )
            yield
        finally:
            self._queue.remove(ticket)
            self._changed.notify_all()
