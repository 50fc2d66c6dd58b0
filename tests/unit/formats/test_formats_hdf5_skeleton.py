"""What an HDF5 file holds besides arrays comes back, and what is refused is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from h5py import h5a, h5s, h5t

from mcodec.errors import FormatError, UsageError
from mcodec.formats.hdf5_typeids import build, describe
from mcodec.formats.registry import create_sink, open_source
from mcodec.types import ITEMSIZE, TensorSpec
from support.cases import noise
from support.models import arrays, copy_model, dump

PAGE = Path(__file__).resolve().parents[3] / "spec" / "skeletons.md"
VALUES: dict[str, Any] = {
    "text": "tést",
    "no text": "",
    "texts": ["a", "", "ü" * 300],
    "grid": np.array([["a", "b"], ["c", "d"]], h5py.string_dtype()),
    "ascii": np.array([b"a", b"bc"], h5py.string_dtype("ascii")),
    "bytes": np.array([b"\xff\xfe", b"ok"], h5py.string_dtype("ascii")),
    "fixed": np.array([b"abc", b"d"], "S5"),
    "fixed utf-8": np.array("né".encode(), h5py.string_dtype("utf-8", 6)),
    "empty list": [],
    "null": h5py.Empty("<f4"),
    "null text": h5py.Empty("S3"),
    "big": np.array([[1, 2], [3, 4]], ">i2"),
    "bool": True,
    "complex": np.complex64(1 + 2j),
    "opaque": np.void(b"xyz"),
    "record": np.array([(1, [1.0, 2.0])], [("a", ">u2"), ("b", "<f8", (2,))]),
    "sequences": np.array([np.arange(2), np.arange(5)], object),
    "zero": np.zeros((0, 4), "i8"),
}


def fill(file: h5py.File, *, committed: bool = True) -> None:
    """Write a file with every kind of thing that a skeleton keeps."""
    file.attrs["model_config"] = "{" + "x" * 100_000 + "}"
    group = file.create_group("empty/and deeper/ä")
    for name, value in VALUES.items():
        dtype = h5py.vlen_dtype(">i4") if name == "sequences" else None
        group.attrs.create(f"{name}/é", value, dtype=dtype)
        group.create_dataset(name, data=value, dtype=dtype)
    ordered = file.create_group("ordered", track_order=True)
    for name in "zay":
        ordered.attrs[name] = name
        ordered[name] = np.arange(3, dtype=">f4")
    if committed:
        file["named"] = np.dtype([("x", "<i4")])
        file["named"].attrs["a"] = 1
    file["again"] = file["ordered/a"]
    file["empty/group again"] = file["ordered"]
    file["points"] = np.array([file["ordered/z"].ref, h5py.Reference()], h5py.ref_dtype)
    file["ordered"].attrs["points"] = file["points"].ref
    wide = h5t.IEEE_F64BE.copy()
    wide.set_fields(63, 50, 13, 0, 50)
    wide.set_ebias(4095)
    h5a.create(file["ordered"].id, b"odd float", wide, h5s.create(h5s.SCALAR))
    h5a.create(file["ordered"].id, b"bits", h5t.STD_B16BE, h5s.create(h5s.SCALAR))
    file["w"] = np.float32(3)


@pytest.fixture
def everything(tmp_path: Path) -> Path:
    path = tmp_path / "everything.h5"
    with h5py.File(path, "w") as file:
        fill(file)
    return path


def test_everything_comes_back(everything: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.h5"
    copy_model(everything, out)
    ours, theirs = dump(out), dump(everything)
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        if "attributes" in key:  # references are addresses
            assert (b"points" in ours[key]) is (b"points" in value)
            ours[key].pop(b"points", None)
            value.pop(b"points", None)
        if key != "/points data":
            assert ours[key] == value, key
    with h5py.File(out) as file:
        assert file[file["points"][0]].name == "/ordered/z"
        assert not file["points"][1]
        assert file[file["ordered"].attrs["points"]].name == "/points"
        assert list(file["ordered"]) == ["z", "a", "y"]
        assert file["again"] == file["ordered/a"]
        assert file["empty/group again"] == file["ordered"]
        assert isinstance(file["named"], h5py.Datatype)


def test_the_same_bytes_again(tmp_path: Path) -> None:
    """Without committed datatypes: h5py cannot keep HDF5 from storing when they were made."""
    first, second, third = (tmp_path / name for name in ("1.h5", "2.h5", "3.h5"))
    with h5py.File(first, "w") as file:
        fill(file, committed=False)
    copy_model(first, second)
    copy_model(second, third)
    assert third.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    "options", [{}, {"compression": "gzip"}, {"compression": "lzf", "shuffle": True}]
)
def test_chunked_values(tmp_path: Path, options: dict[str, Any]) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name in ("texts", "grid", "bytes", "fixed", "record"):
            value = np.asarray(VALUES[name], h5py.string_dtype() if name == "texts" else None)
            chunks = (1,) * value.ndim
            file.create_dataset(
                name, data=value, chunks=chunks, maxshape=(None,) * value.ndim, **options
            )
    copy_model(tmp_path / "x.h5", tmp_path / "out.h5")
    assert dump(tmp_path / "out.h5") == dump(tmp_path / "x.h5")


def test_large_attributes(tmp_path: Path) -> None:
    """More than 64 kB in one attribute, and thousands of them: newer object headers."""
    with h5py.File(tmp_path / "x.h5", "w", libver="latest") as file:
        file.attrs["large"] = np.arange(50_000)
        for index in range(300):
            file.attrs[f"a{index}"] = index
    copy_model(tmp_path / "x.h5", tmp_path / "out.h5")
    assert dump(tmp_path / "out.h5") == dump(tmp_path / "x.h5")


def test_every_type_of_the_library_is_kept_or_refused() -> None:
    kept = 0
    for name in dir(h5t):
        tid = getattr(h5t, name)
        if isinstance(tid, h5t.TypeID):
            try:
                kind = describe(tid, name)
            except FormatError:
                continue  # times, region references, the machine's own long double
            assert build(kind, name).equal(tid)
            kept += 1
    assert kept > 60


def test_types_that_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["w"] = [1.0]
        record = h5t.create(h5t.COMPOUND, 16)
        record.insert(b"s", 0, h5t.py_create(h5py.string_dtype(), logical=True))
        h5a.create(file["w"].id, b"a", record, h5s.create(h5s.SCALAR))
    source = open_source(tmp_path / "x.h5")
    with pytest.raises(FormatError) as caught:
        source.skeleton()
    assert caught.value.code == "source_refused"
    source.close()


@pytest.mark.parametrize("dtype", [*ITEMSIZE, "V3"])
def test_plain_files(tmp_path: Path, dtype: str) -> None:
    """Without a skeleton, tensors of every dtype go out and come back under their names."""
    model = {name: noise(dtype, shape) for name, shape in (("a/b:0", (2, 3)), ("a/c", ()))}
    model["z"] = noise(dtype, (0, 2))
    specs = [TensorSpec(name, dtype, array.shape) for name, array in model.items()]
    sink = create_sink(tmp_path / "x.h5", "hdf5", specs)
    for index, array in enumerate(model.values()):
        sink.write(index, 0, memoryview(array.tobytes()))
    sink.close()
    source = open_source(tmp_path / "x.h5")
    assert list(source.tensors) == specs
    source.close()
    found = arrays(tmp_path / "x.h5")
    assert {n: a.tobytes() for n, a in found.items()} == {n: a.tobytes() for n, a in model.items()}


@pytest.mark.parametrize(
    "names",
    [
        [""],
        ["/a"],
        ["a/"],
        ["a//b"],
        ["."],
        ["a/./b"],
        ["a\0"],
        ["\ud800"],
        ["a", "a/b"],
        ["a/b", "a"],
    ],
)
def test_names_that_hdf5_lacks(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(UsageError, match="no HDF5 file can hold"):
        create_sink(tmp_path / "x.h5", "hdf5", [TensorSpec(name, "int8", ()) for name in names])
    with pytest.raises(UsageError, match="axes"):
        create_sink(tmp_path / "x.h5", "hdf5", [TensorSpec("w", "int8", (1,) * 33)])
    assert not (tmp_path / "x.h5").exists()


def test_the_page_names_every_kind_and_class() -> None:
    from mcodec.formats import hdf5_skeleton, hdf5_types

    page = PAGE.read_text()
    for struct in (*hdf5_skeleton.Object.__args__, *hdf5_types.Type.__args__):
        assert f"`{struct.__struct_config__.tag}`" in page
        for name in struct.__struct_fields__:
            assert f"`{name}`" in page, (struct, name)
