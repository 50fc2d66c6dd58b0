"""Differences and their lengths against Python's integers."""

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

KINDS: Final = ("<u2", "<u4", "<u8")
SIZES: Final = (0, 1, 7, 8, 9, 127, 128, 129, 255, 256, 257, 511, 512, 513, 1100)
every_target = pytest.mark.parametrize("target", EVERY)
every_kind = pytest.mark.parametrize("kind", KINDS)


def width_of(kind: str) -> int:
    return 8 * np.dtype(kind).itemsize


def ordered(pattern: int, width: int) -> int:
    """Return the place of a pattern among the numbers: -1 for the zero with a sign."""
    top = 1 << (width - 1)
    return -1 - (pattern - top) if pattern >= top else pattern


def differences(base: Sequence[int], values: Sequence[int], width: int) -> list[int]:
    """Return d, from -2^(width - 1) to 2^(width - 1) - 1."""
    half = 1 << (width - 1)
    found = [ordered(b, width) - ordered(a, width) for a, b in zip(base, values, strict=True)]
    return [(d + half) % (1 << width) - half for d in found]


def packed_of(moves: Sequence[int], width: int) -> list[list[int]]:
    lengths = [abs(d).bit_length() for d in moves]
    rows = [
        [abs(d) >> k & 1 for d, length in zip(moves, lengths, strict=True) if length > k + 1]
        for k in range(width - 2, -1, -1)
    ]
    rows.append([int(d < 0) for d in moves if d])
    return [harness.plane_of(row) for row in rows]


def pairs(kind: str, n: int, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return patterns of which most have moved a little, some not at all, some to anywhere."""
    rng = np.random.default_rng(seed)
    width = width_of(kind)
    base, values = (np.frombuffer(rng.bytes(n * width // 8), kind).copy() for _ in range(2))
    edges = np.array([0, 1, (1 << (width - 1)) - 1, 1 << (width - 1), (1 << width) - 1], kind)
    base[: n // 4] = rng.choice(edges, n // 4)
    values[: n // 8] = rng.choice(edges, n // 8)
    near = rng.random(n) < 0.7
    shifts = rng.integers(0, width, n).astype(kind)
    values[near] = base[near] ^ (values >> shifts)[near]
    values[rng.random(n) < 0.1] = 0
    return base, values


def encode(
    target: str, base: NDArray[Any], values: NDArray[Any]
) -> tuple[NDArray[Any], list[NDArray[Any]]]:
    """Return lengths and what is packed, counts checked on the way."""
    memory = Memory(base.size % 8)
    width = 8 * base.itemsize
    lengths = memory.array("u1", base.size)
    with kernels.forced(target):
        kernels.delta_lengths(memory.like(base), memory.like(values), lengths)
        above = kernels.count_above(lengths, width).tolist()
        assert above == [sum(x > k for x in lengths.tolist()) for k in range(width)]
        packed = [memory.array("u1", (count + 7) // 8) for count in (*above[:0:-1], above[0])]
        kernels.pack_delta(memory.like(base), memory.like(values), lengths, packed)
    memory.check(lengths, *packed)
    return lengths, packed


def decode(
    target: str, base: NDArray[Any], lengths: NDArray[Any], packed: Sequence[NDArray[Any]]
) -> NDArray[Any]:
    memory = Memory(base.size % 8)
    out = memory.array(base.dtype.str, base.size)
    stored = [memory.like(bits) for bits in packed]
    with kernels.forced(target):
        kernels.merge_delta(memory.like(base), memory.like(lengths), stored, out)
    memory.check(out)
    return out


@every_target
@every_kind
def test_differences_there_and_back(target: str, kind: str) -> None:
    width = width_of(kind)
    for n in SIZES:
        base, values = pairs(kind, n, seed=n)
        moves = differences(base.tolist(), values.tolist(), width)
        lengths, packed = encode(target, base, values)
        assert lengths.tolist() == [abs(d).bit_length() for d in moves], n
        assert [bits.tolist() for bits in packed] == packed_of(moves, width), n
        assert np.array_equal(decode(target, base, lengths, packed), values), n


@pytest.mark.parametrize("target", harness.TARGETS)
@every_kind
@pytest.mark.parametrize("still", [False, True], ids=["all move", "half stands still"])
def test_many_chunks(target: str, kind: str, still: bool) -> None:
    """Whole chunks of which every element has the low bits, and whole ones without any."""
    n, width = 20_003, width_of(kind)
    rng = np.random.default_rng(7)
    base = np.frombuffer(rng.bytes(n * width // 8), kind)
    sizes = rng.integers(64, 1 << 62, n, np.uint64) >> rng.integers(64 - width, 56, n, np.uint64)
    values = base + np.maximum(sizes, 64).astype(kind)
    if still:
        values[3000:12_000] = base[3000:12_000]
    ours, theirs = encode(target, base, values), encode("reference", base, values)
    assert np.array_equal(ours[0], theirs[0])
    assert all(np.array_equal(x, y) for x, y in zip(ours[1], theirs[1], strict=True))
    assert np.array_equal(decode(target, base, *ours), values)


@every_target
@every_kind
def test_every_pair_of_edges(target: str, kind: str) -> None:
    """-0.0 follows 0.0, the largest numbers of both signs are 2^width - 1 apart."""
    width = width_of(kind)
    top = 1 << (width - 1)
    edges = [0, 1, 2, top - 1, top - 2, top, top + 1, 2 * top - 1, 2 * top - 2, top >> 1]
    base = np.array([a for a in edges for _ in edges], kind)
    values = np.array(edges * len(edges), kind)
    moves = differences(base.tolist(), values.tolist(), width)
    lengths, packed = encode(target, base, values)
    assert lengths.tolist() == [abs(d).bit_length() for d in moves]
    assert max(lengths.tolist()) == width
    assert np.array_equal(decode(target, base, lengths, packed), values)


@every_target
@every_kind
@given(data=st.data())
def test_any_bits_are_differences(target: str, kind: str, data: st.DataObject) -> None:
    """Lengths and bits that no encoder writes still decode by the formula."""
    width = width_of(kind)
    lengths = data.draw(st.lists(st.integers(0, width), max_size=150))
    n = len(lengths)
    random = data.draw(st.randoms(use_true_random=False))
    base = np.array([random.getrandbits(width) for _ in lengths], kind)
    rows = [
        [random.getrandbits(1) for length in lengths if length > above]
        for above in (*range(width - 1, 0, -1), 0)
    ]
    packed = [np.array(harness.plane_of(row), np.uint8) for row in rows]
    for bits, row in zip(packed, rows, strict=True):
        if len(row) % 8:  # what is past the last bit means nothing
            bits[-1] |= np.uint8(random.getrandbits(8) << len(row) % 8 & 0xFF)
    expected, at = [], [0] * width
    for i in range(n):
        size = 1 << (lengths[i] - 1) if lengths[i] else 0
        for place, k in enumerate(range(width - 2, -1, -1)):
            if lengths[i] > k + 1:
                size |= rows[place][at[place]] << k
                at[place] += 1
        if lengths[i]:
            size = -size if rows[-1][at[-1]] else size
            at[-1] += 1
        moved = (ordered(int(base[i]), width) + size) % (1 << width)
        top = 1 << (width - 1)
        expected.append(moved if moved < top else top + (top * 2 - 1 - moved))
    out = decode(target, base, np.array(lengths, np.uint8), packed)
    assert out.tolist() == expected


@every_target
@given(st.binary(max_size=300), st.integers(0, 256))
def test_any_lengths_are_counted(target: str, lengths: bytes, most: int) -> None:
    memory = Memory(len(lengths) % 8)
    with kernels.forced(target):
        found = kernels.count_above(memory.like(np.frombuffer(lengths, np.uint8)), most)
    assert found.dtype == np.int64
    assert found.tolist() == [sum(x > k for x in lengths) for k in range(most)]


A: Final = np.zeros(16, np.uint32)
L: Final = np.zeros(16, np.uint8)
LONG: Final = np.full(16, 32, np.uint8)


def arrays(count: int, size: int) -> list[NDArray[Any]]:
    return [np.zeros(size, np.uint8) for _ in range(count)]


def change(arrays: list[NDArray[Any]], i: int, size: int) -> list[NDArray[Any]]:
    arrays[i] = np.zeros(size, np.uint8)
    return arrays


MISUSE: Final[dict[str, tuple[str, Callable[[], object]]]] = {
    "bytes": ("base", lambda: kernels.delta_lengths(L, L, L.copy())),
    "widths": ("values", lambda: kernels.delta_lengths(A, A.astype("u8"), L.copy())),
    "sizes": ("values", lambda: kernels.delta_lengths(A, A[1:], L.copy())),
    "lengths": ("lengths", lambda: kernels.pack_delta(A, A, L[1:], arrays(32, 0))),
    "out": ("out", lambda: kernels.delta_lengths(A, A, L[1:].copy())),
    "31": ("packed", lambda: kernels.pack_delta(A, A, L, arrays(31, 0))),
    "pack": ("packed", lambda: kernels.pack_delta(A, A, L, change(arrays(32, 0), 31, 1))),
    "33": ("packed", lambda: kernels.merge_delta(A, L, arrays(33, 0), A.copy())),
    "top": (
        "packed",
        lambda: kernels.merge_delta(A, LONG, change(arrays(32, 2), 0, 1), A.copy()),
    ),
    "none": (
        "packed",
        lambda: kernels.merge_delta(A, LONG, change(arrays(32, 2), 9, 0), A.copy()),
    ),
    "many": (
        "packed",
        lambda: kernels.merge_delta(A, LONG, change(arrays(32, 2), 30, 3), A.copy()),
    ),
    "signs": (
        "packed",
        lambda: kernels.merge_delta(A, LONG, change(arrays(32, 2), 31, 1), A.copy()),
    ),
    "merge out": ("out", lambda: kernels.merge_delta(A, L, arrays(32, 0), A[1:].copy())),
    "most": ("most", lambda: kernels.count_above(L, 257)),
}


@every_target
@pytest.mark.parametrize("case", MISUSE)
def test_misuse_is_a_value_error(target: str, case: str) -> None:
    name, call = MISUSE[case]
    with kernels.forced(target), pytest.raises(ValueError, match=name):
        call()
