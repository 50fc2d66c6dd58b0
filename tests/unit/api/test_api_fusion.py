"""Bit fusion v1 and v2 as paper 001 counts them, and what the file really takes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mcodec
from mcodec.api.fusion import WAYS, pair_bits
from mcodec.api.fusionreport import fusion_report
from mcodec.errors import UsageError
from support import cases

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SHAPES = {"conv/kernel": (3, 3, 16, 32), "wide/kernel": (200, 150)}
WEIGHTS = sum(int(np.prod(shape)) for shape in SHAPES.values())


def network(seed: int, classes: int) -> dict[str, NDArray[Any]]:
    model = {name: cases.weights("float32", shape, seed) for name, shape in SHAPES.items()}
    return model | {
        "conv/bias": cases.weights("float32", (32,), seed),
        "bn/gamma": np.ones(32, np.float32),
        "head/kernel": cases.weights("float32", (150, classes), seed),
        "head/bias": np.zeros(classes, np.float32),
    }


def pair() -> dict[str, dict[str, NDArray[Any]]]:
    return {"A": network(1, 100), "B": network(2, 10)}


def test_the_papers_counts() -> None:
    """Paper 001, table 1, and what its text says (001-e, 001-f)."""
    assert {way: pair_bits(way) for way in ("separate", "classifier", "piggyback", "packnet")} == {
        "separate": 64,
        "classifier": 32,
        "piggyback": 34,
        "packnet": 33,
    }
    assert pair_bits("v1", 16, 16) == 50
    assert pair_bits("v1", 16, 15) == 49  # 23.4 % saved
    assert round(1 - 49 / 64, 3) == 0.234
    assert pair_bits("v2", 16, 16) == 34
    assert pair_bits("v2", 12, 11) == 25
    assert pair_bits("v2", 24, 24) == 50
    assert pair_bits("packnet", networks=3) == pair_bits("packnet", networks=4) == 34
    assert pair_bits("v1", 5, 4, dtype="bfloat16") == 2 * 9 + 9
    assert pair_bits("v1", 5, 4, dtype="float16") == 2 * 6 + 9
    assert pair_bits("piggyback", dtype="float16") == 18


def test_the_figures_of_the_papers_digest(shared: Path) -> None:
    oracle = json.loads((shared / "oracles" / "resnet18_storage.json").read_text())
    weights = oracle["counts"]["cifar3x3_100"]["conv_weights"]
    rows = {row["row"].partition(" (")[0]: row for row in oracle["table"]}
    ways: dict[str, tuple[str, int, int]] = {
        "two fp32 models": ("separate", 0, 0),
        "classifier-only": ("classifier", 0, 0),
        "Piggyback": ("piggyback", 0, 0),
        "bit fusion v1 as in Table 1": ("v1", 16, 16),
        "bit fusion v1 implied by 23.4%": ("v1", 16, 15),
    }
    for name, (way, n, m) in ways.items():
        bits = pair_bits(way, n, m)
        assert rows[name]["bits_per_weight_pair"] == bits
        assert bits * weights / 8e6 == pytest.approx(rows[name]["MB_conv_exact_cifar3x3"], abs=1e-3)


@pytest.mark.parametrize(
    ("options", "way", "bits"),
    [
        ({"bits": [12, 11], "rounding": "truncate"}, "v2", (12, 11)),
        ({"bits": [12, 11], "fusion": "v1"}, "v1", (12, 11)),
        ({"bits": [23, 23], "fusion": "v1"}, "v1", (23, 23)),
        ({"bits": 24}, "v2", (24, 24)),
        ({}, "separate", None),
    ],
    ids=str,
)
def test_a_report(
    tmp_path: Path, options: dict[str, Any], way: str, bits: tuple[int, int] | None
) -> None:
    packed = mcodec.pack(pair(), tmp_path / "x.mc", **options)
    report = fusion_report(tmp_path / "x.mc")
    assert (report.tasks, report.tensors, report.weights) == (("A", "B"), 2, WEIGHTS)
    assert report.bits == bits
    assert [row.way for row in report.rows] == list(WAYS)
    assert [row.way for row in report.rows if row.file_bytes is not None] == [way]
    rows = {row.way: row for row in report.rows}
    assert rows["separate"].theory_bytes == 8 * WEIGHTS
    assert rows["piggyback"].bits == 34
    if bits is None:
        assert rows["v1"].bits is rows["v2"].theory_bytes is None
    else:
        assert rows["v2"].bits == sum(bits) + 2
        assert rows["v1"].bits == min(bits[0], 23) + min(bits[1], 23) + 18
        assert rows["v2"].theory_bytes == -(-(sum(bits) + 2) * WEIGHTS // 8)
    assert rows["v1"].named == (50, 49)
    stored = rows[way].file_bytes
    assert stored is not None
    theory = rows[way].theory_bytes
    assert theory is not None
    assert 0.5 * theory < stored < 1.01 * theory
    assert [(one.task, one.tensors, one.parameters) for one in report.besides] == [
        ("A", 4, 32 + 32 + 15_000 + 100),
        ("B", 4, 32 + 32 + 1500 + 10),
    ]
    total = stored + sum(one.stored_bytes for one in report.besides) + report.rest_bytes
    assert total == report.file_bytes == packed.file_bytes
    assert 0 < report.rest_bytes < 10_000


def test_classifier_only_and_masks(tmp_path: Path) -> None:
    both = pair()
    both["B"] |= {name: both["A"][name] for name in SHAPES}
    mcodec.pack(both, tmp_path / "x.mc")
    rows = {row.way: row for row in fusion_report(tmp_path / "x.mc").rows}
    stored = rows["classifier"].file_bytes
    assert stored is not None
    assert 0.7 * 4 * WEIGHTS < stored < 4 * WEIGHTS
    random = np.random.default_rng(3)
    for name, shape in SHAPES.items():
        keep = random.random(shape) < 0.5
        both["B"][name] = np.where(keep, both["A"][name], np.float32(0))
    mcodec.pack(both, tmp_path / "x.mc", optimize="file")
    rows = {row.way: row for row in fusion_report(tmp_path / "x.mc").rows}
    assert rows["packnet"].file_bytes is not None


def test_pairs_that_were_asked_for(tmp_path: Path) -> None:
    a = {"one": cases.weights("float32", (90, 80), 1), "two": cases.weights("float32", (90, 80), 2)}
    b = {"p": cases.weights("float32", (90, 80), 3), "q": cases.weights("float32", (7, 80), 4)}
    mcodec.pack({"A": a, "B": b}, tmp_path / "x.mc", bits=8, pair=[("A:two", "B:p")])
    report = fusion_report(tmp_path / "x.mc")
    assert (report.tensors, report.weights) == (1, 7200)
    assert [one.parameters for one in report.besides] == [7200, 560]


def test_mixed_bits_and_dtypes(tmp_path: Path) -> None:
    models = {
        task: {
            "w": cases.weights("float32", (64, 64), seed),
            "h": cases.weights("bfloat16", (64, 32), seed),
        }
        for seed, task in enumerate("AB")
    }
    mcodec.pack(models, tmp_path / "x.mc", bits=6, fusion="v1")
    report = fusion_report(tmp_path / "x.mc")
    rows = {row.way: row for row in report.rows}
    assert rows["separate"].bits == pytest.approx((64 * 4096 + 32 * 2048) / 6144)
    assert rows["v1"].bits == 18 + 12
    assert report.bits == (6, 6)


def test_a_tensor_that_is_not_finite_counts_besides(tmp_path: Path) -> None:
    models = pair()
    models["B"]["conv/kernel"][0, 0, 0, 0] = np.nan
    packed = mcodec.pack(models, tmp_path / "x.mc", bits=[12, 11])
    assert packed.warnings
    report = fusion_report(tmp_path / "x.mc")
    assert (report.tensors, report.weights) == (1, 30_000)
    assert report.besides[0].tensors == 5


def test_other_than_two_tasks(tmp_path: Path) -> None:
    mcodec.pack({"A": network(1, 5)}, tmp_path / "x.mc")
    with pytest.raises(UsageError, match="of two tasks, and the file has 1"):
        fusion_report(tmp_path / "x.mc")
    mcodec.pack({"A": {"b": np.ones(3)}, "B": {"c": np.ones(3)}}, tmp_path / "x.mc")
    with pytest.raises(UsageError, match="share no weights"):
        fusion_report(tmp_path / "x.mc")


def test_v1_is_ieee_fields(tmp_path: Path) -> None:
    models = pair()
    report = mcodec.pack(models, tmp_path / "x.mc", bits=[12, 11], fusion="v1")
    assert report.layout == "interleaved"
    with mcodec.open(tmp_path / "x.mc") as file:
        for task, bits in zip("AB", (12, 11), strict=True):
            for name, array in models[task].items():
                low = 23 - bits if array.ndim > 1 else 0
                found = file.task(task)[name].view(np.uint32)
                assert (found == array.view(np.uint32) >> low << low).all()
    assert (
        report.tasks[0].paper_bytes
        == sum(array.size * (21 if array.ndim > 1 else 32) for array in models["A"].values()) // 8
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bits": 24, "fusion": "v1"}, "24 mantissa bits: tensor 'conv/kernel' is float32"),
        ({"bits": 53, "fusion": "v1"}, "from 1 to 52"),
        ({"bits": 25}, "from 1 to 24"),
        ({"bits": 8, "fusion": "v3"}, "fusion is v1 or v2, not 'v3'"),
    ],
    ids=str,
)
def test_usage(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        mcodec.pack(pair(), tmp_path / "x.mc", **options)
    assert not (tmp_path / "x.mc").exists()


def test_v1_of_each_dtype(tmp_path: Path) -> None:
    for dtype, form in (("float16", 10), ("bfloat16", 7), ("float64", 52)):
        models = {task: {"w": cases.weights(dtype, (9, 9), i)} for i, task in enumerate("AB")}
        mcodec.pack(models, tmp_path / "x.mc", bits=form, fusion="v1")
        with mcodec.open(tmp_path / "x.mc") as file:
            for task, model in models.items():
                assert cases.same_bits(file.task(task)["w"], model["w"])
        with pytest.raises(UsageError, match=f"{dtype}, which has {form}|from 1 to 52"):
            mcodec.pack(models, tmp_path / "x.mc", bits=form + 1, fusion="v1")
