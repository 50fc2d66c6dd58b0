"""The codec csr: configurations, what its positions cost, and streams that break its page."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mcodec.codec import coder, kernels, positions
from mcodec.codec.bfp import BfpCodec
from mcodec.codec.csr import CsrCodec, break_even
from mcodec.codec.float import FloatCodec
from mcodec.codec.int8 import Int8Codec
from mcodec.codec.plan import codec_string, parse_codec
from mcodec.codec.registry import from_config
from mcodec.codec.scope import Scope
from mcodec.errors import CodecConfigError, FormatError
from mcodec.types import FILL, CodedStream, Fill, RunSpec, TensorSpec
from support import formula_csr

if TYPE_CHECKING:
    from pathlib import Path

    from mcodec.codec.base import Codec

ELEMENTS = 1 << 18

GOOD: list[dict[str, Any]] = [
    {"id": "csr"},
    {"id": "csr", "values": {"id": "float", "keep": 16}},
    {"id": "csr", "values": {"id": "bfp", "bits": 8, "scope": "axis:-1"}, "split": 64},
    {"id": "csr", "values": {"id": "bfp", "bits": 8, "step": 0.5}, "split": -64},
    {"id": "csr", "values": {"id": "int8"}, "split": 0},
]
BAD: list[dict[str, Any]] = [
    {"id": "csr", "keep": 8},
    {"id": "csr", "split": 65},
    {"id": "csr", "split": -65},
    {"id": "csr", "split": True},
    {"id": "csr", "split": 1.0},
    {"id": "csr", "split": None},
    {"id": "csr", "values": None},
    {"id": "csr", "values": "float"},
    {"id": "csr", "values": {}},
    {"id": "csr", "values": []},
    {"id": "csr", "values": {"id": ["float"]}},
    *({"id": "csr", "values": {"id": name}} for name in ("csr", "raw", "delta", "mask", "nosuch")),
    {"id": "csr", "values": {"id": "bfp"}},
    {"id": "csr", "values": {"id": "bfp", "bits": 8, "scope": "block:8"}},
    {"id": "csr", "values": {"id": "int8", "bits": 8}},
]


@pytest.mark.parametrize("config", GOOD, ids=str)
def test_a_configuration_survives_its_codec(config: dict[str, Any]) -> None:
    codec = from_config(config)
    again = codec.config()
    assert from_config(again) == codec
    assert set(again) == {"id", "values"} | set(config)
    assert parse_codec(codec_string(again)) == codec


@pytest.mark.parametrize("config", BAD, ids=lambda config: str(config)[:60])
def test_a_configuration_that_breaks_its_page(config: dict[str, Any]) -> None:
    with pytest.raises(CodecConfigError) as caught:
        from_config(config)
    assert caught.value.code == "codec_config"


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        ("csr", CsrCodec()),
        ("csr(values=float)", CsrCodec(FloatCodec())),
        ("csr(split=-1)", CsrCodec(FloatCodec(), -1)),
        ("csr(values=int8)", CsrCodec(Int8Codec())),
        ("csr(values=bfp(bits=8))", CsrCodec(BfpCodec(8))),
        ("csr(values=int8(scope=axis:-1),split=-1)", CsrCodec(Int8Codec(Scope("axis", -1)), -1)),
    ],
)
def test_codec_strings(text: str, codec: CsrCodec) -> None:
    assert parse_codec(text) == codec
    plain = {"csr(values=float)": "csr"}.get(text, text)
    assert codec_string(codec.config()) == plain


@pytest.mark.parametrize("text", ["csr(values=8)", "csr(values=)", "csr(values=float(", "csr()x"])
def test_malformed_codec_strings(text: str) -> None:
    with pytest.raises(CodecConfigError):
        parse_codec(text)


def test_it_says_what_its_values_say() -> None:
    for values in (FloatCodec(), FloatCodec(9), BfpCodec(7), BfpCodec(7, signs="compact")):
        codec = CsrCodec(values)
        for dtype in ("float16", "float32"):
            assert codec.exact(dtype) == values.exact(dtype)
        assert codec.weight_bits == values.weight_bits
        assert codec.by_levels == values.by_levels
        assert not codec.dithers_with(codec, "float32")
        assert codec.quantized is None
    assert CsrCodec(Int8Codec()).quantized is not None


def test_shapes_as_matrices() -> None:
    codec = CsrCodec()
    assert codec.matrix(()) == (1, 1)
    assert codec.matrix((7,)) == (1, 7)
    assert codec.matrix((7,), -5) == (1, 7)
    assert codec.matrix((2, 3, 5)) == (2, 15)
    assert codec.matrix((2, 3, 5), -1) == (6, 5)
    assert codec.matrix((2, 3, 5), 3) == (30, 1)
    assert codec.matrix((2, 3, 5), -3) == (1, 30)
    assert codec.matrix((2, 3, 5), 0) == (1, 30)
    assert CsrCodec(split=-1).matrix((2, 0, 5)) == (0, 5)
    with pytest.raises(CodecConfigError, match=r"split=3 needs as many dimensions"):
        codec.matrix((2, 3), 3)


def test_runs_that_it_cannot_carry() -> None:
    for text, dtype, shape in (
        ("csr", "int32", (3, 3)),
        ("csr(values=float(keep=17))", "float16", (3, 3)),
        ("csr(values=bfp(bits=8,scope=axis:2))", "float32", (3, 3)),
        ("csr(split=3)", "float32", (3, 3)),
        ("csr(split=-3)", "float32", (3, 3)),
    ):
        with pytest.raises(CodecConfigError):
            parse_codec(text).check(RunSpec.of(dtype, [(4, 4, 4), shape]))
    parse_codec("csr(split=-3)").check(RunSpec.of("float32", [(4, 4, 4), (5,), ()]))


@pytest.mark.parametrize("values", [FloatCodec(), FloatCodec(8), BfpCodec(8), Int8Codec()])
def test_modes_that_are_there(values: Codec) -> None:
    run = RunSpec.of("float32", [(9,)])
    inner = {mode for mode in range(256) if values.block_streams(run, 0, mode) is not None}
    assert max(inner) < 16
    codec = CsrCodec(values)
    modes = {mode for mode in range(256) if codec.block_streams(run, 0, mode) is not None}
    assert modes == {form << 4 | mode for form in formula_csr.FORMS for mode in inner}


# --- what positions cost ---


def entropy(share: float) -> float:
    return -sum(p * math.log2(p) for p in (share, 1 - share) if p)


@pytest.mark.parametrize("zeros", [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999])
def test_positions_cost_near_their_entropy(zeros: float) -> None:
    there = np.random.default_rng(7).random(ELEMENTS) >= zeros
    stored = int(there.sum())
    mask = np.packbits(there, bitorder="little")
    _, streams = positions.code(mask, ELEMENTS, stored)
    bits = 8 * coder.stored(streams)
    bound = ELEMENTS * entropy(stored / ELEMENTS)
    assert bound <= bits + 8
    # 64 bytes are the table of an entropy coder, which weighs most where least is stored.
    assert bits <= 1.02 * bound + 8 * 64


def test_positions_with_a_pattern_cost_far_less() -> None:
    matrix = np.zeros((512, 512), bool)
    rng = np.random.default_rng(8)
    matrix[:, rng.random(512) >= 0.7] = True  # whole columns
    there = {"columns": matrix, "rows": np.ascontiguousarray(matrix.T)}
    two_of_four = np.tile([True, True, False, False], ELEMENTS // 4).reshape(-1, 4)
    there["2:4"] = rng.permuted(two_of_four, axis=1)  # log2(6) bits for four
    most = {"columns": 0.02, "rows": 0.02, "2:4": 0.66}
    for name, pattern in there.items():
        mask = np.packbits(pattern.reshape(-1), bitorder="little")
        _, streams = positions.code(mask, ELEMENTS, int(pattern.sum()))
        assert 8 * coder.stored(streams) <= most[name] * ELEMENTS, name


def test_no_bytes_for_nothing_and_for_all() -> None:
    for value in (0, 255):
        mask = np.full(ELEMENTS // 8, value, np.uint8)
        form, streams = positions.code(mask, ELEMENTS, value // 255 * ELEMENTS)
        assert form == positions.MASK
        assert streams == [CodedStream(FILL, value, ELEMENTS // 8)]


def test_break_even() -> None:
    assert break_even(32, 1.0) == 1 / 32
    assert break_even(0.5, 1.0) == 1.0
    for bits in (0.1, 1, 2, 3.5, 4, 8, 16):
        share = break_even(bits)
        assert entropy(share) == pytest.approx(bits * share, rel=1e-9)
        for other in (share / 2, share * 0.99):
            assert entropy(other) > bits * other
        assert entropy(min(1.0, share * 1.01)) < bits * min(1.0, share * 1.01)
        assert share <= break_even(bits, 1.0)
    assert break_even(8) < 0.011
    assert break_even(32) < 1e-9


def test_break_even_of_the_papers(shared: Path) -> None:
    oracle = json.loads((shared / "oracles" / "densenet_sizes.json").read_text("utf-8"))
    shares = oracle["break_even_sparsity_vs_dense"]
    assert round(break_even(32, 1.0), 4) == pytest.approx(shares["fp32/bitmask"], abs=1e-4)
    assert break_even(8, 1.0) == shares["int8/bitmask"]
    for table in oracle["tables"].values():
        for row in table:
            # The bound of positions and values is what break_even compares with dense storage.
            assert (row["entropy_bound"] < row["dense"]) == (row["sparsity"] / 100 > 0.011)


# --- streams that break the page ---


def decode(run: RunSpec, mode: int, streams: list[Any], text: str = "csr") -> np.ndarray[Any, Any]:
    codec = parse_codec(text)
    out = np.ones(run.elements, np.float32)
    codec.decode(run, 0, mode, streams, None, out)
    return out


def values_of(*numbers: float) -> list[Any]:
    """Return the streams of values in `float`."""
    run = RunSpec.of("float32", [(len(numbers),)])
    array = np.array(numbers, np.float32)
    _, coded = FloatCodec().encode(run, 0, array, None, planes_only=False)
    return [coder.decode(stream) for stream in coded]


def placed(there: list[int], n: int, form: int) -> list[Any]:
    """Return the streams of positions."""
    return [memoryview(stream) for stream in formula_csr.write(there, n, form)]


def refused(run: RunSpec, mode: int, streams: list[Any], text: str = "csr") -> None:
    with pytest.raises(FormatError) as caught:
        decode(run, mode, streams, text)
    assert caught.value.code == "stream_invalid"


@pytest.mark.parametrize("k", range(9))
def test_positions_past_the_block(k: int) -> None:
    run = RunSpec.of("float32", [(1000,)])
    good = placed([3, 999], 1000, 1 + k)
    assert decode(run, (1 + k) << 4, [*good, *values_of(1.0, 2.0)])[999] == 2.0
    for wrong in ([3, 1000], [1000, 1001], [3, 1 << 20]):
        refused(run, (1 + k) << 4, [*placed(wrong, 1000, 1 + k), *values_of(1.0, 2.0)])


def test_a_gap_without_an_end() -> None:
    run = RunSpec.of("float32", [(1000,)])
    for high in (b"\x00\xff", b"\xff", b"\x00\xff\xff"):
        count = sum(byte != 255 for byte in high)
        refused(run, 0x10, [memoryview(high), *values_of(*[1.0] * count)])
        refused(run, 0x10, [Fill(255, 3), *values_of()])


def test_gaps_that_would_overflow() -> None:
    run = RunSpec.of("float32", [(ELEMENTS,)])
    high = memoryview(b"\xff" * (ELEMENTS - 1) + b"\xfe")
    refused(run, 0x90, [high, *[Fill(0, 1)] * 8, *values_of(1.0)])


def test_bits_past_the_end_of_positions() -> None:
    run = RunSpec.of("float32", [(9,)])
    refused(run, 0, [memoryview(b"\x01\x02"), *values_of(1.0)])
    refused(run, 0, [Fill(255, 2), *values_of(*[1.0] * 9)])
    high = memoryview(b"\x00\x00\x00")
    refused(run, 0x20, [high, memoryview(b"\x08"), *values_of(1.0, 2.0, 3.0)])
    found = decode(run, 0x20, [high, memoryview(b"\x04"), *values_of(1.0, 2.0, 3.0)])
    assert found.tolist() == [1.0, 2.0, 0.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0]


def test_bits_past_the_end_are_refused_before_anything_is_counted() -> None:
    run = RunSpec.of("float32", [(9,)])
    with pytest.raises(FormatError) as caught:
        CsrCodec().counted_streams(run, 0, 0, [memoryview(b"\x01\x02")])
    assert caught.value.code == "stream_invalid"


def test_positions_between_members() -> None:
    run = RunSpec.of("float32", [(3,), (0,), (2, 2), (1,)])  # at 0, 8, 8 and 16
    for place in (3, 7, 12, 15):
        for form in formula_csr.FORMS:
            refused(run, form << 4, [*placed([place], 17, form), *values_of(1.0)])
    for place in (0, 2, 8, 11, 16):
        found = decode(run, 0, [*placed([place], 17, 0), *values_of(1.0)])
        assert np.flatnonzero(found).tolist() == [place]


def test_values_where_nothing_is_stored() -> None:
    run = RunSpec.of("float32", [(9,)])
    text = "csr(values=bfp(bits=1,step=1.0,signs=compact))"
    for sign in (Fill(0, 1), memoryview(b"\x00")):
        refused(run, 0, [Fill(0, 2), sign, Fill(0, 0)], text)
    for sign in (Fill(255, 0), memoryview(b"")):
        assert not decode(run, 0, [Fill(0, 2), sign, memoryview(b"")], text).any()


def test_a_block_of_nothing_takes_no_bytes_and_changes_its_mode() -> None:
    for text in ("csr(values=bfp(bits=3))", "csr(values=int8)", "csr"):
        codec = parse_codec(text)
        run = RunSpec.of("float32", [(100,)])
        zeros = np.zeros(100, np.float32)
        survey = codec.survey(TensorSpec("w", "float32", (100,)), [zeros])
        head, _ = codec.encode_head(run, [survey])
        mode, coded = codec.encode(run, 0, zeros, head, planes_only=False)
        assert coder.stored(coded) == 0
        for planes_only in (True, False):
            again, streams = codec.recode(run, 0, (mode, coded), planes_only=planes_only)
            expected = codec.encode(run, 0, zeros, head, planes_only=planes_only)
            assert (again, streams) == expected
            specs = codec.block_streams(run, 0, again)
            assert specs is not None
            assert len(specs) == len(streams)


def test_an_element_keeps_the_scope_of_its_place() -> None:
    # Channels of very different sizes, some of them without any stored element.
    array = np.zeros((4, 5), np.float32)
    array[0, 1], array[1, 4], array[3, 0] = 1000.0, -0.001, 1.0
    codec = parse_codec("csr(values=int8(scope=axis:0))")
    run = RunSpec.of("float32", [(4, 5)])
    flat = array.reshape(-1)
    survey = codec.survey(TensorSpec("w", "float32", (4, 5)), [flat])
    head, _ = codec.encode_head(run, [survey])
    mode, coded = codec.encode(run, 0, flat, head, planes_only=False)
    out = np.empty(20, np.float32)
    codec.decode(run, 0, mode, [coder.decode(stream) for stream in coded], head, out)
    assert np.allclose(out, flat, rtol=1e-6, atol=0)


def test_the_plane_of_stored_elements_and_back() -> None:
    mask = np.zeros(3, np.uint8)
    kernels.nonzero_plane(np.array([0, 5, 0, 0, 1 << 31, 0, 0, 0, 0, 1] * 2, np.uint32), mask)
    assert positions.indices(mask, 20).tolist() == [1, 4, 9, 11, 14, 19]
