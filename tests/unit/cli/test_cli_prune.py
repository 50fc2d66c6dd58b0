"""`mcodec prune` as people type it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from support import cases
from support.command import call

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    save_file(
        {"w": cases.weights("float32", (40, 50)), "b": np.ones(50, np.float32)}, "m.safetensors"
    )
    return "m.safetensors"


def test_json(model: str) -> None:
    outcome = call("prune", model, "--sparsity", 0.9, "-o", "x.npz", "--json")
    found = json.loads(outcome.out)
    assert (outcome.code, outcome.err) == (0, "")
    one = found["tensors"][0]
    assert one == {
        "name": "w",
        "dtype": "float32",
        "shape": [40, 50],
        "nonzero_before": 2000,
        "nonzero_after": 200,
    }
    assert {key: found[key] for key in ("format", "sparsity", "weights", "untouched")} == {
        "format": "npz",
        "sparsity": 0.9,
        "weights": 2000,
        "untouched": 1,
    }
    assert found["reached"] == pytest.approx(0.9)


def test_what_people_see(model: str) -> None:
    outcome = call("prune", model, "--sparsity", 0.9, "-o", "x.safetensors")
    assert "90.00%" in outcome.out
    assert "1 tensor pruned, 1 untouched" in outcome.out
    assert call("prune", model, "--sparsity", 0.9, "-o", "x.safetensors", "-q").out == ""


@pytest.mark.parametrize(
    ("options", "nonzero"),
    [
        (("--schedule", "0/100"), 2000),
        (("--schedule", "50/100"), 425),
        (("--schedule", "100/100"), 200),
        (("--schedule", "150/100", "--start", 100), 425),
        (("--schedule", "0/100", "--initial", 0.5), 1000),
    ],
    ids=str,
)
def test_schedule(model: str, options: tuple[object, ...], nonzero: int) -> None:
    assert call("prune", model, "--sparsity", 0.9, "-o", "x.safetensors", *options).code == 0
    assert np.count_nonzero(load_file("x.safetensors")["w"]) == nonzero


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--sparsity", "x"), ("'x' is not a valid float",)),
        (("--sparsity", "2"), ("sparsity", "from 0 to 1")),
        (("--sparsity", "0.5", "--schedule", "5"), ("--schedule '5'", "STEP/STEPS")),
        (("--sparsity", "0.5", "--schedule", "5/0"), ("steps",)),
        (("--sparsity", "0.5", "--initial", "0.1"), ("no --schedule",)),
        (("--sparsity", "0.5", "--start", "1"), ("no --schedule",)),
        (("--sparsity", "0.5", "--codec", "csr"), ("codec is for a .mc file",)),
        (("--sparsity", "0.5", "--task", "A"), ("no .mc file",)),
        (("--sparsity", "0.5", "--key", "A"), ("--key is for PyTorch",)),
        ((), ("--sparsity",)),
    ],
    ids=str,
)
def test_usage(model: str, options: tuple[str, ...], words: tuple[str, ...]) -> None:
    call("prune", model, "-o", "x.npz", *options).assert_fails(2, *words)


def test_a_pattern_that_matches_nothing_is_a_warning(model: str) -> None:
    outcome = call("prune", model, "--sparsity", 0.9, "-o", "x.npz", "--exclude", "v*")
    assert outcome.code == 0
    assert outcome.err == "mcodec: warning: the pattern 'v*' matches no weight\n"


def test_prune_after_quantising(model: str) -> None:
    save_file({"w": np.ones((4, 4), np.int8), "w.scale": np.ones(4, np.float32)}, "q.safetensors")
    arguments = ("prune", "q.safetensors", "--sparsity", 0.9, "-o", "x.npz")
    call(*arguments).assert_fails(2, "quantised already", "'w' is int8", "--force")
    assert call(*arguments, "--force").err.endswith("was quantised already (tensor 'w' is int8)\n")


def test_no_check(model: str) -> None:
    arguments = ("prune", model, "--sparsity", 0.9, "-o", "x.npz", "--json")
    assert json.loads(call(*arguments).out)["checked"]
    assert not json.loads(call(*arguments, "--no-check").out)["checked"]
