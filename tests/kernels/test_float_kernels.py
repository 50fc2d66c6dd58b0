"""split_float and merge_float: every target gives the reference's bits, and the definition's."""

from __future__ import annotations

import itertools
from typing import Any

import harness
import numpy as np
import pytest
from harness import DTYPES, EVERY, TARGETS, merge_float, split_float
from hypothesis import given
from hypothesis import strategies as st

from mcodec.codec import kernels
from mcodec.types import FLOATS
from support import cases

pytestmark = pytest.mark.parametrize("dtype", DTYPES)
every_target = pytest.mark.parametrize("target", TARGETS)


def same(ours: list[Any], theirs: list[Any]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def payloads(dtype: str) -> np.ndarray[Any, Any]:
    """Every exponent with edge mantissas, then NaNs of both signs with one payload bit each."""
    fmt = FLOATS[dtype]
    infinity = ((1 << fmt.exponent) - 1) << fmt.mantissa
    nans = [infinity | 1 << bit for bit in range(fmt.mantissa)]
    nans += [nan | 1 << (fmt.width - 1) for nan in nans]
    edges = cases.exponents(dtype).view(harness.kind_of(dtype))
    return np.concatenate([edges, np.array(nans, edges.dtype)])


@pytest.mark.parametrize("target", EVERY)
def test_planes_follow_the_definition(dtype: str, target: str) -> None:
    fmt = FLOATS[dtype]
    values = harness.noise(dtype, 21)
    sign, *rest = split_float(target, dtype, values)
    parts = harness.parts_of(dtype)
    numbers = [int(value) for value in values]
    assert sign.tolist() == harness.plane_of([x >> (fmt.width - 1) for x in numbers])
    field = [x >> fmt.mantissa & ((1 << fmt.exponent) - 1) for x in numbers]
    for i, exponent in enumerate(rest[:parts]):
        assert exponent.tolist() == [x >> (8 * (parts - 1 - i)) & 255 for x in field]
    for i, plane in enumerate(rest[parts:]):
        bits = [x >> (fmt.mantissa - 1 - i) & 1 for x in numbers]
        assert plane.tolist() == harness.plane_of(bits)


@every_target
def test_every_length(dtype: str, target: str) -> None:
    for n in range(258):
        values = harness.noise(dtype, n, seed=n)
        ours = split_float(target, dtype, values)
        assert same(ours, split_float("reference", dtype, values)), n
        assert np.array_equal(merge_float(target, dtype, n, ours), values), n


@pytest.mark.parametrize(("writer", "reader"), tuple(itertools.product(EVERY, EVERY)))
def test_every_pair_of_targets(dtype: str, writer: str, reader: str) -> None:
    for n in (1, 513, 1500):
        values = harness.noise(dtype, n, seed=n)
        assert np.array_equal(
            merge_float(reader, dtype, n, split_float(writer, dtype, values)), values
        )


@every_target
def test_awkward_patterns(dtype: str, target: str) -> None:
    fmt = FLOATS[dtype]
    every = np.arange(1 << 16).astype("<u2") if fmt.width == 16 else payloads(dtype)
    fields = split_float(target, dtype, every)
    assert same(fields, split_float("reference", dtype, every))
    assert np.array_equal(merge_float(target, dtype, every.size, fields), every)


@every_target
@pytest.mark.parametrize("shift", range(1, 8))
def test_any_address(dtype: str, target: str, shift: int) -> None:
    for n in (9, 257, 1111):
        values = harness.noise(dtype, n, seed=shift)
        fields = split_float(target, dtype, values, shift=shift)
        assert same(fields, split_float("reference", dtype, values))
        assert np.array_equal(merge_float(target, dtype, n, fields, shift=shift), values)


@every_target
def test_fewer_planes_zero_the_low_bits(dtype: str, target: str) -> None:
    mantissa = FLOATS[dtype].mantissa
    values = harness.noise(dtype, 700)
    for count in range(mantissa + 1):
        fields = split_float(target, dtype, values, count)
        low = np.array(mantissa - count, values.dtype)
        assert np.array_equal(merge_float(target, dtype, 700, fields), (values >> low) << low)


@every_target
def test_absent_fields(dtype: str, target: str) -> None:
    fmt, parts = FLOATS[dtype], harness.parts_of(dtype)
    values = harness.noise(dtype, 1300)
    fields = split_float(target, dtype, values)
    planes = fields[1 + parts :]
    out = np.empty_like(values)
    for keep in range(2):
        kept = [plane if i % 2 == keep else None for i, plane in enumerate(planes)]
        with kernels.forced(target):
            kernels.merge_float(dtype, out, None, [255] * parts, kept)
        mask = sum(1 << (fmt.mantissa - 1 - i) for i in range(keep, fmt.mantissa, 2))
        field = ((1 << fmt.exponent) - 1) << fmt.mantissa  # bits that do not fit are ignored
        expected = values & np.array(mask, values.dtype) | np.array(field, values.dtype)
        assert np.array_equal(out, expected)


@every_target
@pytest.mark.parametrize("shift", [0, 1, 2, 4, 12, 16, 48])
def test_outputs_that_pass_the_cache(dtype: str, target: str, shift: int) -> None:
    n = (1 << 17) + 8 * shift + 77
    values = harness.noise(dtype, n, seed=shift)
    fields = split_float(target, dtype, values)
    assert np.array_equal(merge_float(target, dtype, n, fields, shift=shift), values)


@every_target
@given(data=st.data())
def test_any_patterns(dtype: str, target: str, data: st.DataObject) -> None:
    width = FLOATS[dtype].width
    numbers = data.draw(st.lists(st.integers(0, (1 << width) - 1), max_size=1200))
    shift = data.draw(st.integers(0, 7))
    values = np.array(numbers, harness.kind_of(dtype))
    fields = split_float(target, dtype, values, shift=shift)
    assert same(fields, split_float("reference", dtype, values))
    assert np.array_equal(merge_float(target, dtype, values.size, fields, shift=shift), values)
