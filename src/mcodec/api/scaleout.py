"""Work for other processes: any executor of `concurrent.futures` that is not one of threads.

A function and all that it stands on (values, codecs, runs) are pickled once. Where that is long it
lies in the folder of parts as a file, by its digest, which each worker reads once; with the items
travel the digest and little else.
"""

from __future__ import annotations

import os
import pickle
import re
import threading
from collections import OrderedDict
from concurrent.futures import BrokenExecutor, CancelledError
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import zstandard
from blake3 import blake3

import mcodec
from mcodec.engine import Scattered
from mcodec.errors import (
    InputOutputError,
    McodecError,
    MissingDependencyError,
    UsageError,
    one_line,
)
from mcodec.limits import KIB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Executor, Future

    from mcodec.storage.folder import SharedFolder

T = TypeVar("T")
R = TypeVar("R")

SUFFIX: Final = ".state"
# Parts and functions, and what is left of them where a process was killed.
_OURS: Final = re.compile(r"[0-9a-f]{64}\.(part|state)(\.[0-9a-f]{16}\.tmp)?\Z")
_LOST: Final = (BrokenExecutor, CancelledError, OSError, EOFError)  # workers, or the way to them
_DASKS: Final = ("dask", "distributed")
_INLINE: Final = 64 * KIB  # a function that is pickled to no more travels with the items
_BATCHES: Final = 16  # that items are cut into, whoever works: nobody knows how many they are
_KEPT: Final = 2  # functions that a worker keeps


def versions() -> tuple[str, ...]:
    """Return what has to be the same everywhere for the bytes to be the same."""
    return mcodec.__version__, ".".join(map(str, zstandard.ZSTD_VERSION))


@dataclass(frozen=True, slots=True)
class Call:
    """Some items of work, as they go to a worker.

    Attributes
    ----------
    versions
        Of the process that sends it.
    job
        Tells this call's work from that of another one, which may be cached by its arguments.
    digest
        BLAKE3 of the function's pickle.
    function
        The pickle; None where it lies in the folder.
    folder
        What is there to be read and written.
    items
        Pickled.
    """

    versions: tuple[str, ...]
    job: str
    digest: str
    function: bytes | None
    folder: str
    items: bytes


class ScaleOut(Scattered):
    """Gives work to the processes of another executor, which stays its owner's.

    Parameters
    ----------
    executor
        Of processes, here or elsewhere.
    folder
        Where part files go; all workers have to see it.
    own
        Whether the folder is of this output alone: then nothing else of ours is left in it.

    Attributes
    ----------
    parts : list of str
        Names of the part files that the output is made of.
    """

    def __init__(self, executor: Executor, folder: SharedFolder, *, own: bool) -> None:
        self.folder = folder
        self.parts: list[str] = []
        self._own = own
        self._job = os.urandom(8).hex()
        self._executor = executor
        self._states: list[str] = []

    def submit(self, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> Future[R]:
        """Hand on one call as it is."""
        return self._executor.submit(fn, *args, **kwargs)

    def map_ordered(
        self, function: Callable[[T], R], items: Iterable[T], *, together: bool = True
    ) -> Iterator[R]:
        """Yield ``function(item)`` in the order of `items`.

        Parameters
        ----------
        function, items
            Picklable.
        together
            Whether a worker gets several items at once.

        Raises
        ------
        McodecError
            What the function raises; `InputOutputError` where the workers are gone,
            `MissingDependencyError` where they have no mcodec.
        """
        work = list(items)
        if not work:
            return
        digest, inline = self._pickled(function)
        size = -(-len(work) // _BATCHES) if together else 1
        futures: list[Future[Any]] = []
        try:
            for start in range(0, len(work), size):
                batch = pickle.dumps(work[start : start + size])
                call = Call(versions(), self._job, digest, inline, self.folder.place, batch)
                futures.append(self._executor.submit(run, call))
            for number, future in enumerate(futures):
                yield from future.result()
                del future
                futures[number] = _DONE
        except McodecError:
            raise
        except ImportError as error:
            raise MissingDependencyError(
                f"a worker lacks the module {error.name!r}: workers need the same mcodec as the "
                "process that packs"
            ) from error
        except (Exception, CancelledError) as error:
            if not isinstance(error, _LOST) and type(error).__module__.split(".")[0] not in _DASKS:
                raise
            raise self._gone(error) from error
        finally:
            for future in futures:
                future.cancel()

    def clear(self) -> None:
        """Remove the functions that were put into the folder; parts stay for another try."""
        self.folder.remove(self._states)
        self._states = []

    def remove(self) -> None:
        """Remove parts that are in the output now, and what workers that died left of them."""
        own = {name.partition(".")[0] for name in (*self.parts, *self._states)}
        self.folder.remove(
            name
            for name in self.folder.names()
            if _OURS.match(name) and (self._own or name.partition(".")[0] in own)
        )

    def _pickled(self, function: Callable[..., Any]) -> tuple[str, bytes | None]:
        data = pickle.dumps(function, protocol=pickle.HIGHEST_PROTOCOL)
        digest = blake3(data).hexdigest()
        if len(data) <= _INLINE:
            return digest, data
        if digest + SUFFIX not in self._states:
            self.folder.make()
            self._states.append(digest + SUFFIX)
            with self.folder.write(digest + SUFFIX) as file:
                file.write(data)
        return digest, None

    def _gone(self, error: BaseException) -> McodecError:
        """Say in one line what became of the workers."""
        words = one_line(error) if isinstance(error, Exception) else ""
        said = f"{type(error).__name__}: {words}" if words else type(error).__name__
        return InputOutputError(
            f"the workers failed ({said}); finished parts stay in {self.folder.name}: "
            "run the same command again, and it goes on from them"
        )


class _Done:
    """Stands for a future whose result was taken, so that the result can go."""

    def cancel(self) -> bool:
        return False


_DONE: Final[Any] = _Done()
_lock = threading.Lock()
_functions: OrderedDict[str, Callable[[Any], Any]] = OrderedDict()  # of a worker


def run(call: Call) -> list[Any]:
    """Do a worker's share of the work.

    Raises
    ------
    UsageError
        The worker has other versions, which would write other bytes.
    InputOutputError
        It does not see the folder.
    McodecError
        What the work raises.
    """
    if call.versions != versions():
        theirs, ours = (" with zstd ".join(one) for one in (call.versions, versions()))
        raise UsageError(f"a worker has mcodec {ours}, and the packing is of {theirs}")
    function = _function(call)
    return [function(item) for item in pickle.loads(call.items)]


def _function(call: Call) -> Callable[[Any], Any]:
    key = f"{call.job} {call.digest}"  # two calls may read one path that has changed between them
    with _lock:
        if key in _functions:
            _functions.move_to_end(key)
            return _functions[key]
        data = call.function if call.function is not None else _fetch(call)
        function: Callable[[Any], Any] = pickle.loads(data)
        _functions[key] = function
        while len(_functions) > _KEPT:
            _functions.popitem(last=False)
        return function


def _fetch(call: Call) -> bytes:
    """Read a function from the folder; a pickle is loaded only if it is the one that was sent."""
    from mcodec.storage.folder import SharedFolder

    folder = SharedFolder(call.folder)
    try:
        data = folder.read(call.digest + SUFFIX)
    except InputOutputError as error:
        raise InputOutputError(
            f"a worker cannot read the folder of parts ({error}): name one that all workers see, "
            "with --parts"
        ) from None
    if blake3(data).hexdigest() != call.digest:
        raise InputOutputError(
            f"{folder.name}: a file of the packing was changed, or is another one on the worker"
        )
    return data
