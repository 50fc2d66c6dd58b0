"""Collects the figures of a report from a file's front: no weight is read.

Sizes and errors of tensors, tasks and pairs are those of `listing`; here they are only added up.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import msgspec

from mcodec.api.listing import (
    list_pairs,
    list_tensors,
    place_names,
)
from mcodec.api.reportfigures import (
    MOST_BINS,
    Bin,
    Report,
    TaskFigures,
    TensorFigures,
)
from mcodec.api.reportsums import Place, Stats, Sum, Whole
from mcodec.api.tasklist import list_tasks, needed_runs
from mcodec.codec.plan import codec_string
from mcodec.container.header import SIZE as HEADER_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcodec.api.listing import TensorRow
    from mcodec.container.manifest import Tensor
    from mcodec.container.reader import ContainerReader

OUTSIDE: Final = 1000  # one of so many weights may lie above the histogram's bars, in the last one


class _Writer(msgspec.Struct):
    """The one key of a manifest that no reader needs; it may be anything."""

    writer: Any = None


def collect(reader: ContainerReader) -> Report:
    """Return the figures of an open file; work and memory are those of `mcodec info`."""
    from mcodec.api.sweepmodel import layer_of  # brings NumPy

    names = place_names(reader)
    whole = Whole()
    tasks = []
    tensors: list[TensorFigures] = []
    for entry, row in zip(reader.manifest.tasks, list_tasks(reader), strict=True):
        layers: dict[str, Sum] = {}
        seen: set[Place] = set()
        total = Sum()
        for tensor, one in zip(entry.tensors, list_tensors(reader, entry, names), strict=True):
            place = (tensor.run, tensor.member)
            stats = _stats(reader, tensor)
            for each in (total, layers.setdefault(layer_of(tensor.name), Sum())):
                each.add(one, stats, again=place in seen)
            same_as = whole.add(place, f"{entry.name}:{tensor.name}", one, stats)
            tensors.append(_figures(entry.name, one, same_as))
            seen.add(place)
        groups = tuple(each.group(name) for name, each in layers.items())
        metadata = dict(entry.metadata)
        tasks.append(TaskFigures(row, entry.came_from, metadata, groups, total.quality()))
    return Report(
        os.path.basename(reader.name) or reader.name,
        reader.size,
        reader.layout,
        _writer(reader),
        sum(task.row.source_bytes for task in tasks),
        _parts(reader, whole),
        whole.stream_rows(),
        tuple(tasks),
        tuple(each.group(name) for name, each in whole.codecs.items()),
        tuple(tensors),
        _histogram(whole.bits),
        tuple(list_pairs(reader)),
        whole.total.quality(),
    )


def _stats(reader: ContainerReader, tensor: Tensor) -> Stats | None:
    """Return a tensor's max |error|, Σe² and Σw²; zeros for a codec that loses nothing."""
    errors = reader.manifest.runs[tensor.run].errors
    return (0.0, 0.0, 0.0) if errors is None else errors[tensor.member]


def _figures(task: str, row: TensorRow, same_as: str) -> TensorFigures:
    return TensorFigures(
        task,
        row.spec.name,
        row.spec.dtype,
        row.spec.shape,
        codec_string(row.codec),
        row.bases,
        same_as,
        row.spec.size,
        row.spec.nbytes,
        row.stored_bytes,
        row.max_abs_error,
        row.sqnr_db,
    )


def _writer(reader: ContainerReader) -> str:
    found = msgspec.json.decode(reader.manifest_bytes, type=_Writer).writer
    return found if isinstance(found, str) else ""


def _parts(reader: ContainerReader, whole: Whole) -> dict[str, int]:
    """Return the bytes of each part of the file.

    Rows do not overlap, which the reader has checked: what nobody claims is padding.
    """
    header = reader.header
    skeletons = {task.skeleton_run for task in reader.manifest.tasks}
    needed = {run for task in reader.manifest.tasks for run in needed_runs(reader.manifest, task)}
    parts = dict.fromkeys(("tensors", "bases", "skeletons", "unnamed"), 0)
    for run in range(len(reader.runs)):
        stored = _stored(reader, run)
        named = whole.by_run[run]
        parts["tensors"] += named
        if run in skeletons and not named:
            kind = "skeletons"
        else:
            # A hidden run, or members of a run that is named in part.
            kind = "bases" if run in needed else "unnamed"
        parts[kind] += stored - named
    parts["manifest"] = header.manifest_stored
    parts["rows"] = header.front_length - header.manifest_padded
    parts["header"] = HEADER_BYTES
    parts["padding"] = reader.size - sum(parts.values())
    return parts


def _stored(reader: ContainerReader, run: int) -> int:
    """Return the bytes of a run's chunks."""
    spec = reader.runs[run]
    blocks = spec.blocks
    if blocks and reader.codec(run).roles(spec.dtype) and not reader.specs(run, 0, 0):
        blocks = 0  # it has no rows, and nothing in the file bounds how many blocks it claims
    return sum(row.stored for block in range(-1, blocks) for row in reader.rows(run, block))


def _histogram(bits: Sequence[tuple[float, int, bool]]) -> tuple[Bin, ...]:
    """Count weights by whole bits; by 2, 4 or 8 where too many would lie above the last bar."""
    total = sum(weights for _, weights, _ in bits)
    width = 1
    while width < 8:
        above = sum(weights for one, weights, _ in bits if one >= MOST_BINS * width)
        if above * OUTSIDE <= total:
            break
        width *= 2
    top = max((int(one) for one, _, _ in bits), default=-1)
    count = min(top // width, MOST_BINS - 1) + 1
    exact, other = [0] * count, [0] * count
    for one, weights, is_exact in bits:
        (exact if is_exact else other)[min(int(one) // width, MOST_BINS - 1)] += weights
    return tuple(
        Bin(index * width, (index + 1) * width, exact[index], other[index])
        for index in range(count)
    )
