"""`mcodec truncate` as people type it."""

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
        {
            "w": cases.weights("float32", (40, 50)),
            "b": np.array([1, np.nan, 3e38, -0.0], np.float32),
            "n": np.arange(4),
        },
        "m.safetensors",
    )
    return "m.safetensors"


def test_json(model: str) -> None:
    outcome = call("truncate", model, "--keep", 9, "-o", "x.npz", "--json")
    found = json.loads(outcome.out)
    assert outcome.code == 0
    assert outcome.err.count("\n") == len(found["notes"]) == 1
    tensors = {one["name"]: one for one in found["tensors"]}
    assert tensors["b"] == {
        "name": "b",
        "dtype": "float32",
        "shape": [4],
        "changed": 2,
        "max_abs_error": pytest.approx(3e38 - 2.0**127),
        "sqnr_db": pytest.approx(7.27, abs=0.01),
        "became_not_finite": 0,
        "not_finite_lost": 1,
        "truncated_not_rounded": 0,
    }
    assert {key: found[key] for key in ("format", "operation", "keep", "values", "untouched")} == {
        "format": "npz",
        "operation": "truncate",
        "keep": 9,
        "values": 2004,
        "untouched": 1,
    }
    flipped = call(
        "truncate", model, "--operation", "flip", "--mask", "FF", "-o", "x.npz", "--json"
    )
    assert (json.loads(flipped.out)["operation"], json.loads(flipped.out)["mask"]) == ("flip", "ff")


def test_what_people_see(model: str) -> None:
    outcome = call("truncate", model, "--keep", 16, "--exclude", "b", "-o", "x.safetensors")
    assert "truncate, 16 bits kept: 1 tensor, 2 untouched; 2,000 of 2,000 values" in outcome.out
    assert load_file("x.safetensors")["w"].view("u4").max() & 0xFFFF == 0
    masked = call("truncate", model, "--operation", "clear", "--mask", "ff", "-o", "x.npz")
    assert "clear of the bits ff: 2 tensors" in masked.out
    assert call("truncate", model, "--keep", 16, "-o", "x.safetensors", "-q").out == ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), ("truncate needs", "keep")),
        (("--keep", "0"), ("--keep", "1<=x<=64")),
        (("--keep", "65"), ("--keep",)),
        (("--keep", "x"), ("--keep", "not a valid whole number")),
        (("--keep", "9", "--mask", "ff"), ("takes no mask",)),
        (("--operation", "flip"), ("flip needs a mask",)),
        (("--operation", "flip", "--mask", "0xg"), ("'0xg'", "hexadecimal")),
        (("--operation", "flip", "--mask", "1ffffffff"), ("33 bits", "'b'", "float32, of 32")),
        (("--operation", "turn", "--mask", "1"), ("--operation",)),
        (("--keep", "9", "--task", "A"), ("no .mc file",)),
    ],
    ids=str,
)
def test_usage(model: str, options: tuple[str, ...], words: tuple[str, ...]) -> None:
    call("truncate", model, "-o", "x.npz", *options).assert_fails(2, *words)


def test_a_missing_and_a_damaged_file(model: str, tmp_path: Path) -> None:
    call("truncate", "nosuch.h5", "--keep", 9, "-o", "x.h5").assert_fails(5, "nosuch.h5")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / model).read_bytes()[:-5])
    call("truncate", "cut.safetensors", "--keep", 9, "-o", "x.h5").assert_fails(3, "cut")
