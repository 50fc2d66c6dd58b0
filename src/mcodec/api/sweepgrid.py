"""Which settings a sweep goes over: ``32:2:-2``, ``16,12,8``, or one number."""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence
from typing import Final

from mcodec.codec.bfp import MAX_BITS
from mcodec.errors import UsageError

MOST: Final = {"keep": 64, "bits": MAX_BITS}  # by the kind of setting

_RANGE: Final = re.compile(r"([0-9]{1,3}):([0-9]{1,3})(?::([+-]?[0-9]{1,3}))?")
_LIST: Final = re.compile(r"[0-9]{1,3}(?:,[0-9]{1,3})*")

Grid = int | str | Sequence[int]


def parse_grid(kind: str, given: Grid) -> tuple[int, ...]:
    """Return the settings of a grid, most bits first.

    Parameters
    ----------
    kind
        ``keep`` (1 to 64) or ``bits`` (1 to 24).
    given
        A number, numbers, or a text: ``START:STOP:STEP`` with STOP among them (``32:2:-2`` is 32,
        30, …, 2, as in paper 000; STEP is 1 or -1 if left out), or ``16,12,8``.

    Raises
    ------
    UsageError
        It is malformed or empty, or a setting is not in the range.
    """
    numbers = _parse(kind, given) if isinstance(given, str) else _numbers(kind, given)
    if not numbers:
        raise UsageError(f"{kind} has no setting to go over")
    most = MOST[kind]
    for number in numbers:
        if not 1 <= number <= most:
            raise UsageError(f"{kind} goes from 1 to {most}, and there is a {number}")
    return tuple(sorted(set(numbers), reverse=True))


def _parse(kind: str, text: str) -> list[int]:
    text = text.strip()
    if _LIST.fullmatch(text):
        return [int(part) for part in text.split(",")]
    match = _RANGE.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{kind} {text!r} is not of the form START:STOP:STEP, as 32:2:-2, or 16,12,8"
        )
    start, stop = int(match[1]), int(match[2])
    step = int(match[3] or (-1 if stop < start else 1))
    numbers = list(range(start, stop + (1 if step > 0 else -1), step)) if step else []
    if not numbers:
        raise UsageError(f"{kind} {text!r} never comes from {start} to {stop}")
    return numbers


def _numbers(kind: str, given: int | Sequence[int]) -> list[int]:
    several = given if isinstance(given, Sequence | range) else [given]
    numbers = []
    for number in several:
        if isinstance(number, bool) or not hasattr(number, "__index__"):
            raise UsageError(f"{kind} takes whole numbers, and there is a {number!r}")
        numbers.append(operator.index(number))
    return numbers
