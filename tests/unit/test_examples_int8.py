"""The example of integer fusion: its arithmetic is the paper's, and it runs."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

    Models = dict[str, dict[str, NDArray[np.float32]]]

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("int8_fusion")


@pytest.fixture
def models(example: ModuleType) -> Models:
    return {task: example.network.load(path) for task, path in example.MODELS.items()}


def test_the_papers_two_examples(example: ModuleType) -> None:
    """240 becomes 255, 6.25 % more; 1 becomes 15, which is 1400 % more, not 1500 (001-l)."""
    a, b = np.array([240, 1, 0x5A], np.uint8), np.array([255, 255, 0x71], np.uint8)
    fused = example.fuse(a, b, 4)
    assert fused.tolist() == [255, 15, 0x57]
    assert example.split(fused, 4).tolist() == [0xF0, 0xF0, 0x70]
    assert [example.relative(old, new) for old, new in example.EXAMPLES] == [0.0625, 14.0]


@pytest.mark.parametrize("low", range(1, 8))
def test_every_pair_of_integers(example: ModuleType, low: int) -> None:
    a, b = (grid.astype(np.uint8) for grid in np.meshgrid(np.arange(256), np.arange(256)))
    fused = example.fuse(a, b, low)
    assert (fused.astype(int) == a.astype(int) // 2**low * 2**low + b // 2 ** (8 - low)).all()
    assert (example.split(fused, low).astype(int) == b // 2 ** (8 - low) * 2 ** (8 - low)).all()


def test_integers_are_within_half_a_unit(example: ModuleType) -> None:
    array = np.random.default_rng(1).standard_normal((50, 40)).astype(np.float32)
    found = example.quantise(array)
    assert found.magnitudes.max() == 255
    assert np.abs(found.values() - array).max() <= found.unit * 0.5001
    nothing = example.quantise(np.zeros((3, 3), np.float32))
    assert not nothing.values().any()


def test_small_weights_change_most(example: ModuleType, models: Models) -> None:
    rows = example.bands(models, 4)
    means = [row.mean for row in rows]
    assert means == sorted(means, reverse=True)
    assert means[0] > 0.5
    assert means[-1] < 0.0625
    assert rows[0].worst > 10
    assert sum(row.weights for row in rows) < sum(
        models["A"][name].size for name in example.fused_names(models)
    )


def test_accuracy_falls(example: ModuleType, models: Models) -> None:
    """A tenth of the digits is enough to see it; the example uses all of them."""
    before = example.accuracies(models, 10)
    after = example.accuracies(example.fusion(models, 4), 10)
    assert all(mark > 0.95 for mark in before.values())
    assert after["A"] < before["A"]
    few = example.accuracies(example.fusion(models, 2), 10)
    assert few["B"] < 0.7  # two bits do not hold B's weights


@pytest.mark.slow
def test_it_runs(tmp_path: Path) -> None:
    outcome = subprocess.run(
        [sys.executable, EXAMPLES / "int8_fusion.py"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"PATH": "", "COLUMNS": "120"},
    )
    for words in ("6.25%", "1400.00%", "8-bit integers, 4 bits from B", "mcodec --bits 12,11"):
        assert words in outcome.stdout
    assert not list(tmp_path.iterdir())
