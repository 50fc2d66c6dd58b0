"""Shared exponents: the least E with max < 2^E, of one scope and of many (spec/codecs/bfp.md)."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mcodec.codec.base import NotCodableError
from mcodec.codec.exponents import RANGES, ZERO_SCOPE, exponents_of
from mcodec.types import FLOATS


def by_definition(dtype: str, pattern: int) -> int:
    """Return E from the value of a pattern, as a fraction."""
    form = FLOATS[dtype]
    field, mantissa = pattern >> form.mantissa, pattern & ((1 << form.mantissa) - 1)
    whole = mantissa + (1 << form.mantissa if field else 0)
    bias = (1 << form.exponent - 1) - 1
    value = Fraction(whole) * Fraction(2) ** (max(field, 1) - bias - form.mantissa)
    low, high = RANGES[dtype]
    return next((e for e in range(low, high + 1) if value < Fraction(2) ** e), 0)


@st.composite
def finite(draw: st.DrawFn) -> tuple[str, int]:
    dtype = draw(st.sampled_from(sorted(RANGES)))
    form = FLOATS[dtype]
    field = draw(st.integers(0, (1 << form.exponent) - 2))
    return dtype, field << form.mantissa | draw(st.integers(0, (1 << form.mantissa) - 1))


@given(finite())
@example(("float32", 1))
@example(("float32", (1 << 23) - 1))
@example(("float64", (0x7FE << 52) | ((1 << 52) - 1)))
@example(("float16", 0x7BFF))
@example(("bfloat16", 0x7F7F))
def test_one_scope_and_several(drawn: tuple[str, int]) -> None:
    dtype, pattern = drawn
    wanted = ZERO_SCOPE if pattern == 0 else by_definition(dtype, pattern)
    for count in (1, 3):
        found = exponents_of(dtype, np.full(count, pattern, np.uint64))
        assert found.dtype == np.int16
        assert found.tolist() == [wanted] * count


@pytest.mark.parametrize("dtype", sorted(RANGES))
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("beyond", [0, 1])
def test_no_exponent_of_what_is_not_finite(dtype: str, count: int, beyond: int) -> None:
    form = FLOATS[dtype]
    maxima: Any = np.zeros(count, np.uint64)
    maxima[-1] = (((1 << form.exponent) - 1) << form.mantissa) + beyond
    with pytest.raises(NotCodableError, match="NaN or infinity"):
        exponents_of(dtype, maxima)


def test_no_scopes() -> None:
    assert exponents_of("float32", np.zeros(0, np.uint64)).tolist() == []
