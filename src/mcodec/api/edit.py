"""`add`, `rm`, `replace`, `rename`: one task of a file changes, the others' chunks are copied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcodec.api import sources as inputs
from mcodec.api.editing import NewModel, editing
from mcodec.api.editorder import arrange, without
from mcodec.api.editreport import EditReport
from mcodec.api.pack import read_options
from mcodec.api.progress import Progress, no_progress
from mcodec.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mcodec.api.planning import Bits
    from mcodec.api.sources import PathLike

__all__ = ["EditReport", "add", "rename", "replace", "rm"]


def add(
    path: PathLike,
    name: str,
    source: PathLike | inputs.Arrays,
    *,
    out: PathLike | None = None,
    bits: Bits = None,
    rounding: str = "nearest",
    codec: str | None = None,
    plan: PathLike | None = None,
    optimize: str = "load",
    force: bool = False,
    meta: Mapping[str, str] | None = None,
    key: str = "",
    sandbox: bool = False,
    jobs: int | None = None,
    max_decoded: int | None = None,
    progress: Progress = no_progress,
) -> EditReport:
    """Add one model to a file as its last task; the chunks of the others are copied.

    Tensors that the file has already are not stored again: those that keep every bit and equal one
    that does, and those of the same codec and the same source. With bits, or in an interleaved
    file, tensors join the fused groups of those that they would be paired with.

    Parameters
    ----------
    path
        The `.mc` file.
    name
        The new task's.
    source
        A path, or a mapping of names to arrays.
    out
        The file to make or replace; default: the file itself.
    bits, rounding, codec, plan, force, key, sandbox, jobs, progress
        As in `pack`, for this model alone. Of a plan the rules for this task count.
    optimize
        ``load`` or ``file``, as in `pack`: with ``file``, tensors may be told from those of the
        file (codecs delta and mask).
    meta
        Words and numbers to keep with the task.
    max_decoded
        Bytes that one task of the file may decode to; default as in `open`.

    Raises
    ------
    UsageError, CodecConfigError
        The task is there, or the arguments do not fit each other or the model.
    FormatError
        The file or the source is damaged or refused.
    InputOutputError
        One of them cannot be read, or the file cannot be written.
    """
    options = read_options(
        [name],
        bits=bits,
        rounding=rounding,
        fusion="v2",
        codec=codec,
        plan=plan,
        optimize=optimize,
        force=force,
    )
    model = NewModel(name, source, options, meta or {}, key, sandbox)
    with editing(path, out, [source, plan], max_decoded) as edit:
        if name in edit.file.tasks:
            message = f"the file has a task {name!r}: replace it, or choose another name"
            raise UsageError(message)
        return edit.put(model, jobs, progress)


def replace(
    path: PathLike,
    name: str,
    source: PathLike | inputs.Arrays,
    *,
    out: PathLike | None = None,
    bits: Bits = None,
    rounding: str = "nearest",
    codec: str | None = None,
    plan: PathLike | None = None,
    optimize: str = "load",
    force: bool = False,
    meta: Mapping[str, str] | None = None,
    key: str = "",
    sandbox: bool = False,
    jobs: int | None = None,
    max_decoded: int | None = None,
    progress: Progress = no_progress,
) -> EditReport:
    """Put another model in the place of a task: `rm` and `add` at once, the order of tasks kept.

    What another task's deltas or masks stand on stays in the file, hidden.

    Parameters
    ----------
    path, name, source
        The `.mc` file, its task, and the model that takes its place.
    out, bits, rounding, codec, plan, optimize, force, meta, key, sandbox, jobs
    max_decoded, progress
        As in `add`.

    Raises
    ------
    UnknownTaskError
        There is no such task.
    UsageError, CodecConfigError, FormatError, InputOutputError
        As `add`.
    """
    options = read_options(
        [name],
        bits=bits,
        rounding=rounding,
        fusion="v2",
        codec=codec,
        plan=plan,
        optimize=optimize,
        force=force,
    )
    model = NewModel(name, source, options, meta or {}, key, sandbox)
    with editing(path, out, [source, plan], max_decoded) as edit:
        edit.file.entry(name)
        return edit.put(model, jobs, progress)


def rm(
    path: PathLike,
    names: str | Sequence[str],
    *,
    out: PathLike | None = None,
    max_decoded: int | None = None,
    progress: Progress = no_progress,
) -> EditReport:
    """Take tasks out of a file, with all that no other task needs.

    What another task's deltas or masks stand on stays in the file, hidden.

    Parameters
    ----------
    path
        The `.mc` file.
    names
        One task, or several.
    out, max_decoded, progress
        As in `add`.

    Raises
    ------
    UnknownTaskError
        There is no such task.
    UsageError
        No task would be left.
    FormatError, InputOutputError
        As `add`.
    """
    gone = list(dict.fromkeys([names] if isinstance(names, str) else names))
    if not gone:
        raise UsageError("name the tasks to take out")
    with editing(path, out, [], max_decoded) as edit:
        for name in gone:
            edit.file.entry(name)
        if len(gone) == len(edit.file.tasks):
            raise UsageError("no task would be left: delete the file instead")
        manifest = without(edit.manifest, gone)
        edit.write(manifest, arrange(manifest), progress)
        return edit.report(removed=gone)


def rename(
    path: PathLike,
    names: Mapping[str, str],
    *,
    out: PathLike | None = None,
    max_decoded: int | None = None,
    progress: Progress = no_progress,
) -> EditReport:
    """Give tasks other names; nothing else changes.

    Parameters
    ----------
    path
        The `.mc` file.
    names
        Old names to new ones; two tasks may swap theirs.
    out, max_decoded, progress
        As in `add`.

    Raises
    ------
    UnknownTaskError
        There is no such task.
    UsageError
        Two tasks would have one name, or a name cannot be.
    FormatError, InputOutputError
        As `add`.
    """
    if not names:
        raise UsageError("say which task is to have which name")
    with editing(path, out, [], max_decoded) as edit:
        for name in names:
            edit.file.entry(name)
        new = {name: names.get(name, name) for name in edit.file.tasks}
        _check_names(list(new.values()))
        edit.rename(new, progress)
        return edit.report(renamed=names)


def _check_names(names: Sequence[str]) -> None:
    if not all(isinstance(name, str) and name for name in names):
        raise UsageError("the name of a task is a string that is not empty")
    inputs.check_names(names, "task")
