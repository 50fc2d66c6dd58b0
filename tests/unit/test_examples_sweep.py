"""The example networks under fewer bits, as examples/accuracy.py measures them."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

import mcodec.evaluate
from support.command import run

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_half_the_bits_cost_nothing_and_a_quarter_everything() -> None:
    text = f"{EXAMPLES / 'accuracy.py'}:accuracy"
    report = mcodec.evaluate.sweep(EXAMPLES / "digits_a.h5", text, keep=[32, 16, 8])
    assert report.baseline("A").score == pytest.approx(98.67, abs=0.05)
    assert report.measured == 3
    same, half, quarter = report.curve("A")
    assert report.drop(same) == 0
    assert abs(report.drop(half)) <= 0.1
    assert report.drop(quarter) > 50


@pytest.mark.slow
def test_keras_takes_files(tmp_path: Path) -> None:
    for needed in ("keras", "torch"):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"needs {needed}")
    for function, option in (("accuracy", []), ("by_keras", ["--as-file"])):
        model = f"B={EXAMPLES / 'digits_b.h5'}"
        options = ["--evaluate", f"{EXAMPLES / 'accuracy.py'}:{function}", "--bits", "12,3"]
        options += ["-o", str(tmp_path / function), "--jobs", "2", *option]
        done = run("sweep", model, *options, env={"KERAS_BACKEND": "torch"})
        assert done.code == 0, done
    ours, theirs = (accuracies(tmp_path / name) for name in ("accuracy", "by_keras"))
    assert len(ours) == 3
    assert ours == pytest.approx(theirs, abs=0.11)  # two of 1,960 digits


def accuracies(path: Path) -> dict[int, float]:
    """Return what was measured, by setting; the exact model is at 99."""
    cells = json.loads(path.read_text())["cells"]
    return {cell["setting"] or 99: cell["scores"]["accuracy"] for cell in cells}
