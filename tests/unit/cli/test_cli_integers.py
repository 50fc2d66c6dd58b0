"""`mcodec unpack --integers`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

import mcodec
from support import cases
from support.command import call

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A current folder with a file of integers, and one of none."""
    monkeypatch.chdir(tmp_path)
    model = {"w": cases.weights("float32", (8, 9)), "b": cases.weights("float32", (9,))}
    mcodec.pack({"A": model}, "x.mc", codec="int8(scope=axis:-1)")
    mcodec.pack({"A": model}, "y.mc")


def test_integers_go_out() -> None:
    outcome = call("unpack", "x.mc", "-o", "out.npz", "--integers")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("out.npz: task A, 3 tensors, ")
    assert outcome.out.endswith("1 of them as integers, with their scales\n")
    with np.load("out.npz") as file, mcodec.open("x.mc") as packed:
        assert set(file) == {"w", "w.scale", "b"}
        integers, scales = packed.task().get_quantized("w")
        assert np.array_equal(file["w"], integers)
        assert cases.same_bits(file["w.scale"], scales)
    found = json.loads(call("unpack", "x.mc", "-o", "out.npz", "--integers", "--json").out)
    assert (found["integers"], found["exact"]) == (1, False)
    assert json.loads(call("unpack", "x.mc", "-o", "out.npz", "--json").out)["integers"] == 0


def test_what_has_no_integers() -> None:
    outcome = call("unpack", "y.mc", "-o", "out.npz", "--integers")
    outcome.assert_fails(2, "no tensor that is stored as integers", "--codec int8")
    call("unpack", "x.mc", "--integers", "--planes", "3").assert_fails(2, "leave out planes")
    call("unpack", "x.mc", "--integers", "--to", "keras").assert_fails(2, "write safetensors")
