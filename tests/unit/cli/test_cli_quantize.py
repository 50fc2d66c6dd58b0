"""`mcodec quantize` as people type it."""

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
    outcome = call("quantize", model, "-o", "x.mc", "--json")
    found = json.loads(outcome.out)
    assert (outcome.code, outcome.err) == (0, "")
    (one,) = found["tensors"]
    assert one["name"] == "w"
    assert (one["scope"], one["scales"], one["codec"]) == ("axis:0", 40, "int8")
    assert one["max_abs_error"] > 0
    assert 40 < one["sqnr_db"] < 60
    assert (found["format"], found["integers"], found["checked"]) == ("mc", False, False)
    assert (found["source_bytes"], found["integer_bytes"]) == (8200, 2360)
    exact = call("quantize", model, "-o", "x.npz", "--json", "--include", "none")
    assert json.loads(exact.out)["tensors"] == []


def test_no_error_is_no_number(model: str) -> None:
    save_file({"w": np.eye(3, dtype=np.float32) * 127}, "eye.safetensors")
    one = json.loads(call("quantize", "eye.safetensors", "-o", "x.npz", "--json").out)["tensors"][0]
    assert (one["max_abs_error"], one["sqnr_db"]) == (0.0, None)
    assert call("quantize", "eye.safetensors", "-o", "x.npz").out.splitlines()[1].endswith("-")


def test_what_people_see(model: str) -> None:
    outcome = call("quantize", model, "-o", "x.safetensors", "--axis", "tensor")
    assert "1 tensor quantised, 1 untouched" in outcome.out
    assert "as integers and scales 2.2 kB" in outcome.out
    assert outcome.out.endswith("read back equal, floats\n")
    assert call("quantize", model, "-o", "x.safetensors", "-q").out == ""
    assert "int8" in call("quantize", model, "-o", "x.mc").out


@pytest.mark.parametrize(("axis", "shape"), [("tensor", ()), ("0", (40, 1)), ("-1", (50,))])
def test_integers(model: str, axis: str, shape: tuple[int, ...]) -> None:
    outcome = call("quantize", model, "-o", "x.safetensors", "--integers", "--axis", axis)
    assert outcome.code == 0
    assert outcome.out.endswith("integers\n")
    assert load_file("x.safetensors")["w.scale"].shape == shape


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--axis", "x"), ("--axis 'x'", "'tensor'")),
        (("--axis", "2"), ("tensor 'w'", "axis:2")),
        (("--task", "A"), ("no .mc file",)),
        (("--to", "keras", "--integers"), ("no place for integers",)),
        (("-o", "x.mc", "--integers"), ("x.mc",)),
    ],
    ids=str,
)
def test_usage(model: str, options: tuple[str, ...], words: tuple[str, ...]) -> None:
    call("quantize", model, "-o", "x.npz", *options).assert_fails(2, *words)
