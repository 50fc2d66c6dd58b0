"""A `.mc` file from another one: chunks copied as they stand, and new runs encoded among them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mcodec.api.editorder import renumber
from mcodec.api.encode import EncodedBlock
from mcodec.container.bases import pin
from mcodec.container.writer import ContainerWriter, Copy
from mcodec.engine import map_ordered
from mcodec.types import itemsize

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Executor

    from mcodec.api.encode import RunEncoder
    from mcodec.api.progress import Progress
    from mcodec.container.manifest import Manifest
    from mcodec.container.reader import ContainerReader
    from mcodec.types import RunSpec

    Block = tuple[int, int]  # run and block


def write_edited(
    reader: ContainerReader,
    manifest: Manifest,
    order: Sequence[int],
    encoders: Mapping[int, RunEncoder],
    encode: Callable[[Manifest], bytes],
    out: str | os.PathLike[str],
    executor: Executor | None,
    progress: Progress,
) -> int:
    """Write a file of the same layout; return its bytes.

    Parameters
    ----------
    reader
        The file that chunks are copied from.
    manifest
        Of the file to be, its runs numbered as in the old one, and new ones behind them. The
        certificates and pins of new runs are filled in.
    order
        The runs that are written, in order.
    encoders
        New runs by number.
    encode
        Makes the JSON of the manifest with its final numbers.
    out, executor, progress
        As in `pack`.
    """
    specs = {run: _spec(reader, encoders, run) for run in order}
    place = {run: number for number, run in enumerate(order)}
    total, done = sum(spec.nbytes for spec in specs.values()), 0
    with ContainerWriter(out, reader.layout) as writer:
        work = _work(manifest, order, specs, reader.layout)
        make = partial(_make, reader, encoders, place)
        for blocks, made in map_ordered(executor, make, work):
            writer.put([part.part if isinstance(part, EncodedBlock) else part for part in made])
            for (run, block), part in zip(blocks, made, strict=True):
                if isinstance(part, EncodedBlock):
                    encoders[run].take(part)
                start, stop = specs[run].span(block)
                done += (stop - start) * itemsize(specs[run].dtype)
            progress(done, total)
        _certify(manifest, encoders)
        return writer.finish(encode(renumber(manifest, order)))


def _spec(reader: ContainerReader, encoders: Mapping[int, RunEncoder], run: int) -> RunSpec:
    return encoders[run].plan.spec if run in encoders else reader.runs[run]


def _work(
    manifest: Manifest, order: Sequence[int], specs: Mapping[int, RunSpec], layout: str
) -> Iterator[list[Block]]:
    """Yield the blocks in the order of the file: those of a fused group together."""
    group_of: dict[int, list[int]] = {}
    if layout == "interleaved":
        for pair in manifest.pairs:
            if len(pair) > 1:
                group_of |= dict.fromkeys(pair, pair)
    for run in order:
        group = group_of.get(run, [run])
        if run == group[0]:
            for block in range(-1, specs[run].blocks):
                yield [(member, block) for member in group]


def _make(
    reader: ContainerReader,
    encoders: Mapping[int, RunEncoder],
    place: Mapping[int, int],
    blocks: list[Block],
) -> tuple[list[Block], list[EncodedBlock | Copy]]:
    """Encode or read blocks."""
    made: list[EncodedBlock | Copy] = []
    for run, block in blocks:
        if run in encoders:
            made.append(encoders[run].encode(block))
        else:
            made.append(Copy(place[run], *reader.stored_chunks(run, block)))
    return blocks, made


def _certify(manifest: Manifest, encoders: Mapping[int, RunEncoder]) -> None:
    """Give new runs what encoding them has shown."""
    for number, encoder in encoders.items():
        run = manifest.runs[number]
        run.digest, run.source, run.errors = encoder.certificate()
    for number in encoders:
        bases = manifest.runs[number].stands_on
        if bases is not None:
            bases.pin = pin(manifest.runs[run].digest for role in bases.roles for run, _ in role)
