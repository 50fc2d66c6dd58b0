"""Masks and gaps against lists of Python's numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import harness
import numpy as np
import pytest
from harness import EVERY, Memory
from hypothesis import given
from hypothesis import strategies as st

from mcodec.codec import kernels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

KINDS: Final = ("<u1", "<u2", "<u4", "<u8")
SIZES: Final = (0, 1, 7, 8, 9, 63, 64, 65, 127, 128, 129, 511, 512, 513, 1000, 1089)
DENSITIES: Final = (0.0, 0.01, 0.1, 0.5, 0.9, 0.99, 1.0)
every_target = pytest.mark.parametrize("target", EVERY)
every_kind = pytest.mark.parametrize("kind", KINDS)
shapes = [(n, density) for n in SIZES for density in DENSITIES]


def choose(n: int, density: float) -> list[int]:
    """Return n bits, the last quarter of them alike, so that there are long runs of both."""
    rng = np.random.default_rng(n)
    bits = [int(x < density) for x in rng.random(n)]
    return bits[: n - n // 4] + [int(density > 0.5)] * (n // 4)


def elements(kind: str, n: int, seed: int = 0) -> NDArray[Any]:
    """Return patterns of which a few are zero, or the top bit alone."""
    rng = np.random.default_rng(seed)
    size = np.dtype(kind).itemsize
    values = np.frombuffer(rng.bytes(n * size), kind).copy()
    values[rng.random(n) < 0.1] = 0
    values[rng.random(n) < 0.1] = 1 << (8 * size - 1)
    values[rng.random(n) < 0.1] = 1
    return values


def plane(memory: Memory, bits: Sequence[int]) -> NDArray[Any]:
    return memory.like(np.array(harness.plane_of(bits), np.uint8))


def packed_of(bits: Sequence[int], chosen: Sequence[int]) -> list[int]:
    return harness.plane_of([bit for bit, one in zip(bits, chosen, strict=True) if one])


@every_target
@every_kind
def test_elements_are_gathered_and_spread(target: str, kind: str) -> None:
    for n, density in shapes:
        memory = Memory(n % 8)
        chosen = choose(n, density)
        values = elements(kind, n, seed=n)
        expected = [v for v, one in zip(values.tolist(), chosen, strict=True) if one]
        packed, back = memory.array(kind, len(expected)), memory.array(kind, n)
        with kernels.forced(target):
            kernels.gather_elements(plane(memory, chosen), memory.like(values), packed)
            kernels.spread_elements(plane(memory, chosen), packed, back)
        memory.check(packed, back)
        assert packed.tolist() == expected, (n, density)
        assert back.tolist() == [
            v if one else 0 for v, one in zip(values.tolist(), chosen, strict=True)
        ], (n, density)


@every_target
def test_bits_are_gathered_and_spread(target: str) -> None:
    for n, density in shapes:
        memory = Memory(n % 8)
        chosen, bits = choose(n, density), choose(n, 0.5)[::-1]
        count, length = sum(chosen), (n + 7) // 8
        packed, back = memory.array("u1", (count + 7) // 8), memory.array("u1", length)
        with kernels.forced(target):
            assert kernels.count_bits(plane(memory, chosen)) == count
            kernels.gather_bits(plane(memory, chosen), plane(memory, bits), packed)
            full = memory.like(packed)
            full[-1:] |= np.uint8(0xFF << (count % 8) & 0xFF if count % 8 else 0)
            kernels.spread_bits(plane(memory, chosen), full, back)
        memory.check(packed, back)
        assert packed.tolist() == packed_of(bits, chosen), (n, density)
        both = [bit & one for bit, one in zip(bits, chosen, strict=True)]
        assert back.tolist() == harness.plane_of(both), (n, density)


@every_target
@given(st.binary(max_size=90), st.randoms(use_true_random=False))
def test_any_mask_of_bits(target: str, mask: bytes, random: Any) -> None:
    """Whole planes have no bits past the last element to be wrong about."""
    chosen = harness.bits_of(np.frombuffer(mask, np.uint8), 8 * len(mask))
    bits = [random.getrandbits(1) for _ in chosen]
    memory = Memory(len(mask) % 8)
    packed = memory.array("u1", (sum(chosen) + 7) // 8)
    back = memory.array("u1", len(mask))
    with kernels.forced(target):
        kernels.gather_bits(plane(memory, chosen), plane(memory, bits), packed)
        kernels.spread_bits(plane(memory, chosen), packed, back)
    memory.check(packed, back)
    assert packed.tolist() == packed_of(bits, chosen)
    both = [bit & one for bit, one in zip(bits, chosen, strict=True)]
    assert back.tolist() == harness.plane_of(both)


@every_target
@every_kind
def test_nonzero_plane(target: str, kind: str) -> None:
    for n in SIZES:
        memory = Memory(n % 8)
        values = elements(kind, n, seed=n)
        out = memory.array("u1", (n + 7) // 8)
        with kernels.forced(target):
            kernels.nonzero_plane(memory.like(values), out)
        memory.check(out)
        assert out.tolist() == harness.plane_of([int(v != 0) for v in values.tolist()]), n


@every_target
@every_kind
@pytest.mark.parametrize("signed", [False, True])
def test_masked_elements(target: str, kind: str, signed: bool) -> None:
    top = 1 << (8 * np.dtype(kind).itemsize - 1)
    for n in SIZES:
        memory = Memory(n % 8)
        chosen = choose(n, 0.5)
        base = elements(kind, n, seed=n)
        out = memory.array(kind, n)
        with kernels.forced(target):
            kernels.mask_elements(plane(memory, chosen), memory.like(base), out, signed)
        memory.check(out)
        assert out.tolist() == [
            v if one else v & top * signed for v, one in zip(base.tolist(), chosen, strict=True)
        ], n


def decoded(high: Sequence[int], low: Sequence[Sequence[int]], n: int) -> list[int] | None:
    """Read gaps by their definition; `low` has a row of bits a plane."""
    bits, position, total, found = [0] * n, -1, 0, 0
    for byte in high:
        total += byte
        if byte == 255:
            continue
        gap = total
        for row in low:
            gap = 2 * gap + row[found]
        position += 1 + gap
        if position >= n:
            return None
        bits[position], total, found = 1, 0, found + 1
    return None if high and high[-1] == 255 else bits


@every_target
def test_gaps_of_every_width(target: str) -> None:
    for n, density in shapes:
        chosen, memory = choose(n, density), Memory(n % 8)
        for k in (0, 1, 3, 8):
            with kernels.forced(target):
                high, low = kernels.plane_to_gaps(plane(memory, chosen), n, k)
                out = memory.array("u1", (n + 7) // 8)
                assert kernels.gaps_to_plane(high, low, out, n) == sum(chosen)
            memory.check(out)
            assert out.tolist() == harness.plane_of(chosen)
            rows = [harness.bits_of(bits, sum(chosen)) for bits in low]
            assert decoded(high.tolist(), rows, n) == chosen


@pytest.mark.parametrize("gap", [0, 1, 254, 255, 256, 509, 510, 511, 765, 2000])
def test_escapes(gap: int) -> None:
    """255 is an escape, so that a high part of 255 is an escape and a zero."""
    n = gap + 1
    high, low = kernels.plane_to_gaps(plane(Memory(), [0] * gap + [1]), n, 0)
    assert (high.tolist(), low) == ([255] * (gap // 255) + [gap % 255], [])


@every_target
@given(
    st.lists(st.sampled_from([0, 0, 1, 2, 9, 100, 254, 255, 255]), max_size=60),
    st.integers(0, 8),
    st.integers(0, 3000),
    st.sets(st.integers(0, 7)),
    st.randoms(use_true_random=False),
)
def test_any_bytes_are_gaps(
    target: str, high: list[int], k: int, n: int, absent: set[int], random: Any
) -> None:
    count = sum(byte != 255 for byte in high)
    memory = Memory(n % 8)
    rows = [[0 if i in absent else random.getrandbits(1) for _ in range(count)] for i in range(k)]
    low = [None if i in absent else plane(memory, row) for i, row in enumerate(rows)]
    out = memory.array("u1", (n + 7) // 8)
    with kernels.forced(target):
        found = kernels.gaps_to_plane(memory.like(np.array(high, np.uint8)), low, out, n)
    memory.check(out)
    expected = decoded(high, rows, n)
    assert found == (-1 if expected is None else count)
    if expected is not None:
        assert out.tolist() == harness.plane_of(expected)


@every_target
def test_long_rows_of_escapes_do_not_wrap(target: str) -> None:
    high = np.full(70_000, 255, np.uint8)
    high[-1] = 3
    out = np.zeros(1, np.uint8)
    ones = [np.full(1, 255, np.uint8)] * 8
    with kernels.forced(target):
        assert kernels.gaps_to_plane(high, ones, out, 8) == -1


def zeros(n: int, kind: str = "u1") -> NDArray[Any]:
    return np.zeros(n, kind)


BITS: Final = np.array([3], np.uint8)
MISUSE: Final[dict[str, tuple[str, Callable[[], object]]]] = {
    "nonzero plane": ("planes", lambda: kernels.nonzero_plane(zeros(9, "u4"), zeros(1))),
    "nonzero items": ("values", lambda: kernels.nonzero_plane(zeros(8, "c16"), zeros(1))),
    "gather plane": ("plane", lambda: kernels.gather_bits(BITS, zeros(2), zeros(1))),
    "gather out": ("out", lambda: kernels.gather_bits(BITS, zeros(1), zeros(2))),
    "spread packed": ("packed", lambda: kernels.spread_bits(BITS, zeros(0), zeros(1))),
    "spread out": ("out", lambda: kernels.spread_bits(BITS, zeros(1), zeros(2))),
    "mask": ("mask", lambda: kernels.gather_elements(BITS, zeros(9), zeros(2))),
    "mask past the end": ("mask", lambda: kernels.gather_elements(BITS, zeros(1), zeros(2))),
    "few": ("out", lambda: kernels.gather_elements(BITS, zeros(8), zeros(1))),
    "many": ("packed", lambda: kernels.spread_elements(BITS, zeros(3), zeros(8))),
    "item sizes": ("packed", lambda: kernels.spread_elements(BITS, zeros(2, "u2"), zeros(8))),
    "masked": ("out", lambda: kernels.mask_elements(BITS, zeros(8), zeros(7), False)),
    "low": ("planes", lambda: kernels.gaps_to_plane(BITS, [zeros(2)], zeros(1), 8)),
    "nine": ("planes", lambda: kernels.gaps_to_plane(BITS, [zeros(1)] * 9, zeros(1), 8)),
    "gaps out": ("out", lambda: kernels.gaps_to_plane(BITS, [], zeros(1), 9)),
    "many elements": ("n", lambda: kernels.gaps_to_plane(BITS, [], zeros(1), 1 << 32)),
    "k": ("k", lambda: kernels.plane_to_gaps(BITS, 8, 9)),
}


@every_target
@pytest.mark.parametrize("case", MISUSE)
def test_misuse_is_a_value_error(target: str, case: str) -> None:
    name, call = MISUSE[case]
    with kernels.forced(target), pytest.raises(ValueError, match=name):
        call()
