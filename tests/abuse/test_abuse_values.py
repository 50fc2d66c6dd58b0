"""HDF5 models with every strange value: packed and unpacked by the command, every bit is there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from safetensors import safe_open

import mcodec
from support.command import call

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

# sign, exponent and payload at their edges: NaNs quiet and signalling, infinities, -0.0, subnormals
BITS32 = np.array(
    [
        *(0x00000000, 0x80000000, 0x00000001, 0x807FFFFF, 0x00800000, 0x7F7FFFFF, 0x7F800000),
        *(0xFF800000, 0x7F800001, 0x7FBFFFFF, 0x7FC00000, 0xFFC12345, 0xFFFFFFFF, 0x3F800000),
    ],
    np.uint32,
)


def _strange() -> dict[str, NDArray[Any]]:
    """Return arrays by name, as they lie in the file: byte orders, shapes and dtypes differ."""
    random = np.random.default_rng(5)
    noise = random.integers(0, 1 << 32, 20_000, np.uint32)  # a run of its own, NaNs among them
    bits64 = random.integers(0, 1 << 64, 70, np.uint64)
    return {
        "nan/weight": BITS32.view(np.float32).reshape(7, 2),
        "noise/weight": noise.view(np.float32).reshape(100, 200),
        "big_endian/weight": BITS32.astype(">u4").view(">f4"),
        "double/weight": bits64.view(np.float64),
        "double_big/weight": bits64.astype(">u8").view(">f8"),
        "half/weight": np.arange(1 << 16, dtype=np.uint16).view(np.float16),
        "scalar/weight": np.array(-0.0, np.float32),
        "scalar_nan/weight": np.array(0xFFC00001, np.uint32).view(np.float32),
        "empty/weight": np.zeros((0,), np.float32),
        "empty_matrix/weight": np.zeros((3, 0, 2), np.float64),
        "integers/weight": np.array([-(1 << 63), (1 << 63) - 1, 0], np.int64),
        "big_integers/weight": np.array([1, 256, 65535], ">u2"),
        "bytes/weight": np.arange(256, dtype=np.uint8),
        "truth/weight": np.array([True, False, True]),
    }


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with the strange model, and what is packed from it."""
    monkeypatch.chdir(tmp_path)
    with h5py.File("x.h5", "w") as file:
        file.attrs["layer_names"] = np.array([name.split("/")[0] for name in _strange()], "S")
        file.attrs["strange"] = np.float32("nan")
        for name, array in _strange().items():
            layer = name.split("/", maxsplit=1)[0]
            file.create_group(layer).attrs["weight_names"] = np.array([b"weight"])
            file.create_dataset(name, data=array)
    assert call("pack", "x.h5", "-o", "x.mc").code == 0
    return tmp_path


def _little(array: NDArray[Any]) -> bytes:
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def test_the_packed_file_is_its_source(here: Path) -> None:
    outcome = call("verify", "x.mc", "--deep", "--against", "x.h5")
    assert outcome.code == 0
    assert "bit for bit" in outcome.out
    with mcodec.open("x.mc") as file:
        task = file.task()
        assert list(task) == list(_strange())
        for name, array in _strange().items():
            assert task[name].shape == array.shape
            assert task[name].tobytes() == _little(array), name


def test_unpacked_as_hdf5(here: Path) -> None:
    assert call("unpack", "x.mc", "-o", "y.h5").code == 0
    with h5py.File("x.h5") as old, h5py.File("y.h5") as new:
        for name, array in _strange().items():
            # Keras on torch cannot read big-endian datasets, so they come back little-endian.
            assert new[name].dtype == array.dtype.newbyteorder("<"), name
            assert new[name].shape == array.shape
            assert new[name][()].tobytes() == _little(array), name
        assert np.isnan(new.attrs["strange"])
        assert list(new.attrs["layer_names"]) == list(old.attrs["layer_names"])


def test_unpacked_as_safetensors_and_packed_again(here: Path) -> None:
    assert call("unpack", "x.mc", "--to", "safetensors", "-o", "y.safetensors").code == 0
    with safe_open("y.safetensors", "np") as file:
        assert set(file.keys()) == set(_strange())
        for name, array in _strange().items():
            assert file.get_tensor(name).tobytes() == _little(array), name
    assert call("pack", "y.safetensors", "-o", "y.mc").code == 0
    assert call("verify", "y.mc", "--deep", "--against", "y.safetensors").code == 0


@pytest.mark.parametrize("layout", ["task", "progressive"])
def test_every_layout_keeps_every_bit(layout: str, here: Path) -> None:
    assert call("relayout", "x.mc", "-o", "z.mc", "--layout", layout).code == 0
    assert call("verify", "z.mc", "--deep", "--against", "x.h5").code == 0


def test_bits_are_not_for_what_is_not_finite(here: Path) -> None:
    """A tensor with NaN or infinity stays lossless, and a warning on stderr names it."""
    outcome = call("pack", "x.h5", "-o", "bits.mc", "--bits", "5")
    assert outcome.code == 0
    lines = outcome.err.splitlines()
    assert [line for line in lines if "nan/weight" in line and "lossless" in line]
    assert [line for line in lines if "noise/weight" in line and "lossless" in line]
    assert all(line.startswith("mcodec: warning: ") for line in lines)
    assert call("verify", "bits.mc", "--deep", "--against", "x.h5").code == 0
    os.remove("bits.mc")
