"""Lossless files decoded with fewer planes: a NaN stays a NaN, the middle is half a plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mcodec
from mcodec.types import FLOATS
from support import strategies

if TYPE_CHECKING:
    from pathlib import Path

    from mcodec.types import FloatFormat


def derive(pattern: int, form: FloatFormat, kept: int, planes: int, *, mid: bool) -> int:
    """Return a pattern with `planes` of its `kept` mantissa bits, as the page's text says."""
    if planes >= kept:
        return pattern
    dropped = form.mantissa - planes
    short = pattern >> dropped << dropped
    field = (pattern >> form.mantissa) & ((1 << form.exponent) - 1)
    ones = (1 << form.exponent) - 1
    if mid and field not in (0, ones):
        short |= 1 << (form.mantissa - planes - 1)
    mantissa = (1 << form.mantissa) - 1
    if field == ones and short & mantissa == 0 and pattern & mantissa:
        short |= 1 << (form.mantissa - 1)
    return short


@given(
    data=st.data(),
    dtype=strategies.float_dtypes,
    planes=st.integers(0, 60),
    midpoint=st.sampled_from((None, False, True)),
)
def test_any_pattern_with_any_planes(
    tmp_path: Path, data: st.DataObject, dtype: str, planes: int, midpoint: bool | None
) -> None:
    array, form = data.draw(strategies.arrays(dtype)), FLOATS[dtype]
    unsigned = f"<u{form.width // 8}"
    if data.draw(st.booleans()):  # NaNs and infinities are rare among random patterns
        ones = np.array(((1 << form.exponent) - 1) << form.mantissa, unsigned)
        array = (array.view(unsigned) | ones).astype(unsigned).view(array.dtype)
    keep = data.draw(st.none() | st.integers(1, form.width))
    kept = form.width if keep is None else keep
    path = tmp_path / "one.mc"
    plan = tmp_path / "plan.toml"
    option = "" if keep is None else f"(keep={keep})"
    plan.write_text(f'[[tensor]]\nmatch = "*"\ncodec = "float{option}"')
    mcodec.pack({"A": {"w": array}}, path, plan=plan, jobs=1)
    with mcodec.open(path) as file:
        found = file.task(planes=planes, midpoint=midpoint)["w"].reshape(-1).view(unsigned)
        canonical = file.task()["w"].reshape(-1).view(unsigned).tolist()
    dropped = form.width - kept
    stored = max(0, kept - 1 - form.exponent)
    patterns = [p >> dropped << dropped for p in array.reshape(-1).view(unsigned).tolist()]
    assert canonical == patterns
    expected = [derive(p, form, stored, planes, mid=bool(midpoint)) for p in patterns]
    assert found.tolist() == expected


def test_negative_planes_are_refused(tmp_path: Path) -> None:
    mcodec.pack({"A": {"w": np.ones((2, 2), np.float32)}}, tmp_path / "one.mc", jobs=1)
    with (
        mcodec.open(tmp_path / "one.mc") as file,
        pytest.raises(mcodec.errors.UsageError, match="planes must be an integer of 0 or more"),
    ):
        file.task(planes=-1)
