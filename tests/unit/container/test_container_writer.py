"""Chunks and their places: grouping, alignment, layouts, and files that are whole or absent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import mcodec
from mcodec.container import writer as writers
from mcodec.container.layout import group, interleave
from mcodec.container.writer import ContainerWriter, Part
from mcodec.errors import UsageError
from mcodec.types import FILL, RAW, ZSTD, CodedStream, StreamSpec
from support import cases

if TYPE_CHECKING:
    from pathlib import Path

LONG = 4096


def raw(length: int = 10) -> tuple[StreamSpec, CodedStream]:
    return StreamSpec("s", length), CodedStream(RAW, 0, length, bytes(length))


def fill(value: int, length: int = 10) -> tuple[StreamSpec, CodedStream]:
    return StreamSpec("s", length), CodedStream(FILL, value, length)


def frame(length: int = 10) -> tuple[StreamSpec, CodedStream]:
    return StreamSpec("s", length), CodedStream(ZSTD, 0, length, b"frame")


def variable(length: int = 10) -> tuple[StreamSpec, CodedStream]:
    return StreamSpec("s", length, variable=True), CodedStream(RAW, 0, 3, b"abc")


def chunks(*streams: tuple[StreamSpec, CodedStream], layout: str = "task") -> list[list[int]]:
    """Return [first, streams, coder, raw, stored] of the chunks that streams make."""
    specs, coded = zip(*streams, strict=True)
    found = group(specs, coded, layout)
    return [[chunk.first, chunk.streams, chunk.coder, chunk.raw, chunk.stored] for chunk in found]


def test_neighbours_of_one_coder_share_a_chunk() -> None:
    assert chunks(raw(), raw(), raw()) == [[0, 3, RAW, 30, 30]]
    assert chunks(fill(0), fill(0), fill(1)) == [[0, 2, FILL, 20, 0], [2, 1, FILL, 10, 0]]
    assert chunks(raw(), fill(0), raw()) == [
        [0, 1, RAW, 10, 10],
        [1, 1, FILL, 10, 0],
        [2, 1, RAW, 10, 10],
    ]


def test_frames_and_variable_streams_stand_alone() -> None:
    assert [row[:2] for row in chunks(frame(), frame(), raw())] == [[0, 1], [1, 1], [2, 1]]
    assert [row[:2] for row in chunks(raw(), variable(), raw(), raw())] == [[0, 1], [1, 1], [2, 2]]


def test_a_stagger_stands_behind_each_sixth_stream_of_whole_pages() -> None:
    def staggers(*lengths: int) -> int:
        (row,) = chunks(*map(raw, lengths))
        assert row == [0, len(lengths), RAW, row[3], row[3]]
        return row[3] - sum(lengths)

    for count, zeros in ((1, 0), (2, 0), (5, 0), (6, 0), (7, 64), (12, 64), (13, 128)):
        assert staggers(*[LONG] * count) == zeros
    assert staggers(5, 5, 5, 5, 5, LONG, 5) == 64
    assert staggers(LONG, LONG, LONG, LONG, LONG, 5, LONG) == 0
    assert staggers(5, *[LONG] * 12) == 128
    assert chunks(*[fill(0, LONG)] * 7) == [[0, 7, FILL, 7 * LONG, 0]]


def test_a_chunk_holds_64_mib_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcodec.container.layout.MAX_CHUNK_RAW", 25)
    assert [row[:2] for row in chunks(raw(), raw(), raw())] == [[0, 2], [2, 1]]


def test_a_progressive_file_joins_no_levels() -> None:
    pairs = [raw() for _ in range(4)]
    leveled = [(StreamSpec("s", 10, level), coded) for level, (_, coded) in enumerate(pairs)]
    leveled.insert(0, raw())
    assert [row[:2] for row in chunks(*leveled)] == [[0, 5]]
    assert [row[:2] for row in chunks(*leveled, layout="progressive")] == [
        [0, 2],
        [2, 1],
        [3, 1],
        [4, 1],
    ]


def test_members_of_a_group_take_turns() -> None:
    one: Any = ["x"]
    assert interleave([one * 3, one, one * 2]) == [(0, 0), (1, 0), (2, 0), (0, 1), (2, 1), (0, 2)]
    assert interleave([]) == []


def part(run: int, *streams: tuple[StreamSpec, CodedStream]) -> Part:
    specs, coded = zip(*streams, strict=True)
    return Part(run, 0, specs, coded)


def write(path: Path, layout: str, *, error: BaseException | None = None, end: bool = True) -> None:
    """Write one part; leave by an error, or without an end."""
    with ContainerWriter(path, layout) as writer:
        writer.put([part(0, raw(5000), fill(1), raw())])
        if error is not None:
            raise error
        if end:
            writer.finish(b"{}")


@pytest.mark.parametrize("layout", ["task", "interleaved", "progressive"])
def test_a_writer_that_is_left_leaves_nothing(tmp_path: Path, layout: str) -> None:
    path = tmp_path / "out.mc"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        write(path, layout, error=KeyboardInterrupt())
    with pytest.raises(UsageError, match="without finish"):
        write(path, layout, end=False)
    assert [file.name for file in tmp_path.iterdir()] == ["out.mc"]
    assert path.read_bytes() == b"old"


def test_too_many_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "MAX_ROWS", 2)
    with pytest.raises(UsageError, match="3 rows; the format's limit is 2"):
        write(tmp_path / "out.mc", "task")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("layout", ["task", "progressive"])
@pytest.mark.parametrize("spool", [0, 100, 64 << 20])
def test_a_file_that_is_only_measured_is_as_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str, spool: int
) -> None:
    monkeypatch.setattr(writers, "SPOOL", spool)
    lengths = []
    paths: tuple[Path | None, ...] = (tmp_path / "out.mc", None)
    for path in paths:
        with ContainerWriter(path, layout) as writer:
            writer.put([part(0, raw(5000), fill(1), raw(77))])
            writer.put([part(0, raw(130))])
            lengths.append(writer.finish(b"{}"))
    assert lengths[0] == lengths[1] == (tmp_path / "out.mc").stat().st_size


MODELS = {name: cases.network(seed) for seed, name in enumerate("AB")}


def rows(path: Path) -> list[Any]:
    with mcodec.open(path) as file:
        reader = file.reader
        return [
            row
            for run, spec in enumerate(reader.runs)
            for block in range(-1, spec.blocks)
            for row in reader.rows(run, block)
            if row.stored
        ]


@pytest.mark.parametrize("layout", ["task", "interleaved", "progressive"])
@pytest.mark.parametrize("spool", [0, 64 << 20])
def test_where_the_front_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str, spool: int
) -> None:
    monkeypatch.setattr(writers, "SPOOL", spool)
    path = tmp_path / "out.mc"
    mcodec.pack(MODELS, path, bits=9, layout=layout, jobs=1)
    mcodec.verify(path, deep=True, jobs=1)
    with mcodec.open(path) as file:
        front = file.reader.header.front_offset
    starts = [row.offset for row in rows(path)]
    if spool or layout == "progressive":
        assert front == 64
        assert min(starts) > 64
    else:
        assert front > max(starts)
        assert min(starts) == 64


@pytest.mark.parametrize("layout", ["task", "interleaved"])
def test_a_large_file_is_the_same_through_relayout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    monkeypatch.setattr(writers, "SPOOL", 50_000)
    one, two = tmp_path / "one.mc", tmp_path / "two.mc"
    mcodec.pack(MODELS, one, bits=9, layout=layout, jobs=1)
    mcodec.pack(MODELS, two, bits=9, layout="progressive", jobs=1)
    mcodec.relayout(two, two, layout)
    assert one.read_bytes() == two.read_bytes()


def test_chunks_are_aligned_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "out.mc"
    mcodec.pack(MODELS, path, bits=9, layout="task", jobs=1)
    found = rows(path)
    assert all(row.offset % (64 if row.stored >= LONG else 8) == 0 for row in found)
    assert [row.offset for row in found] == sorted(row.offset for row in found)
    assert found[-1].offset + found[-1].stored == path.stat().st_size


def test_interleaved_chunks_alternate_between_the_tasks(tmp_path: Path) -> None:
    path = tmp_path / "out.mc"
    models = {
        name: {"w": cases.weights("float32", (200, 200), seed)} for seed, name in enumerate("AB")
    }
    mcodec.pack(models, path, bits=20, jobs=1)
    with mcodec.open(path) as file:
        own = [[row for row in file.reader.rows(run, 0) if row.stored] for run in (0, 1)]
    first, second = ([row.offset for row in mine] for mine in own)
    assert len(first) > 2
    merged = [place for both in zip(first, second, strict=True) for place in both]
    assert merged == sorted(merged)
