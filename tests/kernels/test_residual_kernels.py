"""The difference of two tensors as numbers, and the sum again, on every target."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import harness
import numpy as np
import pytest
from harness import EVERY

from mcodec.codec import kernels
from mcodec.types import FLOATS, numpy_dtype
from support import formula_delta

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

NARROW = ("float16", "bfloat16", "float32")
SIZES = (0, 1, 7, 8, 9, 63, 64, 65, 300)

every_dtype = pytest.mark.parametrize("dtype", NARROW)
every_target = pytest.mark.parametrize("target", EVERY)


def numbers(dtype: str, patterns: NDArray[Any]) -> list[float]:
    with np.errstate(invalid="ignore"):  # NaNs that signal
        found: list[float] = patterns.view(numpy_dtype(dtype)).astype(np.float64).tolist()
    return found


def edges(dtype: str) -> list[int]:
    """Return zeros, subnormals, ones, the largest numbers and what stands beside them."""
    form = FLOATS[dtype]
    infinity = ((1 << form.exponent) - 1) << form.mantissa
    one = ((1 << (form.exponent - 1)) - 1) << form.mantissa
    some = [0, 1, 2, (1 << form.mantissa) - 1, 1 << form.mantissa, one, one + 1, infinity - 1]
    return some + [p | 1 << (form.width - 1) for p in some]


@every_dtype
@every_target
def test_subtract_base(dtype: str, target: str) -> None:
    for n in SIZES:
        memory = harness.Memory(n % 8)
        base = memory.like(harness.noise(dtype, n, seed=n))
        values = memory.like(harness.noise(dtype, n, seed=n + 1))
        out = memory.array("<f8", n)
        with kernels.forced(target):
            kernels.subtract_base(dtype, base, values, out)
        memory.check(out)
        for a, b, found in zip(numbers(dtype, base), numbers(dtype, values), out, strict=True):
            if math.isfinite(a) and math.isfinite(b):
                assert np.float64(b - a).tobytes() == found.tobytes()
            else:
                assert math.isnan(found)


@every_dtype
@every_target
def test_add_residual(dtype: str, target: str) -> None:
    for n in SIZES:
        memory = harness.Memory(n % 8)
        base = memory.like(harness.finite(dtype, harness.noise(dtype, n, seed=n)))
        residual = harness.finite("float32", harness.noise("float32", n, seed=n + 1))
        residual = memory.like(residual.view("<f4"))
        out = memory.array(harness.kind_of(dtype), n)
        with kernels.forced(target):
            kernels.add_residual(dtype, base, residual, out)
        memory.check(out)
        rest = residual.view("<u4").tolist()
        expected = [formula_delta.plus(dtype, *p) for p in zip(base.tolist(), rest, strict=True)]
        assert out.tolist() == expected


@every_dtype
@every_target
def test_sums_at_the_edges(dtype: str, target: str) -> None:
    small = [p for e in (104, 126, 127, 128, 133, 150) for p in (((127 - e) % 255) << 23,)]
    both = [*edges("float32"), *small, 0x33800000, 0x3F7FFFFF, 0x477FF000, 0x7F7FFFFF]
    pairs = [(a, r | s) for a in edges(dtype) for r in both for s in (0, 0x80000000)]
    base = np.array([a for a, _ in pairs], harness.kind_of(dtype))
    residual = np.array([r for _, r in pairs], "<u4").view("<f4")
    out = np.empty_like(base)
    with kernels.forced(target):
        kernels.add_residual(dtype, base, residual, out)
    assert out.tolist() == [formula_delta.plus(dtype, a, r) for a, r in pairs]


@every_target
def test_sums_are_rounded_twice(target: str) -> None:
    # 1 + 2^-8 + 2^-30 is a tie of bfloat16 once it is a float32, and more than one before.
    base = np.array([0x3F80], "<u2")
    residual = np.array([2.0**-8 + 2.0**-30], "<f4")
    out = np.empty_like(base)
    with kernels.forced(target):
        kernels.add_residual("bfloat16", base, residual, out)
    assert out.tolist() == [0x3F80]


@every_target
def test_mistakes_name_the_argument(target: str) -> None:
    single, double = np.zeros(3, "<u4"), np.zeros(3, "<u8")
    numbers3, floats3 = np.zeros(3, "<f8"), np.zeros(3, "<f4")
    calls: dict[str, Callable[[], None]] = {
        "dtype": lambda: kernels.subtract_base("float64", double, double, numbers3),
        "base": lambda: kernels.subtract_base("float32", double, single, numbers3),
        "values": lambda: kernels.subtract_base("float32", single, single[:2], numbers3),
        "out": lambda: kernels.subtract_base("float32", single, single, numbers3[:2]),
        "residual": lambda: kernels.add_residual("float32", single, floats3[:2], single.copy()),
    }
    with kernels.forced(target):
        for name, call in calls.items():
            with pytest.raises(ValueError, match=name):
                call()
