"""`verify`: hashes and padding; digests of what decodes; equality with the sources."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from mcodec.api import sources as inputs
from mcodec.api.against import Difference, compare
from mcodec.api.ahead import Telling, blocks, decoded
from mcodec.api.decode import RunDecoder
from mcodec.api.handle import open as open_file
from mcodec.api.progress import Progress, no_progress
from mcodec.api.tasklist import needed_runs
from mcodec.engine import map_ordered, workers
from mcodec.errors import FormatError, UsageError
from mcodec.types import itemsize

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

    from mcodec.api.handle import File
    from mcodec.container.reader import ContainerReader


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What `verify` saw; `differences` is empty unless a source was given and differs.

    ``lossy`` names those of the compared tasks that equal their source only up to the error that
    their certificates say.
    """

    path: str
    chunks: int
    runs: int
    deep: bool
    compared: tuple[str, ...]
    lossy: tuple[str, ...]
    differences: tuple[Difference, ...]


def verify(
    path: str | os.PathLike[str],
    *,
    deep: bool = False,
    against: inputs.Sources | None = None,
    task: str | None = None,
    key: str | Mapping[str, str] = "",
    sandbox: bool = False,
    jobs: int | None = None,
    max_decoded: int | None = None,
    progress: Progress = no_progress,
) -> VerifyReport:
    """Check every chunk's hash and the padding; on request what it decodes to.

    Parameters
    ----------
    path
        The `.mc` file.
    deep
        Decode every run and compare it with its digest.
    against
        Sources by task name; a list or a single path stands for the tasks in their order. Each task
        must equal its source bit for bit, or be off by exactly the error that its certificate says,
        from a source of the digest that it names.
    task
        Look at what this task needs only, and leave out the padding.
    key, sandbox
        How sources are opened, as in `pack`.
    jobs, max_decoded, progress
        As in `unpack`.

    Raises
    ------
    FormatError
        The file is damaged; the first damage that is found.
    """
    with ExitStack() as stack:
        file = stack.enter_context(open_file(path, jobs=1, max_decoded=max_decoded))
        executor = stack.enter_context(workers(jobs))
        reader = file.reader
        compared = _tasks_against(file, against, task)
        runs = _runs_of(file, task)
        padding = _Padding(reader) if task is None else None
        total = sum(reader.runs[run].nbytes for run in runs)
        done = chunks = 0
        telling = stack.enter_context(Telling(reader))
        work = _work(file, telling, runs, padding, deep=deep)
        for check, block, result in map_ordered(executor, _step, work):
            check.take(result)
            chunks += len(reader.rows(check.run, block))
            start, stop = check.spec.span(block)
            done += (stop - start) * itemsize(check.spec.dtype)
            progress(done, total)
            if block == check.spec.blocks - 1:
                check.finish()
        differences: list[Difference] = []
        models = inputs.open_sources(stack, compared, key, sandbox)
        for name, model in zip(compared, models, strict=True):
            differences += compare(file, name, model)
    lossy = tuple(name for name in compared if _is_lossy(file, name))
    return VerifyReport(
        str(path), chunks, len(runs), deep, tuple(compared), lossy, tuple(differences)
    )


def _is_lossy(file: File, name: str) -> bool:
    runs = file.reader.manifest.runs
    return any(runs[tensor.run].errors is not None for tensor in file.entry(name).tensors)


def _runs_of(file: File, task: str | None) -> list[int]:
    """Return all runs, or those that a task needs: its tensors', their bases, its skeleton's."""
    if task is None:
        return list(range(len(file.reader.runs)))
    entry = file.entry(task)
    skeleton = set() if entry.skeleton_run is None else {entry.skeleton_run}
    return sorted(needed_runs(file.reader.manifest, entry) | skeleton)


def _work(
    file: File, telling: Telling, runs: Sequence[int], padding: _Padding | None, *, deep: bool
) -> Iterator[tuple[_Check, int]]:
    """Yield each block of runs with what checks it; what they read is told before."""
    reader = file.reader

    def extents(place: tuple[int, int]) -> list[tuple[int, int]]:
        found = decoded(reader, place) if deep else reader.extents(*place)
        return found if padding is None else [*found, *padding.behind(*place)]

    for run, block in telling.of(blocks(reader, runs), extents):
        if block < 0:
            check = _DeepCheck(file, run, padding) if deep else _Check(file, run, padding)
        yield check, block


def _step(item: tuple[_Check, int]) -> tuple[_Check, int, Any]:
    check, block = item
    return check, block, check.block(block)


class _Padding:
    """The bytes that no row claims, which are zero.

    Of a file of this machine they are looked at now. Of one that is far away those behind a chunk
    are looked at with the chunk's block, with which they come.
    """

    def __init__(self, reader: ContainerReader) -> None:
        self._reader = reader
        self._behind: dict[int, tuple[int, int]] = {}
        if not reader.remote:
            reader.check_padding()
            return
        ends = {
            row.offset + row.stored
            for place in blocks(reader, range(len(reader.runs)))
            for row in reader.rows(*place)
            if row.stored
        }
        first = []
        for start, stop in reader.gaps():
            if start in ends:
                self._behind[start] = start, stop
            else:
                first.append((start, stop))
        with reader.ahead(first):
            reader.check_padding(first)

    def behind(self, run: int, block: int) -> list[tuple[int, int]]:
        """Return the gaps (start, stop) behind the chunks of a block that are left to look at."""
        ends = [row.offset + row.stored for row in self._reader.rows(run, block) if row.stored]
        return [self._behind[end] for end in ends if end in self._behind]

    def check(self, run: int, block: int) -> None:
        """Look at the gaps behind a block's chunks."""
        if self._behind:
            self._reader.check_padding(self.behind(run, block))


class _Check:
    """Reads the chunks of one run, which checks their hashes and frames."""

    def __init__(self, file: File, run: int, padding: _Padding | None) -> None:
        self.run = run
        self.spec = file.reader.runs[run]
        self._reader = file.reader
        self._padding = padding

    def block(self, block: int) -> Any:
        """Read a block, or the head, and what lies behind its chunks."""
        found = self._read(block)
        if self._padding is not None:
            self._padding.check(self.run, block)
        return found

    def take(self, values: Any) -> None:
        """Take a block's result, in order."""

    def finish(self) -> None:
        """Say what the run as a whole shows."""

    def _read(self, block: int) -> Any:
        self._reader.read_streams(self.run, block)


class _DeepCheck(_Check):
    """Decodes one run in order, and compares its digest."""

    def __init__(self, file: File, run: int, padding: _Padding | None) -> None:
        super().__init__(file, run, padding)
        self._decoder = RunDecoder(file.reader, run)
        self._digest = blake3()

    def _read(self, block: int) -> Any:
        """Decode a block; the head has been read already."""
        if block < 0:
            return None
        values = self._decoder.block(block)
        end = 0
        for _, part in [*self._decoder.spec.parts(block), (0, slice(values.size, None))]:
            if values[end : part.start].view("u1").any():
                raise self._mismatch("a gap between its members is not zero")
            end = part.stop
        return values

    def take(self, values: Any) -> None:
        """Hash a block, in order."""
        if values is not None:
            self._digest.update(values.view("u1"))

    def finish(self) -> None:
        """Compare the digest."""
        if self._digest.hexdigest() != self._reader.manifest.runs[self.run].digest:
            raise self._mismatch("what it decodes to does not match its digest")

    def _mismatch(self, message: str) -> FormatError:
        where = f"{self._reader.name}: run {self.run}"
        return FormatError(message, code="digest_mismatch", where=where)


def _tasks_against(
    file: File, against: inputs.Sources | None, task: str | None
) -> Mapping[str, inputs.PathLike | inputs.Arrays]:
    """Give each source its task."""
    if against is None:
        return {}
    named = inputs.name_sources(against)
    by_name = hasattr(against, "keys")
    tasks = file.tasks if task is None else (task,)
    if not by_name:
        if len(named) > len(tasks):
            held = f"the file holds {len(tasks)} tasks" if task is None else f"task {task!r} is one"
            raise UsageError(f"{len(named)} sources to compare, but {held}")
        named = dict(zip(tasks, named.values(), strict=False))
    for name in named:
        file.entry(name)
        if name not in tasks:
            raise UsageError(f"a source of task {name!r}, and only task {task!r} is looked at")
    return named
