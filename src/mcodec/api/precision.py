"""How precise a file is that is cut off: its planes, counted and in words.

Which level a file has says little to people: a run of bfp with 12 bits has 12 planes, and lossless
float32 23. So planes are told by run, or as those of the weights: of most elements.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mcodec.container.manifest import Task
    from mcodec.container.reader import ContainerReader

    Planes = tuple[int, int]  # that are there, and in all


def planes_of(reader: ContainerReader, run: int) -> Planes | None:
    """Return the planes of a run that are there, and in all; None of a file that is whole.

    Both are 0 for what has no planes, and is whole: integers, for one.
    """
    if reader.levels is None:
        return None
    every = max(
        (
            reader.specs(run, block, row.mode)[row.first].level
            for block in range(-1, reader.runs[run].blocks)
            for row in reader.rows(run, block)
        ),
        default=0,
    )
    return min(reader.levels, every), every


def planes_of_weights(reader: ContainerReader, runs: Iterable[int]) -> Planes | None:
    """Return the planes of those of some runs in which most elements lie; None of a whole file."""
    if reader.levels is None:
        return None
    counts = _elements(reader, runs)
    sums: Counter[int] = Counter()
    for (_, every), elements in counts.items():
        sums[every] += elements
    most = max(sums, key=lambda every: (sums[every], every), default=0)
    return min(reader.levels, most), most


def words(reader: ContainerReader, runs: Iterable[int]) -> str:
    """Say in one line how many planes of runs are there; nothing of a file that is whole."""
    runs = set(runs)
    main = planes_of_weights(reader, runs)
    there = reader.levels
    if main is None or there is None:
        return ""
    others = sorted(kind for kind in _elements(reader, runs) if kind[1] != main[1])
    if max([main[1], *(every for _, every in others)]) <= there:
        return "cut off, but every plane is there"
    more = ", ".join(f"{codec} {min(there, every)} of {every}" for codec, every in others)
    more = f" ({more})" if more else ""
    count = f"{main[0]} of {main[1]} planes are there{more}"
    return f"cut off: {count}; floats decode with less precision"


def runs_of(tasks: Iterable[Task]) -> set[int]:
    """Return the runs in which tensors of tasks lie."""
    return {tensor.run for task in tasks for tensor in task.tensors}


def _elements(reader: ContainerReader, runs: Iterable[int]) -> Counter[tuple[str, int]]:
    """Count the elements by codec and planes in all, of runs that have planes."""
    found: Counter[tuple[str, int]] = Counter()
    for run in runs:
        planes = planes_of(reader, run)
        if planes is not None and planes[1]:
            found[reader.codec(run).codec_id, planes[1]] += reader.runs[run].elements
    return found
