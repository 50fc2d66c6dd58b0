"""One change of a file's tasks: the file that is read, and the one that takes its place."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec.structs import replace

from mcodec.api import sources as inputs
from mcodec.api.choices import list_choices
from mcodec.api.editadd import Adding
from mcodec.api.editorder import arrange, named_runs, without
from mcodec.api.editreport import EditReport
from mcodec.api.editunknown import Unknown
from mcodec.api.editwrite import write_edited
from mcodec.api.handle import open as open_file
from mcodec.api.tasklist import Shares, stored_bytes, task_rows
from mcodec.engine import workers
from mcodec.limits import decoded_budget
from mcodec.outputs import check_output

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mcodec.api.auto import Choice
    from mcodec.api.handle import File
    from mcodec.api.planning import Options, Place
    from mcodec.api.progress import Progress
    from mcodec.container.manifest import Manifest

_Choices = tuple[tuple["Choice", ...], dict["Place", "Place"]]


@dataclass(frozen=True, slots=True)
class NewModel:
    """A model that becomes a task, and how: the arguments of `add`, checked.

    Raises
    ------
    UsageError
        The name or the source cannot be.
    """

    name: str
    source: inputs.PathLike | inputs.Arrays
    options: Options
    meta: Mapping[str, str]
    key: str
    sandbox: bool

    def __post_init__(self) -> None:
        inputs.check_names(inputs.name_sources({self.name: self.source}), "task")


@contextmanager
def editing(
    path: inputs.PathLike,
    out: inputs.PathLike | None,
    sources: Sequence[object],
    max_decoded: int | None,
) -> Iterator[Edit]:
    """Open a file to change its tasks.

    Parameters
    ----------
    path, out
        The file to read, and the one to make or replace; None for the same.
    sources
        What else is read, and so may not be written over.
    max_decoded
        As in `open`.

    Raises
    ------
    FormatError, InputOutputError, UsageError
        The file cannot be read, or the output cannot be.
    """
    target = os.fspath(path if out is None else out)
    check_output(target, sources)
    with open_file(path, jobs=1, max_decoded=max_decoded) as file:
        yield Edit(file, target)


class Edit:
    """The steps of a change; `editing` makes one."""

    def __init__(self, file: File, out: str) -> None:
        self.file = file
        self.manifest = file.reader.manifest
        self._reader = file.reader
        self._out = out
        self._unknown = Unknown(self._reader.manifest_bytes)
        self._hidden = 0
        self._warnings: list[str] = []
        self._chosen: _Choices = ((), {})

    def write(self, manifest: Manifest, order: Sequence[int], progress: Progress) -> None:
        """Write the file of these tasks and runs; all chunks are copied."""
        self._keep(manifest, order)
        encode = self._unknown.encode
        write_edited(self._reader, manifest, order, {}, encode, self._out, None, progress)

    def rename(self, names: Mapping[str, str], progress: Progress) -> None:
        """Write the file with other names: every old one to the new one."""
        tasks = [replace(task, name=names[task.name]) for task in self.manifest.tasks]
        manifest = replace(self.manifest, tasks=tasks)
        self._unknown.rename(names)
        self.write(manifest, range(len(manifest.runs)), progress)

    def put(self, model: NewModel, jobs: int | None, progress: Progress) -> EditReport:
        """Write the file with a model as a task: in the place of one of its name, or the last."""
        names = self.file.tasks
        replaced = [model.name] if model.name in names else []
        position = names.index(model.name) if replaced else len(names)
        rest = without(self.manifest, replaced)
        self._unknown.forget(model.name)
        with ExitStack() as stack:
            named = {model.name: model.source}
            source = inputs.open_sources(stack, named, model.key, model.sandbox)[0]
            executor = stack.enter_context(workers(jobs))
            adding = Adding(self.file, rest, model.name, source, model.options, executor)
            bits = any(count is not None for count in model.options.bits)
            adding.code(fuse=bits or self._reader.layout == "interleaved")
            manifest = adding.extend(position, model.meta)
            order = arrange(manifest)
            _sort_pairs(manifest, order, len(self.manifest.runs))
            encoders = adding.encoders(order, self._reader.layout)
            self._keep(manifest, order)
            encode = self._unknown.encode
            write_edited(
                self._reader, manifest, order, encoders, encode, self._out, executor, progress
            )
        self._warnings += adding.warnings
        self._chosen = adding.choices(position)
        return self.report(added=[model.name], removed=replaced)

    def _keep(self, manifest: Manifest, order: Sequence[int]) -> None:
        """Count what stays of tasks that are taken out."""
        gone = named_runs(self.manifest.tasks) - named_runs(manifest.tasks)
        self._hidden = sum(stored_bytes(self._reader, gone.intersection(order)).values())

    def report(
        self,
        *,
        added: Sequence[str] = (),
        removed: Sequence[str] = (),
        renamed: Mapping[str, str] | None = None,
    ) -> EditReport:
        """Say what was done, by the file that was written."""
        with open_file(self._out, jobs=1, max_decoded=1 << 62) as file:
            size = file.reader.size
            reader = file.reader
            shares = Shares(reader.runs, stored_bytes(reader, range(len(reader.runs))))
            rows = task_rows(reader.manifest, shares.specs, shares.stored)
            choices = tuple(list_choices(reader.manifest, shares, *self._chosen)) if added else ()
        for row in rows:
            if row.source_bytes > decoded_budget(size):
                self._warnings.append(
                    f"task {row.name!r} decodes to over 1,000 times the file's size: "
                    "readers have to allow that with --max-decoded"
                )
        return EditReport(
            self._out,
            size,
            self._reader.size,
            self._reader.layout,
            tuple(added),
            tuple(removed),
            dict(renamed or {}),
            self._hidden,
            len(self._chosen[1]),
            choices,
            tuple(rows),
            tuple(self._warnings),
        )


def _sort_pairs(manifest: Manifest, order: Sequence[int], first: int) -> None:
    """Put new runs, from number `first` on, among those that they are fused with, by task."""
    place = {run: number for number, run in enumerate(order)}
    for pair in manifest.pairs:
        if len(pair) > 1 and pair[-1] >= first:
            pair.sort(key=place.__getitem__)
