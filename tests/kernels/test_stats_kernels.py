"""The small kernels: planes_to_bytes and back, scope_max, error_stats."""

from __future__ import annotations

import math
from typing import Any

import harness
import numpy as np
import pytest
from harness import DTYPES, EVERY, TARGETS

from mcodec.codec import kernels
from mcodec.codec.kernels import Scopes
from mcodec.types import FLOATS, numpy_dtype

every_dtype = pytest.mark.parametrize("dtype", DTYPES)
every_target = pytest.mark.parametrize("target", EVERY)


@every_target
@pytest.mark.parametrize("count", range(1, 9))
def test_planes_and_bytes(target: str, count: int) -> None:
    for n in (*range(70), 511, 512, 513, 1290):
        memory = harness.Memory(n % 8)
        values = memory.like(np.random.default_rng(n).integers(0, 256, n, np.uint8))
        planes = [memory.array("u1", (n + 7) // 8) for _ in range(count)]
        out = memory.array("u1", n)
        with kernels.forced(target):
            kernels.bytes_to_planes(values, planes)
            kernels.planes_to_bytes(planes, out)
        memory.check(out, *planes)
        low = values & np.uint8((1 << count) - 1)
        assert harness.integers_of(planes, n) == low.tolist()
        assert np.array_equal(out, low)


@every_target
def test_an_absent_plane_is_zeros(target: str) -> None:
    ones = np.full(4, 255, np.uint8)
    out = np.empty(30, np.uint8)
    with kernels.forced(target):
        kernels.planes_to_bytes([ones, None, ones], out)
    assert out.tolist() == [5] * 30


@every_dtype
@every_target
@pytest.mark.parametrize(
    "scopes",
    [Scopes(1 << 40, 1), Scopes(1, 5), Scopes(1, 400, 7), Scopes(3, 4, 2), Scopes(16, 99)],
    ids=str,
)
def test_scope_max(dtype: str, target: str, scopes: Scopes) -> None:
    for n in (0, 1, 9, 700):
        memory = harness.Memory(n % 8)
        values = memory.like(harness.noise(dtype, n, seed=n))
        maxima = np.arange(400, dtype=np.uint64)
        expected = maxima.tolist()
        top = (1 << (FLOATS[dtype].width - 1)) - 1
        for i, value in enumerate(values.tolist()):
            scope = (i + scopes.first) // scopes.inner % scopes.count
            expected[scope] = max(expected[scope], value & top)
        with kernels.forced(target):
            kernels.scope_max(dtype, values, scopes, maxima)
        assert maxima.tolist() == expected


def numbers(dtype: str, n: int, seed: int) -> np.ndarray[Any, Any]:
    values = np.random.default_rng(seed).standard_normal(n).astype(numpy_dtype(dtype))
    return values.view(harness.kind_of(dtype))


@every_dtype
@every_target
def test_error_stats(dtype: str, target: str) -> None:
    for n in (0, 1, 7, 8, 9, 255, 256, 257, 3000):
        memory = harness.Memory(n % 8)
        source, decoded = (memory.like(numbers(dtype, n, seed)) for seed in (n, n + 1))
        with kernels.forced(target):
            ours = kernels.error_stats(dtype, source, decoded)
        s, d = (
            x.copy().view(numpy_dtype(dtype)).astype(np.float64).tolist() for x in (source, decoded)
        )
        assert ours[0] == max((abs(x - y) for x, y in zip(s, d, strict=True)), default=0.0)
        assert ours[1] == in_order([(x - y) ** 2 for x, y in zip(s, d, strict=True)])
        assert ours[2] == in_order([x * x for x in s])
        assert ours[2] == pytest.approx(math.fsum(x * x for x in s), rel=1e-12)


def in_order(terms: list[float]) -> float:
    """Add in the one order: eight running sums, then pairs 4, 2 and 1 apart."""
    lanes = [0.0] * 8
    for i, term in enumerate(terms):
        lanes[i % 8] += term
    for apart in (4, 2, 1):
        lanes = [lanes[i] + lanes[i + apart] for i in range(apart)]
    return lanes[0]


@every_dtype
@pytest.mark.parametrize("target", TARGETS)
def test_error_stats_of_edges(dtype: str, target: str) -> None:
    source = harness.finite(dtype, harness.noise(dtype, 5000))
    if dtype == "float64":  # its squares would be infinite
        source = source & np.uint64(0xBFFFFFFFFFFFFFFF) | np.uint64(0x1000000000000000)
    decoded = np.roll(source, 1)
    with kernels.forced("reference"):
        theirs = kernels.error_stats(dtype, source, decoded)
    with kernels.forced(target):
        assert kernels.error_stats(dtype, source, decoded) == theirs
