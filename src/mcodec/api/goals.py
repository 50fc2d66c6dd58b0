"""What a plan is to reach: one budget over all tensors and all tasks (design, section 7)."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mcodec.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

ByTask = float | Sequence[float] | Mapping[str, float] | None

SIZE: Final = "target-size"
ERROR: Final = "max-error"
SQNR: Final = "min-sqnr"
DROP: Final = "max-drop"
_POSITIVE: Final = {
    ERROR: "the largest |error| of a weight",
    SQNR: "decibels",
}


@dataclass(frozen=True, slots=True)
class Goal:
    """What a person asked for.

    Attributes
    ----------
    kind
        ``target-size``, the bytes of the file; ``max-error``, of any weight; ``min-sqnr``, in dB
        over all planned weights of a task; ``max-drop``, of the number that a task's evaluator
        counts.
    limits
        One a task, in order; of a size the only one.
    names
        The tasks.
    """

    kind: str
    limits: tuple[float, ...]
    names: tuple[str, ...]

    def __str__(self) -> str:
        """Write it as people type it."""
        if len(set(self.limits)) == 1:
            return f"--{self.kind} {self.limits[0]:.12g}"
        each = (f"{name}={limit:.12g}" for name, limit in zip(self.names, self.limits, strict=True))
        return f"--{self.kind} {','.join(each)}"


def find_goal(names: Sequence[str], **asked: Any) -> Goal:
    """Return the one goal that was asked for.

    Parameters
    ----------
    names
        The tasks.
    asked
        By kind, with underscores: a number, one a task, or some by a task's name; None is no goal.

    Raises
    ------
    UsageError
        There is none, or there are several, or a number that cannot be.
    """
    given = {key.replace("_", "-"): value for key, value in asked.items() if value is not None}
    flags = ", ".join(f"--{key.replace('_', '-')}" for key in asked)
    if len(given) != 1:
        count = "none" if not given else " and ".join(f"--{key}" for key in given)
        raise UsageError(f"a plan has one goal, of {flags}; given: {count}")
    ((kind, value),) = given.items()
    if kind == SIZE:
        size = _number(kind, value)
        if size < 1 or size != int(size):
            raise UsageError(f"--{kind} is a whole number of bytes, 1 or more, not {value!r}")
        return Goal(kind, (size,), tuple(names))
    return Goal(kind, tuple(_by_task(kind, value, names)), tuple(names))


def _by_task(kind: str, value: Any, names: Sequence[str]) -> Iterator[float]:
    if isinstance(value, Mapping):
        wrong = [name for name in value if name not in names]
        missing = [name for name in names if name not in value]
        if wrong or missing:
            message = f"--{kind} names {', '.join(map(str, value))}, and the tasks are "
            raise UsageError(message + ", ".join(names))
        given = [value[name] for name in names]
    elif isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) != len(names):
            message = f"--{kind} has {len(value)} numbers, and there are {len(names)} tasks"
            raise UsageError(message)
        given = list(value)
    else:
        given = [value] * len(names)
    for one in given:
        number = _number(kind, one)
        if kind in _POSITIVE and number <= 0:
            raise UsageError(f"--{kind} is {_POSITIVE[kind]}: more than 0, not {one!r}")
        if number < 0:
            raise UsageError(f"--{kind} is 0 or more, not {one!r}")
        yield number


def _number(kind: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise UsageError(f"--{kind} is a number, not {value!r}")
    return float(value)
