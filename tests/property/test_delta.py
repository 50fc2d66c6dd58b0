"""Deltas give back every bit, or a value within the bounds of the residual's own bits.

The formulas of `support.formula_delta` are of whole numbers alone.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcodec.codec import coder
from mcodec.codec.base import NotCodableError, View
from mcodec.codec.bfp import BfpCodec
from mcodec.codec.delta import DeltaCodec
from mcodec.codec.scope import parse_scope
from mcodec.errors import FormatError
from mcodec.types import FLOATS, Fill, RunSpec, numpy_dtype
from support import blocks, cases, formula, formula_delta, strategies
from support.cases import same_bits

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn
    from numpy.typing import NDArray

FORMATS = st.sampled_from(tuple(FLOATS))
NARROW = st.sampled_from(("float16", "bfloat16", "float32"))
SCOPES = st.sampled_from(("tensor", "axis:0", "axis:-1", "block:1", "block:8"))


def patterns(array: NDArray[Any]) -> list[int]:
    found: list[int] = array.reshape(-1).view(f"<u{array.itemsize}").tolist()
    return found


def of_patterns(dtype: str, values: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    array = np.array(values, f"<u{FLOATS[dtype].width // 8}")
    return array.view(numpy_dtype(dtype)).reshape(shape)


@st.composite
def pairs(draw: DrawFn, dtype: str, shape: tuple[int, ...]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Draw a base of any bits, and values that are near, the same, or anything."""
    width = FLOATS[dtype].width
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    size = int(np.prod(shape, dtype=np.int64))
    base = patterns(cases.noise(dtype, (size,), draw(st.integers(0, 2**32))))
    if draw(st.booleans()):
        base = [p & ~(0x6 << (width - 4)) for p in base]  # small numbers, subnormals among them
    kind = draw(st.sampled_from(("near", "same", "any", "ends")))
    most = {"near": draw(st.integers(1, width - 1)), "same": 0, "any": width, "ends": 0}[kind]
    steps = [int(d) for d in rng.integers(-(2**62), 2**62, size) >> (63 - most)] if most else []
    values = formula_delta.add(dtype, base, steps) if most else list(base)
    if kind == "ends":
        some = [0, 1 << (width - 1), (1 << width) - 1, (1 << (width - 1)) - 1]
        base = [some[i] for i in rng.integers(0, 4, size)]
        values = [some[i] for i in rng.integers(0, 4, size)]
    return of_patterns(dtype, base, shape), of_patterns(dtype, values, shape)


@given(dtype=FORMATS, data=st.data())
def test_any_patterns_survive(dtype: str, data: st.DataObject) -> None:
    shapes = data.draw(st.lists(strategies.shapes(60), min_size=1, max_size=4))
    drawn = [data.draw(pairs(dtype, shape)) for shape in shapes]
    bases, values = zip(*drawn, strict=True)
    packed = blocks.encode(DeltaCodec(), values, bases)
    for found, array in zip(blocks.decode(packed), values, strict=True):
        assert same_bits(found, array)
    if packed.blocks:
        flat = patterns(packed.bases[0])
        steps = formula_delta.differences(dtype, flat, patterns(blocks.lay(packed.run, values)))
        mode = packed.blocks[0][0]
        assert blocks.streams_of(packed) == formula_delta.streams(dtype, flat, steps, mode)


@given(dtype=FORMATS, mode=st.integers(0, 4), data=st.data())
def test_every_number_of_classes_decodes(dtype: str, mode: int, data: st.DataObject) -> None:
    base, values = data.draw(pairs(dtype, (data.draw(st.integers(1, 120)),)))
    steps = formula_delta.differences(dtype, patterns(base), patterns(values))
    made = formula_delta.streams(dtype, patterns(base), steps, mode)
    run, codec = RunSpec.of(dtype, [base.shape]), DeltaCodec()
    streams = [memoryview(stream) for stream in made.values()]
    specs = codec.counted_streams(run, 0, mode, streams)
    assert [spec.name for spec in specs] == list(made)
    counted = [(spec.length, len(made[spec.name])) for spec in specs if spec.counted]
    assert all(length == own for length, own in counted)
    out = np.empty_like(values)
    codec.decode(run, 0, mode, streams, None, out, bases=[base])
    assert same_bits(out, values)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("turn", [0, 1, 0x8000, 0x7FFF, 0xABCD])
def test_every_pattern_of_16_bits(dtype: str, turn: int) -> None:
    every = np.arange(1 << 16, dtype="<u2")
    base = every.view(numpy_dtype(dtype))
    values = (every + np.uint16(turn)).view(numpy_dtype(dtype))
    (found,) = blocks.decode(blocks.encode(DeltaCodec(), [values], [base]))
    assert same_bits(found, values)


@pytest.mark.parametrize("size", cases.BLOCK_SIZES)
@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_sizes_where_blocks_are_cut(dtype: str, size: int) -> None:
    base, values = cases.weights(dtype, (size,), 1), cases.weights(dtype, (size,), 2)
    values[: size // 2] = base[: size // 2]
    packed = blocks.encode(DeltaCodec(), [values], [base])
    assert len(packed.blocks) == -(-size // (1 << 18))
    assert same_bits(blocks.decode(packed)[0], values)


@given(dtype=FORMATS, mode=st.integers(0, 4), data=st.data())
def test_damaged_streams_are_refused_or_decode(dtype: str, mode: int, data: st.DataObject) -> None:
    base, values = data.draw(pairs(dtype, (data.draw(st.integers(1, 40)),)))
    steps = formula_delta.differences(dtype, patterns(base), patterns(values))
    made = formula_delta.streams(dtype, patterns(base), steps, mode)
    name = data.draw(st.sampled_from([name for name, part in made.items() if part]))
    part = bytearray(made[name])
    part[data.draw(st.integers(0, len(part) - 1))] ^= data.draw(st.integers(1, 255))
    if data.draw(st.booleans()) and name.startswith("length"):
        part = part[: data.draw(st.integers(0, len(part)))]
    made[name] = bytes(part)
    run, codec = RunSpec.of(dtype, [base.shape]), DeltaCodec()
    streams: list[Any] = [memoryview(stream) for stream in made.values()]
    if len(set(part)) == 1 and data.draw(st.booleans()):
        streams[list(made).index(name)] = Fill(part[0], len(part))
    out = np.empty_like(values)
    try:
        specs = codec.counted_streams(run, 0, mode, streams)
        for spec, stream in zip(specs, made.values(), strict=True):
            if spec.counted and spec.length != len(stream):
                return  # the container refuses it
        codec.decode(run, 0, mode, streams, None, out, bases=[base])
    except FormatError as error:
        if error.code != "stream_invalid":
            raise


def lossy(bits: int, scope: str = "tensor", **options: Any) -> DeltaCodec:
    return DeltaCodec(BfpCodec(bits, scope=parse_scope("bfp", scope), **options))


def residuals(base: NDArray[Any], values: NDArray[Any]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = values.astype(np.float64) - base.astype(np.float64)
    return found


@given(
    dtype=NARROW,
    bits=st.integers(1, 24),
    scope=SCOPES,
    rounding=st.sampled_from(("nearest", "truncate")),
    signs=st.sampled_from(("full", "compact")),
    planes=st.none() | st.integers(1, 24),
    data=st.data(),
)
def test_a_residual_is_what_whole_numbers_give(
    dtype: str,
    bits: int,
    scope: str,
    rounding: str,
    signs: str,
    planes: int | None,
    data: st.DataObject,
) -> None:
    shapes = data.draw(st.lists(strategies.shapes(60, least_dims=1), min_size=1, max_size=3))
    bases = [data.draw(strategies.finite(dtype, shape)) for shape in shapes]
    values = [data.draw(strategies.finite(dtype, shape)) for shape in shapes]
    codec = lossy(bits, scope, rounding=rounding, signs=signs)
    try:
        packed = blocks.encode(codec, values, bases)
    except NotCodableError:
        pairs_of = zip(bases, values, strict=True)
        far = max(float(np.abs(residuals(*both)).max(initial=0)) for both in pairs_of)
        assert far >= 2.0**128
        return
    kept = bits if planes is None else min(planes, bits)
    found = blocks.decode(packed, View(planes=planes))
    for base, value, decoded in zip(bases, values, found, strict=True):
        r = residuals(base, value)
        coded = formula.encode(
            "float64", r, bits, scope, truncate=rounding == "truncate", step=None
        )
        mid = kept < bits and kept < 24
        compact = signs == "compact"
        rest = formula.decode("float32", coded, bits, planes=kept, mid=mid, compact=compact)
        sums = [formula_delta.plus(dtype, *p) for p in zip(patterns(base), rest, strict=True)]
        assert patterns(decoded) == sums


def half_ulp(dtype: str, value: Fraction) -> Fraction:
    """Return the most that rounding to a dtype moves a number that is in its range."""
    _, mantissa, least = formula.FORMS[dtype]
    scaled = abs(value) * 2**149
    power = (scaled.numerator // scaled.denominator).bit_length() - 149 - mantissa
    return Fraction(2) ** (max(power, least) - 1)


@given(dtype=NARROW, bits=st.integers(2, 24), scope=SCOPES, data=st.data())
def test_the_error_is_bounded_by_the_bits_of_the_residual(
    dtype: str, bits: int, scope: str, data: st.DataObject
) -> None:
    shape = data.draw(strategies.shapes(60, least_dims=1))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    # The base is itself far from anything, as a coarse decode is: its error must not show.
    base = np.asarray(rng.standard_normal(shape)).astype(numpy_dtype(dtype))
    near = 2.0 ** data.draw(st.integers(-20, 4))
    values = (base.astype(np.float64) + near * rng.standard_normal(shape)).astype(base.dtype)
    (found,) = blocks.decode(blocks.encode(lossy(bits, scope), [values], [base]))
    r = residuals(base, values)
    of = formula.scopes_of(scope, shape)
    largest = np.zeros(of.max(initial=0) + 1)
    np.maximum.at(largest, of, np.abs(r).reshape(-1))
    exponents = np.frexp(largest)[1][of]
    rows = zip(patterns(values), patterns(found), r.reshape(-1), exponents, strict=True)
    for value, decoded, own, exponent in rows:
        unit = Fraction(2) ** (int(exponent) - bits)
        clamped = abs(Fraction(float(own))) > (2**bits - 1) * unit
        there, back = (formula_delta.exact(dtype, p) for p in (value, decoded))
        slack = half_ulp("float32", abs(there) + unit) * 2  # r' and the sum
        if dtype != "float32":
            slack += half_ulp(dtype, abs(there) + unit)
        assert abs(there - back) <= (unit if clamped else unit / 2) + slack


@pytest.mark.parametrize("side", ["values", "base"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("scope", ["tensor", "block:8"])
def test_numbers_that_are_not_finite_are_not_coded(
    dtype: str, side: str, bad: float, scope: str
) -> None:
    arrays = {name: cases.weights(dtype, (5, 9)) for name in ("values", "base")}
    arrays[side][3, 3] = bad
    with pytest.raises(NotCodableError, match="it, or its base, holds NaN or infinity"):
        blocks.encode(lossy(6, scope), [arrays["values"]], [arrays["base"]])


def test_numbers_too_far_apart_are_not_coded() -> None:
    far = np.array([3e38, 0], "<f4")
    with pytest.raises(NotCodableError, match="further from its base than float32 reaches"):
        blocks.encode(lossy(6), [far], [-far])
    packed = blocks.encode(lossy(24), [far], [-far * np.float32(0.1)])
    assert np.allclose(blocks.decode(packed)[0], far)


def test_a_sum_that_would_be_infinite_is_the_largest_number() -> None:
    for dtype in ("float16", "bfloat16", "float32"):
        largest = np.array([np.finfo(np.float32).max], "<f4")
        if dtype != "float32":
            pattern = {"float16": 0x7BFF, "bfloat16": 0x7F7F}[dtype]
            largest = of_patterns(dtype, [pattern], (1,))
        packed = blocks.encode(lossy(1), [largest], [largest / largest.dtype.type(2)])
        again = packed._replace(bases=[largest])  # a base that moved: r is as large as it was
        assert same_bits(blocks.decode(again)[0], largest)


def test_a_base_that_is_not_finite_is_refused() -> None:
    base = cases.weights("float32", (4, 4))
    packed = blocks.encode(lossy(6), [base * np.float32(1.01)], [base])
    for bad in (np.nan, np.inf):
        packed.bases[0][7] = bad
        with pytest.raises(FormatError, match="the base holds NaN or infinity") as caught:
            blocks.decode(packed)
        assert caught.value.code == "stream_invalid"


def test_exponents_that_float32_has_not_are_refused() -> None:
    base = cases.weights("float16", (4, 4))
    packed = blocks.encode(lossy(6), [base * np.float16(1.5)], [base])
    for exponent in (-149, 129):
        head = [memoryview(np.array([exponent], "<i2").tobytes())]
        with pytest.raises(FormatError, match="range of float32") as caught:
            blocks.decode(packed._replace(head=head))
        assert caught.value.code == "stream_invalid"


def test_other_modes_of_a_residual() -> None:
    base = cases.weights("bfloat16", (40, 40), 1)
    values = (base.astype(np.float32) * 1.03).astype(base.dtype)
    packed = blocks.encode(lossy(4), [values], [base])
    assert packed.blocks[0][0] == 1
    codec, run = packed.codec, packed.run
    planes = codec.recode(run, 0, packed.blocks[0], planes_only=True)
    assert planes[0] == 0
    blocks.check_lengths(codec, run, 0, planes)
    again = blocks.decode(packed._replace(blocks=[planes]))
    assert same_bits(again[0], blocks.decode(packed)[0])
    back = codec.recode(run, 0, planes, planes_only=False)
    assert [coder.decode(s) for s in back[1]] == [coder.decode(s) for s in packed.blocks[0][1]]


def test_classes_of_another_base_are_refused() -> None:
    base = cases.weights("float32", (300,), 1)
    values = base * np.float32(1.01)
    steps = formula_delta.differences("float32", patterns(base), patterns(values))
    made = formula_delta.streams("float32", patterns(base), steps, 3)
    base[::2] *= np.float32(0.5)
    streams, out = [memoryview(part) for part in made.values()], np.empty_like(base)
    run = RunSpec.of("float32", [base.shape])
    with pytest.raises(FormatError, match="classes") as caught:
        DeltaCodec().decode(run, 0, 3, streams, None, out, bases=[base])
    assert caught.value.code == "stream_invalid"
