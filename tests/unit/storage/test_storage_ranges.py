"""Which requests fetch a set of ranges."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mcodec.limits import KIB, MIB
from mcodec.storage.ranges import coalesce, union

Range = tuple[int, int]
RANGES = st.lists(
    st.tuples(st.integers(0, 5000), st.integers(0, 300)).map(lambda pair: (pair[0], sum(pair))),
    max_size=60,
)
SPREAD = st.lists(st.tuples(st.integers(0, 400 * KIB), st.integers(1, 300 * KIB)), max_size=80)


def laid_out(steps: list[Range]) -> list[Range]:
    """Return ranges from (gap, length)."""
    ranges, at = [], 0
    for gap, length in steps:
        ranges.append((at + gap, at + gap + length))
        at += gap + length
    return ranges


def bytes_of(ranges: list[Range]) -> int:
    return sum(stop - start for start, stop in ranges)


def covered(requests: list[Range], start: int, stop: int) -> bool:
    """Tell whether requests that follow one another hold a range."""
    for first, last in requests:
        if first <= start < last:
            start = min(last, stop)
    return start == stop


@given(RANGES, st.sampled_from([64, 500, 10**6]))
def test_small_ranges(ranges: list[Range], most: int) -> None:
    exact = union(ranges)
    assert {at for span in exact for at in range(*span)} == {
        at for span in ranges for at in range(*span)
    }
    check(exact, coalesce(ranges, most), most)


@given(SPREAD)
def test_spread_ranges(steps: list[Range]) -> None:
    ranges = laid_out(steps)
    check(union(ranges), coalesce(ranges), 8 * MIB)
    assert coalesce(reversed(ranges)) == coalesce([*ranges, *ranges[:3]])


def check(exact: list[Range], requests: list[Range], most: int) -> None:
    assert all(0 < stop - start <= most for start, stop in requests)
    assert all(before[1] <= after[0] for before, after in pairwise(requests))
    for start, stop in union(exact, 64):  # what the reader reads as one is there without a hole
        assert covered(requests, start, stop)
    wanted, joined = bytes_of(exact), bytes_of(union(exact, 64))
    assert bytes_of(requests) <= max(joined, 2.2 * wanted)
    if len(union(exact, 64)) <= 16:
        assert bytes_of(requests) <= max(joined, 1.05 * wanted)


def test_what_joins() -> None:
    assert coalesce([]) == coalesce([(5, 5), (9, 3)]) == []
    assert coalesce([(0, 10), (74, 80)]) == [(0, 80)]  # 64 bytes between them, always
    assert coalesce([(0, 10), (75, 80)]) == [(0, 10), (75, 80)]
    assert coalesce([(0, 1000), (1100, 2100)]) == [(0, 2100)]  # 5 % of 2,000
    assert coalesce([(0, 1000), (1101, 2101)]) == [(0, 1000), (1101, 2101)]
    # The smallest gap first: the wider one would be over 5 %.
    three = [(0, 1000), (1150, 2150), (2220, 3220)]
    assert coalesce(three) == [(0, 1000), (1150, 3220)]


def test_many_ranges_become_few() -> None:
    every_other = [(at, at + 10 * KIB) for at in range(0, 2000 * KIB, 20 * KIB)]
    assert len(coalesce(every_other)) == 16  # not fewer: beyond that, bytes count more
    wide = [(at, at + 300 * KIB) for at in range(0, 20 * MIB, 600 * KIB)]
    assert len(coalesce(wide)) == len(wide) - 1  # 5 % is one gap; others are over 256 KiB
    sparse = [(at, at + 10 * KIB) for at in range(0, 2000 * KIB, 40 * KIB)]
    assert bytes_of(coalesce(sparse)) <= 2.2 * bytes_of(sparse)


def test_what_is_cut() -> None:
    assert coalesce([(3, 25)], 8) == [(3, 11), (11, 19), (19, 25)]
    # Cut between two segments where the first is half a request or more; the gap is left out.
    pair = [(0, 6000), (6200, 12000)]
    assert coalesce(pair, 8000) == pair
    assert coalesce([(0, 2000), (2065, 12000)], 8000) == [(0, 8000), (8000, 12000)]
