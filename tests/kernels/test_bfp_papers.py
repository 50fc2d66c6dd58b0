"""The worked numbers of paper 001, where they are beside the project."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import harness
import numpy as np
import pytest
from harness import EVERY, exponent_table, merge_bfp, split_bfp

if TYPE_CHECKING:
    from pathlib import Path


def test_the_papers_vectors(shared: Path) -> None:
    found = json.loads((shared / "oracles" / "vectors.json").read_text())["bfp"]
    w = np.array(found["w"], np.float32)
    for name, vector in found.items():
        if not name.startswith("n"):
            continue
        bits, rounding = name[1:].split("_")
        table = exponent_table(vector["E"] + 1)  # the papers' E is one less
        for target in EVERY:
            planes = split_bfp(
                target, "float32", w.view("<u4"), int(bits), table, truncate=rounding == "trunc"
            )
            assert harness.bits_of(planes[0], w.size) == vector["sign"]
            assert harness.integers_of(planes[1:], w.size) == vector["q"]
            ours = merge_bfp(target, "float32", w.size, planes, int(bits), table)
            assert ours.view("<f4").tolist() == vector["value"]


def test_dither_decodes_more_bits_than_were_split(shared: Path) -> None:
    found = json.loads((shared / "oracles" / "vectors.json").read_text())["fusion_23bit"]
    a, b = (np.array(found[name], np.float32).view("<u4") for name in "AB")
    tables = [exponent_table(found[name]["E"] + 1) for name in ("A12", "B11")]
    for target in EVERY:
        of_a = split_bfp(target, "float32", a, 12, tables[0], truncate=True)
        of_b = split_bfp(target, "float32", b, 11, tables[1], truncate=True)
        assert harness.integers_of([*of_a[1:], *of_b[1:]], a.size) == found["field"]
        ours = merge_bfp(target, "float32", a.size, [*of_a, *of_b[1:]], 23, tables[0])
        assert ours.view("<f4").tolist() == pytest.approx(found["A_dither_values"], rel=1e-7)
