"""Cells measured: in this process, or in worker processes that open models themselves."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mcodec.api import copying
from mcodec.api.evaluators import load_evaluators
from mcodec.api.modelfile import model_file
from mcodec.api.opening import open_model
from mcodec.api.sweepcells import Cell
from mcodec.api.sweepmodel import SweptModel, decibels
from mcodec.api.values import Values
from mcodec.engine import usable_cores, workers
from mcodec.errors import InputOutputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Executor

    from numpy.typing import NDArray

    from mcodec.api.evaluators import Evaluator
    from mcodec.api.sweepcells import How, Key, TaskInput


@dataclass(frozen=True, slots=True)
class Job:
    """All that a worker process needs.

    Attributes
    ----------
    inputs
        By task.
    how
        What is changed, and how it is handed out.
    evaluate
        Evaluators by task, or the text that they are loaded by.
    threads
        For decoding; None for the usable cores.
    scratch
        A folder for files that evaluators load: whoever made the job removes it, since a worker
        may be killed.
    """

    inputs: dict[str, TaskInput]
    how: How
    evaluate: str | dict[str, Evaluator]
    threads: int | None = None
    scratch: str | None = None


class Bench:
    """One process's models and evaluators, opened when they are first needed."""

    def __init__(self, job: Job, stack: ExitStack) -> None:
        self._job = job
        self._stack = stack
        self._executor: Executor | None = stack.enter_context(workers(job.threads))
        self._models: dict[str, SweptModel] = {}
        self._evaluators: dict[str, Evaluator] | None = None
        self._notes: list[str] = []

    def model(self, task: str) -> SweptModel:
        """Return a task's model, open."""
        if task not in self._models:
            entry = self._job.inputs[task]
            source = open_model(
                self._stack, entry.source, task=entry.task, key=entry.key, sandbox=entry.sandbox
            )

            def warn(message: str) -> None:
                self._notes.append(f"{task}: {message}" if len(self._job.inputs) > 1 else message)

            self._models[task] = SweptModel(source, self._job.how, self._executor, warn)
        return self._models[task]

    def digest(self, task: str) -> str:
        """Return a digest of a task's names, dtypes, shapes and values, in hex."""
        from blake3 import blake3

        source = self.model(task).source
        digests = copying.digest(source, self._executor)
        total = blake3()
        for index, spec in enumerate(source.tensors):
            total.update(repr((spec.name, spec.dtype, spec.shape)).encode() + digests[index])
        return total.hexdigest()

    def notes(self) -> tuple[str, ...]:
        """Return what has been said of the models, each line once."""
        return tuple(dict.fromkeys(self._notes))

    def measure(self, key: Key) -> tuple[Cell, tuple[str, ...]]:
        """Return a cell, and what there is to be warned of."""
        task, layer, setting = key
        model = self.model(task)
        codings = model.codings(layer, setting)
        arrays, stats = model.weights(layer, codings)
        evaluator = self._evaluator(task)
        if self._job.how.as_file:
            source = self._job.inputs[task].source
            name = os.path.basename(source) if isinstance(source, str | os.PathLike) else ""
            scratch = self._job.scratch
            values = Values([model.source], [codings])

            def decoded(index: int, start: int, stop: int) -> NDArray[Any]:
                return values.decoded((0, index), start, stop)

            with model_file(
                model.source, codings, decoded, str(name), self._executor, scratch
            ) as path:
                scores, seconds = _timed(evaluator, path, task)
        else:
            scores, seconds = _timed(evaluator, arrays, task)
        return Cell(task, layer, setting, scores, *decibels(stats), seconds), self.notes()

    def _evaluator(self, task: str) -> Evaluator:
        if self._evaluators is None:
            given = self._job.evaluate
            tasks = list(self._job.inputs)
            self._evaluators = load_evaluators(given, tasks) if isinstance(given, str) else given
        return self._evaluators[task]


def _timed(evaluator: Evaluator, weights: Any, task: str) -> tuple[dict[str, float], float]:
    start = time.perf_counter()
    scores = evaluator(weights, task)
    return scores, time.perf_counter() - start


def measure_all(
    bench: Bench, job: Job, keys: Sequence[Key], jobs: int
) -> Iterator[tuple[Cell, tuple[str, ...]]]:
    """Yield cells as they are done: in this process for one job, else in workers.

    Raises
    ------
    McodecError
        What went wrong in whatever process; cells that are not done are dropped.
    """
    count = min(jobs, len(keys))
    if count <= 1:
        yield from map(bench.measure, keys)
        return
    yield from _in_workers(job, keys, count)


def check_picklable(job: Job) -> None:
    """Refuse functions that other processes cannot have.

    Raises
    ------
    UsageError
        One is a lambda, or defined inside a function, or in a notebook.
    """
    try:
        if not isinstance(job.evaluate, str):
            for one in job.evaluate.values():
                if one.origin is not None:
                    raise AttributeError(f"{one.label} is of a file")
        pickle.dumps(job)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UsageError(
            f"worker processes cannot be given the evaluator ({error}); with jobs over 1 it has to "
            "be a function that can be imported, or a text file.py:function"
        ) from None


def _in_workers(
    job: Job, keys: Sequence[Key], count: int
) -> Iterator[tuple[Cell, tuple[str, ...]]]:
    share = max(1, usable_cores() // count)
    before = set(multiprocessing.active_children())
    executor = ProcessPoolExecutor(
        count,
        multiprocessing.get_context("spawn"),
        initializer=_start,
        initargs=(replace(job, threads=share), share),
    )
    try:
        for done in as_completed([executor.submit(_measure, key) for key in keys]):
            yield done.result()
    except BaseException as error:
        executor.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - before:
            process.kill()  # it is in the middle of a cell, and holds nothing to be saved
        if isinstance(error, BrokenProcessPool):
            raise InputOutputError(
                "a worker process died (killed, or out of memory); what is done is kept: "
                "run again, with fewer --jobs if it was memory"
            ) from None
        raise
    executor.shutdown()


_bench: Bench | None = None  # of a worker process


def _start(job: Job, threads: int) -> None:
    """Begin a worker: nothing is opened yet, so that errors come back with the first cell."""
    global _bench  # noqa: PLW0603 (the only way from an initializer to the calls)
    # The command ends its workers itself; a Ctrl-C would have each of them print a traceback.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    # An evaluator's libraries would start threads for all cores in each worker.
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    with contextlib.suppress(OSError):
        os.dup2(2, 1)  # what an evaluator prints is not the command's output
    sys.stdout = sys.stderr
    _bench = Bench(job, ExitStack())


def _follow(parent: Any) -> None:
    """End with the parent, however that ended."""
    parent.join()
    os._exit(1)


def _measure(key: Key) -> tuple[Cell, tuple[str, ...]]:
    assert _bench is not None
    return _bench.measure(key)
