"""`verify`: hashes and padding; digests of what decodes; equality with the sources."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from mcodec.api import sources as inputs
from mcodec.api.decode import RunDecoder
from mcodec.api.handle import open as open_file
from mcodec.api.progress import Progress, no_progress
from mcodec.codec import error
from mcodec.engine import map_ordered, workers
from mcodec.errors import FormatError, UsageError
from mcodec.types import BLOCK, FLOATS, TensorSpec, itemsize

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from mcodec.api.handle import File, Task
    from mcodec.container.manifest import Task as Entry
    from mcodec.container.manifest import Tensor
    from mcodec.formats.base import TensorSource


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which a task is not its source."""

    task: str
    tensor: str
    what: str


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
        must equal its source bit for bit, or be off by exactly the error that its certificate says.
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
        compared = _tasks_against(file, against)
        reader.check_padding()
        total = sum(spec.nbytes for spec in reader.runs)
        done = chunks = 0
        for run, spec in enumerate(reader.runs):
            check = _DeepCheck(file, run) if deep else _Check(file, run)
            for block, result in enumerate(
                map_ordered(executor, check.block, range(-1, spec.blocks)), -1
            ):
                check.take(result)
                chunks += len(reader.rows(run, block))
                start, stop = spec.span(block)
                done += (stop - start) * itemsize(spec.dtype)
                progress(done, total)
            check.finish()
        differences: list[Difference] = []
        models = inputs.open_sources(stack, compared, key, sandbox)
        for name, model in zip(compared, models, strict=True):
            differences += _compare(file, name, model)
    lossy = tuple(name for name in compared if _is_lossy(file, name))
    return VerifyReport(
        str(path), chunks, len(reader.runs), deep, tuple(compared), lossy, tuple(differences)
    )


def _is_lossy(file: File, name: str) -> bool:
    runs = file.reader.manifest.runs
    return any(runs[tensor.run].errors is not None for tensor in file.entry(name).tensors)


class _Check:
    """Reads the chunks of one run, which checks their hashes and frames."""

    def __init__(self, file: File, run: int) -> None:
        self._reader = file.reader
        self._run = run

    def block(self, block: int) -> Any:
        """Read a block, or the head."""
        self._reader.read_streams(self._run, block)

    def take(self, values: Any) -> None:
        """Take a block's result, in order."""

    def finish(self) -> None:
        """Say what the run as a whole shows."""


class _DeepCheck(_Check):
    """Decodes one run in order, and compares its digest."""

    def __init__(self, file: File, run: int) -> None:
        super().__init__(file, run)
        self._decoder = RunDecoder(file.reader, run)
        self._digest = blake3()

    def block(self, block: int) -> Any:
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
        if self._digest.hexdigest() != self._reader.manifest.runs[self._run].digest:
            raise self._mismatch("what it decodes to does not match its digest")

    def _mismatch(self, message: str) -> FormatError:
        where = f"{self._reader.name}: run {self._run}"
        return FormatError(message, code="digest_mismatch", where=where)


def _tasks_against(
    file: File, against: inputs.Sources | None
) -> Mapping[str, inputs.PathLike | inputs.Arrays]:
    """Give each source its task."""
    if against is None:
        return {}
    named = inputs.name_sources(against)
    by_name = hasattr(against, "keys")
    if not by_name:
        if len(named) > len(file.tasks):
            message = f"{len(named)} sources to compare, but the file holds {len(file.tasks)} tasks"
            raise UsageError(message)
        named = dict(zip(file.tasks, named.values(), strict=False))
    for name in named:
        file.entry(name)
    return named


def _compare(file: File, name: str, model: TensorSource) -> Iterator[Difference]:
    """Yield what differs between a task and its source."""
    task = file.task(name)
    places = {tensor.name: tensor for tensor in file.entry(name).tensors}
    theirs = {spec.name: index for index, spec in enumerate(model.tensors)}
    for tensor in task:
        if tensor not in theirs:
            yield Difference(name, tensor, "is not in the source")
    for tensor, index in theirs.items():
        if tensor not in task:
            yield Difference(name, tensor, "is missing from the file")
            continue
        what = _compare_tensor(file, task, places[tensor], model, index)
        if what:
            yield Difference(name, tensor, what)
    if model.format == task.format and model.skeleton() != task.skeleton():
        yield Difference(name, "", "attributes or structure besides the arrays differ")
    if dict(model.metadata) != task.metadata():
        yield Difference(name, "", "metadata differs")


def _compare_tensor(
    file: File, task: Task, place: Tensor, model: TensorSource, index: int
) -> str | None:
    """Return how a tensor differs from its source beyond its certificate, or None."""
    run = file.reader.manifest.runs[place.run]
    ours, theirs = task.spec(place.name), model.tensors[index]
    if (ours.dtype, ours.shape) != (theirs.dtype, theirs.shape):
        return f"is {ours.dtype}{list(ours.shape)}, the source {theirs.dtype}{list(theirs.shape)}"
    size = ours.size
    different = 0
    total = error.NO_ERROR
    for low in range(0, size, BLOCK):
        high = min(low + BLOCK, size)
        values = task.elements(place.name, low, high)
        other = model.read(index, low, high)
        item = values.dtype.itemsize
        unequal = (values.view("u1") != other.view("u1")).reshape(-1, item).any(axis=1)
        different += int(unequal.sum())
        if run.errors is not None and ours.dtype in FLOATS:
            total = error.add(total, error.measure(ours.dtype, other, values))
    if run.errors is None:
        return f"differs from the source in {different} of {size} values" if different else None
    measured = total if all(map(math.isfinite, total)) else None
    certificate = run.errors[place.member]
    if measured is certificate is None:  # NaN or infinity: only the digest can tell
        same = _source_digest(file, file.entry(task.name), place.run, model) == run.source
        return None if same else "has no finite error, and its run is not what was packed"
    if measured != certificate:
        return f"is off by {_words(measured)}, but its certificate says {_words(certificate)}"
    return None


def _source_digest(file: File, entry: Entry, run: int, model: TensorSource) -> str | None:
    """Return the digest of a run as the source has it; None where it has not all of its arrays."""
    spec = file.reader.runs[run]
    names = {tensor.member: tensor.name for tensor in entry.tensors if tensor.run == run}
    theirs = {tensor.name: index for index, tensor in enumerate(model.tensors)}
    digest, end = blake3(), 0
    for member, (start, shape) in enumerate(zip(spec.starts, spec.shapes, strict=True)):
        index = theirs.get(names[member]) if member in names else None
        if index is None or model.tensors[index] != TensorSpec(names[member], spec.dtype, shape):
            return None
        digest.update(bytes((start - end) * itemsize(spec.dtype)))
        end = start + spec.sizes[member]
        for low in range(0, end - start, BLOCK):
            digest.update(model.read(index, low, min(low + BLOCK, end - start)).view("u1").data)
    return digest.hexdigest()


def _words(stats: error.Stats | None) -> str:
    """Write an error as people read it; a tensor with NaN or infinity has none."""
    return "no finite error" if stats is None else f"{stats[0]:.6g} at most (Σ² {stats[1]:.6g})"
