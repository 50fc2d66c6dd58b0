"""Many tensors at once, into arrays that are there: what loaders of whole tasks use.

Blocks are decoded in the order of the file by several threads, straight into their places in the
arrays where a block lies in one of them.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from mcodec.api.ahead import ahead
from mcodec.api.batches import work
from mcodec.api.decode import RunDecoder
from mcodec.api.naming import named
from mcodec.codec.base import Codec
from mcodec.codec.merges import in_parts, write_all
from mcodec.errors import FormatError, UsageError
from mcodec.stored import Scratch
from mcodec.types import itemsize, numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from concurrent.futures import Executor

    from numpy.typing import NDArray

    from mcodec.api.batches import Own
    from mcodec.codec.base import View, Write
    from mcodec.codec.streams import Stream
    from mcodec.container.reader import ContainerReader
    from mcodec.types import RunSpec


class Target(NamedTuple):
    """A stored array that is wanted, and where.

    Attributes
    ----------
    name : str
        The tensor, for messages.
    run, member : int
        Its place in the file.
    out : array, shape (elements,)
        One-dimensional and contiguous, of the run's dtype.
    """

    name: str
    run: int
    member: int
    out: NDArray[Any]


class Job(NamedTuple):
    """One block, and its parts that are wanted: where in the block, and the array to write to.

    `name` is that of a tensor in it, and `cost` about the bytes of its streams.
    """

    run: int
    block: int
    name: str
    cost: int
    parts: tuple[tuple[slice, NDArray[Any]], ...]

    def cut(self, values: NDArray[Any]) -> None:
        """Copy the parts of a decoded block to where they are wanted."""
        for part, out in self.parts:
            out[:] = values[part]

    def whole(self, spec: RunSpec) -> NDArray[Any] | None:
        """Return the array that takes the whole block; None where it has to be cut."""
        start, stop = spec.span(self.block)
        if len(self.parts) != 1:
            return None
        part, out = self.parts[0]
        return out if part.stop - part.start == stop - start else None


def jobs_of(reader: ContainerReader, targets: Iterable[Target]) -> list[Job]:
    """Return the blocks that hold these arrays, in the order of the file's runs.

    Raises
    ------
    UsageError
        An array has another dtype or size than what is stored.
    """
    parts: dict[tuple[int, int], list[tuple[slice, NDArray[Any]]]] = {}
    names: dict[tuple[int, int], str] = {}
    for target in targets:
        spec = reader.runs[target.run]
        start, size = spec.starts[target.member], spec.sizes[target.member]
        _check(target, spec)
        if size and spec.elements <= spec.block:  # all of it is in the one block, as small ones are
            key = target.run, 0
            names.setdefault(key, target.name)
            parts.setdefault(key, []).append((slice(start, start + size), target.out))
            continue
        for block in spec.blocks_of(target.member):
            low, high = spec.span(block)
            first, last = max(low, start), min(high, start + size)
            key = target.run, block
            names.setdefault(key, target.name)
            parts.setdefault(key, []).append(
                (
                    slice(first - low, last - low),
                    target.out[first - start : last - start],
                )
            )
    return [
        Job(*key, names[key], cost_of(reader, *key), tuple(parts[key])) for key in sorted(parts)
    ]


def cost_of(reader: ContainerReader, run: int, block: int) -> int:
    """Return about how many bytes the streams of a block have."""
    codec, spec = reader.codec(run), reader.runs[run]
    assert isinstance(codec, Codec)
    start, stop = spec.span(block)
    return (stop - start) * (codec.weight_bits or 8 * itemsize(spec.dtype)) // 8


def _check(target: Target, spec: RunSpec) -> None:
    out, dtype = target.out, numpy_dtype(spec.dtype)
    if out.dtype != dtype or out.shape != (spec.sizes[target.member],):
        message = f"{target.name!r} is {dtype}[{spec.sizes[target.member]}] in the file, and the"
        raise UsageError(f"{message} array for it {out.dtype}{list(out.shape)}")


class Decoders:
    """The decoder of each run under one view, made when it is first wanted, by any thread."""

    def __init__(self, reader: ContainerReader, view: View) -> None:
        self._reader = reader
        self._view = view
        self._made: dict[int, RunDecoder] = {}
        self._lock = threading.Lock()

    def make(self, jobs: Iterable[Job]) -> None:
        """Make those of several jobs, whose heads are read at once."""
        wanted: dict[int, Job] = {}
        for job in jobs:
            if job.run not in self._made:
                wanted.setdefault(job.run, job)
        headed = [run for run in wanted if self._reader.specs(run, -1, 0)]
        try:
            found = self._reader.read_blocks([(run, -1) for run in headed], Scratch())
        except FormatError:
            for run in headed:  # which of them
                with named(wanted[run].name):
                    self._reader.read_streams(run, -1)
            raise
        heads = {run: head for run, (_, head) in zip(headed, found, strict=True)}
        for run, job in wanted.items():
            with named(job.name):
                self._made[run] = RunDecoder(self._reader, run, self._view, heads.get(run, ()))

    def __getitem__(self, run: int) -> RunDecoder:
        found = self._made.get(run)
        if found is None:
            with self._lock:
                found = self._made.get(run)
                if found is None:
                    found = self._made[run] = RunDecoder(self._reader, run, self._view)
        return found


def load(
    reader: ContainerReader, targets: Iterable[Target], view: View, executor: Executor | None
) -> None:
    """Decode arrays into their places.

    After an error what the arrays hold is undefined.

    Raises
    ------
    UsageError
        As `jobs_of`.
    FormatError
        The bytes in the file are damaged.
    """
    run_jobs(reader, jobs_of(reader, targets), view, executor)


def run_jobs(
    reader: ContainerReader,
    jobs: Sequence[Job],
    view: View,
    executor: Executor | None,
    *,
    fresh: bool = False,
) -> None:
    """Decode blocks into the arrays that their jobs name, as `load` does.

    The arrays may be `fresh`: not written to before.
    """
    decoders = Decoders(reader, view)

    def decode(batch: Sequence[Job], own: Own) -> None:
        decode_jobs(reader, decoders, view, batch, own, near=fresh)

    with ahead(reader, (job[:2] for job in jobs), view):
        decoders.make(jobs)
        work(jobs, decode, executor)


def decode_jobs(
    reader: ContainerReader,
    decoders: Decoders,
    view: View,
    jobs: Sequence[Job],
    own: Own,
    *,
    near: bool,
) -> list[NDArray[Any]]:
    """Decode blocks into the arrays that their jobs name; return an array for each block.

    It is one that a job names, where that takes the whole block; else the thread's, up to its next
    batch. `near` is that of `write_all`.

    Raises
    ------
    FormatError
        The bytes in the file are damaged.
    """
    if view.canonical and reader.levels is None:
        found = fetch(reader, jobs, own)
        writes = [
            prepare(decoders[job.run], job, *streams)
            for job, streams in zip(jobs, found, strict=True)
        ]
        return write_jobs(reader, jobs, writes, own, near=near)
    outs = []
    for index, job in enumerate(jobs):  # planes that are left out may be wanted after all
        with named(job.name):
            outs.append(_decode(decoders[job.run], job, own, index))
    return outs


def fetch(
    reader: ContainerReader, jobs: Sequence[Job], own: Own
) -> list[tuple[int, Sequence[Stream | None]]]:
    """Read the blocks of jobs; they lie in what the thread keeps, up to its next read.

    Raises
    ------
    FormatError
        The bytes in the file are damaged.
    """
    try:
        return reader.read_blocks([(job.run, job.block) for job in jobs], own.scratch)
    except FormatError:
        for job in jobs:  # which of them
            with named(job.name):
                reader.read_streams(job.run, job.block)
        raise


def prepare(decoder: RunDecoder, job: Job, mode: int, streams: Sequence[Stream | None]) -> Write:
    """Return what writes a job's block."""
    with named(job.name):
        return decoder.prepare(job.block, mode, streams)


def write_jobs(
    reader: ContainerReader,
    jobs: Sequence[Job],
    writes: Sequence[Write],
    own: Own,
    *,
    near: bool = False,
) -> list[NDArray[Any]]:
    """Write blocks into the arrays that their jobs name; return them as `decode_jobs` does.

    A block whose parts go straight to the arrays that want them has none of its own to return.

    Raises
    ------
    FormatError
        ``stream_invalid``: a block breaks a rule that shows when it is decoded.
    """
    outs, blocks, owners = [], [], []
    for index, (job, write) in enumerate(zip(jobs, writes, strict=True)):
        spec = reader.runs[job.run]
        out = job.whole(spec)
        parts = [] if out is not None else in_parts(write, job.parts)
        if parts:
            blocks += [(*part, near) for part in parts]
        else:
            whole = own.room(spec, job.block, index) if out is None else out
            blocks.append((write, whole, near or out is None))
            outs.append(whole)
        owners += [job] * (len(parts) or 1)
    try:
        write_all(blocks)
    except FormatError:
        for job, block in zip(owners, blocks, strict=True):  # which of them
            with named(job.name):
                block[0](block[1])
        raise
    for job, (_, out, _) in zip(owners, blocks, strict=True):
        if not any(out is target for _, target in job.parts):
            job.cut(out)
    return outs


def _decode(decoder: RunDecoder, job: Job, own: Own, index: int) -> NDArray[Any]:
    out = job.whole(decoder.spec)
    if out is not None:
        return decoder.block(job.block, out)
    out = decoder.block(job.block, own.room(decoder.spec, job.block, index))
    job.cut(out)
    return out
