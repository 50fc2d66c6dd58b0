"""Whether two model files of one format hold the same, as the format's own library sees them."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from support.models import dump
from support.tree import check_same_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WEIGHTS: Final = "model.weights.h5"


def check_same(format: str, original: Path, restored: Path) -> None:
    """Check that a file, or folder, that came back is the one that went.

    safetensors, GGUF and ONNX: byte for byte. HDF5: objects, links, datatypes, attributes, data.
    Keras: every member's bytes, and the weights as HDF5. npz: members and arrays. PyTorch: what
    torch.load gives.
    """
    _CHECKS[format](original, restored)


def _bytes(original: Path, restored: Path) -> None:
    if original.is_dir():
        assert _names(original) == _names(restored)
        for name in _names(original):
            _bytes(original / name, restored / name)
    else:
        assert restored.read_bytes() == original.read_bytes()


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _hdf5(original: Path, restored: Path) -> None:
    expected, found = dump(original), dump(restored)
    for name, value in expected.items():
        assert found.get(name) == value, name
    assert found.keys() == expected.keys()


def _keras(original: Path, restored: Path) -> None:
    with zipfile.ZipFile(original) as one, zipfile.ZipFile(restored) as two:
        names = [name for name in one.namelist() if not name.endswith("/")]
        assert two.namelist() == names
        for name in names:
            if name != WEIGHTS:
                assert two.read(name) == one.read(name), name
        folder = restored.parent / "weights"
        folder.mkdir(exist_ok=True)
        paths = [folder / side for side in ("one.h5", "two.h5")]
        for archive, path in zip((one, two), paths, strict=True):
            path.write_bytes(archive.read(WEIGHTS))
    _hdf5(*paths)


def _shards(original: Path, restored: Path) -> None:
    """Compare what Keras wrote: the index and its shards."""
    names = [n for n in _names(original) if n.endswith((".weights.json", ".weights.h5"))]
    assert _names(restored) == names
    for name in names:
        if name.endswith(".h5"):
            _hdf5(original / name, restored / name)
        else:
            first, second = (json.loads((p / name).read_text()) for p in (original, restored))
            assert first == second


def _npz(original: Path, restored: Path) -> None:
    with zipfile.ZipFile(original) as one, zipfile.ZipFile(restored) as two:
        assert two.namelist() == one.namelist()
    with np.load(original) as first, np.load(restored) as second:
        for name in first.files:
            _array(first[name], second[name])


def _npy(original: Path, restored: Path) -> None:
    _array(np.load(original), np.load(restored))


def _array(first: Any, second: Any) -> None:
    """Compare two arrays; byte order and order in memory may differ."""
    plain = first.dtype.newbyteorder("<")
    assert second.dtype == plain
    assert second.shape == first.shape
    assert second.tobytes() == first.astype(plain).tobytes()


_CHECKS: Final[dict[str, Callable[[Path, Path], None]]] = {
    "gguf": _bytes,
    "hdf5": _hdf5,
    "keras": _keras,
    "keras_shards": _shards,
    "npy": _npy,
    "npz": _npz,
    "onnx": _bytes,
    "safetensors": _bytes,
    "torch": check_same_checkpoint,
}
