"""The codec int8: its scales, codes and streams, and what it refuses (spec/codecs/int8.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mcodec.codec import coder
from mcodec.codec.base import NotCodableError, View
from mcodec.codec.int8 import Int8Codec
from mcodec.codec.int8_codes import BYTES, PLANES
from mcodec.codec.scales import (
    dequantize,
    find_scales,
    integers_of,
    quantize,
    scales_shape,
    shaped,
)
from mcodec.codec.scope import TENSOR, Scope
from mcodec.errors import FormatError
from mcodec.types import Fill, RunSpec, TensorSpec, numpy_dtype

if TYPE_CHECKING:
    from mcodec.codec.streams import Stream

ROWS, COLUMNS = Scope("axis", 0), Scope("axis", -1)
ONE = np.ones(1, np.float32)
LEAST = 2.0**-126


def scales_of(values: Any, dtype: str = "float32", scope: Scope = TENSOR) -> list[float]:
    array = np.array(values, numpy_dtype(dtype))
    tensor = TensorSpec("w", dtype, array.shape)
    flat = array.reshape(-1)
    found = find_scales(tensor, [flat[:3], flat[3:]], scope)  # blocks of any sizes
    assert found.dtype == np.float32
    return [float(scale) for scale in found]


def test_a_scale_is_the_largest_over_127() -> None:
    values = [[1.0, -2.0], [0.0, -0.0], [3.0, 254.0]]
    assert scales_of(values) == [2.0]
    assert scales_of(values, scope=ROWS) == [float(np.float32(2 / 127)), 1.0, 2.0]
    assert scales_of(values, scope=COLUMNS) == [float(np.float32(3 / 127)), 2.0]
    assert scales_of([]) == []
    assert scales_of(np.zeros((0, 3)), scope=COLUMNS) == []
    assert scales_of(127.0) == [1.0]


def test_a_scale_does_not_underflow() -> None:
    assert scales_of([1e-40]) == [LEAST]
    assert scales_of([2.0**-149]) == [LEAST]
    assert scales_of([5e-324], "float64") == [LEAST]
    assert scales_of([127 * 2.0**-126]) == [LEAST]
    assert scales_of([128 * 2.0**-126])[0] > LEAST
    assert scales_of([2.0**-24], "float16") == [float(np.float32(2.0**-24 / 127))]


def test_a_scale_that_is_no_float32() -> None:
    edge = 127 * (2.0**128 - 2.0**103)  # halfway between the largest float32 and infinity
    assert scales_of([np.nextafter(edge, 0)], "float64") == [2.0**128 - 2.0**104]
    for value in (edge, 1e308, np.inf, np.nan):
        with pytest.raises(NotCodableError):
            scales_of([1.0, value], "float64")


def test_codes_round_to_even_and_keep_zero() -> None:
    values = [0.5, -0.5, 1.5, -2.5, 126.5, 127.5, -1e9, 0.0, -0.0, 0.4999]
    array = np.array(values, np.float32)
    tensor = TensorSpec("w", "float32", array.shape)
    codes = quantize(tensor, 0, array, TENSOR, ONE)
    assert integers_of(codes).tolist() == [0, 0, 2, -2, 126, 127, -127, 0, 0, 0]
    assert codes.tolist() == [0, 0, 2, 0x82, 126, 127, 0xFF, 0, 0, 0]
    back = dequantize(tensor, 0, codes, TENSOR, ONE)
    assert back.tolist() == [0, 0, 2, -2, 126, 127, -127, 0, 0, 0]
    assert not np.signbit(back[codes == 0]).any()


def test_parts_of_a_tensor_know_their_channels() -> None:
    array = np.arange(-12, 12, dtype=np.float32).reshape(4, 6)
    tensor = TensorSpec("w", "float32", array.shape)
    flat = array.reshape(-1)
    for scope in (TENSOR, ROWS, COLUMNS):
        scales = find_scales(tensor, [flat], scope)
        whole = quantize(tensor, 0, flat, scope, scales)
        parts = [quantize(tensor, i, flat[i : i + 5], scope, scales) for i in range(0, 24, 5)]
        assert np.concatenate(parts).tolist() == whole.tolist()
        values = dequantize(tensor, 7, whole[7:], scope, scales)
        expected = integers_of(whole).reshape(4, 6) * shaped(scales, (4, 6), scope)
        assert values.tolist() == expected.reshape(-1)[7:].tolist()
    assert quantize(tensor, 0, flat[:0], ROWS, scales).size == 0
    assert dequantize(tensor, 0, whole[:0], ROWS, scales).size == 0


def test_every_code_is_an_integer() -> None:
    codes = np.arange(256, dtype=np.uint8)
    expected = [*range(128), *range(0, -128, -1)]
    assert integers_of(codes).tolist() == expected
    assert integers_of(codes).dtype == np.int8


def test_scales_broadcast() -> None:
    assert scales_shape((3, 4, 5), TENSOR) == ()
    assert scales_shape((), TENSOR) == ()
    assert scales_shape((3, 4, 5), Scope("axis", -1)) == (5,)
    assert scales_shape((3, 4, 5), Scope("axis", 2)) == (5,)
    assert scales_shape((3, 4, 5), Scope("axis", 1)) == (4, 1)
    assert scales_shape((3, 4, 5), Scope("axis", -3)) == (3, 1, 1)
    assert shaped(np.zeros(0, np.float32), (0, 3), COLUMNS).tolist() == [1, 1, 1]
    assert shaped(np.zeros(0, np.float32), (0,), TENSOR).tolist() == 1


def streams(mode: int, codes: list[int]) -> list[Stream | None]:
    if mode == BYTES:
        return [memoryview(bytes(codes))]
    bits = np.unpackbits(np.array(codes, np.uint8)[:, None], axis=1)
    return [memoryview(np.packbits(row, bitorder="little").tobytes()) for row in bits.T]


def decoded(mode: int, codes: list[int], view: View) -> list[float]:
    run = RunSpec.of("float32", [(len(codes),)])
    out = np.empty(len(codes), np.float32)
    found = streams(mode, codes)
    if view.planes is not None and mode == PLANES:
        found[view.planes + 1 :] = [None] * (7 - view.planes)
    Int8Codec().decode(run, 0, mode, found, ONE, out, view)
    return [float(value) for value in out]


@pytest.mark.parametrize("mode", [PLANES, BYTES])
def test_fewer_planes(mode: int) -> None:
    codes = [0, 1, 0x81, 64, 0xC1, 127, 0x9F]
    assert decoded(mode, codes, View()) == [0, 1, -1, 64, -65, 127, -31]
    assert decoded(mode, codes, View(7, True)) == [0, 1, -1, 64, -65, 127, -31]
    assert decoded(mode, codes, View(2)) == [0, 0, 0, 80, -80, 112, 0]
    assert decoded(mode, codes, View(2, False)) == [0, 0, 0, 64, -64, 96, 0]
    assert decoded(mode, codes, View(6)) == [0, 0, 0, 65, -65, 127, -31]
    assert decoded(mode, codes, View(0)) == [0] * 7
    assert np.signbit(decoded(mode, codes, View(0))).tolist() == [c > 128 for c in codes]


@pytest.mark.parametrize("mode", [PLANES, BYTES])
def test_a_sign_without_a_magnitude(mode: int) -> None:
    for run in (RunSpec.of("float32", [(3,)]), RunSpec.of("float32", [(1,), (1,)])):
        codes = [1] * run.elements
        codes[2] = 0x80  # of an element, or of a gap
        out = np.empty(run.elements, np.float32)
        scales = np.ones(len(run.shapes), np.float32)
        with pytest.raises(FormatError, match="a sign and no magnitude") as caught:
            Int8Codec().decode(run, 0, mode, streams(mode, codes), scales, out)
        assert caught.value.code == "stream_invalid"


@pytest.mark.parametrize(
    "pattern", [0, 1, 0x007FFFFF, 0x7F800000, 0x7FC00000, 0x80000000, 0xBF800000, 0xFFFFFFFF]
)
def test_a_scale_of_a_file(pattern: int) -> None:
    run = RunSpec.of("float32", [(2, 3)])
    good = np.array([0x00800000, 0x7F7FFFFF], "<u4")
    found = Int8Codec(ROWS).decode_head(run, [memoryview(good.tobytes())])
    assert found.tolist() == [LEAST, 2.0**128 - 2.0**104]
    good[1] = pattern
    with pytest.raises(FormatError, match="no positive normal float32") as caught:
        Int8Codec(ROWS).decode_head(run, [memoryview(good.tobytes())])
    assert caught.value.code == "stream_invalid"
    with pytest.raises(FormatError, match="no positive normal float32"):
        Int8Codec(ROWS).decode_head(run, [Fill(0xFF, 8)])


def test_a_mode_that_is_not_there() -> None:
    assert Int8Codec().block_streams(RunSpec.of("float32", [(9,)]), 0, 2) is None


def test_a_block_is_recoded_as_it_would_be_encoded() -> None:
    run = RunSpec.of("float32", [(70, 30), (5,)])
    rng = np.random.default_rng(0)
    values = (rng.standard_normal(run.elements) * 5).astype(np.float32)
    values[2100:2104] = 0  # the gap
    scales = np.ones(2, np.float32)
    codec = Int8Codec()
    planes = codec.encode(run, 0, values, scales, planes_only=True)
    best = codec.encode(run, 0, values, scales, planes_only=False)
    assert (planes[0], best[0]) == (PLANES, BYTES)
    assert codec.recode(run, 0, best, planes_only=True) == planes
    assert codec.recode(run, 0, planes, planes_only=False) == best
    assert codec.recode(run, 0, planes, planes_only=True) is planes
    assert codec.recode(run, 0, best, planes_only=False) is best
    bad = coder.code(np.full(run.elements, 0x80, np.uint8), coder.SYMBOLS)
    with pytest.raises(FormatError, match="a sign and no magnitude"):
        codec.recode(run, 0, (BYTES, [bad]), planes_only=True)


def test_integers_of_a_block() -> None:
    run = RunSpec.of("float32", [(3,), (2,)])
    codes = [1, 0x82, 127, 9, 9, 9, 9, 9, 0xFF, 0]
    out = np.empty(run.elements, np.int8)
    codec = Int8Codec()
    codec.quantized.integers(run, 0, BYTES, streams(BYTES, codes), None, out)
    assert out.tolist() == [1, -2, 127, 0, 0, 0, 0, 0, -127, 0]
    assert codec.quantized.scales(ONE) is ONE
