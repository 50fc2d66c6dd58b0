"""The example models are real, alike but for the head, and as good as examples/README.md says."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

if TYPE_CHECKING:
    from types import ModuleType

EXAMPLES = Path(__file__).parents[2] / "examples"
RUN_THRESHOLD = 16_384  # elements: below it, tensors share a run


def model(task: str) -> Path:
    return EXAMPLES / f"digits_{task.lower()}.h5"


@pytest.fixture
def digits(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("digits")


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("network")


@pytest.mark.parametrize(("task", "floor"), [("A", 0.97), ("B", 0.98)])
def test_accuracy_on_the_held_out_digits(
    digits: ModuleType, network: ModuleType, task: str, floor: float
) -> None:
    images, answers = digits.heldout()
    weights = network.load(model(task))
    score = network.accuracy(weights, images[::4], digits.labels(task, answers[::4]))
    assert score >= floor


def test_accuracy_needs_the_weights(digits: ModuleType, network: ModuleType) -> None:
    images, answers = digits.heldout()
    weights = network.load(model("A"))
    weights["conv3/kernel"] = np.zeros_like(weights["conv3/kernel"])
    assert network.accuracy(weights, images[:200], answers[:200]) < 0.5


def test_held_out_digits_are_two_collections_of_all_ten(digits: ModuleType) -> None:
    images, answers = digits.heldout()
    assert images.shape == (1960, 28, 28, 1)
    assert images.dtype == np.float32
    assert images.min() == 0
    assert images.max() == 1
    for part in (answers[:1600], answers[1600:]):
        assert set(part.tolist()) == set(range(10))
    assert np.array_equal(digits.labels("B", answers), answers % 2)


def test_models_share_every_tensor_but_the_head(network: ModuleType) -> None:
    shapes = {task: {k: v.shape for k, v in network.load(model(task)).items()} for task in "AB"}
    assert list(shapes["A"]) == list(shapes["B"])
    other = {name for name in shapes["A"] if shapes["A"][name] != shapes["B"][name]}
    assert other == {"head/kernel", "head/bias"}
    sizes = [int(np.prod(shape)) for shape in shapes["A"].values()]
    assert sum(size >= RUN_THRESHOLD for size in sizes) >= 2
    assert sum(size < RUN_THRESHOLD for size in sizes) >= 10


def test_models_were_trained_apart(network: ModuleType) -> None:
    a, b = network.load(model("A")), network.load(model("B"))
    for name in ("conv1/kernel", "conv4/kernel", "dense/kernel"):
        assert abs(np.corrcoef(a[name].ravel(), b[name].ravel())[0, 1]) < 0.3


@pytest.mark.parametrize("task", ["A", "B"])
def test_file_is_a_whole_keras_model_and_small(task: str) -> None:
    assert model(task).stat().st_size < 400_000
    with h5py.File(model(task), "r") as file:
        assert {"model_config", "keras_version"} <= set(file.attrs)
        assert "optimizer_weights" not in file


def test_conv2d_is_the_sum_it_says(network: ModuleType) -> None:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((2, 5, 4, 3)).astype(np.float32)
    kernel = rng.standard_normal((3, 3, 3, 2)).astype(np.float32)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = np.zeros((2, 5, 4, 2))
    for i, j in np.ndindex(5, 4):
        window = padded[:, i : i + 3, j : j + 3]
        expected[:, i, j] = np.einsum("nhwc,hwcd->nd", window, kernel)
    np.testing.assert_allclose(network.conv2d(x, kernel), expected, atol=1e-5)


def test_max_pool_keeps_the_largest_of_four(network: ModuleType) -> None:
    x: Any = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    assert network.max_pool(x).ravel().tolist() == [5, 7, 13, 15]
