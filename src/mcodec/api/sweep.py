"""`sweep`: how good a model is with fewer and fewer bits, whole or layer by layer (paper 000)."""

from __future__ import annotations

import inspect
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from blake3 import blake3

from mcodec.api.evaluators import Evaluator, as_evaluators
from mcodec.api.handle import open as open_container
from mcodec.api.progress import Progress, no_progress
from mcodec.api.sources import name_sources
from mcodec.api.sweepcells import Cell, How, TaskInput
from mcodec.api.sweepgrid import parse_grid
from mcodec.api.sweepreport import SweepReport
from mcodec.api.sweepstate import Settings, StateFile, TaskState
from mcodec.api.sweepworker import Bench, Job, check_picklable, measure_all
from mcodec.codec.bfp import BfpCodec
from mcodec.errors import EvaluatorError, UsageError
from mcodec.formats import registry
from mcodec.outputs import check_output

if TYPE_CHECKING:
    from mcodec.api.evaluators import Given
    from mcodec.api.sources import Arrays, PathLike, Sources
    from mcodec.api.sweepcells import Key
    from mcodec.api.sweepgrid import Grid


def sweep(
    sources: Sources | Arrays,
    evaluate: Given,
    *,
    keep: Grid | None = None,
    bits: Grid | None = None,
    per_layer: bool = False,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    rounding: str = "nearest",
    scope: str = "tensor",
    as_file: bool = False,
    out: PathLike | None = None,
    fresh: bool = False,
    key: str | Mapping[str, str] = "",
    sandbox: bool = False,
    jobs: int = 1,
    unit: str = "",
    progress: Progress = no_progress,
) -> SweepReport:
    """Measure models with fewer and fewer bits: the exact one, then each setting of a grid.

    What the evaluator sees is the canonical decode, which a `.mc` file of that setting has. A
    setting that keeps every bit of a model is not measured again: it scores what the model does.

    Parameters
    ----------
    sources
        A path, several, or a mapping of task names to paths or to arrays by name; or one mapping of
        names to arrays. One `.mc` file alone gives all its tasks.
    evaluate
        ``f(weights, task)``, or one by task, or a text ``file.py:function``. It gets names and
        read-only arrays, and returns a number, larger for better, or a dict of numbers of which the
        first one counts.
    keep
        Bits of each float that stay, from the top of its pattern, 1 to 64: ``(u >> n) << n`` over
        every float tensor, statistics of normalisations too. A narrower dtype stays whole.
    bits
        Magnitude bits of block floating point, 1 to 24, over floating tensors of two or more
        dimensions that are no training state. Either this or `keep`.
    per_layer
        Measure each layer by itself too, the rest exact. A layer is all tensors that share what
        stands before the last ``/`` or ``.`` of their names.
    include, exclude
        Shell patterns: only tensors of these names, or all but these.
    rounding, scope
        Of block floating point: ``nearest`` or ``truncate``; ``tensor``, ``axis:a``, ``block:k``.
    as_file
        Give the evaluator the path of a temporary model file, of the model's own format.
    out
        A JSON file, written after each cell. A finished cell of the same arrays, evaluator file and
        options is not measured again.
    fresh
        Replace `out`, whatever it holds.
    key
        The model's place in PyTorch checkpoints, of all or by task.
    sandbox
        Read model files in a process of its own, under a memory and a time limit.
    jobs
        Worker processes that measure cells; with one it is done here.
    unit
        Of the scores, as tables and plots are to say it.
    progress
        Called with (cells done, cells in all).

    Returns
    -------
    SweepReport

    Raises
    ------
    UsageError, CodecConfigError
        The arguments do not fit each other; `out` is a sweep of something else.
    EvaluatorError
        The evaluator raises, changes its arrays, or returns anything but finite numbers.
    FormatError, InputOutputError
        A model is damaged or refused; a file cannot be read or written; a worker died.
    """
    mode, grid = _grid(keep, bits)
    how = How(mode, rounding, scope, tuple(include), tuple(exclude), as_file)
    _check_options(how, jobs)
    inputs = _inputs(sources, key, sandbox)
    if out is not None:
        check_output(out, [one.source for one in inputs.values()])
    evaluators = as_evaluators(evaluate, list(inputs))
    with ExitStack() as stack:
        scratch = None
        if as_file:
            scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="mcodec-sweep-"))
        given = evaluate if isinstance(evaluate, str) else evaluators
        job = Job(inputs, how, given, scratch=scratch)
        if jobs > 1:
            check_picklable(job)
        bench = Bench(job, stack)
        tasks = [_task_state(bench, one, evaluators[one.name]) for one in inputs.values()]
        settings = Settings(mode, rounding, scope, list(include), list(exclude), as_file)
        keys, work = _plan(bench, list(inputs), grid, per_layer=per_layer)
        state = StateFile(out, settings, tasks, fresh=fresh)
        notes, measured = _run(bench, job, state, keys, work, jobs, progress)
        layers = {task: _layers(bench, task) if per_layer else {} for task in inputs}
    cells = tuple(state.cells[one] for one in keys)
    return SweepReport(mode, grid, tuple(inputs), layers, cells, measured, unit, notes)


def _grid(keep: Grid | None, bits: Grid | None) -> tuple[str, tuple[int, ...]]:
    if (keep is None) == (bits is None):
        raise UsageError("give either keep, such as 32:2:-2, or bits, such as 24:1:-1")
    mode, given = ("bits", bits) if keep is None else ("keep", keep)
    assert given is not None
    return mode, parse_grid(mode, given)


def _check_options(how: How, jobs: int) -> None:
    if jobs < 1:
        raise UsageError(f"jobs must be 1 or more, not {jobs}")
    if how.mode == "keep" and (how.rounding, how.scope) != ("nearest", "tensor"):
        raise UsageError("rounding and scope are of block floating point: sweep over bits")
    BfpCodec.from_config({"bits": 1, "rounding": how.rounding, "scope": how.scope})


def _inputs(
    sources: Sources | Arrays, key: str | Mapping[str, str], sandbox: bool
) -> dict[str, TaskInput]:
    """Return where each task's model is; one `.mc` file alone gives all its tasks."""
    if isinstance(sources, Mapping) and not any(
        isinstance(value, str | os.PathLike | Mapping) for value in sources.values()
    ):
        sources = {"A": sources}
    named = name_sources(sources)
    keys = key if isinstance(key, Mapping) else dict.fromkeys(named, key)
    for name in keys:
        if name not in named:
            raise UsageError(f"a key for {name!r}, and the tasks are {', '.join(named)}")
    if len(named) == 1:
        (path,) = named.values()
        if not isinstance(path, Mapping) and registry.is_container(path):
            with open_container(path, jobs=1) as file:
                if len(file.tasks) > 1:
                    return {task: TaskInput(task, path, task) for task in file.tasks}
    return {
        name: TaskInput(name, source, None, keys.get(name, ""), sandbox)
        for name, source in named.items()
    }


def _task_state(bench: Bench, entry: TaskInput, evaluator: Evaluator) -> TaskState:
    """Say what a task's cells are measured of."""
    model = bench.model(entry.name)
    if not model.chosen:
        raise UsageError(f"task {entry.name!r} has no tensor that the sweep would change")
    source = "arrays" if isinstance(entry.source, Mapping) else os.fspath(entry.source)
    if evaluator.origin is not None:
        digest = evaluator.origin.digest
    else:
        try:
            digest = blake3(inspect.getsource(evaluator.function).encode()).hexdigest()
        except (OSError, TypeError):  # of a console, or no plain function
            digest = ""
    return TaskState(entry.name, source, bench.digest(entry.name), evaluator.label, digest)


def _layers(bench: Bench, task: str) -> dict[str, int]:
    """Return how many values each layer has that a sweep may change."""
    model = bench.model(task)
    return {
        layer: sum(model.source.tensors[index].size for index in members)
        for layer, members in model.layers.items()
    }


def _plan(
    bench: Bench, tasks: Sequence[str], grid: Sequence[int], *, per_layer: bool
) -> tuple[list[Key], list[Key]]:
    """Return all cells in the order of the report, and those of them that change something."""
    for task in tasks:
        bench.model(task).check(grid[-1])
    keys: list[Key] = [(task, None, None) for task in tasks]
    keys += [(task, None, setting) for setting in grid for task in tasks]
    if per_layer:
        keys += [
            (task, layer, setting)
            for task in tasks
            for layer in bench.model(task).layers
            for setting in grid
        ]
    work = [
        (task, layer, setting)
        for task, layer, setting in keys
        if setting is None or bench.model(task).changed(layer, setting)
    ]
    return keys, work


def _run(
    bench: Bench,
    job: Job,
    state: StateFile,
    keys: Sequence[Key],
    work: Sequence[Key],
    jobs: int,
    progress: Progress,
) -> tuple[tuple[str, ...], int]:
    """Measure what is missing, keep each cell as it is done; return notes, and how many it were."""
    missing = [key for key in work if key not in state.cells]
    notes = dict.fromkeys(bench.notes())
    progress(0, len(missing))
    for done, (cell, said) in enumerate(measure_all(bench, job, missing, jobs), 1):
        _check_names(state, cell)
        state.add([cell])
        notes.update(dict.fromkeys(said))
        progress(done, len(missing))
    changed = set(work)
    state.add(
        _unchanged(state.cells[key[0], None, None], key)
        for key in keys
        if key not in changed and key not in state.cells
    )
    return tuple(notes), len(missing)


def _unchanged(baseline: Cell, key: Key) -> Cell:
    """Return the cell of a setting that keeps every bit."""
    task, layer, setting = key
    peak = baseline.max_error
    return Cell(task, layer, setting, baseline.scores, peak, None, 0.0)


def _check_names(state: StateFile, cell: Cell) -> None:
    """Refuse numbers whose names change from cell to cell, also between processes."""
    for other in state.cells.values():
        if other.task == cell.task:
            if tuple(other.scores) != tuple(cell.scores):
                raise EvaluatorError(
                    f"the evaluator of task {cell.task!r} returns numbers named "
                    f"{', '.join(cell.scores)}, and before they were {', '.join(other.scores)}"
                )
            return
