"""npz archives and .npy files: in, out, and what is refused."""

from __future__ import annotations

import os
import zipfile
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mcodec.api.pack import pack
from mcodec.api.unpack import unpack
from mcodec.errors import FormatError, UsageError
from mcodec.formats.npz import inner_npz
from mcodec.formats.registry import create_sink, open_source
from mcodec.types import ITEMSIZE, TensorSpec, dtype_name, numpy_dtype
from support.models import arrays

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

STEP = 97  # elements a read: never a whole array


def write(path: Path, values: dict[str, NDArray[Any]], skeleton: bytes = b"") -> None:
    specs = [TensorSpec(k, dtype_name(v.dtype) or "", v.shape) for k, v in values.items()]
    sink = create_sink(path, "npz", specs, skeleton)
    for index, value in enumerate(values.values()):
        sink.write(index, 0, value.reshape(-1).view(np.uint8).data)
    sink.close()


def read_by_steps(path: Path) -> dict[str, bytes]:
    source = open_source(path)
    try:
        return {
            spec.name: b"".join(
                source.read(index, start, min(start + STEP, spec.size)).tobytes()
                for start in range(0, spec.size, STEP)
            )
            for index, spec in enumerate(source.tensors)
        }
    finally:
        source.close()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_every_kind_of_array_comes_out_little_endian_and_in_c_order(
    tmp_path: Path, save: Any
) -> None:
    path = tmp_path / "a.npz"
    values: dict[str, Any] = {
        "big": np.arange(30, dtype=">f8").reshape(5, 6),
        "turned": np.asfortranarray(np.arange(60, dtype="<i4").reshape(3, 4, 5)),
        "both": np.asfortranarray(np.arange(12, dtype=">c16").reshape(3, 4)),
        "scalar": np.float32(-0.0),
        "empty": np.zeros((0, 3), "<u2"),
        "a/b c": np.array([True, False]),
    }
    save(path, **values)
    found = read_by_steps(path)
    for name, value in values.items():
        plain = np.ascontiguousarray(value)
        assert found[name] == plain.astype(plain.dtype.newbyteorder("<")).tobytes(), name


def test_reads_in_any_order_of_a_deflated_member(tmp_path: Path) -> None:
    value = np.arange(1000, dtype="<i4")
    np.savez_compressed(tmp_path / "a.npz", w=value)
    source = open_source(tmp_path / "a.npz")
    for start, stop in [(500, 600), (0, 10), (990, 1000), (600, 601), (0, 0)]:
        assert source.read(0, start, stop).tolist() == value[start:stop].tolist()
    source.close()


@given(data=st.data(), dtype=st.sampled_from([*sorted(ITEMSIZE), "V3"]))
def test_what_is_written_is_read_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, dtype: str
) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    spec = TensorSpec("w", dtype, shape)
    raw = data.draw(st.binary(min_size=spec.nbytes, max_size=spec.nbytes))
    if dtype == "bool":
        raw = bytes(byte & 1 for byte in raw)
    value = np.frombuffer(raw, numpy_dtype(dtype)).reshape(shape)
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    write(path, {"w": value})
    source = open_source(path)
    assert source.tensors == [spec]
    assert source.read(0, 0, spec.size).tobytes() == raw
    source.close()
    with np.load(path) as loaded:
        assert loaded["w"].tobytes() == raw
        assert loaded["w"].shape == shape


def test_a_task_comes_back_with_its_other_members(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, w=np.arange(4.0), words=np.array(["a", "bc"]))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("notes/read me.txt", b"hello")
    pack(path, tmp_path / "a.mc")
    unpack(tmp_path / "a.mc", out=tmp_path / "b.npz")
    with np.load(tmp_path / "b.npz") as loaded:
        assert loaded["w"].tolist() == [0, 1, 2, 3]
        assert loaded["words"].tolist() == ["a", "bc"]
    with zipfile.ZipFile(path) as one, zipfile.ZipFile(tmp_path / "b.npz") as two:
        assert one.namelist() == two.namelist()
        assert two.read("notes/read me.txt") == b"hello"
        assert [m.compress_type for m in one.infolist()] == [
            m.compress_type for m in two.infolist()
        ]
    assert sorted(os.listdir(tmp_path)) == ["a.mc", "a.npz", "b.npz"]


def test_npz_to_other_formats_and_bfloat16(tmp_path: Path) -> None:
    value = np.arange(6, dtype=ml_dtypes.bfloat16)
    write(tmp_path / "a.npz", {"w": value})
    pack(tmp_path / "a.npz", tmp_path / "a.mc")
    for name in ("b.safetensors", "b.h5", "b.npy", "c.npz"):
        unpack(tmp_path / "a.mc", out=tmp_path / name)
        found = arrays(tmp_path / name)
        assert [one.tobytes() for one in found.values()] == [value.tobytes()]


def test_a_foreign_skeleton_is_carried(tmp_path: Path) -> None:
    foreign = b'{"format":"other","version":1}'
    write(tmp_path / "a.npz", {"w": np.zeros(3)}, foreign)
    source = open_source(tmp_path / "a.npz")
    assert [spec.name for spec in source.tensors] == ["w"]
    assert inner_npz(source.skeleton()) == foreign
    source.close()


def test_what_npz_cannot_hold(tmp_path: Path) -> None:
    spec = TensorSpec("w", "int8", (1,))
    with pytest.raises(UsageError, match="no npz archive can hold"):
        create_sink(tmp_path / "a", "npz", [TensorSpec("a\0b", "int8", (1,))])
    with pytest.raises(UsageError, match="one array, not 2"):
        create_sink(tmp_path / "a", "npy", [spec, TensorSpec("v", "int8", (1,))])
    for skeleton in (
        b'{"format":"npz","version":1,"members":[]}',
        b'{"format":"npz","version":1,"members":[{"name":"v.npy","tensor":true}]}',
        b'{"format":"npz","version":1,"members":[{"name":"x"},{"name":"x"}]}',
        b'{"format":"npz","version":2,"members":[]}',
    ):
        with pytest.raises(FormatError):
            create_sink(tmp_path / "a", "npz", [spec], skeleton)


def test_a_sink_that_is_discarded_leaves_nothing(tmp_path: Path) -> None:
    sink = create_sink(tmp_path / "a.npz", "npz", [TensorSpec("w", "int8", (5,))])
    sink.discard()
    assert os.listdir(tmp_path) in ([], ["a.npz"])


def header(text: str, data: bytes = b"") -> bytes:
    body = text.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body + data


@pytest.mark.parametrize(
    "content",
    [
        header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", b"x" * 8),
        header("{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (1,)}", b"x" * 8),
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", b"x" * 4),
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", b"x" * 5),
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", b""),
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (True,)}", b"x" * 4),
        header("{'descr': '<f4', 'fortran_order': 2, 'shape': ()}", b"x" * 4),
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4)}"),
        header("__import__('os').getcwd()"),
        header("(" * 3000),
        header("{'descr': '<q9', 'fortran_order': False, 'shape': ()}"),
        b"\x93NUMPY\x03\x00",
        b"\x93NUMPY\x09\x00",
        b"\x93NUM",
    ],
)
@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_bad_arrays_are_refused(tmp_path: Path, content: bytes, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    if kind == "npy":
        path.write_bytes(content)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("w.npy", content)
    with pytest.raises(FormatError) as caught:
        open_source(path)
    assert str(caught.value).count(str(path)) == 1


def test_a_damaged_array_is_refused_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    for save in (np.savez, np.savez_compressed):
        save(path, w=np.random.default_rng(0).standard_normal(20_000))
        data = bytearray(path.read_bytes())
        data[100_000] ^= 1
        path.write_bytes(data)
        with pytest.raises(FormatError) as caught:
            read_by_steps(path)
        assert caught.value.code == "source_invalid"


def test_text_alone_is_no_npy(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array(["text"]))
    with pytest.raises(FormatError, match="numbers or bytes"):
        open_source(tmp_path / "a.npy")
