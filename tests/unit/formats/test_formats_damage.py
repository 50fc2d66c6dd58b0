"""Files cut short, and files with a byte changed: read, or refused with one line; nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
import safetensors.numpy

from mcodec.errors import FormatError
from mcodec.formats.registry import open_source

if TYPE_CHECKING:
    from pathlib import Path


def hdf5(path: Path, libver: str) -> None:
    """Write a small file with what Keras writes, and chunks."""
    with h5py.File(path, "w", libver=libver) as file:
        file.attrs["layer_names"] = ["a", "b"]
        group = file.create_group("a")
        group.attrs["weight_names"] = np.array([b"k:0", b"b:0"])
        group["k:0"] = np.arange(12, dtype="<f4").reshape(3, 4)
        group["b:0"] = np.ones(4, ">f8")
        options = {"compression": "gzip", "shuffle": True, "fletcher32": True}
        file.create_dataset("z", data=np.arange(60).reshape(6, 10), chunks=(4, 4), **options)
        file["s"] = "text"
        file["again"] = file["z"]


def safe(path: Path, _: str) -> None:
    model = {"a": np.arange(6, dtype="<f4").reshape(2, 3), "b": np.array(True)}
    path.write_bytes(safetensors.numpy.save(model, {"format": "pt"}))


def consume(path: Path) -> bool:
    """Read all of a file; tell whether it could be."""
    try:
        source = open_source(path)
        try:
            source.skeleton()
            for index, spec in enumerate(source.tensors):
                array: Any = source.read(index, 0, spec.size)
                assert array.size == spec.size
        finally:
            source.close()
    except FormatError as error:
        assert str(error).isprintable()  # noqa: PT017 - most damage is noticed, not all
        return False
    return True


CASES = [(hdf5, "earliest", ".h5"), (hdf5, "latest", ".h5"), (safe, "", ".safetensors")]


@pytest.mark.parametrize(("make", "version", "suffix"), CASES)
def test_truncation(tmp_path: Path, make: Any, version: str, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    make(path, version)
    whole = path.read_bytes()
    assert consume(path)
    places = np.unique(np.geomspace(1, len(whole), 150).astype(int)) - 1
    for place in {*places.tolist(), *(len(whole) - n for n in (1, 2, 8, 100))}:
        path.write_bytes(whole[:place])
        assert not consume(path), place


@pytest.mark.parametrize(("make", "version", "suffix"), CASES)
def test_single_bytes(tmp_path: Path, make: Any, version: str, suffix: str) -> None:
    """Every byte that is not zero, and some that are; a fixed choice, as crashes tell no seed."""
    path = tmp_path / f"x{suffix}"
    make(path, version)
    whole = path.read_bytes()
    random = np.random.default_rng(11)
    full = [place for place, byte in enumerate(whole) if byte]
    chosen = random.choice(full, min(300, len(full)), replace=False).tolist()
    chosen += random.integers(0, len(whole), 100).tolist()
    results = []
    for place in chosen:
        for value in (whole[place] ^ 0xFF, whole[place] ^ 1, 0):
            path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            results.append(consume(path))
    assert any(results)
    assert not all(results)
