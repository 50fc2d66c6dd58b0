"""Tensors that are stored as integers, as integers: as arrays, and in files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import mcodec
from mcodec.api.integersource import laid_ties, with_scales
from mcodec.codec.scope import TENSOR, Scope
from mcodec.errors import FormatError, UnknownTaskError, UsageError
from mcodec.types import TensorSpec
from support import cases

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

COLUMNS = "int8(scope=axis:-1)"


def model() -> dict[str, NDArray[Any]]:
    sparse = cases.weights("float32", (300, 70), 5)
    sparse[np.random.default_rng(0).random(sparse.shape) < 0.9] = 0
    return {
        "large": cases.weights("float32", (600, 500)),
        "bias": cases.weights("float32", (9,)),
        "one": cases.weights("float16", (3, 4, 5), 1),
        "two": cases.weights("float16", (7, 2), 2),
        "sparse": sparse,
        "none": np.zeros((0, 3), np.float32),
        "steps": np.array(3),
    }


def pack(folder: Path, codec: str, arrays: Any = None, **options: Any) -> Path:
    path = folder / "x.mc"
    options.setdefault("force", codec.startswith("csr"))  # also what is not sparse
    mcodec.pack({"A": model() if arrays is None else arrays}, path, codec=codec, **options)
    return path


def expected(array: NDArray[Any], axis: int | None) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return integers and scales, by NumPy alone."""
    wide = np.abs(array.astype(np.float64))
    axes = None if axis is None else tuple(a for a in range(array.ndim) if a != axis % array.ndim)
    scales = np.asarray((wide.max(axes, keepdims=axis is not None) / 127).astype(np.float32))
    scales = np.where(scales == 0, np.float32(1), scales)
    integers = np.rint(wide / scales.astype(np.float64)) * np.sign(array.astype(np.float64))
    while scales.ndim and scales.shape[0] == 1:
        scales = scales[0]
    return integers.astype(np.int8), scales


@pytest.mark.parametrize(
    ("codec", "axis"),
    [
        ("int8", None),
        ("int8(scope=axis:0)", 0),
        (COLUMNS, -1),
        ("csr(values=int8)", None),
        ("csr(values=int8(scope=axis:-1))", -1),
        ("csr(values=int8(scope=axis:0))", 0),
    ],
)
@pytest.mark.parametrize("jobs", [1, 2])
def test_integers_and_scales(tmp_path: Path, codec: str, axis: int | None, jobs: int) -> None:
    arrays = model()
    with mcodec.open(pack(tmp_path, codec), jobs=jobs) as file:
        task = file.task()
        for name in ("large", "one", "two", "sparse"):
            integers, scales = task.get_quantized(name)
            assert str(integers.dtype) == "int8"
            wanted = expected(arrays[name], axis)
            assert np.array_equal(integers, wanted[0]), name
            assert cases.same_bits(scales, wanted[1]), name
            product = (integers * scales).astype(arrays[name].dtype)
            assert np.array_equal(product, task[name])
            integers[...] = 0  # they are the caller's own
            scales[...] = 0
            assert np.array_equal(task.get_quantized(name)[0], wanted[0])
        integers, scales = task.get_quantized("none")
        assert (integers.shape, scales.size) == ((0, 3), 1 if axis is None else [0, 3][axis])


def test_what_is_stored_otherwise_has_no_integers(tmp_path: Path) -> None:
    with mcodec.open(pack(tmp_path, COLUMNS)) as file:
        task = file.task()
        with pytest.raises(UsageError, match="stored as float, not as integers: read its values"):
            task.get_quantized("bias")
        with pytest.raises(UsageError, match="stored as raw, not as integers"):
            task.scales("steps")
        with pytest.raises(UnknownTaskError, match="no tensor 'x'"):
            task.get_quantized("x")
        with pytest.raises(UsageError, match=r"'large': .*leave out planes"):
            file.task(planes=3).get_quantized("large")
    with (
        mcodec.open(pack(tmp_path, "csr(values=float)")) as file,
        pytest.raises(UsageError, match="stored as csr, not as integers"),
    ):
        file.task().get_quantized("sparse")


def test_integers_of_a_file_that_is_cut_off(tmp_path: Path) -> None:
    path = pack(tmp_path, "int8", layout="progressive")
    with mcodec.open(path) as file:
        assert np.array_equal(
            file.task().get_quantized("one")[0], expected(model()["one"], None)[0]
        )
    path.write_bytes(path.read_bytes()[:-40_000])
    with (
        mcodec.open(path, partial=True) as file,
        pytest.raises(FormatError, match="all planes") as e,
    ):
        file.task().get_quantized("large")
    assert e.value.code == "file_truncated"


def test_a_damaged_block_names_its_tensor(tmp_path: Path) -> None:
    path = pack(tmp_path, "int8")
    with mcodec.open(path) as file:
        row = max(file.reader.rows(0, 0), key=lambda row: row.stored)
    data = bytearray(path.read_bytes())
    data[row.offset] ^= 1
    path.write_bytes(data)
    with mcodec.open(path) as file, pytest.raises(FormatError, match="'large'"):
        file.task().get_quantized("large")


def read(path: Path) -> dict[str, NDArray[Any]]:
    if path.suffix == ".npz":
        with np.load(path) as file:
            return dict(file)
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            return {name: file[name][()] for name in file}
    if path.suffix == ".pt":
        torch = pytest.importorskip("torch")
        return {name: value.numpy() for name, value in torch.load(path).items()}
    return load_file(path)


@pytest.mark.parametrize("suffix", ["safetensors", "npz", "h5", "pt"])
@pytest.mark.parametrize("codec", [COLUMNS, "csr(values=int8)"])
def test_a_file_of_integers(tmp_path: Path, suffix: str, codec: str) -> None:
    if suffix == "pt":
        pytest.importorskip("torch")
    path, out = pack(tmp_path, codec), tmp_path / f"out.{suffix}"
    report = mcodec.unpack(path, out=out, integers=True)
    found = read(out)
    with mcodec.open(path) as file:
        task = file.task()
        wanted: dict[str, NDArray[Any]] = {}
        for name in task:
            if name in ("bias", "steps"):
                wanted[name] = task[name]
            else:
                wanted[name], wanted[name + ".scale"] = task.get_quantized(name)
        cases.assert_same_model({name: found[name] for name in wanted}, wanted)
    assert len(found) == len(wanted) == report.tensors == 12
    assert (report.integers, report.exact) == (5, False)


def test_what_a_file_held_besides_is_left_out(tmp_path: Path) -> None:
    source = tmp_path / "a.h5"
    with h5py.File(source, "w") as file:
        file.create_group("dense").create_dataset("kernel", data=cases.weights("float32", (8, 9)))
        file.attrs["model_config"] = "{}"
    mcodec.pack(source, tmp_path / "x.mc", codec=COLUMNS)
    report = mcodec.unpack(tmp_path / "x.mc", out=tmp_path / "b.h5", integers=True)
    assert report.notes == ("what the task held besides arrays is left out: it speaks of floats",)
    with h5py.File(tmp_path / "b.h5") as file:
        kernel, scale = file["dense/kernel"], file["dense/kernel.scale"]
        assert (kernel.dtype, kernel.shape, scale.shape) == (np.int8, (8, 9), (9,))


def test_metadata_and_the_name_of_the_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file({"w": cases.weights("float32", (8, 9))}, tmp_path / "a.safetensors", {"by": "me"})
    mcodec.pack(tmp_path / "a.safetensors", tmp_path / "x.mc", codec="int8")
    monkeypatch.chdir(tmp_path)
    report = mcodec.unpack("x.mc", integers=True)
    assert report.path == "x.A.safetensors"
    with mcodec.open(mcodec.pack("x.A.safetensors", "y.mc").path) as file:
        assert file.task().metadata() == {"by": "me"}
        assert set(file.task()) == {"w", "w.scale"}


def test_second_names_stay_second_names(tmp_path: Path) -> None:
    source = tmp_path / "a.h5"
    with h5py.File(source, "w") as file:
        file["w"] = cases.weights("float32", (80, 90))
        file["v"] = file["w"]  # a hard link
    mcodec.pack(source, tmp_path / "x.mc", codec="int8")
    report = mcodec.unpack(tmp_path / "x.mc", out=tmp_path / "b.h5", integers=True)
    assert (report.tensors, report.integers) == (4, 2)
    with h5py.File(tmp_path / "b.h5") as file:
        assert file["w"] == file["v"]
        assert file["w.scale"] == file["v.scale"]
        assert file["w"].dtype == np.int8


def test_what_cannot_be_written_as_integers(tmp_path: Path) -> None:
    kernel = cases.weights("float32", (8, 9))
    path = pack(tmp_path, "float", {"w": kernel})
    out = tmp_path / "out.npz"
    with pytest.raises(UsageError, match="'A' has no tensor that is stored as integers"):
        mcodec.unpack(path, out=out, integers=True)
    path = pack(tmp_path, "int8", {"w": kernel, "w.scale": kernel[0]})
    with pytest.raises(UsageError, match=r"two tensors are named 'w\.scale'"):
        mcodec.unpack(path, out=out, integers=True)
    path = pack(tmp_path, "int8", {"w": kernel})
    for view in ({"planes": 3}, {"midpoint": True}, {"dither": True}):
        with pytest.raises(UsageError, match="integers have all planes"):
            mcodec.unpack(path, out=out, integers=True, **view)
    for to in ("keras", "onnx", "gguf", "npy"):
        with pytest.raises(UsageError, match=f"'{to}' has no place for integers.*--to"):
            mcodec.unpack(path, out=out, to=to, integers=True)
    assert not out.exists()


def test_how_integers_lie_in_a_model() -> None:
    tensors = [TensorSpec(name, "float32", (3, 4)) for name in "abcd"]
    laid = with_scales(tensors, {1: TENSOR, 2: Scope("axis", 0)})
    assert [(one.of, one.kind, one.spec.name, one.spec.shape) for one in laid] == [
        (0, "values", "a", (3, 4)),
        (1, "integers", "b", (3, 4)),
        (1, "scales", "b.scale", ()),
        (2, "integers", "c", (3, 4)),
        (2, "scales", "c.scale", (3, 1)),
        (3, "values", "d", (3, 4)),
    ]
    assert laid_ties(laid, {2: 1, 3: 0}) == {3: 1, 4: 2, 5: 0}
    assert laid_ties(laid, {3: 2}) == {}  # one of floats and one of integers are no longer equal
