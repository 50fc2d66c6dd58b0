"""Which requests fetch a set of ranges: neighbours are joined, long ones are cut.

A request costs a round trip, a gap that is fetched costs its bytes. Joined are, in this order:
neighbours within 64 bytes; the smallest gaps, while all that is wasted is at most 5 % of what is
wanted; and while more than 16 ranges are left, gaps of at most 256 KiB, as long as no more than 2.2
times the wanted bytes are fetched (a task of an interleaved file).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from mcodec.limits import KIB, MIB

if TYPE_CHECKING:
    from collections.abc import Iterable

    Range = tuple[int, int]

NEAR: Final = 64  # bytes between two chunks that are read as one (container/chunks.py)
WASTE: Final = (1, 20)  # of the wanted bytes, as a fraction
FEW: Final = 16  # ranges from which on more is wasted
WIDE: Final = 256 * KIB  # of a gap that is then still joined
WHOLE: Final = (11, 5)  # of the wanted bytes, all that is fetched then, as a fraction
MOST: Final = 8 * MIB  # of one request


def union(ranges: Iterable[Range], near: int = 0) -> list[Range]:
    """Return what ranges cover, in order, as ranges more than `near` bytes apart; empty ones go."""
    joined: list[Range] = []
    for start, stop in sorted(ranges):
        if stop <= start:
            continue
        if joined and start - joined[-1][1] <= near:
            if stop > joined[-1][1]:
                joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return joined


def coalesce(ranges: Iterable[Range], most: int = MOST) -> list[Range]:
    """Return the requests that fetch ranges, in the order of the file, none over another.

    Parameters
    ----------
    ranges
        (start, stop) in bytes; in any order, overlapping or not.
    most
        Bytes of one request.
    """
    exact = union(ranges)
    segments = union(exact, NEAR)
    wanted = sum(stop - start for start, stop in exact)
    fetched = sum(stop - start for start, stop in segments)
    joins = _joins(segments, wanted, fetched)
    requests: list[Range] = []
    group: list[Range] = []
    for segment, joined in zip(segments, [False, *joins], strict=False):
        if group and not joined:
            requests += _cut(group, most)
            group = []
        group.append(segment)
    return requests + _cut(group, most)


def _joins(segments: list[Range], wanted: int, fetched: int) -> list[bool]:
    """Return for each segment but the first whether it is joined with the one before it."""
    joined = [False] * max(len(segments) - 1, 0)
    left = len(segments)
    gaps = sorted(
        (after[0] - before[1], index) for index, (before, after) in enumerate(pairwise(segments))
    )
    for gap, index in gaps:
        cheap = (fetched + gap - wanted) * WASTE[1] <= wanted * WASTE[0]
        many = left > FEW and gap <= WIDE and (fetched + gap) * WHOLE[1] <= wanted * WHOLE[0]
        if not cheap and not many:
            break  # the gaps behind it are no smaller
        joined[index] = True
        fetched += gap
        left -= 1
    return joined


def _cut(group: list[Range], most: int) -> list[Range]:
    """Cut joined segments into requests, between two of them where it can be."""
    requests: list[Range] = []
    at = end = -1
    for start, stop in group:
        if at >= 0 and stop - at > most and 2 * (end - at) >= most:
            requests.append((at, end))  # and the gap is not fetched at all
            at = -1
        at, end = (start if at < 0 else at), stop
        while end - at > most:
            requests.append((at, at + most))
            at += most
    if group:
        requests.append((at, end))
    return requests
