"""Frames of Huffman codes, whose blocks are decoded two at a time: as zstd decodes them."""

from __future__ import annotations

import numpy as np
import pytest
import xxhash
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from mcodec import frames, stored
from mcodec.container.rows import ROW
from mcodec.frames import FrameError
from mcodec.stored import ChunkError
from mcodec.types import ZSTD
from support.chunks import read_chunks

SPREADS = (0.3, 1.0, 3.0, 10.0, 20.0, 40.0, 70.0)  # codes of 1 bit to 8, seldom over 11


def drawn(seed: int, size: int, spread: float) -> bytes:
    numbers = np.random.default_rng(seed).standard_normal(size) * spread
    return bytes(np.clip(np.round(numbers) + 128, 0, 255).astype(np.uint8))


def coded(data: bytes, level: int = 0) -> bytes:
    """Return a frame of codes alone (level 0), or by zstd with what matches it finds."""
    if level == 0:
        ((_, _, frame),) = stored.code([data], 0)
        if frame is not None:
            return frame
    return zstandard.ZstdCompressor(level=level or 1).compress(data)


def read(chunks: list[tuple[bytes, int]], wrong_hash: int | None = None) -> list[bytes]:
    """Return what frames of so many bytes decode to, all in one call."""
    file, rows = bytearray(), b""
    for index, (frame, raw) in enumerate(chunks):
        digest = xxhash.xxh3_64_intdigest(frame) ^ (index == wrong_hash)
        rows += ROW.pack(len(file), len(frame), raw, digest, ZSTD, 0, 0, 1, 0, b"\0\0\0")
        file += frame + bytes(-len(frame) % 64)
    return [bytes(chunk) for chunk in read_chunks([(0, bytes(file))], rows)]


STREAMS = st.tuples(
    st.integers(0, 99),
    st.integers(1000, 40_000),
    st.sampled_from(SPREADS),
    st.sampled_from((0, 0, 0, 1, 3, 19)),
)


@given(streams=st.lists(STREAMS, min_size=1, max_size=6), alike=st.booleans())
def test_frames_of_a_batch(streams: list[tuple[int, int, float, int]], alike: bool) -> None:
    sizes = [streams[0][1] if alike else size for _, size, _, _ in streams]
    data = [drawn(seed, n, spread) for n, (seed, _, spread, _) in zip(sizes, streams, strict=True)]
    chunks = [(coded(one, entry[3]), len(one)) for one, entry in zip(data, streams, strict=True)]
    assert read(chunks) == data


@pytest.mark.parametrize("spread", SPREADS)
def test_blocks_of_128_kib(spread: float) -> None:
    data = [drawn(seed, size, spread) for seed, size in enumerate((1 << 18, 1 << 17, 393_219))]
    assert read([(coded(one), len(one)) for one in data]) == data


def test_a_block_of_short_codes_and_long_ones() -> None:
    # A round's codes are more bits than are at hand: long ones stand together.
    rng = np.random.default_rng(0)
    short, rare = rng.integers(0, 12, 1 << 17, np.uint8), rng.integers(12, 256, 1 << 17, np.uint8)
    for share in (0.02, 0.2, 0.5):
        for run in (1, 40, 3000):
            chosen = np.repeat(rng.random((1 << 17) // run + 1) < share, run)[: 1 << 17]
            data = bytes(np.where(chosen, rare, short))
            assert read([(coded(data), len(data))] * 2) == [data, data]


BLOCKS = [
    (coded(data), len(data)) for data in (drawn(7, n, s) for n in (1024, 5003) for s in (9.0, 40.0))
]


def expected(frame: bytes, raw: int) -> bytes | None:
    try:
        return frames.decompress(frame, raw)
    except FrameError:
        return None


@given(
    which=st.integers(0, len(BLOCKS) - 1),
    changes=st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 255)), min_size=1, max_size=3),
    early=st.booleans(),
    first=st.booleans(),
)
def test_damage_is_seen_as_zstd_sees_it(
    which: int, changes: list[tuple[int, int]], early: bool, first: bool
) -> None:
    frame, raw = BLOCKS[which]
    changed = bytearray(frame)
    for at, value in changes:
        changed[at % (min(160, len(frame)) if early else len(frame))] ^= value
    good, bad = BLOCKS[which], (bytes(changed), raw)
    want = expected(*bad)
    chunks = [bad, good] if first else [good, bad]
    if want is None:
        with pytest.raises(ChunkError):
            read(chunks)
    else:
        assert read(chunks)[0 if first else 1] == want


def test_the_first_wrong_row_is_told() -> None:
    frame, raw = BLOCKS[2]
    bad = frame[:17] + b"\xff" + frame[18:]  # the first byte of its codes' lengths
    assert expected(bad, raw) is None
    for chunks, hashed, row in (
        ([(frame, raw), (bad, raw), (frame, raw)], 2, 1),
        ([(frame, raw), (frame, raw), (bad, raw)], 1, 1),
        ([(bad, raw), (frame, raw + 1)], None, 0),
        ([(frame, raw), (frame, raw + 1), (bad, raw)], None, 1),
        ([(bad, raw), (bad, raw), (bad, raw)], None, 0),
    ):
        with pytest.raises(ChunkError) as told:
            read(chunks, hashed)
        assert told.value.args[0][0] == row
