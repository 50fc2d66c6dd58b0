"""Operations on bits against Python's integers, on any bits of any float dtype."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import mcodec
from mcodec.api.bitops import BitOperation
from mcodec.codec.streams import patterns
from mcodec.types import FLOATS
from support import cases, strategies
from support.models import arrays

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

keeps = st.integers(1, 64)


def by_integers(dtype: str, pattern: int, keep: int, *, rounding: bool) -> int:
    """Truncate or round one pattern by the definition: the nearest multiple, ties to even."""
    form = FLOATS[dtype]
    unit = 1 << max(0, form.width - keep)
    sign, magnitude = divmod(pattern, 1 << form.width - 1)
    infinity = ((1 << form.exponent) - 1) << form.mantissa
    multiple = magnitude // unit
    if rounding and magnitude < infinity:
        nearest = round(Fraction(magnitude, unit))
        if nearest * unit < infinity:
            multiple = nearest
    return sign << form.width - 1 | multiple * unit if keep else 0


def applied(dtype: str, array: NDArray[Any], operation: BitOperation) -> NDArray[Any]:
    return operation.apply(dtype, patterns(array.reshape(-1)))


@given(data=st.data(), dtype=strategies.float_dtypes, keep=keeps, rounding=st.booleans())
def test_truncate_and_round(data: st.DataObject, dtype: str, keep: int, rounding: bool) -> None:
    array = data.draw(strategies.arrays(dtype))
    operation = BitOperation("round" if rounding else "truncate", keep)
    before = patterns(array.reshape(-1)).copy()
    found = applied(dtype, array, operation)
    expected = [by_integers(dtype, int(u), keep, rounding=rounding) for u in before]
    assert found.tolist() == expected
    assert patterns(array.reshape(-1)).tolist() == before.tolist()  # not changed in its place


@given(dtype=strategies.float_dtypes, keep=keeps, rounding=st.booleans())
def test_all_exponents(dtype: str, keep: int, rounding: bool) -> None:
    array = cases.exponents(dtype)
    operation = BitOperation("round" if rounding else "truncate", keep)
    found = applied(dtype, array, operation)
    expected = [by_integers(dtype, int(u), keep, rounding=rounding) for u in patterns(array)]
    assert found.tolist() == expected
    with np.errstate(invalid="ignore"):
        was, now = (np.isfinite(a.astype("f8")) for a in (array, found.view(array.dtype)))
    assert (now | ~was).all()  # what is finite stays so
    if rounding:
        assert operation.held(dtype, patterns(array)) == _held(dtype, array, keep)


def _held(dtype: str, array: NDArray[Any], keep: int) -> int:
    form = FLOATS[dtype]
    unit = 1 << max(0, form.width - keep)
    infinity = ((1 << form.exponent) - 1) << form.mantissa
    magnitudes = [int(u) % (1 << form.width - 1) for u in patterns(array)]
    return sum(m < infinity <= round(Fraction(m, unit)) * unit for m in magnitudes if m < infinity)


@given(data=st.data(), dtype=strategies.float_dtypes, keep=st.tuples(keeps, keeps))
def test_nested_and_idempotent_and_the_sign_survives(
    data: st.DataObject, dtype: str, keep: tuple[int, int]
) -> None:
    array = data.draw(strategies.arrays(dtype))
    first = applied(dtype, array, BitOperation("truncate", keep[0]))
    both = applied(dtype, first.view(array.dtype), BitOperation("truncate", keep[1]))
    least = applied(dtype, array, BitOperation("truncate", min(keep)))
    assert both.tolist() == least.tolist()
    top = FLOATS[dtype].width - 1
    assert (first >> top).tolist() == (patterns(array.reshape(-1)) >> top).tolist()
    rounded = applied(dtype, array, BitOperation("round", keep[0]))
    again = applied(dtype, rounded.view(array.dtype), BitOperation("round", keep[0]))
    assert again.tolist() == rounded.tolist()
    assert (rounded >> top).tolist() == (first >> top).tolist()


@given(data=st.data(), dtype=strategies.float_dtypes)
def test_masks(data: st.DataObject, dtype: str) -> None:
    array = data.draw(strategies.arrays(dtype))
    width = FLOATS[dtype].width
    mask = data.draw(st.integers(0, (1 << width) - 1))
    before = [int(u) for u in patterns(array.reshape(-1))]
    inverse = (1 << width) - 1 - mask
    expected = {
        "set": [u | mask for u in before],
        "clear": [u & inverse for u in before],
        "flip": [u ^ mask for u in before],
    }
    for name, values in expected.items():
        operation = BitOperation(name, mask=mask)
        assert applied(dtype, array, operation).tolist() == values
        assert operation.changes(dtype) == (mask > 0)
    low = data.draw(st.integers(0, width - 1))
    cleared = applied(dtype, array, BitOperation("clear", mask=(1 << low) - 1))
    assert cleared.tolist() == applied(dtype, array, BitOperation("truncate", width - low)).tolist()


@given(data=st.data(), dtype=strategies.float_dtypes, keep=keeps, rounding=st.booleans())
def test_the_verb_counts_what_it_does(
    tmp_path: Path, data: st.DataObject, dtype: str, keep: int, rounding: bool
) -> None:
    array = data.draw(strategies.arrays(dtype))
    name = "round" if rounding else "truncate"
    model = {"w": array, "n": np.arange(5)}
    report = mcodec.truncate(model, tmp_path / "x.npz", keep, operation=name, jobs=1)
    found = arrays(tmp_path / "x.npz")
    expected = [
        by_integers(dtype, int(u), keep, rounding=rounding) for u in patterns(array.reshape(-1))
    ]
    assert patterns(found["w"].reshape(-1)).tolist() == expected
    assert found["n"].tolist() == [0, 1, 2, 3, 4]
    (one,) = report.tensors
    before = [int(u) for u in patterns(array.reshape(-1))]
    assert one.changed == sum(a != b for a, b in zip(before, expected, strict=True))
    with np.errstate(invalid="ignore", over="ignore"):
        was, now = (a.reshape(-1).astype(np.float64) for a in (array, found["w"]))
        both = np.isfinite(was) & np.isfinite(now)
        peak = float(np.abs(was[both] - now[both]).max(initial=0))
    assert one.max_abs_error == (peak if math.isfinite(peak) else None)
    assert one.broken == 0
    special = ~np.isfinite(was)
    kept = np.isinf(was) & np.isinf(now) | np.isnan(was) & np.isnan(now)
    assert one.lost == int((special & ~kept).sum())
    assert one.held == (_held(dtype, array.reshape(-1), keep) if rounding else 0)
