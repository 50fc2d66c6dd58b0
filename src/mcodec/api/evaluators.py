"""What a person measures a model with: a function of theirs, and what it may and may not do.

``f(weights, task) -> float | dict[str, float]``: weights is a mapping of names to read-only arrays,
or the path of a model file where that was asked for. Larger is better; of several numbers the first
one counts. The function is the person's own code and is run as it is, in this process.
"""

from __future__ import annotations

import contextlib
import math
import numbers
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from mcodec.api.evaluatorfiles import Loaded, load, search_path
from mcodec.errors import EvaluatorError, MissingDependencyError, UsageError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from numpy.typing import NDArray

Function = Callable[[Any, str], Any]
Given = Function | Mapping[str, Function] | str

SCORE: Final = "score"  # the name of a number that came without one
_SIGNALS: Final = (129, 143)  # exit codes of SIGHUP and SIGTERM: no doing of the function's


class Evaluator:
    """One task's function, with what it gives checked.

    Parameters
    ----------
    function
        The person's own: ``f(weights, task)``.
    origin
        Where it was loaded from; None for a function of this process.

    Attributes
    ----------
    keys : tuple of str
        The names of its numbers, empty before the first call.
    """

    def __init__(self, function: Function, origin: Loaded | None = None) -> None:
        self.function = function
        self.origin = origin
        self.keys: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What to call it: ``evaluate.py:accuracy``, or the function's own name."""
        if self.origin is not None:
            return self.origin.label
        return str(getattr(self.function, "__qualname__", type(self.function).__name__))

    @property
    def main(self) -> str:
        """The name of the number that counts.

        Raises
        ------
        UsageError
            It was not called yet.
        """
        if not self.keys:
            raise UsageError(f"{self.label} was not called yet")
        return self.keys[0]

    def __call__(self, weights: Mapping[str, NDArray[Any]] | str, task: str) -> dict[str, float]:
        """Call the function; return its numbers, the one that counts first.

        Parameters
        ----------
        weights
            Names and arrays of a model, of any shapes and dtypes: they are handed out read-only.
            Or the path of a model file.
        task
            The task's name.

        Raises
        ------
        EvaluatorError
            It raises, changes the arrays, or returns anything but finite numbers, of the names that
            it had at the first call.
        MissingDependencyError
            It imports a module that is not there.
        """
        if isinstance(weights, str):
            found = self._call(weights, task)
        else:
            arrays = {name: _frozen(value) for name, value in weights.items()}
            before = _digests(arrays)
            found = self._call(dict(arrays), task)
            changed = [name for name, digest in _digests(arrays).items() if digest != before[name]]
            if changed:
                raise self._wrong(f"changes the array {changed[0]!r}, which it may only read")
        scores = self._numbers(found)
        keys = tuple(scores)
        if self.keys and keys != self.keys:
            raise self._wrong(
                f"returns numbers named {_listed(keys)}, and before they were {_listed(self.keys)}"
            )
        self.keys = keys
        return scores

    def _call(self, weights: Any, task: str) -> Any:
        with _quiet_torch(), search_path(self.origin):
            try:
                return self.function(weights, task)
            except (Exception, SystemExit) as error:
                if isinstance(error, SystemExit) and error.code in _SIGNALS:
                    raise
                raise self._raised(error) from error

    def _raised(self, error: BaseException) -> EvaluatorError | MissingDependencyError:
        place = self._place(error.__traceback__)
        if isinstance(error, ModuleNotFoundError) and error.name:
            return MissingDependencyError(
                f"evaluator {self.label} needs the module {error.name!r}, which is not there{place}"
            )
        if isinstance(error, ValueError) and "read-only" in str(error):
            what = "changes an array that it was given, which it may only read; let it copy that"
            return self._wrong(f"{what} first{place}")
        text = one_line(error) if isinstance(error, Exception) else str(error)
        return self._wrong(f"raises {type(error).__name__}: {text}{place}")

    def _place(self, trace: TracebackType | None) -> str:
        """Name the innermost line of the person's own file; else of whatever file raised."""
        frames = traceback.extract_tb(trace)[1:]  # the first is ours
        code = getattr(self.function, "__code__", None)
        own = self.origin.path if self.origin is not None else getattr(code, "co_filename", "")
        theirs = [frame for frame in frames if frame.filename == own] or frames
        if not theirs:
            return ""
        return f" ({os.path.basename(theirs[-1].filename)}, line {theirs[-1].lineno})"

    def _numbers(self, found: Any) -> dict[str, float]:
        if found is None:
            raise self._wrong("returns nothing; let it return a number, larger for better")
        if not isinstance(found, Mapping):
            return {SCORE: self._number(found, "")}
        if not found:
            raise self._wrong("returns a dict without a number")
        for name in found:
            if not isinstance(name, str) or not name:
                raise self._wrong(f"returns a dict with the key {name!r}; keys are names")
        return {name: self._number(value, f" for {name!r}") for name, value in found.items()}

    def _number(self, value: Any, what: str) -> float:
        if getattr(value, "shape", None) == ():  # of a library of arrays, as a mean is
            value = value.item()
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise self._wrong(f"returns a {type(value).__name__}{what}, not a number")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            advice = "let it return a finite number also where the network fails"
            raise self._wrong(f"returns {number}{what}; {advice}")
        return number

    def _wrong(self, what: str) -> EvaluatorError:
        return EvaluatorError(f"evaluator {self.label} {what}")


def load_evaluators(text: str, tasks: Sequence[str]) -> dict[str, Evaluator]:
    """Load the functions that ``--evaluate`` names.

    Parameters
    ----------
    text
        ``file.py:function`` for all tasks, or ``A=file.py:f,B=other.py:g``.
    tasks
        Their names.

    Returns
    -------
    dict of str to Evaluator
        One a task, in the tasks' order.

    Raises
    ------
    UsageError
        The text is malformed, a task has no function or is not there, or the file has no such
        function.
    InputOutputError
        A file is not there, or cannot be read.
    EvaluatorError, MissingDependencyError
        A file raises while it is loaded, or imports a module that is not there.
    """
    places = _split(text, tasks)
    return {task: _evaluator(places[task]) for task in tasks}


def as_evaluators(given: Given, tasks: Sequence[str]) -> dict[str, Evaluator]:
    """Return one evaluator a task, of what a caller of the library gives.

    Parameters
    ----------
    given
        A function for all tasks, functions by task, or a text as `load_evaluators` takes it.
    tasks
        Their names.

    Raises
    ------
    UsageError
        A task has none, one is for a task that is not there, or one is no function.
    """
    if isinstance(given, str):
        return load_evaluators(given, tasks)
    named = dict(given) if isinstance(given, Mapping) else dict.fromkeys(tasks, given)
    _check_tasks(named, tasks)
    for task, function in named.items():
        if not callable(function):
            raise UsageError(f"the evaluator of task {task!r} is no function, but {function!r:.80}")
    return {
        task: given if isinstance(given := named[task], Evaluator) else Evaluator(given)
        for task in tasks
    }


def _split(text: str, tasks: Sequence[str]) -> dict[str, str]:
    """Return ``file.py:function`` by task; a path that has a ``=`` or ``,`` and is there is one."""
    if "=" not in text or os.path.exists(text.rpartition(":")[0]):
        return dict.fromkeys(tasks, text)
    named: dict[str, str] = {}
    for part in text.split(","):
        name, equals, place = (word.strip() for word in part.partition("="))
        if not equals or not name or not place:
            raise UsageError(f"--evaluate {text!r} is not of the form A=file.py:f,B=file.py:g")
        if name in named:
            raise UsageError(f"--evaluate {text!r} names task {name!r} twice")
        named[name] = place
    _check_tasks(named, tasks)
    return named


def _check_tasks(named: Mapping[str, object], tasks: Sequence[str]) -> None:
    for name in named:
        if name not in tasks:
            raise UsageError(f"an evaluator for task {name!r}, and the tasks are {_listed(tasks)}")
    for task in tasks:
        if task not in named:
            raise UsageError(f"task {task!r} has no evaluator; give it one with {task}=file.py:f")


def _evaluator(place: str) -> Evaluator:
    path, colon, name = place.rpartition(":")
    if not colon or not path or not name:
        raise UsageError(f"{place!r} is not of the form file.py:function")
    loaded = load(path, name)
    return Evaluator(loaded.function, loaded)


def _frozen(value: Any) -> NDArray[Any]:
    """Return a view that refuses to be written to."""
    import numpy as np

    view = np.asarray(value).view()
    view.flags.writeable = False
    return view


def _digests(arrays: Mapping[str, NDArray[Any]]) -> dict[str, bytes]:
    """Hash all arrays: torch writes to read-only memory without asking. 13 GB/s."""
    import numpy as np
    from xxhash import xxh3_128

    return {
        name: xxh3_128(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data).digest()
        for name, array in arrays.items()
    }


@contextlib.contextmanager
def _quiet_torch() -> Iterator[None]:
    """Keep torch from warning of read-only arrays: what it warns of is checked by hashes."""
    if "torch" not in sys.modules:
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        yield


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
