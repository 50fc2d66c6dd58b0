"""The steps that reach a goal: of a file's size, of an error, of an evaluator's number."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from mcodec.api.goals import DROP, ERROR, SIZE, SQNR
from mcodec.api.listing import sqnr_db
from mcodec.api.planscore import Score
from mcodec.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcodec.api.goals import Goal
    from mcodec.api.packreport import Measured
    from mcodec.api.planner import Planner
    from mcodec.api.planscore import Judge

    Say = Callable[[str], None]

_START_DB: Final = 36.0  # where searches begin: about 7 bits a weight
_FINEST: Final = -30.0  # log2 of a step by the weights' root mean square: all are lossless then
_TRIES: Final = 12  # whole models that are encoded at most
_CLOSE_DB: Final = 0.01
_CLOSE_SIZE: Final = 0.995  # of the target
_CLOSE_BITS: Final = 1 / 8  # of a bit a weight, to which evaluators are asked
_AIM: Final = 0.998
_DB_A_BIT: Final = 20 * math.log10(2)


@dataclass(slots=True)
class Solution:
    """A plan that reaches its goal: what the file would be, and what evaluators said."""

    outcome: Measured
    scores: dict[int, Score] = field(default_factory=dict)


def solve(planner: Planner, goal: Goal, judge: Judge, say: Say) -> Solution:
    """Pick codecs so that the goal is reached with as few bytes as can be.

    Parameters
    ----------
    planner
        Its picks are those of the plan afterwards.
    goal
    judge
        Decides for ``max-drop``; else it is asked once, of the finished plan.
    say
        Called with a line of what was just tried.

    Raises
    ------
    UsageError
        It cannot be reached; the message says what can.
    EvaluatorError
        A person's function fails.
    """
    scores: dict[int, Score] = {}
    if goal.kind == DROP:
        for task, limit in enumerate(goal.limits):
            scores[task] = _fit_drop(planner, task, judge, limit, say)
        return Solution(_measured(planner, say), scores)
    found = {SIZE: _fit_size, SQNR: _fit_sqnr, ERROR: _fit_error}[goal.kind](planner, goal, say)
    for task, name in enumerate(planner.names):
        if judge.asks(name):
            before, now = judge.original(planner, task), judge.planned(planner, task)
            scores[task] = Score(judge.metric(name), before, now)
            say(f"{name}: {judge.metric(name)} {now:.6g}, was {before:.6g}")
    return Solution(found, scores)


def _measured(planner: Planner, say: Say) -> Measured:
    outcome = planner.outcome()
    said = [f"{outcome.file_bytes:,} bytes"]
    for task, name in enumerate(planner.names):
        ratio = task_sqnr(planner, outcome, task)
        said.append(f"{name} " + ("exact" if ratio is None else f"{ratio:.2f} dB"))
    say(", ".join(said))
    return outcome


def task_sqnr(planner: Planner, outcome: Measured, task: int) -> float | None:
    """Return 10 log10 of Σw² / Σe² over a task's weights, in dB; None where nothing is lost."""
    errors = [outcome.errors[place] for place in planner.weights(task)]
    noise = sum(error[1] for error in errors if error)
    return sqnr_db(planner.power(task), noise)


def _steps_at(planner: Planner, log2: float) -> list[float]:
    """Return for each task the step that is 2^log2 of its weights' root mean square."""
    return [planner.rms(task) * 2.0**log2 for task in range(len(planner.names))]


def _coarsest(planner: Planner, task: int) -> float:
    """Return log2 of the step that is a task's largest weight: a bit a weight, and most are 0."""
    peak = planner.peak(task)
    return math.log2(peak / planner.rms(task)) if peak else 0.0


def _log2(decibels: float) -> float:
    """Return log2 of the step, by the weights' root mean square, of that ratio: Δ²/12 is lost."""
    return math.log2(math.sqrt(12)) - decibels / _DB_A_BIT


def _fit_size(planner: Planner, goal: Goal, say: Say) -> Measured:
    """Find the finest common step, relative to each task's weights, whose file is small enough."""
    target = goal.limits[0]

    def at(log2: float) -> Measured:
        for task, step in enumerate(_steps_at(planner, log2)):
            planner.set_step(task, step)
        return _measured(planner, say)

    coarsest = max(_coarsest(planner, task) for task in range(len(planner.names)))
    low, high = _FINEST, coarsest  # too large, and small enough
    x = _log2(_START_DB)
    slope = sum(planner.elements(task) for task in range(len(planner.names))) / 8 or 1.0
    last: tuple[float, int] | None = None
    best: tuple[float, Measured] | None = None
    for _ in range(_TRIES):
        outcome = at(x)
        size = outcome.file_bytes
        if size <= target:
            if best is None or size > best[1].file_bytes:
                best = x, outcome
            if size >= _CLOSE_SIZE * target or x <= _FINEST:
                break
            high = x
        else:
            if x >= coarsest:
                raise _unreachable(planner, target, outcome)
            low = x
        if last is not None and last[1] != size and last[0] != x:
            slope = max(slope / 4, abs((last[1] - size) / (last[0] - x)))
        last = x, size
        x = _next(x + (size - _AIM * target) / slope, low, high, coarsest)
    if best is None:
        best = coarsest, at(coarsest)
        if best[1].file_bytes > target:
            raise _unreachable(planner, target, best[1])
        return best[1]
    return best[1] if outcome is best[1] else at(best[0])


def _next(guess: float, low: float, high: float, coarsest: float) -> float:
    """Keep a guess between what is too large and what is small enough."""
    if guess >= coarsest or guess <= _FINEST:
        return min(max(guess, _FINEST), coarsest)
    return guess if low < guess < high else (low + high) / 2


def _unreachable(planner: Planner, target: float, least: Measured) -> UsageError:
    lossy = sum(least.stored[place] for place in planner.picks if place in least.stored)
    rest = least.file_bytes - lossy
    return UsageError(
        f"--target-size {target:,.0f} cannot be reached: the least is {least.file_bytes:,} bytes, "
        f"with about a bit a weight; of these {rest:,} are for what stays lossless"
    )


def _fit_sqnr(planner: Planner, goal: Goal, say: Say) -> Measured:
    """Find each task's coarsest step that keeps the ratio."""
    tasks = range(len(planner.names))
    logs = [_log2(limit) for limit in goal.limits]
    last: list[tuple[float, float] | None] = [None for _ in tasks]
    for attempt in range(_TRIES):
        for task in tasks:
            planner.set_step(task, planner.rms(task) * 2.0 ** logs[task])
        outcome = _measured(planner, say)
        off = [_off(planner, outcome, task, goal.limits[task]) for task in tasks]
        close = _CLOSE_DB * max(1, attempt - 3)  # in the end what is a little too good is taken
        if all(0 <= one <= close for one in off):
            break
        for task, one in enumerate(off):
            if 0 <= one <= close:
                continue
            slope = -_DB_A_BIT  # a residual's error is less than a step's: then the last two tell
            before = last[task]
            if before is not None and before[0] != logs[task] and before[1] != one:
                slope = min(-1.0, (before[1] - one) / (before[0] - logs[task]))
            last[task] = logs[task], one
            logs[task] = max(_FINEST, logs[task] - (one - close / 2) / slope)
    return outcome


def _off(planner: Planner, outcome: Measured, task: int, limit: float) -> float:
    ratio = task_sqnr(planner, outcome, task)
    return 0.0 if ratio is None else ratio - limit


def _fit_error(planner: Planner, goal: Goal, say: Say) -> Measured:
    """Take steps of twice the error; what is off by more all the same stays lossless."""
    for task, limit in enumerate(goal.limits):
        room = limit - planner.peak(task) * 2.0**-22  # the decode rounds to float32
        planner.set_step(task, 2 * room * (1 - 2.0**-22) if room > 0 else 0.0, limit)
    for _ in range(len(planner.names)):  # who stands on a weight may change with it
        outcome = _measured(planner, say)
        over = [
            place
            for task, limit in enumerate(goal.limits)
            for place in planner.weights(task)
            if (error := outcome.errors[place]) is None or error[0] > limit
        ]
        if not over:
            break
        planner.keep(over)
    else:
        outcome = _measured(planner, say)
    return outcome


def _fit_drop(planner: Planner, task: int, judge: Judge, limit: float, say: Say) -> Score:
    """Find a task's coarsest step, to an eighth of a bit, that loses no more than the limit."""
    name = planner.names[task]
    before = judge.original(planner, task)
    metric = judge.metric(name)
    rms, coarsest = planner.rms(task), _coarsest(planner, task)
    scores: dict[float, float] = {}

    def fits(log2: float) -> bool:
        planner.set_step(task, rms * 2.0**log2)
        scores[log2] = judge.planned(planner, task)
        ratio = -_DB_A_BIT * (log2 - _log2(0))
        lost = before - scores[log2]
        say(f"{name} at about {ratio:.1f} dB: {metric} {scores[log2]:.6g}, {-lost:+.4g}")
        return lost <= limit

    low, high = _FINEST, coarsest  # the first is lossless
    if not planner.weights(task):
        return Score(metric, before, before)
    x = min(_log2(_START_DB), coarsest)
    reach = 1.0
    while True:
        if fits(x):
            low = x
        else:
            high = x
        if low == coarsest or x == _FINEST or high - low <= _CLOSE_BITS:
            break
        if high == coarsest and coarsest not in scores:
            x = min(x + reach, coarsest)
        elif low == _FINEST:
            x = max(x - reach, _FINEST)
        else:
            x = (low + high) / 2
    if low != x:
        planner.set_step(task, rms * 2.0**low)
    return Score(metric, before, scores.get(low, before))
