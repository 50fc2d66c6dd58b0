"""Tensors of a task, in arrays of their own: runs of many small ones are decoded as they lie.

A run whose members are all wanted is decoded in one piece, and the arrays are parts of it: there is
no step for each of them but to make the array.
"""

from __future__ import annotations

import math
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from mcodec.api.load import Job, Target, cost_of, jobs_of, run_jobs
from mcodec.types import aligned, itemsize, numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Executor

    from numpy.typing import NDArray

    from mcodec.codec.base import View
    from mcodec.container.listed import Columns
    from mcodec.container.reader import ContainerReader
    from mcodec.types import RunSpec

MEMBER: Final = 1 << 20  # members are numbered below it (limits.MAX_TENSORS)


def load_together(
    reader: ContainerReader, wanted: Columns, view: View, executor: Executor | None
) -> dict[str, NDArray[Any]]:
    """Return tensors by name, each an array of its own.

    Raises
    ------
    FormatError
        The bytes in the file are damaged.
    """
    import numpy as np

    from mcodec.memory import empties

    names, runs, members = wanted
    keys = np.array(runs, np.int64) * MEMBER + np.array(members, np.int64)
    # Of each place the first tensor that is there, in the order of the file; of each tensor which.
    first = which = np.arange(keys.size)
    if not (np.diff(keys) > 0).all():
        _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    starts = np.flatnonzero(np.diff(keys[first] // MEMBER, prepend=-1))
    groups = [(runs[own[0]], own) for own in map(np.ndarray.tolist, np.split(first, starts)[1:])]
    memory = iter(empties(kind for group in groups for kind in _kinds(reader, *group, members)))
    found: list[NDArray[Any]] = []
    jobs: list[Job] = []
    targets: list[Target] = []
    for run, own in groups:
        spec = reader.runs[run]
        if _is_whole(spec, len(own)):
            out = next(memory)
            jobs += _jobs(reader, run, names[own[0]], out)
            found += parts_of(spec, out)
            continue
        for index in own:
            out = next(memory)
            targets.append(Target(names[index], run, members[index], out.reshape(-1)))
            found.append(out)
    run_jobs(
        reader, sorted([*jobs, *jobs_of(reader, targets)], key=_place), view, executor, fresh=True
    )
    places = which.tolist()
    arrays = {name: found[place] for name, place in zip(names, places, strict=True)}
    if len(found) < len(names):
        for index, (name, place) in enumerate(zip(names, places, strict=True)):
            if first[place] != index:
                arrays[name] = found[place].copy()
    return arrays


def _place(job: Job) -> tuple[int, int]:
    return job.run, job.block


def _is_whole(spec: RunSpec, wanted: int) -> bool:
    """Tell whether a run is decoded in one piece: all of it is wanted, and it is small."""
    from mcodec.memory import HUGE

    return 1 < wanted == len(spec.shapes) and spec.nbytes < HUGE


def _kinds(
    reader: ContainerReader, run: int, own: Sequence[int], members: Sequence[int]
) -> Iterator[tuple[tuple[int, ...], Any]]:
    """Yield shape and dtype of what a run is decoded into."""
    spec = reader.runs[run]
    dtype = numpy_dtype(spec.dtype)
    if _is_whole(spec, len(own)):
        yield (spec.elements,), dtype
    else:
        yield from ((spec.shapes[members[index]], dtype) for index in own)


def _jobs(reader: ContainerReader, run: int, name: str, out: NDArray[Any]) -> Iterator[Job]:
    spec = reader.runs[run]
    for block in range(spec.blocks):
        start, stop = spec.span(block)
        part = slice(0, stop - start), out[start:stop]
        yield Job(run, block, name, cost_of(reader, run, block), (part,))


def parts_of(spec: RunSpec, out: NDArray[Any]) -> list[NDArray[Any]]:
    """Return the members of a decoded run, as parts of its array.

    Parameters
    ----------
    spec
        The run.
    out
        All its elements, one-dimensional and contiguous.
    """
    import numpy as np

    item, data = itemsize(spec.dtype), out.view(np.uint8).data
    found: list[NDArray[Any]] = []
    start = 0
    for shape, count in _alike(spec.shapes):
        size = math.prod(shape)
        stride = aligned(size)
        if count == 1 or not shape or not size:
            places = range(start, start + count * stride, stride) if stride else (start,) * count
            found += [out[at : at + size].reshape(shape) for at in places]
        else:  # neighbours of one shape are an array, with gaps between its rows
            steps = stride * item, item
            rows = np.ndarray((count, size), out.dtype, data, start * item, steps)
            found.extend(rows.reshape(count, *shape))
        start += count * stride
    return found


def _alike(shapes: Sequence[tuple[int, ...]]) -> Iterator[tuple[tuple[int, ...], int]]:
    """Yield shapes, and how many neighbours have each."""
    if shapes.count(shapes[0]) == len(shapes):
        yield shapes[0], len(shapes)
        return
    for shape, group in groupby(shapes):
        yield shape, sum(1 for _ in group)
