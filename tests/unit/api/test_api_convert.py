"""`convert`: from any format into another and back, read back, whole or not at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import mcodec
from mcodec.errors import FormatError, InputOutputError, UsageError
from mcodec.formats import registry
from mcodec.formats.files import TensorFile
from support import cases
from support.command import leftovers
from support.models import arrays, dump

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

NAMES = ("x.h5", "x.safetensors", "x.npz")


def model() -> dict[str, NDArray[Any]]:
    nan = np.array([0x7FC01234, 0xFF800001, 0x80000000, 1], "<u4").view("<f4")
    return {
        "layers/dense/kernel": cases.weights("float32", (60, 50)),
        "layers/dense/bias": nan,
        "half": cases.weights("float16", (7, 3)),
        "step": np.array(5, np.int64),
        "empty": np.zeros((0, 3), np.uint8),
        "flags": np.array([True, False]),
    }


def assert_same(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """Compare two models; formats have orders of their own."""
    cases.assert_same_model(dict(sorted(ours.items())), dict(sorted(theirs.items())))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Write an HDF5 file with what other formats have no place for."""
    path = tmp_path / "source.h5"
    with h5py.File(path, "w") as file:
        for name, array in model().items():
            file[name] = array
        file.attrs["layer_names"] = np.array([b"dense"])
        file["layers"].attrs["note"] = "größer"
        file.create_group("nothing")
        file["text"] = "a string is no tensor"
    return path


@pytest.mark.parametrize("middle", NAMES)
def test_there_and_back(source: Path, tmp_path: Path, middle: str) -> None:
    report = mcodec.convert(source, tmp_path / middle, jobs=2)
    assert (report.source_format, report.tensors, report.checked) == ("hdf5", 6, True)
    assert report.bytes == (tmp_path / middle).stat().st_size
    assert_same(arrays(tmp_path / middle), model())
    mcodec.convert(tmp_path / middle, tmp_path / "back.h5", check=False)
    assert dump(tmp_path / "back.h5") == dump(source)


def test_a_chain_of_formats_ends_where_it_began(source: Path, tmp_path: Path) -> None:
    place = source
    for name in ("1.safetensors", "2.npz", "3.safetensors", "4.npz", "5.h5"):
        mcodec.convert(place, tmp_path / name)
        place = tmp_path / name
    assert dump(place) == dump(source)


def test_a_foreign_file_comes_back_byte_for_byte(tmp_path: Path) -> None:
    first = tmp_path / "a.safetensors"
    save_file(model(), first, {"format": "pt", "note": "x"})
    mcodec.convert(first, tmp_path / "b.h5")
    mcodec.convert(tmp_path / "b.h5", tmp_path / "c.npz")
    mcodec.convert(tmp_path / "c.npz", tmp_path / "d.safetensors")
    assert (tmp_path / "d.safetensors").read_bytes() == first.read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_the_same_input_gives_the_same_bytes(source: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "other").mkdir()
    for folder, jobs in ((tmp_path, 1), (tmp_path / "other", 3)):
        mcodec.convert(source, folder / name, jobs=jobs)
    assert (tmp_path / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_other_libraries_read_what_is_written(source: Path, tmp_path: Path) -> None:
    mcodec.convert(source, tmp_path / "x.safetensors")
    assert_same(load_file(tmp_path / "x.safetensors"), model())
    mcodec.convert(source, tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as found:
        assert_same({name: found[name] for name in model()}, model())


def test_a_file_that_was_edited_is_laid_out_anew(source: Path, tmp_path: Path) -> None:
    edited = tmp_path / "x.safetensors"
    mcodec.convert(source, edited)
    with safe_open(edited, "np") as file:
        metadata = file.metadata()
    kept = {name: array for name, array in load_file(edited).items() if name != "half"}
    save_file(kept, edited, metadata)
    report = mcodec.convert(edited, tmp_path / "back.h5")
    assert len(report.notes) == 1
    assert "no longer fits" in report.notes[0]
    assert_same(arrays(tmp_path / "back.h5"), kept)


def test_the_format_is_asked_for_or_told_by_the_name(source: Path, tmp_path: Path) -> None:
    report = mcodec.convert(source, tmp_path / "noname", to="npz")
    found = registry.open_source(tmp_path / "noname")
    assert report.format == found.format == "npz"
    found.close()
    assert mcodec.convert(source, tmp_path / "same").format == "hdf5"
    with pytest.raises(UsageError, match="unknown format 'exe'"):
        mcodec.convert(source, tmp_path / "y", to="exe")
    for name in ("y.mc", "y.json", "y.weights.json", "y.safetensors.index.json"):
        with pytest.raises(UsageError):
            mcodec.convert(source, tmp_path / name)
        assert not (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["x.gguf", "x.onnx", "x.keras", "x.npy"])
def test_what_a_target_cannot_hold_is_refused(source: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        mcodec.convert(source, tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source.h5"]


def test_inputs_are_never_overwritten(source: Path, tmp_path: Path) -> None:
    (tmp_path / "link.h5").symlink_to(source)
    for out in (source, tmp_path / "link.h5"):
        with pytest.raises(UsageError, match="an input as well"):
            mcodec.convert(source, out)


def test_a_damaged_source_leaves_the_old_output(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.npz"
    out.write_bytes(b"old")
    save_file(model(), tmp_path / "cut.safetensors")
    os.truncate(tmp_path / "cut.safetensors", (tmp_path / "cut.safetensors").stat().st_size - 3)
    with pytest.raises(FormatError):
        mcodec.convert(tmp_path / "cut.safetensors", out)
    assert out.read_bytes() == b"old"
    assert not leftovers(tmp_path)


def test_what_reads_back_different_is_not_kept(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = TensorFile.write

    def flawed(sink: TensorFile, index: int, offset: int, data: memoryview) -> None:
        write(sink, index, offset, memoryview(bytes(len(data))))

    monkeypatch.setattr(TensorFile, "write", flawed)
    with pytest.raises(InputOutputError, match="does not read back"):
        mcodec.convert(source, tmp_path / "x.safetensors")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source.h5"]
    mcodec.convert(source, tmp_path / "x.safetensors", check=False)


def test_progress_reaches_its_end(source: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    for check in (True, False):
        mcodec.convert(
            source, tmp_path / "x.npz", check=check, progress=lambda *now: seen.append(now)
        )
        assert seen[-1][0] == seen[-1][1]
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)
        seen.clear()


@pytest.mark.parametrize("to", ["h5", "npz", "safetensors", None])
def test_unpack_writes_any_task_as_anything(source: Path, tmp_path: Path, to: str | None) -> None:
    save_file(model(), tmp_path / "b.safetensors", {"format": "pt"})
    mcodec.pack([source, tmp_path / "b.safetensors"], tmp_path / "two.mc")
    for task, own in (("A", "h5"), ("B", "safetensors")):
        out = tmp_path / f"{task}.{to or own}"
        mcodec.unpack(tmp_path / "two.mc", task, out, to=to)
        assert_same(arrays(out), model())
        mcodec.convert(out, tmp_path / f"back.{own}")
    assert dump(tmp_path / "back.h5") == dump(source)
    back = (tmp_path / "back.safetensors").read_bytes()
    assert back == (tmp_path / "b.safetensors").read_bytes()


def test_a_converted_file_can_be_packed(source: Path, tmp_path: Path) -> None:
    mcodec.convert(source, tmp_path / "x.npz")
    mcodec.pack(tmp_path / "x.npz", tmp_path / "x.mc")
    mcodec.unpack(tmp_path / "x.mc", out=tmp_path / "back.h5")
    assert dump(tmp_path / "back.h5") == dump(source)
    mcodec.unpack(tmp_path / "x.mc", out=tmp_path / "back.npz")
    assert (tmp_path / "back.npz").read_bytes() == (tmp_path / "x.npz").read_bytes()


def test_shared_arrays_are_shared_where_that_can_be(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "tied.h5", "w") as file:
        file["a"] = cases.weights("float32", (100, 100))
        file["b/c"] = file["a"]
    report = mcodec.convert(tmp_path / "tied.h5", tmp_path / "x.npz")
    assert len(report.notes) == 1
    assert "npz has no way to share" in report.notes[0]
    size = mcodec.pack(tmp_path / "tied.h5", tmp_path / "x.mc").file_bytes
    assert size < 45_000
    assert not mcodec.unpack(tmp_path / "x.mc", out=tmp_path / "y.h5").notes
    for back in (tmp_path / "x.npz", tmp_path / "y.h5"):
        mcodec.convert(back, tmp_path / "back.h5")
        assert dump(tmp_path / "back.h5") == dump(tmp_path / "tied.h5")


def test_ties_of_another_format_become_hard_links(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    weight = torch.arange(6.0).reshape(2, 3)
    torch.save({"emb": weight, "out": weight, "alone": weight.clone()}, tmp_path / "tied.pt")
    assert not mcodec.convert(tmp_path / "tied.pt", tmp_path / "x.h5").notes
    with h5py.File(tmp_path / "x.h5") as file:
        assert file["emb"] == file["out"]
        assert file["emb"] != file["alone"]
    with h5py.File(tmp_path / "linked.h5", "w") as file:
        file["a"] = np.arange(6.0)
        file["b"] = file["a"]
    mcodec.convert(tmp_path / "linked.h5", tmp_path / "y.pt")
    found = torch.load(tmp_path / "y.pt", weights_only=True)
    assert found["a"].data_ptr() == found["b"].data_ptr()


@pytest.mark.parametrize("text", ["no JSON", '{"format":"of the future","version":1}', "[]"])
def test_a_carried_skeleton_that_nobody_can_read(tmp_path: Path, text: str) -> None:
    save_file({"w": np.ones(3)}, tmp_path / "x.safetensors", {"mcodec.skeleton": text})
    report = mcodec.convert(tmp_path / "x.safetensors", tmp_path / "x.npz")
    assert len(report.notes) == 1
    assert "is left out" in report.notes[0]
    assert mcodec.diff(tmp_path / "x.safetensors", tmp_path / "x.npz").same
    mcodec.convert(tmp_path / "x.npz", tmp_path / "back.safetensors")
    back = (tmp_path / "back.safetensors").read_bytes()
    assert back == (tmp_path / "x.safetensors").read_bytes()
