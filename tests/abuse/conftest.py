"""Small models, the files packed from them, and files that are none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file

import mcodec

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def network(seed: int) -> dict[str, NDArray[Any]]:
    """Make a network of few bytes whose chunks are of every coder."""
    random = np.random.default_rng(seed)
    return {
        "dense/kernel": random.standard_normal((12, 10)).astype(np.float32),
        "dense/bias": random.standard_normal(10).astype(np.float32),
        "zeros": np.zeros(64, np.float32),
        "steps": np.arange(40, dtype=np.int64),
    }


def write_h5(path: Path, arrays: dict[str, NDArray[Any]]) -> Path:
    """Write arrays as Keras 2 writes weights: groups, and attributes that name the order."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array(list(arrays), dtype="S")
        for name, array in arrays.items():
            group = file.create_group(f"{name}_layer")
            group.attrs["weight_names"] = np.array([b"weight:0"])
            group.create_dataset("weight:0", data=array)
    return path


@dataclass(frozen=True)
class Models:
    """Two models in both formats, and what is packed from them."""

    folder: Path
    a: Path  # HDF5
    b: Path  # HDF5
    flat: Path  # safetensors
    lossless: Path  # .mc of `flat`: one task
    fused: Path  # .mc of `a` and `b`: bit fusion


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """Models that no test changes."""
    folder = tmp_path_factory.mktemp("models")
    a = write_h5(folder / "a.h5", network(1))
    b = write_h5(folder / "b.h5", network(2))
    flat = folder / "flat.safetensors"
    save_file(network(1), flat)
    packed = folder / "packed"
    packed.mkdir()
    mcodec.pack(flat, packed / "lossless.mc")
    mcodec.pack([a, b], packed / "fused.mc", bits=[7, 5])
    return Models(folder, a, b, flat, packed / "lossless.mc", packed / "fused.mc")
