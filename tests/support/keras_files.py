"""Keras models as files, made without Keras, and looked at with zipfile and h5py alone."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import h5py
import ml_dtypes
import numpy as np

from mcodec.formats.keras_archive import WEIGHTS
from support.models import dump

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FILES = {
    "metadata.json": b'{"keras_version": "3.15.1"}',
    "config.json": b'{"class_name": "Sequential"}',
    WEIGHTS: b"",
    "assets/layers/words/vocabulary.txt": "ä\nb\n".encode(),
}


def weights(order: str = "<") -> bytes:
    """Return a small file of weights as Keras writes them."""
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        for number, name in enumerate(("dense", "dense_1")):
            group = file.create_group(f"layers/{name}/vars")
            group.attrs["name"] = f"my {name}"
            group["0"] = np.arange(12, dtype=f"{order}f4").reshape(3, 4) - number
            group["1"] = np.frombuffer(b"\x01\x00\xa0\x7f\x00\x00\x00\x80", "<f4")  # NaN, -0
            mark = group.create_dataset("2", data=np.ones(3, ml_dtypes.bfloat16).view("V2"))
            mark.attrs["dtype"] = "bfloat16"
        file.create_group("layers/flatten/vars")
        file["optimizer/vars/0"] = np.int64(7)
        file["optimizer/vars/1"] = np.zeros((0, 3), "<f8")
    return out.getvalue()


def archive(path: Path, deflated: Iterable[str] = (), more: dict[str, bytes] | None = None) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, data in {**FILES, WEIGHTS: weights(), **(more or {})}.items():
            method = zipfile.ZIP_DEFLATED if name in deflated else zipfile.ZIP_STORED
            file.writestr(name, data, method)
    return path


def unzipped(path: Path) -> Path:
    for name, data in {**FILES, WEIGHTS: weights()}.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    (path / "assets" / "empty").mkdir()
    return path


def contents(path: Path) -> dict[str, Any]:
    """Return all that a model's files hold, whether zipped or not; the weights as HDF5."""
    found: dict[str, Any] = {}
    if path.is_dir():
        for one in path.rglob("*"):
            name = one.relative_to(path).as_posix()
            found[name] = one.read_bytes() if one.is_file() else None
    else:
        with zipfile.ZipFile(path) as file:
            assert file.testzip() is None
            found = {info.filename: file.read(info) for info in file.infolist()}
    temporary = path.with_name("weights of " + path.name + ".h5")
    temporary.write_bytes(found[WEIGHTS])
    found[WEIGHTS] = dump(temporary)
    temporary.unlink()
    return found
