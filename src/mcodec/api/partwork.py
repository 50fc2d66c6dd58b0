"""Blocks encoded by other processes: parts made where the work is, and copied where the file is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mcodec.api.encode import RunEncoder
from mcodec.api.fingerprints import Fingerprints
from mcodec.api.parts import (
    SUFFIX,
    BlockRecord,
    GroupRecord,
    Index,
    RunRecord,
    Shape,
    end,
    is_whole,
    open_part,
    record,
)
from mcodec.container.layout import group as join
from mcodec.container.writer import Copy
from mcodec.limits import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mcodec.api.planning import Coding
    from mcodec.api.runs import RunPlan
    from mcodec.api.scaleout import ScaleOut
    from mcodec.api.values import Values
    from mcodec.storage.folder import SharedFolder
    from mcodec.types import RunSpec

# Bytes of the source that a part is of: it depends on the models alone, so that the same command
# finds its parts again wherever it runs. A run is never cut: its digest goes from front to end.
_MOST: Final = 64 * MIB
_LEAST: Final = 1 * MIB
_PARTS: Final = 32

Groups = list[list[RunEncoder]]


@dataclass(frozen=True, slots=True)
class Unit:
    """The runs of one part: by group their numbers, and what the part has to be like."""

    groups: list[list[int]]
    fingerprint: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class PartWork:
    """All that a worker needs to make parts.

    Attributes
    ----------
    values, codings, runs
        Of all tasks, as in `Packing`.
    layout
        Of the file.
    planes_only
        By run.
    folder
        Where parts go.
    """

    values: Values
    codings: Sequence[Mapping[int, Coding]]
    runs: Sequence[RunPlan]
    layout: str
    planes_only: Sequence[bool]
    folder: SharedFolder

    def make(self, unit: Unit) -> bool:
        """Make a part, unless it is there and whole; return whether it was made."""
        if is_whole(self.folder, unit.fingerprint, unit.shape):
            return False
        with self.folder.write(unit.fingerprint + SUFFIX) as file:
            groups = [self._group(numbers, file) for numbers in unit.groups]
            end(Index(unit.fingerprint, groups), file)
        return True

    def _group(self, numbers: Sequence[int], file: Any) -> GroupRecord:
        encoders = [
            RunEncoder(
                number,
                self.runs[number],
                self.values,
                self.codings[self.runs[number].task],
                planes_only=self.planes_only[number],
            )
            for number in numbers
        ]
        blocks = []
        for block in range(-1, encoders[0].plan.spec.blocks):
            records = []
            for encoder in encoders:
                found = encoder.encode(block)
                encoder.take(found)
                chunks = join(found.part.specs, found.part.coded, self.layout)
                records.append(BlockRecord(found.part.mode, [record(one, file) for one in chunks]))
            blocks.append(records)
        return GroupRecord([RunRecord(*encoder.certificate()) for encoder in encoders], blocks)


def encode_elsewhere(
    executor: ScaleOut,
    groups: Groups,
    values: Values,
    codings: Sequence[Mapping[int, Coding]],
    layout: str,
) -> Iterator[tuple[list[Copy], int]]:
    """Have runs encoded in other processes; yield block for block what the writer is to copy.

    Parameters
    ----------
    executor
        Who has them done.
    groups
        The encoders of runs that are written together, in the order of the file. Each gets its
        certificate when its last block is yielded.
    values, codings, layout
        As in `Packing`.

    Yields
    ------
    list of Copy, int
        One block of each run of a group, and the bytes of the source that it is of.
    """
    encoders = {encoder.number: encoder for group in groups for encoder in group}
    ordered = [encoders[number] for number in sorted(encoders)]
    runs = [encoder.plan for encoder in ordered]
    planes = [encoder.planes_only for encoder in ordered]
    executor.folder.make()
    work = PartWork(values, codings, runs, layout, planes, executor.folder)
    units = _units(groups, Fingerprints(values, codings, layout))
    executor.parts += [unit.fingerprint + SUFFIX for unit in units]
    for unit, _ in zip(units, executor.map_ordered(work.make, units, together=False), strict=True):
        with open_part(executor.folder, unit.fingerprint, unit.shape) as part:
            for numbers, group in zip(unit.groups, part.index.groups, strict=True):
                own = [encoders[number] for number in numbers]
                for encoder, one in zip(own, group.runs, strict=True):
                    encoder.certify(one.certificate)
                for block, records in enumerate(group.blocks, -1):
                    copies = [
                        Copy(number, one.mode, chunks)
                        for number, one, chunks in zip(
                            numbers, records, part.chunks(records), strict=True
                        )
                    ]
                    yield copies, sum(_bytes_of(encoder.plan.spec, block) for encoder in own)


def _bytes_of(run: RunSpec, block: int) -> int:
    start, stop = run.span(block)
    return (stop - start) * (run.nbytes // run.elements) if run.elements else 0


def _units(groups: Groups, fingerprints: Fingerprints) -> list[Unit]:
    """Join groups that follow one another to parts."""
    sizes = [sum(encoder.plan.spec.nbytes for encoder in group) for group in groups]
    most = min(_MOST, max(_LEAST, sum(sizes) // _PARTS))
    parts: list[Groups] = []
    size = 0
    for group, own in zip(groups, sizes, strict=True):
        if not parts or size + own > most:
            parts.append([])
            size = 0
        parts[-1].append(group)
        size += own
    return [
        Unit(
            [[encoder.number for encoder in group] for group in part],
            fingerprints.of(part),
            [_shape(group) for group in part],
        )
        for part in parts
    ]


def _shape(group: Sequence[RunEncoder]) -> tuple[int, int, int]:
    spec = group[0].plan.spec
    return len(group), spec.blocks + 1, len(spec.shapes)
