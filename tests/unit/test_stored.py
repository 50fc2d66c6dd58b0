"""Chunks read, checked and decompressed in one call: as `frames` and XXH3 do it one by one."""

from __future__ import annotations

import os
import subprocess
import sys
from array import array
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xxhash
import zstandard
from hypothesis import given
from hypothesis import strategies as st

import mcodec
from mcodec import frames, stored
from mcodec.container.rows import EMPTY_HASH, ROW
from mcodec.frames import FrameError
from mcodec.stored import ChunkError, Scratch, reference
from mcodec.stored.placed import Placed
from mcodec.types import FILL, RAW, ZSTD, Fill
from support import cases
from support.chunks import read_chunks

if TYPE_CHECKING:
    from pathlib import Path

TEXT = b"all that a frame may be " * 50
GOOD = zstandard.ZstdCompressor().compress(TEXT)


def row(data: bytes, offset: int, coder: int = RAW, raw: int | None = None, **fields: int) -> bytes:
    """Return the row of a chunk with these stored bytes."""
    digest = fields.get("digest", xxhash.xxh3_64_intdigest(data))
    size = len(data) if raw is None else raw
    return ROW.pack(offset, len(data), size, digest, coder, 0, 0, 1, 0, b"\0\0\0")


def decoded(frame: bytes, raw: int) -> bytes | None:
    """Return what a frame decodes to here; None where it is refused."""
    try:
        (data,) = read_chunks([(64, frame)], row(frame, 64, ZSTD, raw))
    except ChunkError:
        return None
    return bytes(data)


def expected(frame: bytes, raw: int) -> bytes | None:
    try:
        return frames.decompress(frame, raw)
    except FrameError:
        return None


@given(data=st.binary(max_size=5000), level=st.sampled_from((0, 1, 3, 9)))
def test_any_bytes_survive(data: bytes, level: int) -> None:
    assert decoded(frames.compress(data, level), len(data)) == data


@given(
    at=st.integers(0, len(GOOD) - 1),
    value=st.integers(1, 255),
    cut=st.integers(0, 6),
    more=st.binary(max_size=9),
    raw=st.sampled_from((len(TEXT), len(TEXT) - 1, len(TEXT) + 1, 0)),
)
def test_damage_is_seen_as_frames_see_it(
    at: int, value: int, cut: int, more: bytes, raw: int
) -> None:
    changed = bytearray(GOOD)
    changed[at] ^= value
    for frame in (bytes(changed), GOOD[: len(GOOD) - cut], GOOD + more):
        if frame:
            assert decoded(frame, raw) == expected(frame, raw)


@pytest.mark.parametrize(
    "frame",
    [
        GOOD[:3],
        GOOD + GOOD,
        b"\x50\x2a\x4d\x18\x04\0\0\0skip",
        b"\x50\x2a\x4d\x18\x04\0\0\0skip" + GOOD,
        zstandard.ZstdCompressor(write_checksum=True).compress(TEXT),
        zstandard.ZstdCompressor(write_content_size=False).compress(TEXT),
    ],
    ids=range(6),
)
def test_frames_that_break_a_rule(frame: bytes) -> None:
    assert decoded(frame, len(TEXT)) is None


@pytest.mark.parametrize(
    "frame",
    [b"\1\0\0", b"\1\0", b"\0\0\0" * 40 + b"\1\0\0" + bytes(9), b"\x09\0\0x", b"\x02\0\x10x" * 99],
)
def test_frames_of_no_bytes(frame: bytes) -> None:
    whole = bytes.fromhex("28B52FFD 20 00") + frame
    assert decoded(whole, 0) == expected(whole, 0)


def test_a_window_over_8_mib() -> None:
    options = zstandard.ZstdCompressionParameters(window_log=24, write_checksum=0)
    data = np.random.default_rng(0).bytes(1 << 20) * 17
    assert (
        decoded(zstandard.ZstdCompressor(compression_params=options).compress(data), 17 << 20)
        is None
    )


@given(
    sizes=st.lists(st.integers(1, 9000), min_size=1, max_size=12),
    gaps=st.lists(st.sampled_from((0, 8, 64, 65, 5000)), min_size=12, max_size=12),
    shuffled=st.randoms(use_true_random=False),
)
def test_chunks_anywhere(sizes: list[int], gaps: list[int], shuffled: Any) -> None:
    rng = np.random.default_rng(len(sizes))
    file = bytearray(64)
    chunks = []
    for index, (size, gap) in enumerate(zip(sizes, gaps, strict=False)):
        file += bytes(gap)
        data = rng.bytes(size) if index % 3 else bytes([index]) * size
        stored = frames.compress(data, 1) if index % 2 else data
        chunks.append((row(stored, len(file), ZSTD if index % 2 else RAW, size), data))
        file += stored
    fill = ROW.pack(0, 0, 77, EMPTY_HASH, FILL, 9, 0, 1, 0, b"\0\0\0")
    chunks.append((fill, bytes([9]) * 77))
    shuffled.shuffle(chunks)
    rows = b"".join(one for one, _ in chunks)
    coders = [coder for _, _, _, _, coder, *_ in ROW.iter_unpack(rows)]
    reader = os.memfd_create("chunks")
    try:
        os.write(reader, file)
        for source in (
            reader,
            [(0, bytes(file))],
            [(0, bytes(file[:100])), (100, bytes(file[100:]))],
            bytes(file),
        ):
            scratch = Scratch()
            for _ in range(2):  # the second time into the same memory
                found = read_chunks(source, rows, scratch=scratch)
                assert [bytes(one) for one in found] == [data for _, data in chunks]
            here = [at >= 0 for at in found.offsets]
            mapped = isinstance(source, bytes)  # what is stored as it is stays where it is
            assert here == [coder != FILL and (coder == ZSTD or not mapped) for coder in coders]
    finally:
        os.close(reader)


def test_streams_of_a_chunk() -> None:
    """Six streams of a page each, 64 zeros, and a seventh; one in a frame; two of a fill."""
    page = os.urandom(4096)
    shared = b"".join(page[i:] + page[:i] for i in range(6)) + bytes(64) + b"last"
    kinds = ((shared, RAW, 7, len(shared)), (GOOD, ZSTD, 1, len(TEXT)), (b"", FILL, 2, 9))
    file, rows = b"", []
    for data, coder, streams, raw in kinds:
        packed = bytearray(row(data, len(file), coder, raw))
        packed[25], packed[27] = (7 if coder == FILL else 0), streams
        rows.append(bytes(packed))
        file += data
    lengths = array("Q", [*[4096] * 6, 4, 1, 4, 5])
    for source in ([(0, file)], file):
        scratch = Scratch()
        found = scratch.place(source, b"".join(rows), lengths, verify=False)
        mapping = memoryview(file) if source is file else None
        placed = Placed(memoryview(scratch.memory), mapping, found[:10], found[10:])
        assert [bytes(stream) for stream in placed[:6]] == [page[i:] + page[:i] for i in range(6)]
        assert (bytes(placed[6]), bytes(placed[7])) == (b"last", TEXT)
        assert placed[8:] == [Fill(7, 4), Fill(7, 5)]
        assert not placed.plain
    for wrong in ([*[4096] * 6, 5, 1, 4, 5], [*[4096] * 6, 4, 1, 4, 4], [4096] * 9):
        with pytest.raises(ChunkError, match="not as long"):
            Scratch().place([(0, file)], b"".join(rows), array("Q", wrong), verify=False)
    damaged = file[:24580] + b"x" + file[24581:]
    for source in ([(0, damaged)], damaged):
        with pytest.raises(ChunkError, match="not as long"):
            Scratch().place(source, b"".join(rows), lengths, verify=False)


def test_a_hash_that_does_not_match() -> None:
    wrong = row(TEXT, 0, digest=1)
    with pytest.raises(ChunkError, match="hash"):
        read_chunks([(0, TEXT)], wrong)
    (data,) = read_chunks([(0, TEXT)], wrong, verify=False)
    assert bytes(data) == TEXT


def test_a_file_that_ends_early(tmp_path: Path) -> None:
    path = tmp_path / "short"
    path.write_bytes(TEXT[:-1])
    descriptor = os.open(path, os.O_RDONLY)
    try:
        for source in (descriptor, [(0, TEXT[:-1])], [(1, TEXT)], [], TEXT[:-1]):
            with pytest.raises(ChunkError, match="ends early"):
                read_chunks(source, row(TEXT, 0))
    finally:
        os.close(descriptor)
    with pytest.raises(OSError, match="descriptor"):
        read_chunks(descriptor, row(TEXT, 0))


def test_no_chunks() -> None:
    assert list(read_chunks([], b"")) == []


@given(
    chunks=st.lists(st.tuples(st.integers(64, 94), st.integers(0, 5)), max_size=6),
    front=st.integers(64, 94),
    length=st.integers(1, 5),
)
def test_overlap_is_what_it_says(chunks: list[tuple[int, int]], front: int, length: int) -> None:
    table = b"".join(ROW.pack(at, size, 0, 0, 1, 0, 0, 1, 0, b"\0\0\0") for at, size in chunks)
    places = sorted([(front, length), *((at, size) for at, size in chunks if size)])
    found = stored.overlap(table, front, length)
    assert found == reference.overlap(table, front, length)
    bytes_of = [byte for at, size in places for byte in range(at, at + size)]
    assert bool(found) == (len(set(bytes_of)) < len(bytes_of))


LOAD = """
import sys, mcodec
assert "mcodec.stored._stored" not in sys.modules
with mcodec.open(sys.argv[1], "A") as task:
    weights = task.load()
    assert all(task[name].tobytes() == weights[name].tobytes() for name in task)
print(sum(array.nbytes for array in weights.values()))
"""


def test_the_reference_needs_no_compiled_code(tmp_path: Path) -> None:
    mcodec.pack({"A": cases.network()}, tmp_path / "a.mc", bits=9)
    environment = {**os.environ, "MCODEC_BACKEND": "reference"}
    done = subprocess.run(
        [sys.executable, "-c", LOAD, tmp_path / "a.mc"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == sum(array.nbytes for array in cases.network().values())


@given(st.lists(st.binary(max_size=3000), max_size=6))
def test_digests_of_parts(parts: list[bytes]) -> None:
    expected = xxhash.xxh3_64_intdigest(b"".join(parts))
    assert stored.digest(parts) == expected
    assert stored.digest([memoryview(part) for part in parts]) == expected
    assert reference.digest(parts) == expected
