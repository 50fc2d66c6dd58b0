"""zstd frames: what is written, and every rule of spec/container.md, section 5."""

from __future__ import annotations

import contextlib
import threading

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from mcodec import frames
from mcodec.frames import FrameError
from support import cases

TEXT = b"all that a frame may be " * 50


@given(data=st.binary(max_size=5000), level=st.sampled_from((0, 1, 3, 9)))
def test_any_bytes_survive(data: bytes, level: int) -> None:
    frame = frames.compress(data, level)
    assert frames.decompress(frame, len(data)) == data
    assert frames.decompress(memoryview(frame), len(data)) == data
    params = zstandard.get_frame_parameters(frame)
    assert params.content_size == len(data)
    assert not params.has_checksum
    assert not params.dict_id


@pytest.mark.parametrize("level", [0, 1, 3, 9])
def test_a_frame_does_not_depend_on_what_came_before(level: int) -> None:
    noise = cases.noise("uint8", (70_000,)).tobytes()
    alone: list[bytes] = []
    thread = threading.Thread(target=lambda: alone.append(frames.compress(TEXT, level)))
    thread.start()
    thread.join()
    frames.compress(noise[: len(TEXT)], level)
    frames.compress(noise, level)
    assert frames.compress(TEXT, level) == alone[0]


@pytest.mark.parametrize("level", [0, 1, 3, 9])
def test_large_frames_keep_the_window(level: int) -> None:
    data = cases.noise("uint8", (1 << 16,)).tobytes() * 200  # 12.5 MiB
    frame = frames.compress(data, level)
    assert zstandard.get_frame_parameters(frame).window_size <= 8 * 2**20
    assert frames.decompress(frame, len(data)) == data


def written(data: bytes = TEXT, **options: object) -> bytes:
    return zstandard.ZstdCompressor(**options).compress(data)  # type: ignore[arg-type]


def streamed(data: bytes) -> bytes:
    compressor = zstandard.ZstdCompressor().compressobj()
    return compressor.compress(data) + compressor.flush()


GOOD = written()
SKIPPABLE = b"\x50\x2a\x4d\x18\x04\0\0\0skip"
DICTIONARY = zstandard.ZstdCompressionDict(TEXT[:64], dict_type=zstandard.DICT_TYPE_RAWCONTENT)
WIDE = zstandard.ZstdCompressionParameters(window_log=24, write_checksum=0)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        GOOD[:3],
        GOOD[:5],
        GOOD[:-1],
        GOOD + b"\0",
        GOOD + GOOD,
        GOOD + SKIPPABLE,
        SKIPPABLE,
        SKIPPABLE + GOOD,
        written(write_checksum=True),
        written(write_content_size=False),
        written(TEXT[:-1]),
        written(TEXT + b"\0"),
        streamed(TEXT),
        b"\x28\xb5\x2f\xfd" + bytes(20),
        b"\x25\xb5\x2f\xfd" + GOOD[4:],
        GOOD[:4] + b"\xff" + GOOD[5:],
    ],
    ids=range(17),
)
def test_frames_that_break_a_rule(frame: bytes) -> None:
    with pytest.raises(FrameError):
        frames.decompress(frame, len(TEXT))


def test_a_window_over_8_mib() -> None:
    data = cases.noise("uint8", (1 << 20,)).tobytes() * 17
    frame = zstandard.ZstdCompressor(compression_params=WIDE).compress(data)
    assert zstandard.get_frame_parameters(frame).window_size > 8 * 2**20
    with pytest.raises(FrameError, match="window"):
        frames.decompress(frame, len(data))


def test_a_frame_of_nothing() -> None:
    assert frames.decompress(written(b""), 0) == b""
    with pytest.raises(FrameError):
        frames.decompress(written(b""), 1)


EMPTY = bytes.fromhex("28B52FFD 20 00")  # the header of a frame of no bytes
WINDOW = bytes.fromhex("28B52FFD 80 50 00000000")  # the same with a window of 1 MiB


@pytest.mark.parametrize(
    "frame",
    [
        EMPTY,
        EMPTY + b"\1\0",
        EMPTY + b"\0\0\0",
        EMPTY + b"\1\0\0\0",
        EMPTY + b"\1\0\0" + written(b""),
        EMPTY + b"\0\0\0" * 40 + b"\1\0\0" + bytes(100),
        EMPTY + b"\x09\0\0x",
        WINDOW + b"\x02\0\x10x" * 1_000_000 + b"\1\0\0",
    ],
    ids=range(8),
)
def test_frames_of_nothing_that_are_none(frame: bytes) -> None:
    with pytest.raises(FrameError):
        frames.decompress(frame, 0)


def test_a_frame_of_nothing_may_have_many_blocks() -> None:
    assert frames.decompress(WINDOW + b"\0\0\0" * 100 + b"\1\0\0", 0) == b""


@given(place=st.integers(0, len(GOOD) - 1), value=st.integers(1, 255))
def test_a_changed_byte_gives_the_right_length_or_an_error(place: int, value: int) -> None:
    changed = bytearray(GOOD)
    changed[place] ^= value
    with contextlib.suppress(FrameError):
        assert len(frames.decompress(bytes(changed), len(TEXT))) == len(TEXT)
