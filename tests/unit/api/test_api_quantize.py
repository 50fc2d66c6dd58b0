"""`quantize`: what is rounded, by which scales, in which files, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import mcodec
from mcodec.errors import FormatError, UsageError
from support import cases
from support.command import leftovers
from support.models import arrays, dump

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

KERNELS = ("stem/kernel", "body/kernel", "head/kernel", "tall/kernel")


def network() -> dict[str, NDArray[Any]]:
    return {
        **cases.network(3),
        "gru/bias": cases.weights("float32", (2, 9), 8),
        "optimizer/vars/1": cases.weights("float32", (9, 9), 9),
        "table": np.arange(12).reshape(3, 4),
    }


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.h5"
    with h5py.File(path, "w") as file:
        for name, array in network().items():
            file[name] = array
        file.attrs["layer_names"] = np.array([b"stem", b"body"])
    return path


def rounded(array: NDArray[Any], axis: int) -> NDArray[Any]:
    others = tuple(i for i in range(array.ndim) if i != axis % array.ndim)
    largest = np.abs(array).max(axis=others, keepdims=True).astype(np.float64)
    scales = (largest / 127).astype(np.float32)
    integers = np.rint(array.astype(np.float64) / scales).astype(np.float32)
    floats: NDArray[Any] = integers * scales + np.float32(0)  # no -0.0
    return floats


def test_the_same_format_out_and_all_else_as_it_was(source: Path, tmp_path: Path) -> None:
    report = mcodec.quantize(source, tmp_path / "out.h5", jobs=2)
    found, model = arrays(tmp_path / "out.h5"), network()
    for name, array in model.items():
        expected = rounded(array, -1) if name in KERNELS else array
        assert cases.same_bits(found[name], expected), name
    assert {one.spec.name for one in report.tensors} == set(KERNELS)
    assert (report.format, report.checked, report.notes) == ("hdf5", True, ())
    assert report.untouched == len(model) - 4
    assert report.source_bytes == sum(array.nbytes for array in model.values())
    saved = sum(3 * model[name].size - 4 * model[name].shape[-1] for name in KERNELS)
    assert report.source_bytes - report.integer_bytes == saved
    assert all((one.scope, one.codec) == ("axis:-1", None) for one in report.tensors)
    assert all(40 < (one.sqnr_db or 0) < 60 for one in report.tensors)
    before, after = dump(source), dump(tmp_path / "out.h5")
    assert {key for key in before if before[key] != after[key]} == {f"/{n} data" for n in KERNELS}


def test_axes(tmp_path: Path) -> None:
    model = {"w": cases.weights("float32", (12, 5, 7))}
    save_file(model, tmp_path / "m.safetensors")
    for axis, expected in ((None, 0), (0, 0), (-1, 2), (1, 1)):
        mcodec.quantize(tmp_path / "m.safetensors", tmp_path / "x.safetensors", axis=axis)
        found = load_file(tmp_path / "x.safetensors")["w"]
        assert cases.same_bits(found, rounded(model["w"], expected))
    report = mcodec.quantize(tmp_path / "m.safetensors", tmp_path / "x.npz", axis="tensor")
    assert (report.tensors[0].scope, report.tensors[0].scales) == ("tensor", 1)


def test_a_converted_keras_model_still_has_its_outputs_last(source: Path, tmp_path: Path) -> None:
    mcodec.convert(source, tmp_path / "m.safetensors")
    report = mcodec.quantize(tmp_path / "m.safetensors", tmp_path / "x.safetensors")
    assert report.tensors[0].scope == "axis:-1"
    mcodec.pack(source, tmp_path / "m.mc")
    report = mcodec.quantize(tmp_path / "m.mc", tmp_path / "x.mc")
    assert report.tensors[0].scope == "axis:-1"
    save_file({"w": np.eye(3)}, tmp_path / "plain.safetensors")
    mcodec.convert(tmp_path / "plain.safetensors", tmp_path / "plain.h5")
    report = mcodec.quantize(tmp_path / "plain.h5", tmp_path / "x.h5")
    assert report.tensors[0].scope == "axis:0"


def test_into_a_container(source: Path, tmp_path: Path) -> None:
    report = mcodec.quantize(source, tmp_path / "x.mc")
    assert (report.format, report.checked, report.integers) == ("mc", False, False)
    assert {one.codec for one in report.tensors} == {"int8"}
    assert report.file_bytes < 1.1 * report.integer_bytes
    mcodec.quantize(source, tmp_path / "twin.h5")
    assert mcodec.diff(tmp_path / "x.mc", tmp_path / "twin.h5").same
    mcodec.unpack(tmp_path / "x.mc", out=tmp_path / "back.h5")
    assert dump(tmp_path / "back.h5") == dump(tmp_path / "twin.h5")
    assert mcodec.verify(tmp_path / "x.mc", deep=True).differences == ()
    mcodec.unpack(tmp_path / "x.mc", out=tmp_path / "i.npz", integers=True)
    mcodec.quantize(source, tmp_path / "j.npz", integers=True)
    assert mcodec.diff(tmp_path / "i.npz", tmp_path / "j.npz").tensors == ()


def test_zeros_are_left_out_where_that_is_smaller(tmp_path: Path) -> None:
    model = {"w": cases.weights("float32", (400, 300)), "few": cases.weights("float32", (90, 70))}
    mcodec.prune(model, tmp_path / "p.mc", 0.9, include=["w"])
    report = mcodec.quantize(tmp_path / "p.mc", tmp_path / "x.mc")
    codecs = {one.spec.name: one.codec for one in report.tensors}
    assert codecs == {"w": "csr", "few": "int8"}
    assert report.file_bytes < 0.35 * report.integer_bytes
    with mcodec.open(tmp_path / "x.mc") as file:
        weights = file.task()["w"]
        assert np.count_nonzero(weights) <= 12_000
    mcodec.quantize(tmp_path / "p.mc", tmp_path / "y.npz")
    assert cases.same_bits(arrays(tmp_path / "y.npz")["w"], weights)


@pytest.mark.parametrize("name", ["x.safetensors", "x.npz", "x.h5", "x.pt"])
def test_integers_and_scales(source: Path, tmp_path: Path, name: str) -> None:
    if name == "x.pt":
        pytest.importorskip("torch")
    report = mcodec.quantize(source, tmp_path / name, integers=True)
    assert report.integers
    assert report.notes == ("what the model held besides arrays is left out: it speaks of floats",)
    found, model = arrays(tmp_path / name), network()
    assert len(found) == len(model) + 4
    for kernel in KERNELS:
        assert found[kernel].dtype == np.int8
        assert found[kernel].shape == model[kernel].shape
        scales = found[f"{kernel}.scale"]
        assert scales.dtype == np.float32
        assert scales.shape == model[kernel].shape[-1:]
        expected = rounded(model[kernel], -1)
        assert cases.same_bits(found[kernel].astype(np.float32) * scales, expected)
    mcodec.quantize(source, tmp_path / name, integers=True, axis=0)
    assert arrays(tmp_path / name)["stem/kernel.scale"].shape == (3, 1, 1, 1)
    mcodec.quantize(source, tmp_path / name, integers=True, axis="tensor")
    assert arrays(tmp_path / name)["stem/kernel.scale"].shape == ()


def test_tied_weights_are_tied_as_integers(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "tied.h5", "w") as file:
        file["embed/kernel"] = cases.weights("float32", (30, 20))
        file["head/kernel"] = file["embed/kernel"]
    report = mcodec.quantize(tmp_path / "tied.h5", tmp_path / "f.h5")
    assert (len(report.tensors), report.untouched) == (1, 0)
    mcodec.quantize(tmp_path / "tied.h5", tmp_path / "i.h5", integers=True)
    for name, keys in (("f.h5", ("kernel",)), ("i.h5", ("kernel", "kernel.scale"))):
        with h5py.File(tmp_path / name) as file:
            for key in keys:
                assert file[f"embed/{key}"] == file[f"head/{key}"]


def test_what_cannot_be_rounded_stays(tmp_path: Path) -> None:
    bad = np.array([[1, np.nan], [2, 3]], np.float32)
    model = {"nan": bad, "inf": np.full((2, 2), np.inf), "w": np.eye(2), "huge": np.eye(2) * 1e300}
    for name in ("x.npz", "x.mc"):
        report = mcodec.quantize(model, tmp_path / name)
        assert [one.spec.name for one in report.tensors] == ["w"]
        assert report.untouched == 3
        assert [note.partition(" stays")[0] for note in report.notes] == [
            "tensor 'nan'",
            "tensor 'inf'",
            "tensor 'huge'",
        ]
        assert "NaN or infinity" in report.notes[0]
    assert cases.same_bits(arrays(tmp_path / "x.npz")["nan"], bad)
    with mcodec.open(tmp_path / "x.mc") as file:
        assert cases.same_bits(file.task()["nan"], bad)
    mcodec.quantize(model, tmp_path / "i.npz", integers=True)
    assert list(arrays(tmp_path / "i.npz")) == ["nan", "inf", "w", "w.scale", "huge"]


def test_empty_tensors(tmp_path: Path) -> None:
    model = {"none": np.zeros((0, 3), np.float32), "cols": np.zeros((3, 0), np.float32)}
    report = mcodec.quantize(model, tmp_path / "i.npz", integers=True)
    assert [one.scales for one in report.tensors] == [0, 0]
    found = arrays(tmp_path / "i.npz")
    assert found["none"].shape == (0, 3)
    assert found["cols"].dtype == np.int8
    assert mcodec.quantize(model, tmp_path / "x.mc").file_bytes > 0


def test_patterns(source: Path, tmp_path: Path) -> None:
    report = mcodec.quantize(source, tmp_path / "x.npz", include=["*/kernel"], exclude=["s*"])
    assert {one.spec.name for one in report.tensors} == set(KERNELS) - {"stem/kernel"}
    nothing = mcodec.quantize({"b": np.ones(3)}, tmp_path / "x.npz")
    assert "no tensor is a weight" in nothing.notes[0]


def test_what_is_refused(source: Path, tmp_path: Path) -> None:
    for axis, words in ((2, "axis:2 needs that axis"), ("channel", "neither|number"), (1.5, "1.5")):
        with pytest.raises(UsageError, match=words):
            mcodec.quantize(source, tmp_path / "x.h5", axis=axis)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="input as well as the output"):
        mcodec.quantize(source, source)
    with pytest.raises(UsageError, match="holds integers as they are"):
        mcodec.quantize(source, tmp_path / "x.mc", integers=True)
    with pytest.raises(UsageError, match="no place for integers"):
        mcodec.quantize(source, tmp_path / "x.keras", integers=True)
    with pytest.raises(UsageError, match=r"two tensors are named 'w\.scale'"):
        mcodec.quantize({"w": np.eye(3), "w.scale": np.ones(3)}, tmp_path / "x.npz", integers=True)
    (tmp_path / "cut.h5").write_bytes(source.read_bytes()[:-2000])
    with pytest.raises(FormatError):
        mcodec.quantize(tmp_path / "cut.h5", tmp_path / "x.h5")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.h5", "source.h5"]
    assert not leftovers(tmp_path)


def test_pruning_then_quantising_and_never_the_other_way(source: Path, tmp_path: Path) -> None:
    mcodec.prune(source, tmp_path / "p.h5", 0.5)
    for name, integers in (("f.h5", False), ("i.npz", True), ("x.mc", False)):
        mcodec.quantize(tmp_path / "p.h5", tmp_path / name, integers=integers)
        with pytest.raises(UsageError, match="quantised already"):
            mcodec.prune(tmp_path / name, tmp_path / "y.npz", 0.9)
    mcodec.prune(tmp_path / "f.h5", tmp_path / "y.npz", 0.9, force=True)


def test_twice_is_once(source: Path, tmp_path: Path) -> None:
    mcodec.quantize(source, tmp_path / "one.npz", axis=0, integers=True)
    mcodec.quantize(source, tmp_path / "f.h5", axis=0)
    mcodec.quantize(tmp_path / "f.h5", tmp_path / "two.npz", axis=0, integers=True)
    one, two = arrays(tmp_path / "one.npz"), arrays(tmp_path / "two.npz")
    for kernel in KERNELS:
        assert cases.same_bits(one[kernel], two[kernel])


def test_progress_threads_and_blocks(tmp_path: Path) -> None:
    model = {"w": cases.weights("float32", (700, 400)), "v": cases.weights("float16", (9, 9))}
    for name in ("x.safetensors", "x.mc"):
        seen: list[tuple[int, int]] = []
        mcodec.quantize(model, tmp_path / name, jobs=1, progress=lambda *p, s=seen: s.append(p))
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)
        assert seen[-1][0] == seen[-1][1]
        one = (tmp_path / name).read_bytes()
        mcodec.quantize(model, tmp_path / name, jobs=3)
        assert (tmp_path / name).read_bytes() == one
    assert cases.same_bits(load_file(tmp_path / "x.safetensors")["w"], rounded(model["w"], 0))
