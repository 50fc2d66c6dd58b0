"""`unpack`: one task out, in its own format or another."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcodec import outputs
from mcodec.api import ceiling, precision, target
from mcodec.api.ahead import Telling
from mcodec.api.copying import check_ties, copy, digest
from mcodec.api.handle import open as open_file
from mcodec.api.integersource import IntegerSource, check_format
from mcodec.api.progress import Progress, no_progress
from mcodec.api.taskcopy import Copier
from mcodec.api.tasksource import TaskSource
from mcodec.codec.base import View
from mcodec.engine import map_ordered, workers
from mcodec.errors import UsageError
from mcodec.formats.registry import suffix_for_format

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from mcodec.api.handle import File
    from mcodec.container.manifest import Task
    from mcodec.formats.base import TensorSink

LONGEST_NAME = 255  # bytes that file systems allow


@dataclass(frozen=True, slots=True)
class UnpackReport:
    """What `unpack` did; ``notes`` has one line for each thing that the format cannot hold.

    Of a file that is cut off, ``levels`` are the planes of the task's weights that are there and in
    all, and ``cut_off`` says so in words; what is written is derived then, not ``exact``.
    """

    path: str
    task: str
    format: str
    tensors: int
    bytes: int
    exact: bool
    notes: tuple[str, ...] = ()
    integers: int = 0  # tensors that are written as integers and scales
    levels: tuple[int, int] | None = None
    cut_off: str = ""


def unpack(
    path: str | os.PathLike[str],
    task: str | None = None,
    out: str | os.PathLike[str] | None = None,
    *,
    to: str | None = None,
    planes: int | None = None,
    midpoint: bool | None = None,
    dither: bool = False,
    integers: bool = False,
    partial: bool = False,
    jobs: int | None = None,
    max_decoded: int | None = None,
    max_memory: int | None = None,
    progress: Progress = no_progress,
) -> UnpackReport:
    """Write one task of a file as a model file.

    Parameters
    ----------
    path
        The `.mc` file; a path or an fsspec URL.
    task
        The task; may be left out where there is only one.
    out
        The file to make or replace, whole or not at all; default: the stem of `path`, the task and
        the format's suffix, in the current folder. A task that came from several files becomes a
        folder again, unless `out` has the suffix of a file.
    to
        ``h5``, ``keras``, ``safetensors``, ``npz``, ``pt``, …; default: by the suffix of `out`,
        else the task's own format.
    planes, midpoint, dither
        A derived decode, as in `File.task`.
    integers
        Write a tensor NAME that is stored as integers (codec int8) as int8 NAME and float32
        NAME.scale, as `Task.get_quantized` gives them; nothing but arrays is written then.
    partial
        Take a progressive file that is cut off, with the planes that are there, or with `planes` of
        them if that is fewer.
    jobs
        Threads; default: the usable cores.
    max_decoded
        Bytes that the task may decode to, as in `open`.
    max_memory
        Bytes that the process may take, with what it holds already; default: 512 MiB beside that.
    progress
        Called with (bytes done, bytes in all).

    Raises
    ------
    UnknownTaskError, UsageError
        There is no such task, the format is not known, the task has no integers, or it takes more
        than `max_memory`.
    FormatError
        The file is damaged; nothing is written then.
    InputOutputError
        A file cannot be read or written.
    """
    view = View(planes, midpoint, dither)
    if integers and not view.canonical:
        raise UsageError("integers have all planes: leave out planes, midpoint and dither")
    if out is not None:
        outputs.check_name(out, [path])
    with ExitStack() as stack:
        file = stack.enter_context(
            open_file(path, jobs=1, partial=partial, max_decoded=max_decoded)
        )
        entry = file.entry(task)
        handle = file.task(entry.name, planes=planes, midpoint=midpoint, dither=dither)
        source = IntegerSource(file.reader, handle) if integers else TaskSource(handle)
        plan = _plan(path, out, to, entry, source)
        stack.enter_context(ceiling.for_unpacking(source.tensors, plan.format, max_memory))
        executor = stack.enter_context(workers(jobs))
        with target.create(plan, source.tensors, entry.metadata, source.same_as) as made:
            _copy(file, entry, source, made.sink, executor, progress)
            made.sink.close()
            size = outputs.size_of(made.path)
    reader, runs = file.reader, precision.runs_of([entry])
    whole = view.canonical and reader.levels is None
    return UnpackReport(
        plan.out,
        entry.name,
        plan.format,
        len(source.tensors),
        size,
        whole and all(reader.manifest.runs[run].source is None for run in runs),
        tuple(made.notes),
        source.count if isinstance(source, IntegerSource) else 0,
        precision.planes_of_weights(reader, runs),
        precision.words(reader, runs),
    )


def _plan(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str] | None,
    to: str | None,
    entry: Task,
    source: TaskSource,
) -> target.Plan:
    """Decide what to write, and refuse what cannot be before long work."""
    chosen = target.choose_format(to, out, entry.came_from)
    if isinstance(source, IntegerSource):
        check_format(chosen)
    plan = target.plan("" if out is None else out, chosen, source.skeleton())
    if isinstance(source, IntegerSource) and entry.skeleton_run is not None:
        plan.notes = ("what the task held besides arrays is left out: it speaks of floats",)
    if out is None:
        plan.out = _default_out(os.fspath(path), entry.name, plan)
    target.check(plan, [path])
    return plan


def _copy(
    file: File,
    entry: Task,
    source: TaskSource,
    sink: TensorSink,
    executor: Executor | None,
    progress: Progress,
) -> None:
    """Copy all tensors of a task; what is read of its file is told before."""
    with Telling(file.reader) as telling:
        if isinstance(source, IntegerSource):
            extents = source.extents
            copy(
                source,
                sink,
                executor,
                digests=False,
                progress=progress,
                told=lambda work: telling.of(work, extents),
            )
            return
        _check_ties(source, sink)
        total = sum(spec.nbytes for spec in source.tensors)
        done = 0
        copier = Copier(file, entry, source.tensors, source.task.view, sink)
        for count in map_ordered(executor, copier.copy, copier.work(telling), cost=copier.cost):
            done += count
            progress(done, total)


def _check_ties(source: TaskSource, sink: TensorSink) -> None:
    """Refuse to write one array for two names whose values differ.

    Raises
    ------
    UsageError
        A plan, or an edit, has made them differ.
    """
    ties = sink.same_as.items()
    apart = {
        second: first
        for second, first in ties
        if source.same_as.get(second, second) != source.same_as.get(first, first)
    }
    if apart:
        digests = digest(source, None, wanted={*apart, *apart.values()})
        check_ties(source.tensors, apart, digests)


def _default_out(path: str, task: str, plan: target.Plan) -> str:
    """Name the output by file, task and format; a folder has no suffix."""
    suffix = "" if plan.folder else suffix_for_format(plan.format)
    name = f"{os.path.splitext(os.path.basename(path))[0]}.{task}{suffix}"
    if "/" in task or not task.isprintable() or len(os.fsencode(name)) > LONGEST_NAME:
        shown = repr(task) if len(task) < 80 else f"{task[:40]!r}…"
        raise UsageError(f"task {shown} cannot be part of a file name; name the output with -o")
    return name
