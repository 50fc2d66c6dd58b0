"""Numbers that were computed for the papers by other means (shared oracles)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mcodec

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@pytest.fixture
def vectors(shared: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((shared / "oracles" / "vectors.json").read_text())
    return found


def through(folder: Path, array: NDArray[Any], codec: str) -> NDArray[Any]:
    """Pack and decode with one codec."""
    plan = folder / "plan.toml"
    plan.write_text(f'[[tensor]]\nmatch = "*"\ncodec = "{codec}"')
    mcodec.pack({"A": {"w": array}}, folder / "o.mc", plan=plan, jobs=1)
    with mcodec.open(folder / "o.mc", jobs=1) as file:
        return file.task()["w"]


def test_truncation(vectors: dict[str, Any], tmp_path: Path) -> None:
    rows = vectors["truncation"].values()
    patterns = np.array([int(row["32"]["hex"], 16) for row in rows], np.uint32)
    keeps = sorted({int(keep) for row in rows for keep in row})
    assert keeps[0] == 2
    for keep in keeps:
        found = through(tmp_path, patterns.view(np.float32), f"float(keep={keep})")
        expected = [int(row[str(keep)]["hex"], 16) for row in rows]
        assert found.view(np.uint32).tolist() == expected, keep


@pytest.mark.parametrize("bits", [4, 8, 11, 12, 24])
@pytest.mark.parametrize(("word", "rounding"), [("trunc", "truncate"), ("rne", "nearest")])
def test_bfp(vectors: dict[str, Any], tmp_path: Path, bits: int, word: str, rounding: str) -> None:
    array = np.array(vectors["bfp"]["w"], np.float32)
    expected = vectors["bfp"][f"n{bits}_{word}"]
    found = through(tmp_path, array, f"bfp(bits={bits},rounding={rounding})")
    assert found.tolist() == expected["value"]
    assert np.signbit(found).astype(int).tolist() == expected["sign"]
    with mcodec.open(tmp_path / "o.mc") as file:
        _, streams = file.reader.read_streams(0, -1)
        assert streams[0] is not None
        # The papers count the exponent of the leading bit, the format one above it.
        exponent = int.from_bytes(bytes(streams[0]), "little", signed=True)
    assert exponent == expected["E"] + 1


def test_fusion_of_23_bits(vectors: dict[str, Any], tmp_path: Path) -> None:
    oracle = vectors["fusion_23bit"]
    models = {
        task: {"w": np.array([oracle[task]], np.float32)}  # two dimensions: a weight
        for task in "AB"
    }
    mcodec.pack(models, tmp_path / "f.mc", bits=[12, 11], rounding="truncate", jobs=1)
    with mcodec.open(tmp_path / "f.mc") as file:
        assert file.reader.layout == "interleaved"
        assert file.task("A")["w"][0].tolist() == oracle["A12"]["value"]
        assert file.task("B")["w"][0].tolist() == oracle["B11"]["value"]
        dithered = file.task("A", dither=True)["w"][0]
    values = np.array(oracle["A_dither_values"])
    assert dithered.tolist() == values.astype(np.float32).tolist()
    field = np.array(oracle["field"]) * 2.0 ** (oracle["A12"]["E"] - 22)
    assert np.abs(dithered).tolist() == field.tolist()


def test_int8(vectors: dict[str, Any], tmp_path: Path) -> None:
    table = vectors["int8"]
    values = [x for x in table["x"] if abs(x) <= table["beta"]]  # one lies outside of the range
    found = through(tmp_path, np.array(values, np.float32), "int8")
    assert np.rint(found * 127).tolist() == table["[-127,127]"]["q"][: len(values)]
    expected = np.array(table["[-127,127]"]["dequant"][: len(values)])
    assert found == pytest.approx(expected, rel=1e-7)


def test_gradual_schedule(vectors: dict[str, Any]) -> None:
    for final, steps in vectors["schedule"].items():
        for step, expected in steps.items():
            found = mcodec.gradual_sparsity(int(step), final=float(final), steps=250_000)
            assert found == pytest.approx(expected, abs=5e-5), (final, step)


def test_sparse_forms(vectors: dict[str, Any], tmp_path: Path) -> None:
    oracle = vectors["sparse"]
    dense = np.array(oracle["dense"], np.float32)
    assert through(tmp_path, dense, "csr(split=1)").tolist() == oracle["dense"]
    with mcodec.open(tmp_path / "o.mc") as file:
        matrix = file.task().get_csr("w")
    assert matrix.indptr.tolist() == oracle["csr"]["indptr"]
    assert matrix.indices.tolist() == oracle["csr"]["indices"]
    assert matrix.data.tolist() == oracle["csr"]["data"]
    rows = np.repeat(np.arange(len(dense)), np.diff(matrix.indptr))
    assert rows.tolist() == oracle["coo"]["row"]
    assert matrix.indices.tolist() == oracle["coo"]["col"]
    columns = np.argsort(matrix.indices, kind="stable")
    counts = np.bincount(matrix.indices, minlength=dense.shape[1])
    assert [0, *np.cumsum(counts).tolist()] == oracle["csc"]["indptr"]
    assert rows[columns].tolist() == oracle["csc"]["indices"]
    assert matrix.data[columns].tolist() == oracle["csc"]["data"]
