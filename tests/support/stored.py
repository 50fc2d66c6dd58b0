"""What a `.mc` file holds, chunk by chunk, and whether it stands as a writer has to place it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mcodec

if TYPE_CHECKING:
    from pathlib import Path

    from mcodec.container.reader import ContainerReader

    Chunks = list[tuple[Any, ...]]  # all of a row but its place, and the bytes


def run_chunks(reader: ContainerReader, run: int) -> Chunks:
    """Return the chunks of a run: block, all of its row but the offset, and its bytes."""
    found = []
    for block in range(-1, reader.runs[run].blocks):
        rows = reader.rows(run, block)
        _, chunks = reader.stored_chunks(run, block)
        for row, chunk in zip(rows, chunks, strict=True):
            data = b"".join(map(bytes, chunk.pieces))
            found.append((block, *row._replace(offset=0), data))
    return found


def task_chunks(path: Path) -> dict[str, dict[str, tuple[Any, ...]]]:
    """Return for each tensor of each task its run as it is stored, with all that it stands on.

    Numbers of runs, codecs and places are left out: they change when other tasks do.
    """
    with mcodec.open(path, jobs=1) as file:
        reader, found = file.reader, {}
        known: dict[int, tuple[Any, ...]] = {}

        def describe(run: int) -> tuple[Any, ...]:
            if run not in known:
                entry = reader.manifest.runs[run]
                bases = entry.stands_on
                below = [] if bases is None else [p for role in bases.roles for p in role]
                known[run] = (
                    reader.manifest.codecs[entry.codec],
                    (entry.dtype, entry.members, entry.digest, entry.source, entry.errors),
                    None if bases is None else bases.pin,
                    [(describe(number), member) for number, member in below],
                    run_chunks(reader, run),
                )
            return known[run]

        for task in reader.manifest.tasks:
            found[task.name] = {
                tensor.name: (tensor.member, describe(tensor.run)) for tensor in task.tensors
            }
            if task.skeleton_run is not None:
                found[task.name]["/skeleton"] = (0, describe(task.skeleton_run))
    return found


def assert_sound(path: Path) -> None:
    """Check the whole file, the order of its runs and chunks, and that nothing in it is idle."""
    mcodec.verify(path, deep=True, jobs=1)
    with mcodec.open(path, jobs=1) as file:
        reader = file.reader
        _assert_needed(reader)
        _assert_numbered(reader)
        offsets = [row.offset for row in _in_layout(reader) if row.stored]
        assert offsets == sorted(offsets)


def _named(reader: ContainerReader) -> dict[int, list[tuple[int, int]]]:
    """Return who names each run: task, and place in it (the skeleton's is behind the tensors)."""
    users: dict[int, list[tuple[int, int]]] = {}
    for number, task in enumerate(reader.manifest.tasks):
        for index, tensor in enumerate(task.tensors):
            users.setdefault(tensor.run, []).append((number, index))
        if task.skeleton_run is not None:
            users.setdefault(task.skeleton_run, []).append((number, len(task.tensors)))
    return users


def _assert_needed(reader: ContainerReader) -> None:
    manifest = reader.manifest
    needed = set(_named(reader))
    for run in tuple(needed):
        bases = manifest.runs[run].stands_on
        if bases is not None:
            needed |= {below for role in bases.roles for below, _ in role}
    assert needed == set(range(len(manifest.runs)))
    assert {run.codec for run in manifest.runs} == set(range(len(manifest.codecs)))
    assert all(len(pair) > 1 for pair in manifest.pairs)


def _assert_numbered(reader: ContainerReader) -> None:
    """Check that runs of several tasks and hidden ones are first, then task after task."""
    fused = {run for pair in reader.manifest.pairs for run in pair}
    users = _named(reader)
    order = []
    for run in range(len(reader.runs)):
        if run not in users:
            order.append((0, len(reader.manifest.tasks), 0))
            continue
        tasks = {task for task, _ in users[run]}
        order.append((int(len(tasks) == 1 or run in fused), *min(users[run])))
    assert order == sorted(order)


def _in_layout(reader: ContainerReader) -> list[Any]:
    """Return the rows in the order in which the layout has their chunks."""
    rows = [
        (reader.specs(run, block, row.mode)[row.first].level, row)
        for run, block in _blocks(reader)
        for row in reader.rows(run, block)
    ]
    if reader.layout == "progressive":
        return [row for _, row in sorted(rows, key=lambda item: item[0])]
    if reader.layout == "task":
        return [row for _, row in rows]
    found = []
    group_of = {run: pair for pair in reader.manifest.pairs for run in pair}
    for run in range(len(reader.runs)):
        group = group_of.get(run, [run])
        if run != group[0]:
            continue
        for block in range(-1, reader.runs[run].blocks):
            several = [reader.rows(member, block) for member in group]
            for place in range(max(map(len, several))):
                found += [own[place] for own in several if place < len(own)]
    return found


def _blocks(reader: ContainerReader) -> list[tuple[int, int]]:
    return [
        (run, block) for run, spec in enumerate(reader.runs) for block in range(-1, spec.blocks)
    ]
