"""split_bfp and merge_bfp against whole-number arithmetic that shares no code with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import harness
import numpy as np
import pytest
from harness import DTYPES, EVERY, TENSOR, exponent_table, merge_bfp, split_bfp
from hypothesis import given
from hypothesis import strategies as st

from mcodec.codec import kernels
from mcodec.codec.kernels import ZERO_SCOPE, Scopes
from mcodec.types import FLOATS
from support import cases, formula

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

every_dtype = pytest.mark.parametrize("dtype", DTYPES)
every_target = pytest.mark.parametrize("target", EVERY)

# The E of the largest finite number, and of the least subnormal one.
HIGHEST: Final = {"float16": 16, "bfloat16": 128, "float32": 128, "float64": 1024}
LOWEST: Final = {"float16": -23, "bfloat16": -132, "float32": -148, "float64": -1073}
STEPS: Final = (2.0**-126, 2.0**-125 * 1.5, 0.1, 1.0, 3.7, 2.0**100, 3.4e38)


def single(step: float) -> float:
    return float(np.float32(step))


def edges(dtype: str) -> NDArray[Any]:
    patterns = cases.exponents(dtype).view(harness.kind_of(dtype))
    patterns = patterns[:: max(1, patterns.size // 300)]
    return harness.finite(dtype, np.concatenate([patterns, harness.noise(dtype, 60)]))


def near(dtype: str, exponent: int, n: int = 70) -> NDArray[Any]:
    """Make numbers below 2^exponent, ties and zeros of both signs among them, as patterns."""
    rng = np.random.default_rng(exponent & 0xFFFF)
    numbers = np.concatenate([rng.random(n), np.arange(64) / 64, np.arange(64) / 1024 + 1 / 2048])
    signs = rng.integers(0, 2, numbers.size)
    patterns = [
        formula.put_together(dtype, int(s), *_ratio(x, exponent))
        for x, s in zip(numbers, signs, strict=True)
    ]
    return harness.finite(dtype, np.array(patterns, harness.kind_of(dtype)))


def _ratio(x: float, exponent: int) -> tuple[int, int]:
    return int(x * 2.0**53), exponent - 53


def quantized(
    dtype: str, values: NDArray[Any], bits: int, exponents: Sequence[int], truncate: bool
) -> list[int]:
    found = []
    for pattern, e in zip(values, exponents, strict=True):
        number = formula.take_apart(dtype, int(pattern))
        m = (
            0
            if e == ZERO_SCOPE
            else formula.divide(number.integer, number.power + bits - e, truncate=truncate)
        )
        found.append(min(m, (1 << bits) - 1))
    return found


def decoded(
    dtype: str,
    planes: Sequence[NDArray[Any]],
    n: int,
    bits: int,
    exponents: Sequence[int],
    mid: bool,
) -> list[int]:
    sign, *rest = planes
    found = []
    pairs = zip(harness.bits_of(sign, n), harness.integers_of(rest, n), exponents, strict=True)
    for s, m, e in pairs:
        middle = int(mid and m != 0)
        integer = 0 if e == ZERO_SCOPE else (m << middle) + middle
        found.append(formula.put_together(dtype, s, integer, e - len(rest) - middle))
    return found


def by_element(n: int, scopes: Scopes, table: NDArray[Any]) -> list[int]:
    return [int(table[(i + scopes.first) // scopes.inner % scopes.count]) for i in range(n)]


@every_dtype
@every_target
@pytest.mark.parametrize("truncate", [False, True])
def test_integers_of_every_width(dtype: str, target: str, truncate: bool) -> None:
    for bits in range(1, 25):
        e = (0, 3, HIGHEST[dtype], LOWEST[dtype], LOWEST[dtype] + 12)[bits % 5]
        values = np.concatenate([near(dtype, e), edges(dtype)[bits::7]])
        sign, *planes = split_bfp(target, dtype, values, bits, exponent_table(e), truncate=truncate)
        expected = quantized(dtype, values, bits, [e] * values.size, truncate)
        assert harness.integers_of(planes, values.size) == expected, bits
        top = FLOATS[dtype].width - 1
        assert sign.tolist() == harness.plane_of([int(v) >> top for v in values])


@every_dtype
@every_target
@pytest.mark.parametrize("mid", [False, True])
def test_numbers_of_every_width(dtype: str, target: str, mid: bool) -> None:
    n = 90
    for bits in range(1, 25):
        for kept in {bits, bits // 2, 0} - ({24} if mid else set()):
            planes = harness.random_planes(kept + 1, n, seed=bits)
            for e in (1, HIGHEST[dtype], LOWEST[dtype] + bits - 1):
                ours = merge_bfp(target, dtype, n, planes, bits, exponent_table(e), mid=mid)
                assert ours.tolist() == decoded(dtype, planes, n, bits, [e] * n, mid), (
                    bits,
                    kept,
                    e,
                )


@every_dtype
@every_target
@pytest.mark.parametrize("mid", [False, True])
def test_symbols_are_their_planes(dtype: str, target: str, mid: bool) -> None:
    for n in (0, 1, 9, 2100):
        for bits in range(1, 24):
            above = min(8, bits)
            for kept in {bits, (bits + above) // 2, above}:
                planes = harness.random_planes(kept + 1, n, seed=bits)
                symbols = np.zeros(n, np.uint8)
                kernels.planes_to_bytes(planes[1 : above + 1], symbols)
                for step, e in ((0.375, None), (None, exponent_table(3))):
                    ours, theirs = (
                        merge_bfp(target, dtype, n, some, bits, e, mid=mid, step=step, symbols=top)
                        for some, top in (
                            ([planes[0], *planes[above + 1 :]], symbols),
                            (planes, None),
                        )
                    )
                    assert ours.tobytes() == theirs.tobytes(), (n, bits, kept)


@every_dtype
@every_target
def test_any_exponent_is_decoded(dtype: str, target: str) -> None:
    n = 40
    planes = harness.random_planes(25, n)
    around = [HIGHEST[dtype] + d for d in range(-3, 4)]
    around += [LOWEST[dtype] + d for d in range(-4, 30, 3)]
    for e in (*around, -32768, -32767, -2000, -127, -126, -103, -102, 127, 151, 2000, 32767):
        for mid in (False, True):
            some = planes[: 24 if mid else 25]
            ours = merge_bfp(target, dtype, n, some, 24, exponent_table(e), mid=mid)
            assert ours.tolist() == decoded(dtype, some, n, 24, [e] * n, mid), e


@every_dtype
@every_target
def test_subnormal_results_are_rounded_once(dtype: str, target: str) -> None:
    """Halfway between two subnormals, and one unit of 24 bits to either side of that."""
    least = formula.FORMS[dtype][2]
    for below in range(1, 24):
        e = least + 24 - below
        lower = range(min(16, 1 << (24 - below)))
        halves = [(k << below) + (1 << (below - 1)) + d for k in lower for d in (-1, 0, 1)]
        n = len(halves)
        rows = [[m >> bit & 1 for m in halves] for bit in range(23, -1, -1)]
        planes = [np.array(harness.plane_of(row), np.uint8) for row in ([0] * n, *rows)]
        ours = merge_bfp(target, dtype, n, planes, 24, exponent_table(e))
        assert ours.tolist() == decoded(dtype, planes, n, 24, [e] * n, False), below


@every_dtype
@every_target
@pytest.mark.parametrize("truncate", [False, True])
def test_any_exponent_is_encoded(dtype: str, target: str, truncate: bool) -> None:
    values = edges(dtype)
    for e in (-32768, -32767, -1100, -1000, -200, -103, -102, 0, 127, 150, 151, 1030, 1100, 32767):
        planes = split_bfp(target, dtype, values, 24, exponent_table(e), truncate=truncate)[1:]
        expected = quantized(dtype, values, 24, [e] * values.size, truncate)
        assert harness.integers_of(planes, values.size) == expected, e


@every_dtype
@every_target
@pytest.mark.parametrize(
    "scopes",
    [Scopes(1, 5), Scopes(1, 1000), Scopes(1, 7, 3), Scopes(30, 4, 17), Scopes(32, 1 << 40, 64)],
    ids=str,
)
@pytest.mark.parametrize("extreme", [False, True])
def test_scopes(dtype: str, target: str, scopes: Scopes, extreme: bool) -> None:
    n = 600
    rng = np.random.default_rng(n)
    low, high = (LOWEST[dtype], HIGHEST[dtype]) if extreme else (-8, 8)
    table = rng.integers(low, high + 1, min(scopes.count, 700)).astype(np.int16)
    table[::4] = ZERO_SCOPE
    values = np.resize(near(dtype, int(high) if extreme else 6, 200), n)
    each = by_element(n, scopes, table)
    planes = split_bfp(target, dtype, values, 11, table, scopes=scopes)
    assert harness.integers_of(planes[1:], n) == quantized(dtype, values, 11, each, False)
    ours = merge_bfp(target, dtype, n, planes[:9], 11, table, mid=True, scopes=scopes)
    assert ours.tolist() == decoded(dtype, planes[:9], n, 11, each, True)


@every_dtype
@every_target
@pytest.mark.parametrize("step", STEPS)
def test_steps(dtype: str, target: str, step: float) -> None:
    unit = single(step)
    for bits, kept, mid in (
        (12, 12, False),
        (12, 12, True),
        (24, 24, False),
        (24, 23, True),
        (9, 5, True),
    ):
        values = edges(dtype)
        n = values.size
        planes = split_bfp(target, dtype, values, bits, step=unit)
        numbers = [formula.take_apart(dtype, int(v)) for v in values]
        expected = [round(min(float(x) / unit, 2.0**30)) for x in numbers]
        top = (1 << bits) - 1
        assert harness.integers_of(planes[1:], n) == [min(m, top) for m in expected]
        coded = formula.Coded(
            [x.sign for x in numbers], [min(m, top) for m in expected], [None] * n
        )
        ours = merge_bfp(target, dtype, n, planes[: kept + 1], bits, mid=mid, step=unit)
        wanted = formula.decode(dtype, coded, bits, planes=kept, mid=mid, step=unit)
        assert ours.tolist() == wanted


@every_dtype
@every_target
def test_zeros_keep_their_sign(dtype: str, target: str) -> None:
    n = 16
    planes = [np.array([0xF0, 0x0F], np.uint8), *(np.zeros(2, np.uint8) for _ in range(5))]
    minus = 1 << (FLOATS[dtype].width - 1)
    for e in (0, ZERO_SCOPE, 32767):
        ours = merge_bfp(target, dtype, n, planes, 5, exponent_table(e), mid=True)
        assert ours.tolist() == [0, 0, 0, 0, *[minus] * 8, 0, 0, 0, 0]


@every_dtype
@every_target
@given(data=st.data())
def test_anything(dtype: str, target: str, data: st.DataObject) -> None:
    width = FLOATS[dtype].width
    numbers = data.draw(st.lists(st.integers(0, (1 << width) - 1), min_size=1, max_size=80))
    values = harness.finite(dtype, np.array(numbers, harness.kind_of(dtype)))
    n = values.size
    bits, truncate, mid = (
        data.draw(st.integers(1, 24)),
        data.draw(st.booleans()),
        data.draw(st.booleans()),
    )
    scopes = data.draw(
        st.builds(Scopes, st.integers(1, 40), st.integers(1, 9), st.integers(0, 1 << 40))
    )
    spread = st.one_of(st.integers(LOWEST[dtype], HIGHEST[dtype]), st.integers(-32768, 32767))
    table = exponent_table(*data.draw(st.lists(spread, min_size=9, max_size=9)))
    each = by_element(n, scopes, table)
    planes = split_bfp(target, dtype, values, bits, table, truncate=truncate, scopes=scopes)
    assert harness.integers_of(planes[1:], n) == quantized(dtype, values, bits, each, truncate)
    kept = data.draw(st.integers(0, min(bits, 23) if mid else bits))
    ours = merge_bfp(target, dtype, n, planes[: kept + 1], bits, table, mid=mid, scopes=scopes)
    assert ours.tolist() == decoded(dtype, planes[: kept + 1], n, bits, each, mid)


@every_dtype
@pytest.mark.parametrize("target", harness.TARGETS)
def test_every_length_and_address(dtype: str, target: str) -> None:
    table = exponent_table(4)
    for n in range(258):
        values = harness.finite(dtype, harness.noise(dtype, n, seed=n))
        shift = n % 8
        ours = split_bfp(target, dtype, values, 12, table, shift=shift)
        theirs = split_bfp("reference", dtype, values, 12, table)
        assert all(np.array_equal(x, y) for x, y in zip(ours, theirs, strict=True)), n
        out = merge_bfp(target, dtype, n, ours, 12, table, scopes=TENSOR, shift=shift)
        assert np.array_equal(out, merge_bfp("reference", dtype, n, theirs, 12, table)), n


@every_dtype
@pytest.mark.parametrize("target", harness.TARGETS)
def test_many_chunks_with_scopes(dtype: str, target: str) -> None:
    n = 70_003
    values = harness.finite(dtype, harness.noise(dtype, n))
    for scopes in (TENSOR, Scopes(1, 64), Scopes(576, 16, 99), Scopes(128, 1 << 40)):
        table = (np.arange(700) % 19 - 9).astype(np.int16)
        ours = split_bfp(target, dtype, values, 15, table, scopes=scopes)
        theirs = split_bfp("reference", dtype, values, 15, table, scopes=scopes)
        assert all(np.array_equal(x, y) for x, y in zip(ours, theirs, strict=True))
        out = merge_bfp(target, dtype, n, ours, 15, table, scopes=scopes)
        assert np.array_equal(out, merge_bfp("reference", dtype, n, ours, 15, table, scopes=scopes))
