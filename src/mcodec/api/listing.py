"""What a file holds, tensor by tensor: the figures of `info` (design, section 7)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from mcodec.api.tasklist import share
from mcodec.codec.plan import codec_string
from mcodec.container.rows import STAGGER, staggers
from mcodec.types import FILL, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mcodec.container.manifest import Task, Tensor
    from mcodec.container.reader import ContainerReader
    from mcodec.container.rows import Row
    from mcodec.types import StreamSpec

CODERS: Final = ("fill", "raw", "zstd")


@dataclass(frozen=True, slots=True)
class StreamRow:
    """One stream of a tensor, over all its blocks."""

    name: str
    coder: str
    raw_bytes: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class TensorRow:
    """One tensor in `info`: its codec, streams and certificate.

    ``source_digest`` is the BLAKE3 digest of its bytes as they came, or of those of its run where
    it shares one with others: of ``digest_tensors`` arrays, in the order of the file.
    """

    spec: TensorSpec
    codec: dict[str, Any]
    streams: tuple[StreamRow, ...]
    max_abs_error: float | None
    sqnr_db: float | None
    source_digest: str
    digest_tensors: int
    bases: tuple[str, ...] = ()  # what it stands on, as ``task:name``; hidden runs left out

    @property
    def stored_bytes(self) -> int:
        """The bytes of its streams in the file."""
        return sum(stream.stored_bytes for stream in self.streams)

    def to_json(self) -> dict[str, Any]:
        """Return the keys that `info --json` promises."""
        return {
            "name": self.spec.name,
            "shape": list(self.spec.shape),
            "dtype": self.spec.dtype,
            "codec": codec_string(self.codec),
            "bases": list(self.bases),
            "streams": [
                {
                    "name": stream.name,
                    "coder": stream.coder,
                    "raw_bytes": stream.raw_bytes,
                    "stored_bytes": stream.stored_bytes,
                }
                for stream in self.streams
            ],
            "max_abs_error": self.max_abs_error,
            "sqnr_db": self.sqnr_db,
            "source_digest": self.source_digest,
            "digest_tensors": self.digest_tensors,
        }


def list_tensors(
    reader: ContainerReader, task: Task, names: Mapping[tuple[int, int], str] | None = None
) -> list[TensorRow]:
    """Return a row for each tensor of a task; a shared run's streams are split by elements.

    Parameters
    ----------
    reader, task
        The file, and one of its tasks.
    names
        What `place_names` gives for the file; for who lists many tasks.
    """
    names = place_names(reader) if names is None else names
    streams: dict[int, list[StreamRow]] = {}
    sums: dict[int, list[int]] = {}  # run -> elements before each member, and in all
    rows = []
    for tensor in task.tensors:
        run = reader.manifest.runs[tensor.run]
        spec = reader.runs[tensor.run]
        if tensor.run not in streams:
            streams[tensor.run] = _streams(reader, tensor.run)
            sums[tensor.run] = list(accumulate(spec.sizes, initial=0))
        before, size = sums[tensor.run][tensor.member], spec.sizes[tensor.member]
        total = sums[tensor.run][-1]
        own = tuple(
            StreamRow(
                stream.name,
                stream.coder,
                share(stream.raw_bytes, before, size, total),
                share(stream.stored_bytes, before, size, total),
            )
            for stream in streams[tensor.run]
        )
        error = run.errors[tensor.member] if run.errors is not None else (0.0, 0.0, 0.0)
        rows.append(
            TensorRow(
                TensorSpec(tensor.name, spec.dtype, spec.shapes[tensor.member]),
                reader.manifest.codecs[run.codec],
                own,
                None if error is None else error[0],
                None if error is None else sqnr_db(error[2], error[1]),
                run.digest if run.source is None else run.source,
                len(spec.shapes),
                _bases(reader, tensor, names),
            )
        )
    return rows


def place_names(reader: ContainerReader) -> dict[tuple[int, int], str]:
    """Return the first ``task:name`` of each place that a task names, where any run has bases."""
    found: dict[tuple[int, int], str] = {}
    if any(run.stands_on is not None for run in reader.manifest.runs):
        for task in reader.manifest.tasks:
            for tensor in task.tensors:
                found.setdefault((tensor.run, tensor.member), f"{task.name}:{tensor.name}")
    return found


def _bases(
    reader: ContainerReader, tensor: Tensor, names: Mapping[tuple[int, int], str]
) -> tuple[str, ...]:
    bases = reader.manifest.runs[tensor.run].stands_on
    places = [] if bases is None else [role[tensor.member] for role in bases.roles]
    return tuple(names[place] for place in places if place in names)


def _streams(reader: ContainerReader, run: int) -> list[StreamRow]:
    """Return a run's streams, summed over its blocks, in the order of first appearance."""
    raw: dict[str, int] = {}
    stored: dict[str, int] = {}
    coders: dict[str, set[int]] = {}
    for block in range(-1, reader.runs[run].blocks):
        for row in reader.rows(run, block):
            specs = reader.specs(run, block, row.mode)[row.first : row.first + row.streams]
            for name, length, kept in _lengths(row, specs):
                raw[name] = raw.get(name, 0) + length
                stored[name] = stored.get(name, 0) + kept
                coders.setdefault(name, set()).add(row.coder)
    return [
        StreamRow(name, "+".join(CODERS[c] for c in sorted(coders[name])), raw[name], stored[name])
        for name in raw
    ]


def _lengths(row: Row, specs: Sequence[StreamSpec]) -> list[tuple[str, int, int]]:
    """Return name, raw and stored bytes of each stream of a chunk; a stagger counts as stored.

    How long counted streams are is in others, which are not read here: a chunk of them is one item.
    """
    first, last = specs[0], specs[-1]
    if len(specs) == 1:
        return [(first.name, row.raw, row.stored)]
    if any(spec.counted for spec in specs):
        return [(f"{first.name} to {last.name}", row.raw, row.stored)]
    if row.coder == FILL:
        return [(spec.name, spec.length, 0) for spec in specs]
    staggered = [
        (spec.name, spec.length, spec.length + (STAGGER if staggers(index, spec.length) else 0))
        for index, spec in enumerate(specs[:-1])
    ]
    return [*staggered, (last.name, last.length, last.length)]


def sqnr_db(signal: float, noise: float) -> float | None:
    """Return 10 log10 of signal over noise; None where there is none, or one is not finite."""
    if not (0 < noise < math.inf and 0 < signal < math.inf):
        return None
    return 10 * (math.log10(signal) - math.log10(noise))  # the ratio may overflow


def list_pairs(reader: ContainerReader) -> list[dict[str, str]]:
    """Return the fused groups of tensors: task name to tensor name, first task first."""
    places: dict[tuple[int, int], tuple[str, str]] = {}
    for task in reader.manifest.tasks:
        for tensor in task.tensors:
            places.setdefault((tensor.run, tensor.member), (task.name, tensor.name))
    groups = []
    for pair in reader.manifest.pairs:
        for member in range(len(reader.runs[pair[0]].shapes)):
            found = [places[run, member] for run in pair if (run, member) in places]
            if len(found) > 1:
                groups.append(dict(found))
    return groups
