"""`unpack`: one task out, in its own format or another."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mcodec import storage
from mcodec.api.decode import RunDecoder, check_view
from mcodec.api.handle import open as open_file
from mcodec.api.progress import Progress, no_progress
from mcodec.codec.base import View
from mcodec.engine import map_ordered, workers
from mcodec.errors import McodecError, UsageError
from mcodec.types import TensorSpec, itemsize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcodec.api.handle import File
    from mcodec.container.manifest import Task
    from mcodec.formats.base import TensorSink

LONGEST_NAME = 255  # bytes that file systems allow
FALLBACK_FORMAT = "safetensors"  # for a task that was packed from arrays


# What these names promise this version does not write.
OTHER_SUFFIXES: Final = frozenset(
    (".mc", ".pt", ".pth", ".bin", ".ckpt", ".keras", ".onnx", ".json")
)


@dataclass(frozen=True, slots=True)
class UnpackReport:
    """What `unpack` did."""

    path: str
    task: str
    format: str
    tensors: int
    bytes: int
    exact: bool


def unpack(
    path: str | os.PathLike[str],
    task: str | None = None,
    out: str | os.PathLike[str] | None = None,
    *,
    to: str | None = None,
    planes: int | None = None,
    midpoint: bool | None = None,
    dither: bool = False,
    jobs: int | None = None,
    max_decoded: int | None = None,
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
        the format's suffix, in the current folder.
    to
        ``h5``, ``safetensors``, ``npz`` or ``npy``; default: by the suffix of `out`, else
        the task's own format.
    planes, midpoint, dither
        A derived decode, as in `File.task`.
    jobs
        Threads; default: the usable cores.
    max_decoded
        Bytes that the task may decode to, as in `open`.
    progress
        Called with (bytes done, bytes in all).

    Raises
    ------
    UnknownTaskError, UsageError
        There is no such task, or the format is not known.
    FormatError
        The file is damaged; nothing is written then.
    InputOutputError
        A file cannot be read or written.
    """
    from mcodec.formats import registry

    view = View(planes, midpoint, dither)
    if out is not None:
        storage.check_output(out, [path])
    with ExitStack() as stack:
        file = stack.enter_context(open_file(path, jobs=1, max_decoded=max_decoded))
        entry = file.entry(task)
        check_view(file.reader, {tensor.run for tensor in entry.tensors}, view, entry.name)
        target_format = _format(to, out, entry)
        if out is None:
            out = _default_out(os.fspath(path), entry.name, target_format)
        handle = file.task(entry.name)
        specs = [handle.spec(name) for name in handle]
        own = target_format == entry.came_from
        skeleton = handle.skeleton() if own else b""
        executor = stack.enter_context(workers(jobs))
        temporary = stack.enter_context(storage.atomic_output(out))
        sink = registry.create_sink(temporary, target_format, specs, skeleton, entry.metadata)
        try:
            total = sum(spec.nbytes for spec in specs)
            done = 0
            copier = _Copier(file, entry, specs, view, sink)
            for count in map_ordered(executor, copier.copy, copier.work()):
                done += count
                progress(done, total)
        finally:
            sink.close()
    exact = view.canonical and all(
        file.reader.manifest.runs[tensor.run].source is None for tensor in entry.tensors
    )
    size = os.path.getsize(out)
    return UnpackReport(str(out), entry.name, target_format, len(specs), size, exact)


class _Copier:
    """Decodes runs block by block into a sink; blocks may be copied from several threads."""

    def __init__(
        self, file: File, entry: Task, specs: list[TensorSpec], view: View, sink: TensorSink
    ) -> None:
        self._file = file
        self._specs = specs
        self._view = view
        self._sink = sink
        # run -> member -> the tensors that lie there (several, if they are aliases)
        self._places: dict[int, dict[int, list[int]]] = {}
        for index, tensor in enumerate(entry.tensors):
            members = self._places.setdefault(tensor.run, {})
            members.setdefault(tensor.member, []).append(index)

    def work(self) -> Iterator[tuple[RunDecoder, dict[int, list[int]], int]]:
        """Yield every block that holds elements of the task."""
        for run, members in self._places.items():
            decoder = RunDecoder(self._file.reader, run, self._view)
            for block in range(decoder.spec.blocks):
                yield decoder, members, block

    def copy(self, item: tuple[RunDecoder, dict[int, list[int]], int]) -> int:
        """Decode one block and write its tensors' parts; return the bytes written."""
        decoder, members, block = item
        try:
            values = decoder.block(block)
        except McodecError as error:
            names = [self._specs[index].name for own in members.values() for index in own]
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise error.at(f"tensor {names[0]!r}{more}") from None
        return sum(
            self._write(decoder, member, index, block, values[part])
            for member, part in decoder.spec.parts(block)
            for index in members.get(member, ())
        )

    def _write(self, decoder: RunDecoder, member: int, index: int, block: int, values: Any) -> int:
        first, _ = decoder.spec.span(block)
        start = max(0, first - decoder.spec.starts[member])
        offset = start * itemsize(decoder.spec.dtype)
        self._sink.write(index, offset, memoryview(values.view("u1")))
        return int(values.nbytes)


def _format(to: str | None, out: str | os.PathLike[str] | None, entry: Task) -> str:
    from mcodec.formats import registry

    if to is not None:
        found = registry.format_for_suffix(f"x.{to}") or (to if to in registry.FORMATS else None)
        if found is None:
            known = ", ".join(entry.suffixes[0][1:] for entry in registry.FORMATS.values())
            raise UsageError(f"unknown format {to!r}; the formats are {known}")
        return found
    if out is not None:
        found = registry.format_for_suffix(os.fspath(out))
        if found is not None:
            return found
        suffix = os.path.splitext(os.fspath(out))[1].lower()
        if suffix in OTHER_SUFFIXES:
            known = " or ".join(entry.suffixes[0] for entry in registry.FORMATS.values())
            message = (
                f"{os.fspath(out)}: unpack cannot write {suffix}; call it {known}, or say --to"
            )
            raise UsageError(message)
    if entry.came_from is None:
        return FALLBACK_FORMAT
    if entry.came_from not in registry.FORMATS:
        message = (
            f"the task came from {entry.came_from!r}, which this mcodec cannot write; use --to"
        )
        raise UsageError(message)
    return entry.came_from


def _default_out(path: str, task: str, target_format: str) -> str:
    from mcodec.formats import registry

    stem = os.path.splitext(os.path.basename(path))[0]
    name = f"{stem}.{task}{registry.suffix_for_format(target_format)}"
    if "/" in task or not task.isprintable() or len(os.fsencode(name)) > LONGEST_NAME:
        shown = repr(task) if len(task) < 80 else f"{task[:40]!r}…"
        raise UsageError(f"task {shown} cannot be part of a file name; name the output with -o")
    return name
