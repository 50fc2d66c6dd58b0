"""`unpack`: a task as a model file, whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import mcodec
from mcodec.errors import FormatError, UnknownTaskError, UsageError
from support import cases

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

METADATA = {"format": "np", "note": "größer"}


def model(seed: int = 0) -> dict[str, NDArray[Any]]:
    return {
        "w": cases.weights("float32", (150, 140), seed),
        "half": cases.weights("float16", (20, 3), seed),
        "bias": cases.weights("float32", (9,), seed),
        "empty": np.zeros((0, 3), np.int64),
        "flag": np.array(True),
    }


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.safetensors"
    save_file(model(), path, METADATA)
    return path


@pytest.fixture
def packed(tmp_path: Path, source: Path) -> Path:
    path = tmp_path / "family.mc"
    mcodec.pack({"one": source, "two": model(1)}, path, jobs=1)
    return path


def test_a_file_comes_back_byte_for_byte(packed: Path, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "back.safetensors"
    report = mcodec.unpack(packed, "one", out, jobs=2)
    assert out.read_bytes() == source.read_bytes()
    assert (report.task, report.format, report.tensors) == ("one", "safetensors", 5)
    assert (report.path, report.bytes, report.exact) == (str(out), out.stat().st_size, True)


def test_what_a_task_says_of_its_source(packed: Path) -> None:
    with mcodec.open(packed) as file:
        one, two = file.task("one"), file.task("two")
        assert one.metadata() == METADATA
        assert one.format == "safetensors"
        assert one.skeleton()
        assert (two.metadata(), two.format, two.skeleton()) == ({}, None, b"")
        one.metadata()["note"] = "changed"
        assert one.metadata() == METADATA


def test_arrays_become_safetensors(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    report = mcodec.unpack(packed, "two")
    assert report.path == "family.two.safetensors"
    cases.assert_same_model({name: load_file(report.path)[name] for name in model()}, model(1))


@pytest.mark.parametrize("view", [{"planes": 3}, {"planes": 2, "midpoint": True}])
def test_a_derived_decode(packed: Path, tmp_path: Path, view: dict[str, Any]) -> None:
    report = mcodec.unpack(packed, "one", tmp_path / "out.safetensors", **view)
    assert not report.exact
    found = load_file(tmp_path / "out.safetensors")
    with mcodec.open(packed) as file:
        task = file.task("one", **view)
        cases.assert_same_model({name: found[name] for name in task}, task)


def test_dither(tmp_path: Path) -> None:
    path = tmp_path / "fused.mc"
    mcodec.pack({"A": model(1), "B": model(2)}, path, bits=[12, 11], jobs=1)
    mcodec.unpack(path, "A", tmp_path / "out.safetensors", dither=True)
    found = load_file(tmp_path / "out.safetensors")
    with mcodec.open(path) as file:
        task = file.task("A", dither=True)
        cases.assert_same_model({name: found[name] for name in task}, task)
        assert not cases.same_bits(found["w"], file.task("A")["w"])


def test_a_file_that_is_cut_off(source: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "p.mc", tmp_path / "out.safetensors"
    mcodec.pack(source, path, layout="progressive", jobs=1)
    assert mcodec.unpack(path, out=out, partial=True).levels is None
    assert out.read_bytes() == source.read_bytes()
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 7 // 10])
    with mcodec.open(path, partial=True) as file:
        assert file.levels is not None
        there, task = file.levels[0], dict(file.task())
    out.write_bytes(b"old")
    with pytest.raises(FormatError) as caught:
        mcodec.unpack(path, out=out)
    assert caught.value.code == "file_truncated"
    assert out.read_bytes() == b"old"
    report = mcodec.unpack(path, out=out, partial=True)
    assert (report.exact, report.levels) == (False, (there, 23))
    assert f"{there} of 23 planes are there" in report.cut_off
    cases.assert_same_model(dict(load_file(out)), task)
    assert mcodec.unpack(path, out=out, partial=True, planes=2).levels == report.levels
    assert not cases.same_bits(load_file(out)["w"], task["w"])


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({}, UsageError),
        ({"task": "three"}, UnknownTaskError),
        ({"task": "one", "to": "docx"}, UsageError),
        ({"task": "one", "planes": -1}, UsageError),
        ({"task": "one", "dither": True}, UsageError),
        ({"task": "one", "jobs": 0}, UsageError),
        ({"task": "one", "max_decoded": 10}, FormatError),
    ],
    ids=str,
)
def test_calls_that_cannot_be(
    packed: Path, tmp_path: Path, arguments: dict[str, Any], error: type[Exception]
) -> None:
    out = tmp_path / "out.safetensors"
    out.write_bytes(b"old")
    with pytest.raises(error):
        mcodec.unpack(packed, out=out, **arguments)
    assert out.read_bytes() == b"old"


@pytest.mark.parametrize("suffix", ["safetensors", "npz", "h5"])
def test_a_damaged_file_leaves_the_old_output(packed: Path, tmp_path: Path, suffix: str) -> None:
    data = bytearray(packed.read_bytes())
    with mcodec.open(packed) as file:
        run = next(tensor.run for tensor in file.entry("one").tensors if tensor.name == "w")
        row = max(file.reader.rows(run, 0), key=lambda row: row.stored)
    data[row.offset] ^= 1
    packed.write_bytes(data)
    out = tmp_path / f"out.{suffix}"
    out.write_bytes(b"old")
    with pytest.raises(FormatError) as caught:  # it holds all that was on the way meanwhile
        mcodec.unpack(packed, "one", out)
    assert caught.value.code == "chunk_checksum"
    assert out.read_bytes() == b"old"
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".tmp"]


@pytest.mark.parametrize("name", ["../up", "a/b", "a\0b"])
def test_a_task_name_is_never_a_path(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x.mc"
    mcodec.pack({name: model()}, path, jobs=1)
    with pytest.raises(UsageError, match="name the output with -o"):
        mcodec.unpack(path)
    assert mcodec.unpack(path, out=tmp_path / "named.safetensors").task == name


@pytest.mark.parametrize("name", ["x.onnx", "x.gguf", "x.keras", "x.mc", "x.weights.json"])
def test_a_name_of_another_format_is_refused(name: str, tmp_path: Path) -> None:
    mcodec.pack({"A": {"w": np.ones(3, np.float32)}}, tmp_path / "one.mc")
    with pytest.raises(UsageError, match=r"can only|only what|written"):
        mcodec.unpack(tmp_path / "one.mc", out=tmp_path / name)
    assert not (tmp_path / name).exists()


def test_inputs_are_never_overwritten(tmp_path: Path) -> None:
    mcodec.pack({"A": {"w": np.ones(3, np.float32)}}, tmp_path / "one.mc")
    mcodec.unpack(tmp_path / "one.mc", out=tmp_path / "one.safetensors")
    before = (tmp_path / "one.safetensors").read_bytes()
    with pytest.raises(UsageError, match="an input as well"):
        mcodec.pack(tmp_path / "one.safetensors", tmp_path / "one.safetensors")
    with pytest.raises(UsageError, match="an input as well"):
        mcodec.unpack(tmp_path / "one.mc", out=tmp_path / "one.mc", to="h5")
    assert (tmp_path / "one.safetensors").read_bytes() == before
