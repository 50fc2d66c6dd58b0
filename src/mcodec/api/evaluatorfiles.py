"""Files of Python that people measure their models with, loaded once a process."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from blake3 import blake3

from mcodec.errors import EvaluatorError, MissingDependencyError, UsageError, one_line
from mcodec.storage import io_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True, slots=True)
class Loaded:
    """A function, and where it came from.

    Attributes
    ----------
    path : str
        The file, absolute.
    name : str
        The function's name in it.
    digest : str
        BLAKE3 of the file as it was loaded, in hex. What the file imports is not in it.
    function : callable
    """

    path: str
    name: str
    digest: str
    function: Callable[[Any, str], Any]

    @property
    def label(self) -> str:
        """``evaluate.py:accuracy``."""
        return f"{os.path.basename(self.path)}:{self.name}"


_modules: Final[dict[tuple[str, str], ModuleType]] = {}  # by path and digest of the file


def load(path: str, name: str) -> Loaded:
    """Load a function from a file of Python; the file is run once a process, unless it changes.

    Parameters
    ----------
    path
        The file; modules that lie beside it can be imported by it.
    name
        A function in it.

    Raises
    ------
    InputOutputError
        The file is not there, or cannot be read.
    EvaluatorError, MissingDependencyError
        It raises, or imports a module that is not there.
    UsageError
        It has no such function.
    """
    absolute = os.path.realpath(path)
    with io_errors(path), open(absolute, "rb") as file:
        source = file.read()
    digest = blake3(source).hexdigest()
    module = _modules.get((absolute, digest))
    if module is None:
        module = _modules[absolute, digest] = _run(path, absolute, source, digest)
    function = getattr(module, name, None)
    if not callable(function):
        own = ", ".join(_functions(module)) or "none"
        problem = "there is none" if function is None else "it is no function"
        raise UsageError(f"{path}: {name!r}: {problem}; functions of the file: {own}")
    return Loaded(absolute, name, digest, function)


def _functions(module: ModuleType) -> list[str]:
    """Return what a file defines itself and may be called, in its order."""
    return [
        key
        for key, value in vars(module).items()
        if not key.startswith("_")
        and callable(value)
        and getattr(value, "__module__", "") == module.__name__
    ]


@contextlib.contextmanager
def search_path(origin: Loaded | None) -> Iterator[None]:
    """Let a file import what lies beside it."""
    if origin is None:
        yield
        return
    with _beside(origin.path):
        yield


@contextlib.contextmanager
def _beside(path: str) -> Iterator[None]:
    folder = os.path.dirname(path)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # the file has seen to it itself
            sys.path.remove(folder)


def _run(path: str, absolute: str, source: bytes, digest: str) -> ModuleType:
    """Run the bytes that were hashed: an import might take older ones out of its cache."""
    module = ModuleType(f"mcodec_evaluator_{digest[:16]}")
    module.__file__ = absolute
    sys.modules[module.__name__] = module  # as an import does: dataclasses look there
    try:
        with _beside(absolute):
            exec(compile(source, absolute, "exec"), vars(module))
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        raise _unloadable(path, absolute, error) from error
    return module


def _unloadable(
    path: str, absolute: str, error: BaseException
) -> EvaluatorError | MissingDependencyError:
    frames = [one for one in traceback.extract_tb(error.__traceback__) if one.filename == absolute]
    line = frames[-1].lineno if frames else getattr(error, "lineno", None)
    where = path if line is None else f"{path}, line {line}"
    if isinstance(error, ModuleNotFoundError) and error.name:
        return MissingDependencyError(f"{where}: it needs the module {error.name!r}, not there")
    text = one_line(error) if isinstance(error, Exception) else str(error)
    return EvaluatorError(f"{where}: it cannot be loaded: {type(error).__name__}: {text}")
