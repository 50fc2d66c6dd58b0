"""`mcodec.safe_open` beside safetensors' own, for JAX; NumPy's arrays and DLPack lose no bit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy

import mcodec
from mcodec.types import EXTENSION_DTYPES, ITEMSIZE
from support import cases, likeness

if TYPE_CHECKING:
    from pathlib import Path

jax = pytest.importorskip("jax")
pytestmark = pytest.mark.slow

WIDE = ("int64", "uint64", "float64", "complex128")  # 32 bits in JAX, but for jax_enable_x64
SAME = [name for name in ITEMSIZE if name not in WIDE]


def test_what_safetensors_gives(tmp_path: Path) -> None:
    arrays = {name: cases.noise(name, (3, 5)) for name in SAME if name not in EXTENSION_DTYPES}
    arrays |= {"wide": np.arange(6.0), likeness.SLICED: cases.noise("float32", (2, 3, 4))}
    theirs, ours = str(tmp_path / "model.safetensors"), str(tmp_path / "model.mc")
    safetensors.numpy.save_file(arrays, theirs)
    mcodec.pack(theirs, ours, jobs=1)
    ours_by_name = dict(likeness.calls(mcodec, ours, "flax"))
    for name, wanted in likeness.calls(safetensors, theirs, "jax"):
        if wanted.error is None:
            assert ours_by_name[name] == wanted, name


@pytest.mark.parametrize("name", SAME)
def test_every_bit_of_every_dtype(tmp_path: Path, name: str) -> None:
    array = cases.noise(name, (4, 6))
    mcodec.pack({"A": {"w": array, "s": array[0, 0]}}, tmp_path / "x.mc", jobs=1)
    with mcodec.safe_open(tmp_path / "x.mc", "jax") as file:
        for found, expected in (
            (file.get_tensor("w"), array),
            (file.get_slice("w")[1:, ::2], array[1:, ::2]),
            (file.get_tensor("s"), array[0, 0]),
        ):
            assert isinstance(found, jax.Array)
            assert str(found.dtype) == name
            assert found.shape == expected.shape
            assert np.asarray(found).tobytes() == expected.tobytes()


@pytest.mark.parametrize("name", WIDE)
def test_wide_dtypes_with_x64(tmp_path: Path, name: str) -> None:
    array = cases.noise(name, (4, 6))
    mcodec.pack({"A": {"w": array}}, tmp_path / "x.mc", jobs=1)
    with jax.enable_x64(True), mcodec.safe_open(tmp_path / "x.mc", "jax") as file:
        found = file.get_tensor("w")
        assert str(found.dtype) == name
        assert np.asarray(found).tobytes() == array.tobytes()


def test_a_dtype_that_jax_has_not(tmp_path: Path) -> None:
    mcodec.pack({"A": {"w": cases.noise("V3", (5,))}}, tmp_path / "x.mc", jobs=1)
    with (
        mcodec.safe_open(tmp_path / "x.mc", "jax") as file,
        pytest.raises(mcodec.errors.UsageError, match="no JAX tensor of void24"),
    ):
        file.get_tensor("w")


def test_arrays_of_a_task_through_dlpack(tmp_path: Path) -> None:
    array = cases.noise("float32", (300, 7))
    mcodec.pack({"A": {"w": array}}, tmp_path / "x.mc", jobs=1)
    with mcodec.open(tmp_path / "x.mc") as file:
        found: Any = jax.dlpack.from_dlpack(file.task()["w"])
        assert np.asarray(found).tobytes() == array.tobytes()
