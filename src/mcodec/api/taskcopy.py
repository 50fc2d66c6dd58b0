"""A task's blocks into a sink, batch by batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from mcodec import allowance
from mcodec.api.ahead import blocks, decoded
from mcodec.api.batches import MOST, borrowed, grouped
from mcodec.api.load import Decoders, Job, cost_of, decode_jobs
from mcodec.types import itemsize

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mcodec.api.ahead import Telling
    from mcodec.api.handle import File
    from mcodec.codec.base import View
    from mcodec.container.manifest import Task
    from mcodec.formats.base import TensorSink
    from mcodec.types import TensorSpec


class _Part(NamedTuple):
    """Bytes of a tensor, by its number, and from which of its bytes on."""

    tensor: int
    offset: int
    data: memoryview


class Copier:
    """Decodes a task's blocks into a sink; batches may be copied from several threads.

    Parameters
    ----------
    file, entry
        The open file and the task.
    specs
        Its tensors, as the sink numbers them.
    view
        How they are decoded.
    sink
        Takes their bytes.
    """

    def __init__(
        self, file: File, entry: Task, specs: Sequence[TensorSpec], view: View, sink: TensorSink
    ) -> None:
        self._reader = file.reader
        self._specs = specs
        self._view = view
        self._decoders = Decoders(file.reader, view)
        self._sink = sink
        self._write_many = getattr(sink, "write_many", None)
        # run -> member -> the tensors that lie there (several, if they are aliases)
        self._places: dict[int, dict[int, list[int]]] = {}
        for index, tensor in enumerate(entry.tensors):
            members = self._places.setdefault(tensor.run, {})
            members.setdefault(tensor.member, []).append(index)

    def work(self, telling: Telling) -> Iterator[list[Job]]:
        """Yield every block that holds elements of the task, in batches."""
        reader, view = self._reader, self._view
        places = blocks(reader, self._places)
        told = telling.of(places, lambda place: decoded(reader, place, view))
        jobs = (self._job(*place) for place in told if place[1] >= 0)
        # What is told stays fetched for a while only: of a file that is far away little waits.
        most = 1 if reader.remote else MOST
        yield from grouped(jobs, most, room=allowance.current().batch, size=self._size)

    def cost(self, jobs: Sequence[Job]) -> int:
        """Return about how many bytes decoding a batch holds."""
        return 2 * sum(map(self._size, jobs)) + sum(job.cost for job in jobs)

    def _size(self, job: Job) -> int:
        spec = self._reader.runs[job.run]
        start, stop = spec.span(job.block)
        return (stop - start) * itemsize(spec.dtype)

    def _job(self, run: int, block: int) -> Job:
        index = next(iter(self._places[run].values()))[0]
        return Job(run, block, self._specs[index].name, cost_of(self._reader, run, block), ())

    def copy(self, jobs: Sequence[Job]) -> int:
        """Decode blocks and write their tensors' parts; return the bytes written."""
        with borrowed() as own:
            self._decoders.make(jobs)
            outs = decode_jobs(self._reader, self._decoders, self._view, jobs, own, near=True)
            parts = [
                part
                for job, out in zip(jobs, outs, strict=True)
                for part in self._parts(job.run, job.block, out)
            ]
            if self._write_many is not None:
                self._write_many(parts)
            else:
                for part in parts:
                    self._sink.write(*part)
        return sum(len(part.data) for part in parts)

    def _parts(self, run: int, block: int, out: Any) -> Iterator[_Part]:
        spec, members = self._reader.runs[run], self._places[run]
        item = itemsize(spec.dtype)
        first, _ = spec.span(block)
        data = memoryview(out.view("u1"))
        for member, part in spec.parts(block):
            start = max(0, first - spec.starts[member])
            for index in members.get(member, ()):
                yield _Part(index, start * item, data[part.start * item : part.stop * item])
