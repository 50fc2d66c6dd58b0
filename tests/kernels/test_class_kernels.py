"""Classes of lengths by the exponent of the base, against lists of Python's numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import harness
import numpy as np
import pytest
from harness import DTYPES, EVERY, Memory

from mcodec.codec import kernels
from mcodec.types import FLOATS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SIZES: Final = (0, 1, 7, 8, 9, 127, 128, 129, 255, 256, 257, 511, 512, 513, 1100)
CLASSES: Final = (1, 2, 4, 8, 16)
every_target = pytest.mark.parametrize("target", EVERY)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def fields(dtype: str, base: NDArray[Any]) -> list[int]:
    fmt = FLOATS[dtype]
    return [v >> fmt.mantissa & ((1 << fmt.exponent) - 1) for v in base.tolist()]


def bases(dtype: str, n: int) -> NDArray[Any]:
    """Return patterns whose exponents lie near each other, and a few of any."""
    fmt = FLOATS[dtype]
    base = harness.noise(dtype, n, seed=n).copy()
    rng = np.random.default_rng(n)
    field = 9 - np.minimum(rng.geometric(0.4, n), 9)
    keep = base.dtype.type(~(((1 << fmt.exponent) - 1) << fmt.mantissa) & ((1 << fmt.width) - 1))
    near = base & keep | (field.astype(base.dtype) << base.dtype.type(fmt.mantissa))
    return np.asarray(np.where(rng.random(n) < 0.95, near, base))


@every_target
@every_dtype
@pytest.mark.parametrize("count", CLASSES)
def test_classes_there_and_back(target: str, dtype: str, count: int) -> None:
    for n in SIZES:
        memory = Memory(n % 8)
        base = bases(dtype, n)
        lengths = np.random.default_rng(n).integers(0, 65, n).astype(np.uint8)
        for emax in {max(fields(dtype, base), default=0), 5, 0}:
            places = [min(count - 1, max(0, emax - field)) for field in fields(dtype, base)]
            expected = [
                [x for x, place in zip(lengths.tolist(), places, strict=True) if place == i]
                for i in range(count)
            ]
            streams = [memory.array("u1", len(row)) for row in expected]
            back = memory.array("u1", n)
            with kernels.forced(target):
                sizes = kernels.count_classes(dtype, memory.like(base), emax, count)
                assert sizes == [len(row) for row in expected]
                stored = memory.like(lengths)
                kernels.split_classes(dtype, memory.like(base), emax, stored, streams)
                kernels.merge_classes(dtype, memory.like(base), emax, streams, back)
            memory.check(back, *streams)
            assert [stream.tolist() for stream in streams] == expected
            assert np.array_equal(back, lengths)


@pytest.mark.parametrize("target", harness.TARGETS)
@every_dtype
@pytest.mark.parametrize("alike", [False, True], ids=["any class", "long runs"])
def test_classes_of_many_chunks(target: str, dtype: str, alike: bool) -> None:
    n = 20_003
    base = bases(dtype, n)
    if alike:
        base = np.repeat(base[::4000], 4000)[:n]
    lengths = np.random.default_rng(1).integers(0, 65, n).astype(np.uint8)
    back = np.empty_like(lengths)
    for count in CLASSES:
        with kernels.forced("reference"):
            sizes = kernels.count_classes(dtype, base, 8, count)
            expected = [np.empty(size, np.uint8) for size in sizes]
            kernels.split_classes(dtype, base, 8, lengths, expected)
        streams = [np.empty(size, np.uint8) for size in sizes]
        with kernels.forced(target):
            assert kernels.count_classes(dtype, base, 8, count) == sizes
            kernels.split_classes(dtype, base, 8, lengths, streams)
            kernels.merge_classes(dtype, base, 8, streams, back)
        assert all(np.array_equal(x, y) for x, y in zip(streams, expected, strict=True))
        assert np.array_equal(back, lengths)


@every_target
@every_dtype
def test_the_largest_exponent(target: str, dtype: str) -> None:
    for n in SIZES:
        for base in (harness.noise(dtype, n, seed=n), bases(dtype, n)):
            with kernels.forced(target):
                found = kernels.max_exponent(dtype, Memory(n % 8).like(base))
            assert found == max(fields(dtype, base), default=0)


@every_target
@pytest.mark.parametrize("at", [0, 400, 999])
@pytest.mark.parametrize("move", [-1, 1])
def test_streams_of_other_sizes_are_refused(target: str, at: int, move: int) -> None:
    """One element counts in another class: nothing outside the arrays is touched."""
    base = np.zeros(1000, np.uint32)
    base[at] = 5 << 23
    lengths = np.zeros(1000, np.uint8)
    memory = Memory(3)
    streams = [memory.array("u1", 1 + move), memory.array("u1", 999 - move)]
    out = memory.array("u1", 1000)
    with kernels.forced(target):
        with pytest.raises(ValueError, match="streams"):
            kernels.split_classes("float32", base, 5, lengths, streams)
        with pytest.raises(ValueError, match="streams"):
            kernels.merge_classes("float32", base, 5, streams, out)
    memory.check(out, *streams)


A: Final = np.zeros(16, np.uint32)
L: Final = np.zeros(16, np.uint8)
MISUSE: Final[dict[str, tuple[str, Callable[[], object]]]] = {
    "dtype": ("dtype", lambda: kernels.max_exponent("int32", A)),
    "patterns": ("base", lambda: kernels.max_exponent("float64", A)),
    "three": ("classes", lambda: kernels.count_classes("float32", A, 0, 3)),
    "32": ("classes", lambda: kernels.count_classes("float32", A, 0, 32)),
    "emax": ("emax", lambda: kernels.count_classes("float32", A, 2048, 2)),
    "below": ("emax", lambda: kernels.count_classes("float32", A, -1, 2)),
    "class lengths": (
        "lengths",
        lambda: kernels.split_classes("float32", A, 0, L[1:], [L.copy()]),
    ),
    "class out": (
        "out",
        lambda: kernels.merge_classes("float32", A, 0, [L.copy()], L[1:].copy()),
    ),
}


@every_target
@pytest.mark.parametrize("case", MISUSE)
def test_misuse_is_a_value_error(target: str, case: str) -> None:
    name, call = MISUSE[case]
    with kernels.forced(target), pytest.raises(ValueError, match=name):
        call()
