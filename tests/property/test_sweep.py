"""`sweep --keep` is ``(u >> n) << n`` on any pattern of any float; where loss begins."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import mcodec.evaluate
from mcodec.types import FLOATS, numpy_dtype

PATTERNS = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=40)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(FLOATS)), PATTERNS, st.integers(1, 64))
def test_keep_is_a_shift_there_and_back(dtype: str, patterns: list[int], keep: int) -> None:
    width = FLOATS[dtype].width
    bits = np.array([pattern >> (64 - width) for pattern in patterns], f"<u{width // 8}")
    seen: list[Any] = []

    def look(weights: Any, task: str) -> float:
        seen.append(weights["w"].view(bits.dtype).tolist())
        return 1.0

    mcodec.evaluate.sweep({"w": bits.view(numpy_dtype(dtype))}, look, keep=keep)
    dropped = max(0, width - keep)
    assert seen[0] == bits.tolist()
    assert seen[-1] == [int(pattern) >> dropped << dropped for pattern in bits]
    assert len(seen) == (2 if dropped else 1)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=12))
def test_the_last_setting_without_loss(scores: list[int]) -> None:
    baseline, *rest = scores
    left = iter(scores)
    grid = range(1, len(rest) + 1)
    weights = {"w": np.ones(3, np.float32)}
    report = mcodec.evaluate.sweep(weights, lambda weights, task: next(left), keep=grid)
    # Settings go from most bits to fewest, as the scores were given out.
    good = [k for k in grid if all(score >= baseline for score in rest[: len(rest) + 1 - k])]
    assert report.last_without_loss("A") == (min(good) if good else None)
