"""Which format a file is of, by what it holds and by its name; files that are not there."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
import safetensors.numpy

from mcodec.errors import FormatError, InputOutputError, UsageError
from mcodec.formats import registry
from mcodec.formats.base import skeleton_format
from mcodec.formats.registry import create_sink, open_source
from mcodec.types import TensorSpec
from support.models import arrays

if TYPE_CHECKING:
    from pathlib import Path

FREE = ("hdf5", "safetensors", "npz", "npy")  # formats that hold arrays from anywhere


@pytest.mark.parametrize("name", registry.FORMATS)
def test_every_format_has_its_functions(name: str) -> None:
    module = importlib.import_module(registry.FORMATS[name].module)
    for verb in ("open", "create"):
        assert callable(getattr(module, f"{verb}_{name}"))


@pytest.mark.parametrize("user_block", [0, 512, 2048])
def test_hdf5_is_told_by_its_signature(tmp_path: Path, user_block: int) -> None:
    path = tmp_path / "model.safetensors"
    with h5py.File(path, "w", userblock_size=user_block) as file:
        file["w"] = np.arange(6, dtype="<f4")
    source = open_source(path)
    assert source.format == "hdf5"
    assert source.read(0, 1, 4).tolist() == [1, 2, 3]
    source.close()


def test_safetensors_is_told_by_its_header(tmp_path: Path) -> None:
    """Also where a tensor's bytes look like HDF5 after a user block."""
    data = np.zeros(2048, np.uint8)
    header = 8 + len(safetensors.numpy.save({"w": data})) - 8 - 2048
    data[512 - header : 520 - header] = np.frombuffer(b"\x89HDF\r\n\x1a\n", np.uint8)
    path = tmp_path / "model.h5"
    path.write_bytes(safetensors.numpy.save({"w": data}))
    assert path.read_bytes()[512:516] == b"\x89HDF"
    assert arrays(path)["w"].tobytes() == data.tobytes()


@pytest.mark.parametrize("name", ["model.h5", "model.HDF5", "model.safetensors"])
def test_the_name_decides_who_complains(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"nothing")
    with pytest.raises(FormatError) as caught:
        open_source(path)
    assert caught.value.code == "source_invalid"


def test_unknown_file(tmp_path: Path) -> None:
    path = tmp_path / "x.dat"
    path.write_bytes(bytes(100))
    with pytest.raises(FormatError, match="no model that mcodec reads") as caught:
        open_source(path)
    assert caught.value.code == "source_unknown"


def test_container_is_no_source(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    path.write_bytes(b"\x89MCD\r\n\x1a\n" + bytes(100))
    with pytest.raises(FormatError, match="unpack") as caught:
        open_source(path)
    assert caught.value.code == "source_unknown"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputOutputError, match="no such file"):
        open_source(tmp_path / "missing.h5")
    os.mkfifo(tmp_path / "pipe.h5")
    with pytest.raises(InputOutputError, match="regular"):
        open_source(tmp_path / "pipe.h5")
    with pytest.raises(UsageError, match="download"):
        open_source("https://example.com/model.h5")


def test_folders_are_told_by_the_names_in_them(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no model that mcodec reads") as caught:
        open_source(tmp_path)
    assert caught.value.code == "source_unknown"
    safetensors.numpy.save_file({"w": np.ones(2)}, tmp_path / "model.safetensors")
    assert list(arrays(tmp_path)) == ["w"]


def test_a_key_is_for_checkpoints(tmp_path: Path) -> None:
    safetensors.numpy.save_file({"w": np.ones(2)}, tmp_path / "x.safetensors")
    with pytest.raises(UsageError, match="for PyTorch checkpoints"):
        open_source(tmp_path / "x.safetensors", "model")


def test_a_damaged_archive_is_told_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04" + bytes(40))
    with pytest.raises(FormatError, match="damaged"):
        open_source(tmp_path / "x.npz")


def test_outputs_that_cannot_be_written(tmp_path: Path) -> None:
    spec = TensorSpec("w", "float32", (2,))
    for name in FREE:
        with pytest.raises(InputOutputError, match="no such file"):
            create_sink(tmp_path / "missing" / "x", name, [spec])
    with pytest.raises(UsageError, match="no format"):
        create_sink(tmp_path / "x", "os.path", [spec])


def test_suffixes() -> None:
    assert registry.format_for_suffix("a/b.H5") == "hdf5"
    assert registry.format_for_suffix("model.safetensors") == "safetensors"
    assert registry.format_for_suffix("model.weights.h5") == "hdf5"
    assert registry.format_for_suffix("model.json") is None
    assert registry.format_for_suffix(".npz") is None
    assert registry.suffix_for_format("hdf5") == ".h5"
    assert registry.suffix_for_format("safetensors") == ".safetensors"
    with pytest.raises(UsageError):
        registry.suffix_for_format("os.path")


@pytest.mark.parametrize("data", [b"{}", b"\xff", b"[" * 100_000, b'{"format": 3}'])
def test_skeletons_that_are_none(data: bytes) -> None:
    assert skeleton_format(b"") is None
    assert skeleton_format(b'{"format":"pickle","x":[]}') == "pickle"
    with pytest.raises(FormatError) as caught:
        skeleton_format(data)
    assert caught.value.code == "source_invalid"


@pytest.mark.parametrize("name", FREE)
def test_writes_past_a_tensor_are_refused(tmp_path: Path, name: str) -> None:
    sink = create_sink(tmp_path / "x", name, [TensorSpec("w", "int16", (3,))])
    with pytest.raises(UsageError, match="past the end"):
        sink.write(0, 4, memoryview(b"1234"))
    sink.write(0, 0, np.arange(3, dtype="<i2").data)
    sink.close()
    sink.close()
    assert [array.tolist() for array in arrays(tmp_path / "x").values()] == [[0, 1, 2]]


def descriptors() -> int:
    return len(os.listdir("/dev/fd"))


@pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="no list of open files")
@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("name", FREE)
def test_a_discarded_sink_holds_nothing(tmp_path: Path, name: str, closed: bool) -> None:
    create_sink(tmp_path / "a", name, [TensorSpec("w", "int16", (3,))]).close()  # imports are done
    before = descriptors()
    sink = create_sink(tmp_path / "x", name, [TensorSpec("w", "int16", (3,))])
    sink.write(0, 0, memoryview(b"123456"))
    if closed:
        sink.close()
    sink.discard()
    sink.discard()
    assert descriptors() == before
    assert sorted(os.listdir(tmp_path)) in (["a"], ["a", "x"])
