"""Blocks kept as streams: written out again and again, and made better where a file grows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mcodec
from mcodec.api.load import Target, jobs_of
from mcodec.api.resident import Resident
from mcodec.codec.base import CANONICAL, View
from mcodec.errors import FormatError
from mcodec.types import numpy_dtype
from support import cases

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mcodec.api.handle import File
    from mcodec.api.task import Task

WAYS: dict[str, dict[str, Any]] = {
    "lossless": {},
    "deltas": {"optimize": "file"},
    "fused": {"bits": [12, 7]},
    "progressive": {"bits": 9, "layout": "progressive"},
    "int8": {"codec": "int8"},
    "csr": {"codec": "csr(values=float)", "force": True},
}


def family() -> dict[str, dict[str, NDArray[Any]]]:
    one, two = cases.network(1), cases.network(2)
    two["tall/kernel"] = (one["tall/kernel"] * np.float32(1.001)).astype(np.float32)
    one["nan"] = two["nan"] = np.array([np.nan, -np.inf, 0, -0.0, 1], np.float32)
    return {"A": one, "B": two}


def places(task: Task) -> dict[tuple[int, int], str]:
    """Return all blocks of a task, each with a tensor in it."""
    runs, found = task.file.reader.runs, {}
    for name in task:
        run, member = task.place(name)
        found.update({(run, block): name for block in runs[run].blocks_of(member)})
    return found


def written(kept: Resident, task: Task) -> dict[str, NDArray[Any]]:
    """Write a task out of what is kept."""
    specs = [task.spec(name) for name in task]
    arrays = {spec.name: np.empty(spec.shape, numpy_dtype(spec.dtype)) for spec in specs}
    targets = [Target(n, *task.place(n), array.reshape(-1)) for n, array in arrays.items()]
    kept.write(jobs_of(task.file.reader, targets), task.file.executor)
    return arrays


def keep(file: File, *names: str, view: View = CANONICAL) -> Resident:
    kept = Resident(file.reader, view)
    for name in names:
        kept.keep(places(file.task(name)), file.executor)
    return kept


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("way", WAYS)
def test_it_is_what_the_file_has(tmp_path: Path, way: str, jobs: int) -> None:
    path = tmp_path / "x.mc"
    mcodec.pack(family(), path, jobs=1, **WAYS[way])
    with mcodec.open(path, jobs=jobs) as file:
        wanted = {name: dict(file.task(name)) for name in "AB"}
        kept = keep(file, "A", "B")
        path.write_bytes(b"")  # it is not read again
        for name in "ABA":
            cases.assert_same_model(written(kept, file.task(name)), wanted[name])
        for run, block in places(file.task("B")):
            out = kept.decoder(run).empty(int(np.diff(file.reader.runs[run].span(block))[0]))
            kept.block(run, block, out)
            if kept.decoder(run).canonical:  # stands on nothing that would be read
                again = np.empty_like(out)
                kept.decoder(run).prepare(block, *kept.streams(run, block))(again)
                assert cases.same_bits(out, again)
        kept.forget()
        assert kept.nbytes == 0


def test_what_is_kept_is_small(tmp_path: Path) -> None:
    model = {"w": cases.weights("float32", (512, 512)), "b": cases.weights("float32", (64, 64))}
    mcodec.pack({"A": model}, tmp_path / "x.mc", bits=7, jobs=1)
    for backend in ("pread", "mmap"):
        with mcodec.open(tmp_path / "x.mc", backend=backend) as file:
            kept = keep(file, "A")
            once = kept.nbytes
            assert once <= (512 * 512 + 64 * 64) * 9 // 8 + 100  # a sign, and a byte of 7 bits
            kept.keep(places(file.task("A")), None)
            assert kept.nbytes == once
            for run, block in places(file.task("A")):
                for stream in kept.streams(run, block)[1]:
                    if isinstance(stream, memoryview):
                        owner = memoryview(stream.obj)
                        assert owner.nbytes <= stream.nbytes + 64


@pytest.mark.parametrize("planes", [0, 1, 4, 30])
def test_derived_views(tmp_path: Path, planes: int) -> None:
    mcodec.pack(family(), tmp_path / "x.mc", jobs=1)
    with mcodec.open(tmp_path / "x.mc") as file:
        task = file.task("A", planes=planes)
        kept = keep(file, "A", view=task.view)
        cases.assert_same_model(written(kept, task), dict(task))


def cut_at(path: Path, level: int) -> int:
    """Return where a level begins."""
    with mcodec.open(path) as file:
        reader = file.reader
        return min(
            row.offset
            for run, spec in enumerate(reader.runs)
            for block in range(-1, spec.blocks)
            for row in reader.rows(run, block)
            if row.stored and reader.specs(run, block, row.mode)[row.first].level >= level
        )


@pytest.mark.parametrize("options", [{"bits": 9}, {}], ids=["bfp", "lossless"])
def test_refined(tmp_path: Path, options: dict[str, Any]) -> None:
    whole, path = tmp_path / "whole.mc", tmp_path / "cut.mc"
    mcodec.pack(family(), whole, layout="progressive", jobs=1, **options)
    data, cuts = whole.read_bytes(), [cut_at(whole, level) for level in (2, 4, 5)]
    path.write_bytes(data[: cuts[0]])
    with mcodec.open(path, partial=True) as file:
        assert file.levels is not None
        top = file.levels[1]
        assert file.levels == (1, top)
        kept = keep(file, "A", "B")
        for number, (size, levels) in enumerate(
            [(cuts[1], (3, top)), (cuts[2], (4, top)), (len(data), None)]
        ):
            path.write_bytes(bytes(cuts[0]) + data[cuts[0] : size])  # the old part is not read
            if number == 0:
                bad = bytearray(data[:size])
                bad[-9] ^= 1
                path.write_bytes(bad)
                before = written(kept, file.task("B"))
                there = file.reader.levels
                assert file.refine()
                with pytest.raises(FormatError):
                    kept.refine(file.executor)
                cases.assert_same_model(written(kept, file.task("B")), before)
                file.reader.levels = there
            path.write_bytes(data[:size])  # heads are
            assert file.refine()
            assert file.levels == levels
            kept.refine(file.executor)
            for name in "AB":
                with mcodec.open(path, partial=True) as fresh:
                    wanted = dict(fresh.task(name))
                cases.assert_same_model(written(kept, file.task(name)), wanted)
                cases.assert_same_model(file.task(name).load(), wanted)
        assert not file.refine()


def test_streams_of_some_levels(tmp_path: Path) -> None:
    path = tmp_path / "x.mc"
    mcodec.pack(family(), path, layout="progressive", bits=9, jobs=1)
    with mcodec.open(path) as file:
        reader = file.reader
        run, _ = file.task("A").place("tall/kernel")
        mode, streams = reader.read_streams(run, 0)
        levels = [spec.level for spec in reader.specs(run, 0, mode)]
        assert set(levels) == set(range(10))
        for above in (-1, 0, 3, 9):
            for level in (None, 0, 2, 5, 9):
                _, found = reader.read_streams(run, 0, level, above)
                there = [stream is not None for stream in found]
                most = 9 if level is None else level
                assert there == [above < one <= most for one in levels]
                spans = reader.extents(run, 0, level, above)
                rows = [row for row in reader.rows(run, 0) if row.stored]
                kept = [r for r in rows if above < levels[r.first] <= most]
                inside = [
                    any(a <= r.offset and r.offset + r.stored <= b for a, b in spans) for r in rows
                ]
                assert inside == [row in kept for row in rows]
        assert all(stream is not None for stream in streams)


def test_what_a_task_has_read_is_refined_too(tmp_path: Path) -> None:
    whole, path = tmp_path / "whole.mc", tmp_path / "cut.mc"
    mcodec.pack(family(), whole, layout="progressive", jobs=1)
    data = whole.read_bytes()
    path.write_bytes(data[: cut_at(whole, 3)])
    with mcodec.open(path, partial=True) as file, mcodec.open(whole) as other:
        task = file.task("A")
        before = dict(task)
        path.write_bytes(data)
        assert file.refine()
        cases.assert_same_model(dict(task), dict(other.task("A")))
        assert not cases.same_bits(before["head/kernel"], task["head/kernel"])
