"""Merges of symbols and of int8's planes, and merges to the places of a mask, on every target."""

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
from mcodec.types import FLOATS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Merge = Callable[[NDArray[Any], NDArray[Any] | None], bool | None]

SYMBOL_DTYPES: Final = ("float16", "bfloat16", "float32")
SIZES: Final = (0, 1, 8, 63, 64, 65, 255, 257, 700, 4096 + 77, 9001, 20_000)
SHARES: Final = (0.0, 0.003, 0.1, 0.5, 0.97, 1.0)
every_target = pytest.mark.parametrize("target", EVERY)


def choose(n: int, share: float, seed: int = 0) -> NDArray[Any]:
    """Return n truths, with a long run of each at the ends."""
    rng = np.random.default_rng(seed)
    chosen = rng.random(n) < share
    chosen[: n // 3] = False
    chosen[n - n // 5 :] = share > 0
    return chosen


def packed(chosen: NDArray[Any]) -> NDArray[Any]:
    return np.packbits(chosen, bitorder="little")


def planes_of(memory: Memory, count: int, n: int, seed: int) -> list[NDArray[Any] | None]:
    """Return planes of noise, some of them absent."""
    planes = [memory.like(plane) for plane in harness.random_planes(count, n, seed)]
    return [None if (seed + i) % 5 == 0 else plane for i, plane in enumerate(planes)]


def agree(target: str, kind: str, chosen: NDArray[Any], merge: Merge) -> None:
    """Check a merge by a mask against the same merge without, whose numbers are put in place."""
    memory = Memory(chosen.size % 8)
    count = int(chosen.sum())
    plain, out = np.empty(count, kind), memory.array(kind, chosen.size)
    with kernels.forced(target):
        first = merge(plain, None)
        second = merge(out, memory.like(packed(chosen)))
    memory.check(out)
    expected = np.zeros(chosen.size, kind)
    expected[chosen] = plain
    assert np.array_equal(out, expected)
    assert first == second


@every_target
@pytest.mark.parametrize("dtype", DTYPES)
def test_fields_go_where_a_mask_says(dtype: str, target: str) -> None:
    for n in SIZES:
        for share in SHARES:
            chosen, memory = choose(n, share, seed=n), Memory(n % 7)
            count = int(chosen.sum())
            sign, *planes = planes_of(memory, 1 + FLOATS[dtype].mantissa, count, seed=n)
            bytes_ = np.random.default_rng(n).integers(0, 256, count, np.uint8)
            exponent = [memory.like(bytes_)] * harness.parts_of(dtype)

            def merge(
                out: NDArray[Any],
                mask: NDArray[Any] | None,
                fields: tuple[Any, ...] = (sign, exponent, planes),
            ) -> None:
                sign, exponent, planes = fields
                kernels.merge_float(dtype, out, sign, exponent, planes, mask)

            agree(target, harness.kind_of(dtype), chosen, merge)


def numbers_of(
    dtype: str, symbols: Sequence[int], first: int, planes: Sequence[NDArray[Any] | None]
) -> list[int] | None:
    """Return patterns without signs, by the page; None where an exponent is too wide."""
    form, found = FLOATS[dtype], []
    for i, symbol in enumerate(symbols):
        top = symbol + 4 * first if symbol else 0
        if top >> (form.exponent + 2):
            return None
        below = 0
        for j, plane in enumerate(planes):
            bit = 0 if plane is None else int(plane[i // 8]) >> i % 8 & 1
            below |= bit << (form.mantissa - 3 - j)
        found.append(top << (form.mantissa - 2) | below)
    return found


@every_target
@pytest.mark.parametrize("dtype", SYMBOL_DTYPES)
@given(data=st.data())
def test_symbols_follow_the_page(dtype: str, target: str, data: st.DataObject) -> None:
    form = FLOATS[dtype]
    symbols = data.draw(st.lists(st.integers(0, data.draw(st.integers(0, 255))), max_size=600))
    first = 0 if dtype == "float16" else 14 * data.draw(st.integers(0, 14))
    n, memory = len(symbols), Memory(data.draw(st.integers(0, 7)))
    count = data.draw(st.integers(0, form.mantissa - 2))
    sign, *planes = planes_of(memory, 1 + count, n, data.draw(st.integers(0, 99)))
    out = memory.array(harness.kind_of(dtype), n)
    with kernels.forced(target):
        data_of = memoryview(bytes(symbols)) if n % 2 else np.array(symbols, np.uint8)
        valid = kernels.merge_symbols(dtype, out, sign, data_of, first, planes)
    memory.check(out)
    expected = numbers_of(dtype, symbols, first, planes)
    assert valid == (expected is not None)
    if expected is not None:
        signs = [0] * n if sign is None else harness.bits_of(sign, n)
        assert out.tolist() == [
            x | s << (form.width - 1) for x, s in zip(expected, signs, strict=True)
        ]


@every_target
@pytest.mark.parametrize("dtype", SYMBOL_DTYPES)
def test_symbols_go_where_a_mask_says(dtype: str, target: str) -> None:
    for n in SIZES:
        for share in SHARES:
            chosen, memory = choose(n, share, seed=n), Memory(n % 7)
            count = int(chosen.sum())
            sign, *planes = planes_of(memory, FLOATS[dtype].mantissa - 1, count, seed=n)
            symbols = np.random.default_rng(n).integers(0, 128, count, np.uint8)

            def merge(
                out: NDArray[Any],
                mask: NDArray[Any] | None,
                fields: tuple[Any, ...] = (sign, symbols, planes),
            ) -> bool:
                sign, symbols, planes = fields
                return kernels.merge_symbols(dtype, out, sign, symbols, 0, planes, mask)

            agree(target, harness.kind_of(dtype), chosen, merge)


@every_target
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "scopes", [TENSOR, Scopes(1, 7, 3), Scopes(1, 1 << 40), Scopes(3, 7, 2)], ids=str
)
def test_int8_goes_where_a_mask_says(dtype: str, target: str, scopes: Scopes) -> None:
    for n in SIZES[::2]:
        for share in SHARES:
            chosen, memory = choose(n, share, seed=n), Memory(n % 7)
            count = int(chosen.sum())
            rng = np.random.default_rng(n)
            scales = (rng.random(max(count, 7), np.float32) + 1) * np.float32(2.0**-20)
            codes = memory.like(rng.integers(0, 256, count, np.uint8))

            def merge(
                out: NDArray[Any],
                mask: NDArray[Any] | None,
                given: tuple[Any, ...] = (scales, codes),
            ) -> bool:
                scales, codes = given
                return kernels.dequantize_int8(dtype, out, scopes, scales, codes, mask)

            agree(target, harness.kind_of(dtype), chosen, merge)


@every_target
@pytest.mark.parametrize("dtype", DTYPES)
def test_int8_of_planes_is_that_of_their_codes(dtype: str, target: str) -> None:
    scales = np.array([0.1, 3.4e38, 2.0**-126], np.float32)
    for n in SIZES:
        chosen, memory = choose(n, 0.5, seed=n), Memory(n % 7)
        for size, mask in ((n, None), (int(chosen.sum()), packed(chosen))):
            planes = planes_of(memory, 8, size, seed=n)
            codes = np.empty(size, np.uint8)
            out, other = (memory.array(harness.kind_of(dtype), n) for _ in range(2))
            with kernels.forced(target):
                kernels.planes_to_bytes(planes, codes)
                valid = kernels.merge_int8(dtype, out, Scopes(5, 3), scales, planes, mask)
                again = kernels.dequantize_int8(dtype, other, Scopes(5, 3), scales, codes, mask)
            memory.check(out, other)
            assert np.array_equal(out, other)
            assert valid == again == (128 not in codes.tolist())


@every_target
@pytest.mark.parametrize("place", [0, 7, 255, 256, 511, 512, 999])
def test_one_code_of_128_is_seen(target: str, place: int) -> None:
    codes = np.ones(1000, np.uint8)
    out, one = np.empty(1000, np.uint32), np.ones(1, np.float32)
    with kernels.forced(target):
        assert kernels.dequantize_int8("float32", out, TENSOR, one, codes)
        codes[place] = 128
        assert not kernels.dequantize_int8("float32", out, TENSOR, one, codes)
        planes = [np.empty(125, np.uint8) for _ in range(8)]
        kernels.bytes_to_planes(codes, planes)
        assert not kernels.merge_int8("float32", out, TENSOR, one, planes)


def zeros(n: int, kind: str = "u1") -> NDArray[Any]:
    return np.zeros(n, kind)


ONE: Final = np.ones(1, np.float32)
MASK: Final = np.array([3], np.uint8)
MISUSE: Final[dict[str, tuple[str, Callable[[], object]]]] = {
    "float64": (
        "dtype",
        lambda: kernels.merge_symbols("float64", zeros(1, "u8"), None, zeros(1), 0, []),
    ),
    "odd": (
        "first",
        lambda: kernels.merge_symbols("float32", zeros(1, "u4"), None, zeros(1), 7, []),
    ),
    "wide": (
        "first",
        lambda: kernels.merge_symbols("float32", zeros(1, "u4"), None, zeros(1), 256, []),
    ),
    "half": (
        "first",
        lambda: kernels.merge_symbols("float16", zeros(1, "u2"), None, zeros(1), 2, []),
    ),
    "symbols": (
        "symbols",
        lambda: kernels.merge_symbols("float32", zeros(8, "u4"), None, zeros(8), 0, [], MASK),
    ),
    "planes": (
        "planes",
        lambda: kernels.merge_symbols(
            "float32", zeros(1, "u4"), None, zeros(1), 0, [zeros(1)] * 22
        ),
    ),
    "mask": (
        "mask",
        lambda: kernels.merge_float("float32", zeros(9, "u4"), None, [0], [], MASK),
    ),
    "past the end": (
        "mask",
        lambda: kernels.merge_float("float32", zeros(1, "u4"), None, [0], [], MASK),
    ),
    "exponent": (
        "exponent",
        lambda: kernels.merge_float("float32", zeros(8, "u4"), None, [zeros(3)], [], MASK),
    ),
    "codes": (
        "codes",
        lambda: kernels.dequantize_int8("float32", zeros(8, "u4"), TENSOR, ONE, zeros(8), MASK),
    ),
    "seven": (
        "planes",
        lambda: kernels.merge_int8("float32", zeros(8, "u4"), TENSOR, ONE, [zeros(1)] * 7),
    ),
}


@every_target
@pytest.mark.parametrize("case", MISUSE)
def test_misuse_is_a_value_error(target: str, case: str) -> None:
    argument, call = MISUSE[case]
    with kernels.forced(target), pytest.raises(ValueError, match=argument):
        call()
