"""Model files that are opened when they are read: few at a time, and in whichever process.

A pack of thousands of models cannot hold all of them open, and a process that gets work from
another one has to open models itself.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections import OrderedDict
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mcodec.errors import FormatError, McodecError
from mcodec.storage import io_errors, is_url, shown
from mcodec.storage.fetch import Remote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from mcodec.formats.base import TensorSource
    from mcodec.types import TensorSpec

# Descriptors that a model takes: a file, or a process to read it; and a set of files, of which
# safetensors has 16 open.
_ONE: Final = 2
_SET: Final = 20
_LEAST, _MOST = 16, 2048
_FACTS: Final = ("format", "tensors", "metadata", "same_as", "notes")


def most_open() -> int:
    """Return how many descriptors models may take: half of those that this process may have."""
    try:
        import resource
    except ImportError:  # not a POSIX system
        return _MOST // 8
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _MOST if soft == resource.RLIM_INFINITY else max(_LEAST, min(_MOST, soft // 2))


def descriptors(path: object) -> int:
    """Return how many descriptors a model takes; none for arrays in memory."""
    if not isinstance(path, str | os.PathLike):
        return 0
    name = os.fspath(path)
    return _SET if name.endswith((".json", ".onnx")) or os.path.isdir(name) else _ONE


@dataclass(slots=True)
class _Entry:
    source: TensorSource
    takes: int
    uses: int = 0


class OpenModels:
    """Models that are open, by key; those that were not used for longest are closed. Thread-safe.

    Parameters
    ----------
    most
        Descriptors that they take together; more only while more models are being read at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._open: OrderedDict[object, _Entry] = OrderedDict()
        self._taken = 0

    @contextmanager
    def lend(
        self, key: object, opener: Callable[[], TensorSource], takes: int
    ) -> Iterator[TensorSource]:
        """Give a model that takes so many descriptors, open for as long as the block takes."""
        with self._lock:
            entry = self._open.get(key)
            if entry is None:
                self._shrink(self._most - takes)
                entry = self._open[key] = _Entry(opener(), takes)
                self._taken += takes
            entry.uses += 1
            self._open.move_to_end(key)
        try:
            yield entry.source
        finally:
            with self._lock:
                entry.uses -= 1

    def close(self) -> None:
        """Close all of them; models may be opened again."""
        with self._lock:
            entries = list(self._open.values())
            self._open.clear()
            self._taken = 0
        for entry in entries:
            entry.source.close()

    def _shrink(self, most: int) -> None:
        for key in list(self._open):
            if self._taken <= most:
                break
            if not self._open[key].uses:
                entry = self._open.pop(key)
                self._taken -= entry.takes
                entry.source.close()


_here: OpenModels | None = None  # of a process that gets its work from another one


def _open_here() -> OpenModels:
    global _here  # noqa: PLW0603 (one a process, however often work comes)
    if _here is None:
        _here = OpenModels(most_open())
        atexit.register(_here.close)
    return _here


class PathSource:
    """A model file as a source that is opened when it is read, and may be closed between reads.

    It can be pickled: another process opens the path itself, which has to be the same file there.

    Parameters
    ----------
    path, key, sandbox
        As for `sources.open_source`.
    models
        Who keeps it open; None for what this process has for work of other ones.
    size
        Bytes that the file has to have; None where that is not known yet.
    job
        Tells one call's models from another's, since a file may be written anew between them.
    """

    format: str
    tensors: Sequence[TensorSpec]
    metadata: Mapping[str, str]
    same_as: Mapping[int, int]
    notes: Sequence[str]

    def __init__(
        self,
        path: str,
        key: str,
        sandbox: bool,
        models: OpenModels | None = None,
        size: int | None = None,
        job: str = "",
    ) -> None:
        self.path = path
        self._key, self._sandbox = key, sandbox
        self._models = models or _open_here()
        self._size = size
        self._job = job or os.urandom(8).hex()

    def __getattr__(self, name: str) -> Any:
        """Look at the file when something of it is asked for first."""
        if name not in _FACTS:
            raise AttributeError(name)
        with self._lent() as source:
            self.__dict__.update({fact: getattr(source, fact) for fact in _FACTS})
        return self.__dict__[name]

    def skeleton(self) -> bytes:
        """Return all that the file holds besides arrays."""
        with self._lent() as source:
            return source.skeleton()

    def read(self, index: int, start: int, stop: int) -> NDArray[Any]:
        """Return elements [start, stop) of tensor `index`."""
        with self._lent() as source:
            return source.read(index, start, stop)

    def read_many(self, first: int) -> list[NDArray[Any]]:
        """Return small tensors from `first` on, where the format reads several at once."""
        with self._lent() as source:
            many = getattr(source, "read_many", None)
            return many(first) if many is not None else []

    def close(self) -> None:
        """Do nothing: whoever keeps it open closes it."""

    def identity(self) -> list[object]:
        """Return what tells this file from another one, or from itself before a change."""
        where = _absolute(self.path)
        with self._lent() as source:
            paths = getattr(source, "paths", None)
        files = _files(where) if paths is None else [where, *map(_absolute, paths)]
        return ["path", where, self._key, self._sandbox, *map(_stamp, files)]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as what opens it again."""
        where = _absolute(self.path)
        return PathSource, (where, self._key, self._sandbox, None, self._size, self._job)

    def _lent(self) -> AbstractContextManager[TensorSource]:
        key = (self._job, self.path, self._key)
        return self._models.lend(key, self._open, descriptors(self.path))

    def _open(self) -> TensorSource:
        from mcodec.api.sources import open_source

        with suppress(OSError):
            if os.path.isfile(self.path):
                size = os.path.getsize(self.path)
                if self._size is None:
                    self._size = size
                if size != self._size:
                    raise _changed(self.path)
        source = open_source(self.path, key=self._key, sandbox=self._sandbox)
        if self.__dict__.get("tensors", source.tensors) != source.tensors:
            source.close()
            raise _changed(self.path)
        return source


def _changed(path: str) -> McodecError:
    return FormatError(
        "the file has changed, or is another one than where the packing was started",
        code="source_invalid",
        where=shown(path),
    )


def _absolute(path: str) -> str:
    return path if is_url(path) else os.path.abspath(path)


def _stamp(path: str) -> list[object]:
    """Return a file's name, size and time, or whatever the server of a URL says in their place."""
    if is_url(path):
        return [path, *Remote(path).stamp()]
    with io_errors(path):
        status = os.stat(path)
        return [path, status.st_size, status.st_mtime_ns]


def _files(path: str) -> list[str]:
    """Return a model's files: where only its reader knows, all those that may be its own."""
    if os.path.isdir(path):
        return sorted(
            os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names
        )
    if not path.endswith((".json", ".onnx")):
        return [path]
    folder = os.path.dirname(path)
    names = [name for name in sorted(os.listdir(folder)) if not name.endswith((".mc", ".tmp"))]
    found = [os.path.join(folder, name) for name in names]
    return [where for where in found if os.path.isfile(where)]
