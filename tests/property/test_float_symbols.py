"""Floats as symbols: by the page's formula, and decoded like fields, all planes or fewer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcodec.codec import coder
from mcodec.codec.base import View
from mcodec.codec.float import FloatCodec
from mcodec.errors import FormatError
from mcodec.types import FLOATS, Fill, RunSpec, numpy_dtype
from support import cases, strategies

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mcodec.codec.base import Coded

DTYPES = ("float16", "bfloat16", "float32")


def encode(codec: FloatCodec, array: NDArray[Any], *, planes_only: bool) -> tuple[RunSpec, Coded]:
    run = RunSpec.of(array.dtype.name, [array.shape])
    return run, codec.encode(run, 0, array.reshape(-1), None, planes_only=planes_only)


def decode(codec: FloatCodec, run: RunSpec, coded: Coded, **view: Any) -> list[int]:
    mode, streams = coded
    out = np.empty(run.elements, numpy_dtype(run.dtype))
    parts = [coder.decode(stream) for stream in streams]
    codec.decode(run, 0, mode, parts, None, out, View(**view))
    patterns: list[int] = out.view(f"<u{out.itemsize}").tolist()
    return patterns


def stored(coded: Coded) -> tuple[int, list[bytes]]:
    return coded[0], [bytes(coder.decode(stream)) for stream in coded[1]]


@st.composite
def near(draw: st.DrawFn, dtype: str) -> NDArray[Any]:
    """Draw weights of some neighbouring exponents, and any patterns among them if so drawn."""
    form = FLOATS[dtype]
    size = draw(st.integers(0, 400))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    top = draw(st.integers(0, (1 << form.exponent) - 1))
    exponent = np.maximum(0, top - rng.geometric(draw(st.sampled_from((0.05, 0.5, 0.9))), size))
    bits = exponent << form.mantissa | rng.integers(0, 1 << form.mantissa, size)
    bits |= rng.integers(0, 2, size) << (form.width - 1)
    bits[rng.random(size) < draw(st.sampled_from((0, 0.2)))] = 0
    noise = rng.integers(0, 1 << form.width, size)
    bits = np.where(rng.random(size) < draw(st.sampled_from((0, 0.01))), noise, bits)
    array: NDArray[Any] = bits.astype(f"<u{form.width // 8}").view(numpy_dtype(dtype))
    return array


arrays = st.sampled_from(DTYPES).flatmap(lambda dtype: near(dtype) | strategies.arrays(dtype))
keeps = st.none() | st.integers(1, 8)


@given(array=arrays, dropped=keeps, planes=st.none() | st.integers(0, 12), mid=st.booleans())
def test_symbols_decode_like_fields(
    array: NDArray[Any], dropped: int | None, planes: int | None, mid: bool
) -> None:
    form = FLOATS[array.dtype.name]
    codec = FloatCodec(None if dropped is None else form.width - dropped)
    run, symbols = encode(codec, array, planes_only=False)
    _, fields = encode(codec, array, planes_only=True)
    assert fields[0] == 0
    assert decode(codec, run, symbols, planes=planes, midpoint=mid) == decode(
        codec, run, fields, planes=planes, midpoint=mid
    )
    whole = [
        u >> (dropped or 0) << (dropped or 0) for u in array.reshape(-1).view(bits(form.width))
    ]
    assert decode(codec, run, symbols) == whole
    assert coder.stored(symbols[1]) <= coder.stored(fields[1])
    assert stored(codec.recode(run, 0, symbols, planes_only=True)) == stored(fields)
    assert stored(codec.recode(run, 0, fields, planes_only=False)) == stored(symbols)


def bits(width: int) -> str:
    return f"<u{width // 8}"


@given(array=arrays)
def test_symbols_are_those_of_the_page(array: NDArray[Any]) -> None:
    form = FLOATS[array.dtype.name]
    _, (mode, streams) = encode(FloatCodec(), array, planes_only=False)
    assert mode <= (1 if form.exponent == 5 else 15)
    if not mode:
        return
    symbols, window = bytes(coder.decode(streams[1])), 14 * (mode - 1)
    patterns = array.reshape(-1).view(bits(form.width)).tolist()
    assert len(symbols) == len(patterns)
    for u, s in zip(patterns, symbols, strict=True):
        top = (u & ~(1 << (form.width - 1))) >> (form.mantissa - 2)
        assert top == (s + 4 * window if s else 0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_weights_become_symbols(dtype: str) -> None:
    for scale in (1e-4, 0.05, 3.0):
        weights = cases.weights(dtype, (300, 100), scale=scale)
        weights[7] = 0
        run, coded = encode(FloatCodec(), weights, planes_only=False)
        assert coded[0]
        assert (
            decode(FloatCodec(), run, coded)
            == weights.reshape(-1).view(f"<u{weights.itemsize}").tolist()
        )
        specs = FloatCodec().block_streams(run, 0, coded[0]) or ()
        assert [spec.name for spec in specs[:2]] == ["sign", "symbols"]
        form = FLOATS[dtype]
        assert [spec.level for spec in specs] == [0, 0, *range(3, form.mantissa + 1)]


def test_what_no_window_holds_stays_fields() -> None:
    weights = cases.weights("float32", (60_000,), scale=1.0)
    weights[:2] = 1.5, 8.0  # exponent 130: mode 6, whose window begins at 70
    for small, mode in (
        (2.0**-60, 0),
        (2.0**-57, 0),
        (2.0**-56, 6),
        (2.0**-127, 0),
        (2.0**-149, 6),
    ):
        weights[9] = small
        assert encode(FloatCodec(), weights, planes_only=False)[1][0] == mode, small


def test_one_exponent_stays_fields() -> None:
    rng = np.random.default_rng(0)
    ones = (1 + rng.random(1000, np.float32)).astype(np.float32)
    ones[0] = 1
    assert encode(FloatCodec(), ones, planes_only=False)[1][0] == 0


@pytest.mark.parametrize(
    ("dtype", "mode", "most"), [("float16", 1, 127), ("bfloat16", 15, 239), ("float32", 15, 239)]
)
def test_symbols_above_the_exponents(dtype: str, mode: int, most: int) -> None:
    codec, run = FloatCodec(), RunSpec.of(dtype, [(2,)])
    planes = FLOATS[dtype].mantissa - 2
    out = np.empty(2, numpy_dtype(dtype))
    for symbols in (memoryview(bytes([0, most + 1])), Fill(most + 1, 2)):
        with pytest.raises(FormatError, match="wider than its field") as caught:
            codec.decode(run, 0, mode, [Fill(0, 1), symbols, *[Fill(0, 1)] * planes], None, out)
        assert caught.value.code == "stream_invalid"
    codec.decode(run, 0, mode, [Fill(0, 1), Fill(most, 2), *[Fill(0, 1)] * planes], None, out)
    assert not np.isfinite(out.astype(np.float64)).any()


@pytest.mark.parametrize(
    ("dtype", "keep", "modes"),
    [
        ("float16", None, 1),
        ("bfloat16", None, 15),
        ("bfloat16", 10, 0),
        ("float32", 11, 15),
        ("float32", 10, 0),
        ("float64", None, 0),
    ],
)
def test_modes_of_a_dtype(dtype: str, keep: int | None, modes: int) -> None:
    codec, run = FloatCodec(keep), RunSpec.of(dtype, [(9,)])
    found = [mode for mode in range(256) if codec.block_streams(run, 0, mode) is not None]
    assert found == list(range(modes + 1))
