"""`mcodec diff` and `mcodec convert` as people type them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from safetensors.numpy import save_file

from support.command import call

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def left(tmp_path: Path) -> Path:
    path = tmp_path / "left.safetensors"
    save_file({"w": np.arange(6.0), "same": np.ones(2)}, path)
    return path


def test_exit_codes_and_json(left: Path, tmp_path: Path) -> None:
    right = tmp_path / "right.safetensors"
    save_file({"w": np.arange(6.0) + 0.5, "same": np.ones(2)}, right)
    assert call("diff", left, left).code == 0
    outcome = call("diff", left, right, "--json")
    found = json.loads(outcome.out)
    assert outcome.code == 1
    assert not found["same"]
    assert found["tensors"][0]["max_abs"] == 0.5
    assert found["tensors_equal"] == 1
    assert call("diff", left, right, "-q").out.startswith("w: 6 of 6 values differ, by 0.5")


def test_options_for_sides_that_have_them(left: Path, tmp_path: Path) -> None:
    assert call("pack", f"one={left}", f"two={left}", "-o", tmp_path / "x.mc").code == 0
    assert call("diff", left, tmp_path / "x.mc", "--task", "two").code == 0
    assert call("diff", tmp_path / "x.mc", tmp_path / "x.mc", "--task", "two").code == 0
    for option in ("--task", "--key"):
        call("diff", left, left, option, "x").assert_fails(2, option)
    both = ["--task", "one", "--task", "two"]
    assert call("diff", tmp_path / "x.mc", tmp_path / "x.mc", *both).code == 0
    call("diff", left, tmp_path / "x.mc", *both, "--task", "x").assert_fails(2, "at most twice")


def test_a_key_is_for_the_side_that_is_a_checkpoint(left: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    tensors = {"module.w": torch.arange(6.0, dtype=torch.float64), "module.same": torch.ones(2)}
    tensors["module.same"] = tensors["module.same"].double()
    torch.save({"model": tensors, "epoch": 3}, tmp_path / "x.pt")
    assert call("diff", left, tmp_path / "x.pt", "--key", "model.module").code == 0
    outcome = call("diff", left, tmp_path / "x.pt", "--key", "model")
    assert outcome.code == 1
    assert "module.w" in outcome.out
    call("diff", left, tmp_path / "x.pt", "--key", "nope").assert_fails(2, "no 'nope'", "'epoch'")


def test_names_from_files_are_escaped(left: Path, tmp_path: Path) -> None:
    save_file({"\x1b[31mred\n": np.ones(2)}, tmp_path / "evil.safetensors")
    outcome = call("diff", left, tmp_path / "evil.safetensors")
    assert "\x1b" not in outcome.out
    assert outcome.out.count("\n") == 4


def test_convert_as_json(left: Path, tmp_path: Path) -> None:
    outcome = call("convert", left, tmp_path / "x.npz", "--json")
    found = json.loads(outcome.out)
    assert (outcome.code, found["format"], found["checked"], found["notes"]) == (0, "npz", True, [])
    assert found["file_bytes"] == (tmp_path / "x.npz").stat().st_size
    assert not json.loads(call("convert", left, tmp_path / "x.npz", "--json", "--no-check").out)[
        "checked"
    ]


def test_convert_in_a_sandbox(left: Path, tmp_path: Path) -> None:
    assert call("convert", left, tmp_path / "x.h5", "--sandbox").code == 0
    assert call("diff", left, tmp_path / "x.h5", "--sandbox").code == 0
    (tmp_path / "cut.safetensors").write_bytes(left.read_bytes()[:-1])
    call("convert", tmp_path / "cut.safetensors", tmp_path / "y.h5", "--sandbox").assert_fails(3)
    assert not (tmp_path / "y.h5").exists()
