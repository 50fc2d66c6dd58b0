"""quantize_int8 and dequantize_int8 against whole numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import harness
import numpy as np
import pytest
from harness import DTYPES, EVERY, TENSOR, Memory
from hypothesis import given
from hypothesis import strategies as st

from mcodec.codec import kernels
from mcodec.codec.kernels import Scopes
from support import cases, formula

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

every_dtype = pytest.mark.parametrize("dtype", DTYPES)
every_target = pytest.mark.parametrize("target", EVERY)

# the least, the largest, and one whose products are subnormal in float16, or in the middle
SCALES: Final = (2.0**-126, 3.4e38, 2.0**-21 * 1.25, 0.1, 1.0, 3.7e-5, 1000.0)
SCOPES: Final = (TENSOR, Scopes(1, 7), Scopes(1, 5, 3), Scopes(3, 7, 2), Scopes(64, 1 << 40, 40))


def table(*scales: float) -> NDArray[Any]:
    return np.array(scales, np.float32)


def by_element(n: int, scopes: Scopes, scales: NDArray[Any]) -> list[float]:
    each = [(i + scopes.first) // scopes.inner % scopes.count for i in range(n)]
    return [float(scales[i]) for i in each]


def quantize(
    target: str, dtype: str, values: NDArray[Any], scopes: Scopes, scales: NDArray[Any]
) -> list[int]:
    memory = Memory(values.size % 8)
    out = memory.array("u1", values.size)
    with kernels.forced(target):
        kernels.quantize_int8(dtype, memory.like(values), scopes, memory.like(scales), out)
    memory.check(out)
    found: list[int] = out.tolist()
    return found


def dequantize(
    target: str, dtype: str, codes: NDArray[Any], scopes: Scopes, scales: NDArray[Any]
) -> list[int]:
    memory = Memory(codes.size % 8)
    out = memory.array(harness.kind_of(dtype), codes.size)
    with kernels.forced(target):
        kernels.dequantize_int8(dtype, out, scopes, memory.like(scales), memory.like(codes))
    memory.check(out)
    found: list[int] = out.tolist()
    return found


def coded(dtype: str, values: NDArray[Any], scales: Sequence[float]) -> list[int]:
    numbers = [formula.take_apart(dtype, int(v)) for v in values]
    magnitudes = [
        min(127, round(min(float(x) / s, 1000.0))) for x, s in zip(numbers, scales, strict=True)
    ]
    return [m | (x.sign << 7 if m else 0) for m, x in zip(magnitudes, numbers, strict=True)]


def decoded(dtype: str, codes: NDArray[Any], scales: Sequence[float]) -> list[int]:
    found = []
    for code, scale in zip(codes.tolist(), scales, strict=True):
        s = formula.take_apart("float32", int(np.float32(scale).view(np.uint32)))
        product = formula.put_together("float32", 0, (code & 127) * s.integer, s.power)
        once = formula.take_apart("float32", product)
        found.append(formula.put_together(dtype, code >> 7, once.integer, once.power))
    return found


def near_ties(dtype: str, scale: float) -> NDArray[Any]:
    """Return numbers halfway between two codes where the dtype has them, and their neighbours."""
    halves = np.concatenate([np.arange(-140, 140) + 0.5, [0.0, -0.0, 126.9, 1e9]])
    s = formula.take_apart("float32", int(np.float32(scale).view(np.uint32)))
    patterns = [
        formula.put_together(dtype, int(np.signbit(h)), int(abs(h) * 2) * s.integer, s.power - 1)
        for h in halves
    ]
    exact = np.array(patterns, harness.kind_of(dtype))
    one = exact.dtype.type(1)
    return harness.finite(dtype, np.concatenate([exact, exact + one, exact - one]))


@every_dtype
@every_target
@pytest.mark.parametrize("scale", SCALES)
def test_numbers_are_rounded_to_codes(dtype: str, target: str, scale: float) -> None:
    edges = cases.exponents(dtype).view(harness.kind_of(dtype))
    edges = harness.finite(dtype, edges[:: max(1, edges.size // 200)])
    values = np.concatenate([near_ties(dtype, scale), edges])
    scales = table(scale)
    each = [float(scales[0])] * values.size
    found = quantize(target, dtype, values, TENSOR, scales)
    assert found == coded(dtype, values, each)
    assert 0x80 not in found


@every_dtype
@every_target
@pytest.mark.parametrize("scale", SCALES)
def test_every_code_is_decoded(dtype: str, target: str, scale: float) -> None:
    codes = np.arange(256).astype(np.uint8)
    scales = table(scale)
    found = dequantize(target, dtype, codes, TENSOR, scales)
    assert found == decoded(dtype, codes, [float(scales[0])] * 256)
    assert found[0] == 0


@every_dtype
@every_target
@pytest.mark.parametrize("scopes", SCOPES, ids=str)
def test_scales_of_scopes(dtype: str, target: str, scopes: Scopes) -> None:
    scales = table(*SCALES, *SCALES[::-1])
    for n in (0, 1, 9, 127, 128, 129, 513, 700):
        each = by_element(n, scopes, scales)
        values = harness.finite(dtype, harness.noise(dtype, n, seed=n))
        assert quantize(target, dtype, values, scopes, scales) == coded(dtype, values, each)
        codes = np.random.default_rng(n).integers(0, 256, n, np.uint8)
        assert dequantize(target, dtype, codes, scopes, scales) == decoded(dtype, codes, each)


@every_dtype
@every_target
@given(data=st.data())
def test_anything(dtype: str, target: str, data: st.DataObject) -> None:
    kind = np.dtype(harness.kind_of(dtype))
    raw = data.draw(st.binary(max_size=80 * kind.itemsize))
    n = len(raw) // kind.itemsize
    values = harness.finite(dtype, np.frombuffer(raw, kind, n))
    scopes = data.draw(
        st.builds(Scopes, st.integers(1, 40), st.integers(1, 5), st.integers(0, 1 << 40))
    )
    normal = st.floats(2.0**-126, 2.0**127, width=32)
    scales = table(*data.draw(st.lists(normal, min_size=5, max_size=5)))
    each = by_element(n, scopes, scales)
    assert quantize(target, dtype, values, scopes, scales) == coded(dtype, values, each)
    codes = np.frombuffer(raw, np.uint8, n)
    assert dequantize(target, dtype, codes, scopes, scales) == decoded(dtype, codes, each)


@every_target
@pytest.mark.parametrize("scale", [0.0, -1.0, 2.0**-127, float("inf"), float("nan")])
def test_scales_that_are_none(target: str, scale: float) -> None:
    """Only those that an element has count."""
    values, codes = np.zeros(4, np.uint32), np.zeros(4, np.uint8)
    scales = table(1.0, 1.0, scale)
    with kernels.forced(target):
        kernels.dequantize_int8("float32", values, Scopes(2, 3), scales, codes)
        for first in (1, 4):
            scopes = Scopes(2, 3, first)
            with pytest.raises(ValueError, match="scales"):
                kernels.dequantize_int8("float32", values, scopes, scales, codes)
            with pytest.raises(ValueError, match="scales"):
                kernels.quantize_int8("float32", values, scopes, scales, codes)


@every_target
def test_misuse_is_a_value_error(target: str) -> None:
    values, codes, one = np.zeros(4, np.uint32), np.zeros(4, np.uint8), table(1.0)
    with kernels.forced(target):
        with pytest.raises(ValueError, match="values"):
            kernels.quantize_int8("float64", values, TENSOR, one, codes)
        with pytest.raises(ValueError, match="out"):
            kernels.quantize_int8("float32", values, TENSOR, one, codes[1:])
        with pytest.raises(ValueError, match="codes"):
            kernels.dequantize_int8("float32", values, TENSOR, one, codes[1:])
        with pytest.raises(ValueError, match="scopes"):
            kernels.dequantize_int8("float32", values, Scopes(2, 2), one, codes)
