"""The gradual pruning schedule, against the numbers that paper 003's equation 1 gives."""

from __future__ import annotations

import math
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mcodec
from mcodec.errors import UsageError

STEPS: Final = 250_000
AT: Final = (0, 25_000, 50_000, 125_000, 200_000, 225_000, 250_000)
# Final sparsity -> sparsity at the steps of `AT`, from none at step 0 on.
PAPER: Final = {
    0.5: (0.0, 0.1355, 0.244, 0.4375, 0.496, 0.4995, 0.5),
    0.6: (0.0, 0.1626, 0.2928, 0.525, 0.5952, 0.5994, 0.6),
    0.7: (0.0, 0.1897, 0.3416, 0.6125, 0.6944, 0.6993, 0.7),
    0.8: (0.0, 0.2168, 0.3904, 0.7, 0.7936, 0.7992, 0.8),
    0.9: (0.0, 0.2439, 0.4392, 0.7875, 0.8928, 0.8991, 0.9),
    0.95: (0.0, 0.25745, 0.4636, 0.83125, 0.9424, 0.94905, 0.95),
    0.99: (0.0, 0.26829, 0.48312, 0.86625, 0.98208, 0.98901, 0.99),
}


@pytest.mark.parametrize("final", PAPER)
def test_the_paper(final: float) -> None:
    found = [mcodec.gradual_sparsity(step, final, steps=STEPS) for step in AT]
    assert found == pytest.approx(PAPER[final], abs=1e-12)


def test_ends_are_exact_and_hold() -> None:
    def at(step: int) -> float:
        return mcodec.gradual_sparsity(step, 0.9, 0.3, 100, steps=50)

    assert [at(step) for step in (0, 99, 100)] == pytest.approx([0.3] * 3, abs=1e-15)
    assert [at(step) for step in (150, 151, 10**12)] == [0.9] * 3
    assert at(125) == pytest.approx(0.9 - 0.6 / 8)


@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 100), st.integers(1, 100))
def test_it_never_leaves_its_ends(final: float, initial: float, start: int, steps: int) -> None:
    found = [mcodec.gradual_sparsity(t, final, initial, start, steps=steps) for t in range(205)]
    low, high = min(initial, final), max(initial, final)
    assert all(low - 1e-15 <= sparsity <= high + 1e-15 for sparsity in found)
    assert found[start + steps :] == [final] * len(found[start + steps :])


@pytest.mark.parametrize(
    "wrong",
    [
        {"final": 1.5},
        {"final": -0.1},
        {"final": math.nan},
        {"initial": 2},
        {"steps": 0},
        {"steps": -3},
    ],
    ids=str,
)
def test_what_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        mcodec.gradual_sparsity(1, **{"final": 0.9, "steps": 10, **wrong})
