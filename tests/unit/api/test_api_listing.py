"""The figures of `ls` and `info` add up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mcodec
from mcodec.api.listing import list_pairs, list_tensors, sqnr_db
from mcodec.api.tasklist import list_tasks
from mcodec.codec.plan import codec_string, parse_codec
from support import cases

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"bits": 12},
    {"bits": [20, 3], "layout": "progressive"},
    {"codec": "bfp(bits=4,scope=block:64)"},
    {"codec": "bfp(bits=6,scope=axis:0,signs=compact)"},
)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_what_tensors_store_adds_up_to_the_task(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "x.mc"
    models = {}
    for seed, name in enumerate("AB"):
        models[name] = cases.network(seed)
        models[name]["noise"] = cases.noise("float64", (1 << 18,), seed)  # staggered planes
        models[name]["empty"] = np.zeros((0, 2), np.float32)
    report = mcodec.pack(models, path, jobs=1, **options)
    with mcodec.open(path) as file:
        reader = file.reader
        rows = list_tasks(reader)
        assert [cost.row for cost in report.tasks] == rows
        total = 0
        for row, entry in zip(rows, reader.manifest.tasks, strict=True):
            model = models[row.name]
            tensors = list_tensors(reader, entry)
            assert [tensor.spec.name for tensor in tensors] == list(model)
            assert sum(tensor.stored_bytes for tensor in tensors) == row.stored_bytes
            assert row.tensors == len(model)
            assert row.parameters == sum(array.size for array in model.values())
            assert row.source_bytes == sum(array.nbytes for array in model.values())
            assert row.bits_per_weight == 8 * row.stored_bytes / row.parameters
            total += row.stored_bytes
        assert total < report.file_bytes == path.stat().st_size
        chunks = [
            chunk.stored
            for run, spec in enumerate(reader.runs)
            for block in range(-1, spec.blocks)
            for chunk in reader.rows(run, block)
        ]
        assert sum(chunks) == total


def test_the_streams_of_a_tensor(tmp_path: Path) -> None:
    path = tmp_path / "x.mc"
    mcodec.pack({"A": {"w": cases.noise("float32", (300,)), "z": np.zeros(9, np.int8)}}, path)
    with mcodec.open(path) as file:
        floats, zeros = list_tensors(file.reader, file.entry("A"))
    shown = floats.to_json()
    assert (shown["name"], shown["shape"], shown["dtype"]) == ("w", [300], "float32")
    assert (shown["codec"], shown["max_abs_error"], shown["sqnr_db"]) == ("float", 0.0, None)
    names = [stream["name"] for stream in shown["streams"]]
    assert names == ["sign", "exponent", *(f"mantissa.{k}" for k in range(22, -1, -1))]
    assert {stream["coder"] for stream in shown["streams"]} == {"raw"}
    assert [stream["raw_bytes"] for stream in shown["streams"]] == [38, 300, *[38] * 23]
    assert shown["streams"][0]["stored_bytes"] == 38
    assert zeros.to_json()["streams"] == [
        {"name": "bytes", "coder": "fill", "raw_bytes": 9, "stored_bytes": 0}
    ]


def test_certificates_in_a_listing(tmp_path: Path) -> None:
    path = tmp_path / "x.mc"
    array = cases.weights("float32", (40, 40))
    mcodec.pack({"A": {"w": array, "b": array[0]}}, path, bits=6)
    with mcodec.open(path) as file:
        lossy, exact = list_tensors(file.reader, file.entry("A"))
        decoded = file.task()["w"].astype(np.float64)
    error = array.astype(np.float64) - decoded
    assert lossy.max_abs_error == np.abs(error).max()
    expected = 10 * np.log10((array.astype(np.float64) ** 2).sum() / (error**2).sum())
    assert lossy.sqnr_db == pytest.approx(expected)
    assert (exact.max_abs_error, exact.sqnr_db) == (0.0, None)


def test_a_certificate_of_nan(tmp_path: Path) -> None:
    path = tmp_path / "x.mc"
    mcodec.pack({"A": {"w": np.full((3, 3), np.nan, np.float32)}}, path, codec="float(keep=16)")
    with mcodec.open(path) as file:
        (row,) = list_tensors(file.reader, file.entry("A"))
    assert (row.max_abs_error, row.sqnr_db) == (None, None)


def test_decibels() -> None:
    assert sqnr_db(100.0, 1.0) == 20.0
    assert sqnr_db(1.0, 0.0) is None
    assert sqnr_db(0.0, 0.0) is None


@pytest.mark.parametrize(
    "text",
    [
        "raw",
        "float",
        "float(keep=16)",
        "bfp(bits=8)",
        "bfp(bits=8,rounding=truncate,scope=axis:-1)",
        "bfp(bits=8,step=0.5,signs=compact,reconstruct=mid)",
    ],
)
def test_codecs_are_shown_as_they_are_typed(text: str) -> None:
    assert codec_string(parse_codec(text).config()) == text


def test_pairs_are_listed_by_name(tmp_path: Path) -> None:
    path = tmp_path / "x.mc"
    models = {
        "A": {
            "conv_1/w": cases.weights("float32", (5, 5)),
            "head": cases.weights("float32", (2, 2)),
        },
        "B": {
            "conv_9/w": cases.weights("float32", (5, 5)),
            "head": cases.weights("float32", (3, 3)),
        },
        "C": {"conv/w": cases.weights("float32", (5, 5))},
    }
    mcodec.pack(models, path, bits=8, jobs=1)
    with mcodec.open(path) as file:
        assert list_pairs(file.reader) == [{"A": "conv_1/w", "B": "conv_9/w", "C": "conv/w"}]
