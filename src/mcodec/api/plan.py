"""`plan`: what each tensor of a family gets, so that one budget over all of them is met."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcodec.api import sources as inputs
from mcodec.api.evaluators import as_evaluators
from mcodec.api.goals import DROP, find_goal
from mcodec.api.listing import sqnr_db
from mcodec.api.planner import Planner
from mcodec.api.planscore import Judge
from mcodec.api.plansearch import solve, task_sqnr
from mcodec.codec.plan import codec_string
from mcodec.codec.planfile import PlanFile, PlanHead, PlannedTask, PlanRule, render_plan
from mcodec.engine import workers
from mcodec.errors import UsageError
from mcodec.outputs import atomic_output, check_output

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mcodec.api.evaluators import Given
    from mcodec.api.goals import ByTask
    from mcodec.api.packreport import Measured
    from mcodec.api.planscore import Score
    from mcodec.api.plansearch import Solution
    from mcodec.codec.error import Stats


@dataclass(frozen=True, slots=True)
class PlanReport:
    """What `plan` found.

    Attributes
    ----------
    path
        The plan file; None where none was written.
    text
        What is in it.
    head
        The goal, the bytes of the file that `pack` makes by the plan, and what tasks are to take.
    rules
        By task, in model order, what each tensor gets, costs and loses.
    elements
        By task: of all its tensors.
    source_bytes
        Of all arrays, as they came.
    warnings
        A line for each thing to be warned of.
    """

    path: str | None
    text: str
    head: PlanHead
    rules: Mapping[str, tuple[PlanRule, ...]]
    elements: Mapping[str, int]
    source_bytes: int
    warnings: tuple[str, ...]


def plan(
    sources: inputs.Sources,
    out: str | os.PathLike[str] | None = None,
    *,
    target_size: int | None = None,
    max_error: ByTask = None,
    min_sqnr: ByTask = None,
    max_drop: ByTask = None,
    evaluate: Given | None = None,
    as_file: bool = False,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    key: str | Mapping[str, str] = "",
    sandbox: bool = False,
    jobs: int | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> PlanReport:
    """Find what each tensor should get so that one goal is met; nothing is packed.

    Weights, which are floating tensors of two or more dimensions but no biases and nothing of a
    normalisation, become integers in units of one step a task (`bfp` with a step), those of later
    tasks as residuals where that is smaller; all else stays lossless. Of one goal exactly one is
    given. A number of a goal holds for every task, or is given one a task, in order or by name.

    Parameters
    ----------
    sources
        As in `pack`.
    out
        The plan file to make, for ``pack(…, plan=out)``; None writes none.
    target_size
        The most bytes that the file may have. Tasks share the error by the size of their weights.
    max_error
        The largest |error| of any weight.
    min_sqnr
        10 log10 of Σw² / Σe² over all planned weights of a task, in dB, at least.
    max_drop
        The most that a task may lose of the number that its evaluator counts, in its unit.
    evaluate
        A function ``f(weights, task)`` that returns a number or a mapping of names to numbers,
        larger for better, the first one counts; one a task by name; or ``file.py:function``.
    as_file
        The evaluator gets the path of a model file, in the task's own format, and no arrays.
    include, exclude
        Shell patterns: only weights of these names may become lossy, or all but these.
    key, sandbox, jobs
        As in `pack`.
    say
        Called with a line for each thing that was tried.

    Raises
    ------
    UsageError
        The arguments do not fit each other or the models, or the goal cannot be reached.
    EvaluatorError
        The evaluator fails.
    FormatError, InputOutputError
        A source cannot be read, or the plan cannot be written.
    """
    named = inputs.name_sources(sources)
    names = list(named)
    goal = find_goal(
        names,
        target_size=target_size,
        max_error=max_error,
        min_sqnr=min_sqnr,
        max_drop=max_drop,
    )
    if goal.kind == DROP and evaluate is None:
        raise UsageError("--max-drop is of a number that --evaluate returns, and there is none")
    if as_file and evaluate is None:
        raise UsageError("--as-file says what --evaluate gets, and there is none")
    judge = Judge({} if evaluate is None else as_evaluators(evaluate, names), as_file, named)
    if out is not None:
        check_output(out, named.values())
    with ExitStack() as stack:
        models = inputs.open_sources(stack, named, key, sandbox)
        for model in models:
            inputs.check_names((tensor.name for tensor in model.tensors), "tensor")
        executor = stack.enter_context(workers(jobs))
        say("reading the weights of " + ", ".join(names))
        planner = Planner(names, models, include, exclude, executor)
        solution = solve(planner, goal, judge, say)
        head = _head(planner, str(goal), solution)
        rules = _rules(planner, solution.outcome)
        elements = {
            name: sum(tensor.size for tensor in model.tensors)
            for name, model in zip(names, models, strict=True)
        }
        came = sum(tensor.nbytes for model in models for tensor in model.tensors)
    text = render_plan(PlanFile(head, [rule for own in rules for rule in own]))
    if out is not None:
        with atomic_output(out) as temporary, open(temporary, "w", encoding="utf-8") as stream:
            stream.write(text)
    path = None if out is None else os.fspath(out)
    by_task = dict(zip(names, rules, strict=True))
    return PlanReport(path, text, head, by_task, elements, came, tuple(planner.warnings))


def _head(planner: Planner, goal: str, solution: Solution) -> PlanHead:
    tasks = [
        _task(planner, solution.outcome, task, solution.scores.get(task))
        for task in range(len(planner.names))
    ]
    return PlanHead(goal, solution.outcome.file_bytes, tasks)


def _rules(planner: Planner, outcome: Measured) -> list[tuple[PlanRule, ...]]:
    """Return by task what each tensor gets; one that is stored as another takes no bytes."""
    rules: list[list[PlanRule]] = [[] for _ in planner.names]
    for (task, index), codec in planner.codecs().items():
        tensor = planner.models[task].tensors[index]
        place = planner.stored((task, index))
        peak, ratio = _error(outcome.errors.get(place))
        picked = planner.picks.get((task, index))
        rule = PlanRule(
            f"{planner.names[task]}:{tensor.name}",
            codec_string(codec.config()),
            tensor.kind,
            outcome.stored.get((task, index), 0),
            peak,
            ratio,
            [] if picked is None else list(picked.refused),
        )
        rules[task].append(rule)
    return [tuple(own) for own in rules]


def _task(planner: Planner, outcome: Measured, task: int, score: Score | None) -> PlannedTask:
    peaks = [_error(outcome.errors[place])[0] or 0.0 for place in planner.weights(task)]
    ratio = task_sqnr(planner, outcome, task)
    return PlannedTask(
        planner.names[task],
        sum(count for place, count in outcome.stored.items() if place[0] == task),
        max(peaks, default=0.0) or None,
        None if ratio is None else round(ratio, 4),
        *(() if score is None else (score.metric, score.baseline, score.score)),
    )


def _error(stats: Stats | None) -> tuple[float | None, float | None]:
    """Return the largest |error| and the ratio in dB; None where nothing is lost."""
    if not stats or not stats[0]:
        return None, None
    ratio = sqnr_db(stats[2], stats[1])
    return stats[0], None if ratio is None else round(ratio, 4)
