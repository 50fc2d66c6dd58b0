"""A source that another process reads: for files from strangers.

The process that reads may crash, hang, take all the memory that it gets, or be taken over by the
file; this side only ever waits so long, and checks all that it is told.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from mcodec.errors import FormatError, InputOutputError, McodecError, UsageError
from mcodec.formats import sandbox_wire as wire
from mcodec.formats.sandbox_answers import Contents, check_opened, error_of
from mcodec.formats.sandbox_line import GoneError, LateError, Line, NonsenseError
from mcodec.limits import GIB, MAX_SKELETON
from mcodec.storage import io_errors, is_url, shown
from mcodec.types import numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from mcodec.types import TensorSpec

_COMMAND: Final = (sys.executable, "-P", "-s", "-m", "mcodec.formats.sandbox_child")
_START_SECONDS: Final = 120.0  # to start Python and import what reads: none of the file's doing
_END_SECONDS: Final = 5.0  # for a process that has hung up to be gone
_KEPT: Final = ("HDF5_USE_FILE_LOCKING", "LD_LIBRARY_PATH", "TMPDIR")  # of the environment

_A = TypeVar("_A", bound=wire.Answer)


def open_source(
    path: str | os.PathLike[str], key: str = "", *, memory: int = GIB, seconds: float = 60
) -> SandboxSource:
    """Open a model for reading, in another process.

    Parameters
    ----------
    path, key
        As for `registry.open_source`.
    memory : int
        Bytes that the process may take, beside what Python and its libraries take.
    seconds : float
        How long it may take to open the file, and for each few megabytes of a tensor.

    Raises
    ------
    FormatError
        As `registry.open_source`; ``limit_exceeded`` if it takes more time or memory,
        ``source_refused`` if the process dies of it.
    UsageError
        As `registry.open_source`.
    InputOutputError
        As `registry.open_source`; or the process cannot be started.
    """
    name = os.fspath(path)
    if is_url(name):
        raise UsageError(
            "the process of --sandbox reads files of this machine: download it first",
            where=shown(name),
        )
    return SandboxSource(name, key, memory, seconds)


class SandboxSource:
    """A model file that is open for reading in another process."""

    def __init__(self, path: str, key: str, memory: int, seconds: float) -> None:
        self._asked = path
        self._path = os.path.abspath(path)
        self._seconds = seconds
        self._lock = threading.Lock()
        self._lost: tuple[str, str] = ("", "")  # message and code, once the process is gone
        self._process, connection = _start(path)
        self._line = Line(connection)
        self._end = weakref.finalize(self, _end, self._process, connection)
        try:
            contents = self._open(wire.Open(os.fsencode(self._path), key, memory, seconds))
        except BaseException:
            self.close()
            raise
        self.format = contents.format
        self.tensors: Sequence[TensorSpec] = contents.tensors
        self.metadata: Mapping[str, str] = contents.metadata
        self.same_as: Mapping[int, int] = contents.same_as
        self.notes: Sequence[str] = contents.notes

    def _open(self, request: wire.Open) -> Contents:
        with self._talk():
            try:
                self._line.send(request, _START_SECONDS)
                ready = self._line.receive(_START_SECONDS)
            except (GoneError, LateError) as error:
                raise InputOutputError(f"{self._asked}: no process to read it starts") from error
            if not isinstance(ready, wire.Ready):
                raise NonsenseError
            return check_opened(self._answer(wire.Opened))

    def skeleton(self) -> bytes:
        """Return the skeleton, as the other process gives it."""
        with self._talk():
            self._line.send(wire.AskSkeleton(), self._seconds)
            count = self._answer(wire.Data).count
            if not 0 <= count <= MAX_SKELETON:
                raise NonsenseError
            whole = bytearray()
            while len(whole) < count:  # no more memory than bytes have come
                part = bytearray(min(wire.PIECE, count - len(whole)))
                self._fill(memoryview(part))
                whole += part
            return bytes(whole)

    def read(self, index: int, start: int, stop: int) -> NDArray[np.generic]:
        """Return elements [start, stop) of tensor `index`."""
        dtype = numpy_dtype(self.tensors[index].dtype)
        out: NDArray[np.generic] = np.empty(stop - start, dtype)
        if out.size:
            step = max(1, wire.PIECE // dtype.itemsize)
            with self._talk():
                self._line.send(wire.Read(index, start, stop), self._seconds)
                for at in range(0, out.size, step):
                    self._fill(out[at : at + step].view(np.uint8).data)
        return out

    def close(self) -> None:
        """End the other process; a second call does nothing."""
        _kill(self._process)  # who waits for an answer wakes up, and gives back the lock
        with self._lock:
            self._give_up("the file is closed", "io")

    @contextlib.contextmanager
    def _talk(self) -> Iterator[None]:
        """Have the line for one question, and say in one line what goes wrong on it."""
        with self._lock:
            if self._lost[0]:
                raise self._error()
            try:
                yield
            except LateError:
                self._give_up(f"reading it took more than {self._seconds:g} s", "limit_exceeded")
                raise self._error() from None
            except GoneError:
                self._give_up(*_death(self._process, self._seconds))
                raise self._error() from None
            except NonsenseError:
                self._give_up("the process that read it answered nonsense", "source_refused")
                raise self._error() from None
            except McodecError:
                raise  # the other side's: it can go on
            except BaseException:
                self._give_up("the reading was interrupted", "io")  # half an answer is left
                raise

    def _give_up(self, message: str, code: str) -> None:
        if not self._lost[0]:
            self._lost = (message, code)
        self._end()

    def _error(self) -> McodecError:
        message, code = self._lost
        if code == "io":
            return InputOutputError(f"{self._asked}: {message}")
        return FormatError(message, code=code, where=self._asked)

    def _answer(self, kind: type[_A]) -> _A:
        answer = self._line.receive(self._seconds)
        if isinstance(answer, wire.Failed):
            raise error_of(answer, self._path, self._asked)
        if not isinstance(answer, kind):
            raise NonsenseError
        return answer

    def _fill(self, out: memoryview) -> None:
        if self._answer(wire.Data).count != len(out):
            raise NonsenseError
        self._line.fill(out, self._seconds)


def _start(path: str) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a process with no descriptor but one end of a socket; return it, and the other end."""
    with io_errors(path):
        ours, theirs = socket.socketpair()
        try:
            process = subprocess.Popen(
                _COMMAND,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=_environment(),
                start_new_session=True,  # Ctrl-C is for this side, which then ends the other
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
    return process, ours


def _environment() -> dict[str, str]:
    """Return what Python needs to find its modules, and what keeps HDF5 from loading plugins."""
    modules = os.pathsep.join(os.path.abspath(folder) for folder in sys.path if folder)
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {
        **kept,
        "PYTHONPATH": modules,
        "PYTHONUTF8": "1",  # paths are bytes, and go to the other side as such
        "PYTHONDONTWRITEBYTECODE": "1",
        "HDF5_PLUGIN_PRELOAD": "::",
        "OPENBLAS_NUM_THREADS": "1",
    }


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def _end(process: subprocess.Popen[bytes], connection: socket.socket) -> None:
    connection.close()
    _kill(process)
    process.wait()


def _death(process: subprocess.Popen[bytes], seconds: float) -> tuple[str, str]:
    """Return what became of a process that has hung up, and the code of the error."""
    try:
        status = process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        return "the process that read it hung up", "source_refused"
    if status == -signal.SIGXCPU:
        return f"reading it took more than {seconds:g} s", "limit_exceeded"
    how = f"exit status {status}"
    if status < 0:
        with contextlib.suppress(ValueError):
            how = signal.Signals(-status).name
    return f"the process that read it died ({how})", "source_refused"
