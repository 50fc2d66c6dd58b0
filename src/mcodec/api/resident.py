"""Blocks kept in memory as their decompressed streams, to be written into arrays again and again.

What a serving handle switches with: planes take a fraction of the weights' memory, and writing
them out needs neither the file nor an entropy decoder.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from mcodec.api.ahead import ahead
from mcodec.api.batches import work
from mcodec.api.decode import level_of
from mcodec.api.load import Decoders, Job, cost_of, fetch, write_jobs
from mcodec.api.naming import named
from mcodec.codec.streams import NeedAllPlanesError
from mcodec.types import Fill

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Executor

    from numpy.typing import NDArray

    from mcodec.api.batches import Own
    from mcodec.api.decode import RunDecoder
    from mcodec.codec.base import View, Write
    from mcodec.codec.streams import Stream
    from mcodec.container.reader import ContainerReader

    Key = tuple[int, int]  # run, block


ALL: Final = 1 << 30  # more levels than a codec can have


class Resident:
    """The streams of blocks, decompressed and checked.

    Each block has been decoded once when it is kept, so that writing it later does not fail.
    """

    def __init__(self, reader: ContainerReader, view: View) -> None:
        self._reader = reader
        self._view = view
        self._decoders = Decoders(reader, view)
        self._streams: dict[Key, tuple[int, list[Stream | None]]] = {}
        self._writes: dict[Key, Write] = {}
        self._names: dict[Key, str] = {}
        self._level = _levels(reader)  # whose streams, and those below, are kept
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """The bytes of the streams that are kept."""
        return sum(
            len(stream)
            for _, streams in self._streams.values()
            for stream in streams
            if isinstance(stream, memoryview)
        )

    def keep(self, places: Mapping[Key, str], executor: Executor | None) -> None:
        """Read blocks that are not kept yet.

        Parameters
        ----------
        places
            Run and block, and the name of a tensor in it, for messages.

        Raises
        ------
        FormatError
            The bytes in the file are damaged.
        """
        wanted = [self._job(key, name) for key, name in places.items() if key not in self._writes]
        self._names.update(places)
        with ahead(self._reader, (job[:2] for job in wanted), self._view):
            self._decoders.make(wanted)
            work(wanted, self._keep, executor)

    def forget(self) -> None:
        """Drop all blocks."""
        self._streams.clear()
        self._writes.clear()
        self._names.clear()

    def write(self, jobs: Sequence[Job], executor: Executor | None) -> None:
        """Write blocks that are kept into the arrays that the jobs name."""
        work(jobs, self._write, executor)

    def decoder(self, run: int) -> RunDecoder:
        """Return the decoder of a run."""
        return self._decoders[run]

    def streams(self, run: int, block: int) -> tuple[int, list[Stream | None]]:
        """Return the mode and the streams of a block that is kept."""
        return self._streams[run, block]

    def block(self, run: int, block: int, out: NDArray[Any]) -> None:
        """Write a block that is kept."""
        self._writes[run, block](out)

    def refine(self, executor: Executor | None) -> None:
        """Read the levels that a cut-off file has gained since blocks were kept.

        Raises
        ------
        FormatError
            The new bytes are damaged; the blocks then stay as they were.
        """
        wanted = [self._job(key, self._names[key]) for key in self._writes]
        before = self._decoders, self._level, dict(self._streams), dict(self._writes)
        self._decoders = Decoders(self._reader, self._view)
        try:
            with ahead(self._reader, list(self._writes), self._view, self._level):
                work(wanted, self._add, executor)
        except BaseException:
            self._decoders, self._level, self._streams, self._writes = before
            raise
        self._level = _levels(self._reader)

    def _job(self, key: Key, name: str) -> Job:
        return Job(*key, name, cost_of(self._reader, *key), ())

    def _keep(self, jobs: Sequence[Job], own: Own) -> None:
        if self._view.canonical and self._reader.levels is None:
            found = fetch(self._reader, jobs, own)
        else:
            found = [self._read(job, -1) for job in jobs]
        for job, (mode, streams) in zip(jobs, found, strict=True):
            with named(job.name):
                self._take(job, mode, [_own(stream) for stream in streams], own)

    def _add(self, jobs: Sequence[Job], own: Own) -> None:
        for job in jobs:
            with named(job.name):
                mode, streams = self._streams[job.run, job.block]
                _, more = self._read(job, self._level)
                both = [
                    _own(new) if old is None else old
                    for old, new in zip(streams, more, strict=True)
                ]
                self._take(job, mode, both, own)

    def _read(self, job: Job, above: int) -> tuple[int, list[Stream | None]]:
        """Read the levels above one that the view takes, as far as they are there."""
        level = level_of(self._reader, self._decoders[job.run].codec, self._view)
        return self._reader.read_streams(job.run, job.block, level, above)

    def _take(self, job: Job, mode: int, streams: list[Stream | None], own: Own) -> None:
        """Keep a block, once it has been decoded."""
        decoder = self._decoders[job.run]
        out = own.room(decoder.spec, job.block)
        write = decoder.prepare(job.block, mode, streams)
        try:
            write(out)
        except NeedAllPlanesError:  # of a NaN that is cut off; planes that are not there are zeros
            write = decoder.prepare(job.block, mode, self._whole(job))
            write(out)
        with self._lock:
            self._streams[job.run, job.block] = mode, streams
            self._writes[job.run, job.block] = write

    def _whole(self, job: Job) -> list[Stream | None]:
        _, found = self._reader.read_streams(job.run, job.block, self._reader.levels)
        return [Fill(0, 0) if stream is None else _own(stream) for stream in found]

    def _write(self, jobs: Sequence[Job], own: Own) -> None:
        writes = [self._writes[job.run, job.block] for job in jobs]
        write_jobs(self._reader, jobs, writes, own)


def _levels(reader: ContainerReader) -> int:
    return ALL if reader.levels is None else reader.levels


def _own(stream: Stream | None) -> Stream | None:
    """Return a stream that holds no more than its own bytes in memory."""
    if isinstance(stream, memoryview) and stream.nbytes < len(memoryview(stream.obj)):
        return memoryview(bytes(stream))
    return stream
