"""Streams: what a codec makes of a block, and what it refuses (spec/codecs/)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mcodec.codec import coder
from mcodec.codec.base import Codec, NotCodableError, View
from mcodec.codec.exponents import ZERO_SCOPE
from mcodec.codec.plan import parse_codec
from mcodec.codec.streams import NeedAllPlanesError, as_plane
from mcodec.errors import CodecConfigError, FormatError
from mcodec.types import (
    FILL,
    RAW,
    ZSTD,
    CodedStream,
    Fill,
    RunSpec,
    StreamSpec,
    TensorSpec,
    numpy_dtype,
)
from support import cases


def encoded(codec: Codec, array: Any, *, planes_only: bool = True) -> tuple[RunSpec, Any, int, Any]:
    """Encode a one-block tensor; return its run, head, mode and decoded streams."""
    dtype = array.dtype.name
    run = RunSpec.of(dtype, [array.shape])
    survey = codec.survey(TensorSpec("w", dtype, array.shape), [array.reshape(-1)])
    head, _ = codec.encode_head(run, [survey])
    mode, streams = codec.encode(run, 0, array.reshape(-1), head, planes_only=planes_only)
    return run, head, mode, [coder.decode(stream) for stream in streams]


def decode(
    codec: Codec, run: RunSpec, streams: Any, head: Any = None, *, mode: int = 0, **view: Any
) -> Any:
    """Decode one block."""
    start, stop = run.span(0)
    out = np.empty(stop - start, numpy_dtype(run.dtype))
    codec.decode(run, 0, mode, streams, head, out, View(**view))
    return out


def refused(codec: Codec, run: RunSpec, streams: Any, head: Any = None, *, mode: int = 0) -> None:
    with pytest.raises(FormatError) as caught:
        decode(codec, run, streams, head, mode=mode)
    assert caught.value.code == "stream_invalid"


def bytes_of(streams: list[Any]) -> list[bytes]:
    return [bytes(stream) for stream in streams]


def test_the_worked_example_of_raw() -> None:
    codec = parse_codec("raw")
    run, _, _, streams = encoded(codec, np.array([1, 2, 255], np.uint8))
    assert bytes_of(streams) == [b"\x01\x02\xff"]
    assert codec.block_streams(run, 0, 0) == (StreamSpec("bytes", 3),)
    assert codec.block_streams(run, 0, 1) is None


def test_the_worked_example_of_float() -> None:
    codec = parse_codec("float")
    run, _, _, streams = encoded(codec, np.array(-1.5, np.float32))
    assert bytes_of(streams) == [b"\x01", b"\x7f", b"\x01", *[b"\0"] * 22]
    specs = codec.block_streams(run, 0, 0) or ()
    assert [spec.name for spec in specs[:3]] == ["sign", "exponent", "mantissa.22"]
    assert [spec.level for spec in specs] == [0, 0, *range(1, 24)]
    assert codec.block_streams(run, 0, 16) is None


def test_the_worked_example_of_bfp() -> None:
    codec = parse_codec("bfp(bits=12,rounding=truncate)")
    array = np.array([0.75, -0.3, 0.05], np.float32)
    run, head, _, streams = encoded(codec, array)
    assert head.tolist() == [0]
    assert bytes_of(streams)[:2] == [b"\x02", b"\x01"]
    assert decode(codec, run, streams, head).tolist() == [0.75, -0.2998046875, 0.0498046875]
    assert codec.head_streams(run) == (StreamSpec("exponent", 2),)
    assert codec.block_streams(run, 0, 2) is None


@pytest.mark.parametrize(
    ("text", "dtype", "names"),
    [
        ("float", "float16", ["sign", "exponent", *(f"mantissa.{k}" for k in range(9, -1, -1))]),
        (
            "float(keep=12)",
            "bfloat16",
            ["sign", "exponent", "mantissa.6", "mantissa.5", "mantissa.4"],
        ),
        ("float(keep=9)", "float32", ["sign", "exponent"]),
        ("float(keep=1)", "float32", ["sign", "exponent"]),
        ("float(keep=13)", "float64", ["sign", "exponent.1", "exponent.0", "mantissa.51"]),
        ("bfp(bits=2)", "float32", ["sign", "mantissa.1", "mantissa.0"]),
        ("bfp(bits=1,scope=block:2)", "float32", ["exponent", "sign", "mantissa.0"]),
        ("raw", "int64", ["bytes"]),
    ],
)
def test_names_and_lengths_of_streams(text: str, dtype: str, names: list[str]) -> None:
    codec, run = parse_codec(text), RunSpec.of(dtype, [(3, 3)])
    specs = codec.block_streams(run, 0, 0) or ()
    assert [spec.name for spec in specs] == names
    lengths = {"exponent": 10 if "block" in text else 9, "bytes": 72}
    assert [spec.length for spec in specs] == [
        9 if name in ("exponent.1", "exponent.0") else lengths.get(name, 2) for name in names
    ]


def test_symbols_take_the_place_of_the_top_planes() -> None:
    codec, run = parse_codec("bfp(bits=10,signs=compact)"), RunSpec.of("float32", [(20,)])
    specs = codec.block_streams(run, 0, 1) or ()
    assert [(spec.name, spec.length, spec.level, spec.variable) for spec in specs] == [
        ("sign", 3, 0, True),
        ("symbols", 20, 0, False),
        ("mantissa.1", 3, 9, False),
        ("mantissa.0", 3, 10, False),
    ]


def test_symbols_and_planes_decode_alike() -> None:
    codec = parse_codec("bfp(bits=10)")
    array = cases.weights("float32", (200, 100), 1, 0.001)
    run, head, mode, streams = encoded(codec, array, planes_only=False)
    assert mode == 1
    _, _, other, planes = encoded(codec, array)
    assert other == 0
    for view in ({}, {"planes": 3}, {"planes": 9, "midpoint": False}):
        ours = decode(codec, run, streams, head, mode=1, **view)
        assert cases.same_bits(ours, decode(codec, run, planes, head, **view))


def test_a_bool_is_0_or_1() -> None:
    codec, run = parse_codec("raw"), RunSpec.of("bool", [(2,)])
    refused(codec, run, [memoryview(b"\x01\x02")])
    refused(codec, run, [Fill(2, 2)])
    with pytest.raises(FormatError) as caught:
        codec.encode(run, 0, np.array([1, 2], np.uint8).view(bool), None, planes_only=True)
    assert caught.value.code == "source_invalid"


@pytest.mark.parametrize("value", [0x10, 0x80, 0xFF])
def test_bits_past_the_last_element(value: int) -> None:
    run = RunSpec.of("float32", [(4,)])
    for text in ("float", "bfp(bits=3)"):
        codec = parse_codec(text)
        _, head, _, streams = encoded(codec, np.ones(4, np.float32))
        for plane in [index for index, stream in enumerate(streams) if len(bytes(stream)) == 1]:
            bad = [*streams]
            for bad[plane] in (Fill(value, 1), memoryview(bytes([value]))):
                refused(codec, run, bad, head)


@pytest.mark.parametrize(
    ("dtype", "stream", "value"),
    [("float16", 1, 0x20), ("float64", 1, 0x08)],
)
def test_exponents_wider_than_their_field(dtype: str, stream: int, value: int) -> None:
    codec, run = parse_codec("float"), RunSpec.of(dtype, [(2,)])
    _, _, _, streams = encoded(codec, np.ones(2, dtype))
    for streams[stream] in (Fill(value, 2), memoryview(bytes([0, value]))):
        refused(codec, run, streams)
    for streams[stream] in (Fill(value >> 1, 2), memoryview(bytes([0, value >> 1]))):
        decode(codec, run, streams)


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        ("float16", -23, 16),
        ("bfloat16", -132, 128),
        ("float32", -148, 128),
        ("float64", -1073, 1024),
    ],
)
def test_shared_exponents_outside_the_range(dtype: str, low: int, high: int) -> None:
    for text in ("bfp(bits=3)", "bfp(bits=3,scope=block:4)"):
        codec, run = parse_codec(text), RunSpec.of(dtype, [(2,)])
        for value in (low, high, ZERO_SCOPE, low - 1, high + 1, ZERO_SCOPE + 1, 32767):
            stream = memoryview(value.to_bytes(2, "little", signed=True))
            streams: list[Any] = [Fill(0, 1), Fill(3, 1), Fill(0, 1), Fill(0, 1)]
            code = ""
            try:
                head = codec.decode_head(run, [stream] if codec.head_streams(run) else [])
                decode(codec, run, ([stream] if "block" in text else []) + streams, head)
            except FormatError as error:
                code = error.code
            good = low <= value <= high or value == ZERO_SCOPE
            assert code == ("" if good else "stream_invalid"), value


def test_symbols_wider_than_their_bits() -> None:
    codec, run = parse_codec("bfp(bits=3)"), RunSpec.of("float32", [(2,)])
    head = np.array([1], np.int16)
    refused(codec, run, [Fill(0, 1), memoryview(b"\x07\x08")], head, mode=1)
    refused(codec, run, [Fill(0, 1), Fill(8, 2)], head, mode=1)
    assert decode(codec, run, [Fill(0, 1), memoryview(b"\x07\x04")], head, mode=1).tolist() == [
        1.75,
        1.0,
    ]


@pytest.mark.parametrize("signs", [b"", b"\x00\x00", b"\x04", b"\x80"])
def test_compact_signs_are_as_many_as_magnitudes(signs: bytes) -> None:
    codec, run = parse_codec("bfp(bits=1,signs=compact)"), RunSpec.of("float32", [(5,)])
    head, magnitudes = np.array([1], np.int16), memoryview(b"\x11")  # elements 0 and 4
    refused(codec, run, [memoryview(signs), magnitudes], head)
    found = decode(codec, run, [memoryview(b"\x02"), magnitudes], head)
    assert found.tolist() == [1.0, 0.0, 0.0, 0.0, -1.0]
    assert not np.signbit(found[1:4]).any()


def test_compact_signs_of_nothing() -> None:
    codec, run = parse_codec("bfp(bits=1,signs=compact)"), RunSpec.of("float32", [(5,)])
    head = np.array([1], np.int16)
    assert decode(codec, run, [Fill(0, 0), Fill(0, 1)], head).tolist() == [0.0] * 5
    refused(codec, run, [Fill(0, 1), Fill(0, 1)], head)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_cannot_be_coded(bad: float) -> None:
    for text in ("bfp(bits=8)", "bfp(bits=8,step=0.5)", "bfp(bits=8,scope=block:2)"):
        with pytest.raises(NotCodableError, match="NaN or infinity"):
            encoded(parse_codec(text), np.array([1.0, bad], np.float32))


def test_a_step_cannot_be_truncated() -> None:
    with pytest.raises(CodecConfigError, match="rounded to nearest"):
        encoded(parse_codec("bfp(bits=8,step=0.5,rounding=truncate)"), np.ones(2, np.float32))


def test_missing_planes_are_asked_for() -> None:
    codec = parse_codec("float")
    run, _, _, streams = encoded(codec, np.array([np.nan], np.float32))
    streams[2] = Fill(0, 1)
    streams[3:] = [None] * 22
    with pytest.raises(NeedAllPlanesError):
        decode(codec, run, streams, planes=1)


def test_a_plane_of_zeros_is_none() -> None:
    assert as_plane(Fill(0, 2), 9) is None
    assert as_plane(None, 9) is None
    plane = as_plane(Fill(1, 2), 9)
    assert plane is not None
    assert plane.tolist() == [1, 1]


# --- coders ---


def coded(data: bytes, levels: tuple[int, ...] = coder.SYMBOLS) -> CodedStream:
    return coder.code(np.frombuffer(data, np.uint8), levels)


def test_a_constant_is_a_fill() -> None:
    assert coded(b"") == CodedStream(FILL, 0, 0)
    assert coded(b"\x07") == CodedStream(FILL, 7, 1)
    assert coded(b"\x07" * 1000) == CodedStream(FILL, 7, 1000)
    assert coder.decode(CodedStream(FILL, 7, 3)) == Fill(7, 3)


@pytest.mark.parametrize("levels", [coder.PLANE, coder.SYMBOLS, coder.BYTES, coder.TEXT])
def test_what_shrinks_is_a_frame_and_the_rest_raw(levels: tuple[int, ...]) -> None:
    noise = cases.noise("uint8", (5000,)).tobytes()
    text = b"layer" * 1000
    for data, expected in ((noise, RAW), (text, ZSTD), (text[:60], RAW)):
        stream = coded(data, levels)
        assert stream.coder == expected
        assert stream.raw == len(data)
        assert bytes(coder.decode(stream)) == data


def test_a_frame_has_to_pay_for_its_row() -> None:
    # 64 bytes less are needed: a frame among raw neighbours costs two more rows.
    data = bytes(range(256)) + b"\0" * 60
    assert coded(data).coder == RAW
    assert coded(data + b"\0" * 100).coder == ZSTD


def test_a_damaged_frame_is_a_format_error() -> None:
    stream = coded(b"layer" * 1000)
    for damaged in (stream.data[:-1], b"x" + bytes(stream.data)[1:], b""):
        with pytest.raises(FormatError) as caught:
            coder.decode(CodedStream(ZSTD, 0, stream.raw, damaged))
        assert caught.value.code == "chunk_corrupt"
