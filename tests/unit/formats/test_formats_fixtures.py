"""Files that the real libraries wrote, and files made to harm: what the shared manifest expects."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mcodec.errors import FormatError
from mcodec.formats.registry import open_source
from support.models import arrays, copy_model, dump

if TYPE_CHECKING:
    from collections.abc import Iterator

FIXTURES = Path(__file__).resolve().parents[4] / "shared" / "fixtures"
SUFFIXES = (".h5", ".safetensors", ".safetensors.gz")
# h5py shows these wider than they are; safetensors counts the values of F4, not the bytes.
NATIVE = {"native_bf16", "native_e5m2", "f4"}
SECRET = b"\x00\x50\x9a\x44"  # the float 1234.5, which only files outside the fixture hold


def entries(verdict: str) -> list[Any]:
    """Return the manifest's entries of the formats that are read here."""
    return list(_entries(verdict)) if FIXTURES.is_dir() else []


def _entries(verdict: str) -> Iterator[Any]:
    for entry in json.loads((FIXTURES / "MANIFEST.json").read_text())["entries"]:
        name = entry["name"]
        if name.endswith(SUFFIXES) and entry["verdict"] == verdict and "outside" not in name:
            yield pytest.param(entry, id=name)


def local_copy(entry: dict[str, Any], folder: Path) -> Path:
    """Copy a fixture into a folder of its own, out of its compression."""
    source = FIXTURES / str(entry["name"])
    target = folder / source.name.removesuffix(".gz")
    if source.suffix == ".gz":
        with gzip.open(source) as packed, target.open("wb") as out:
            shutil.copyfileobj(packed, out)
    else:
        shutil.copy(source, target)
    return target


def check_oracle(path: Path, oracle: str) -> None:
    """Compare names, shapes and bytes of all tensors with what the format's own library read."""
    rows = json.loads((FIXTURES / oracle).read_text())
    expected = {row["name"]: row for row in rows if "name" in row}
    found = arrays(path)
    assert found.keys() - expected.keys() <= {"opaque16"}
    for name, row in expected.items():
        if name in NATIVE:
            continue
        assert list(found[name].shape) == row["shape"], name
        assert hashlib.sha256(found[name].tobytes()).hexdigest() == row["sha256"], name


def check_copy(path: Path, out: Path) -> None:
    """Send a file through source and sink, and compare all that it holds."""
    copy_model(path, out, step=100_000)
    if path.suffix == ".safetensors":
        assert out.read_bytes() == path.read_bytes()
    else:
        assert dump(out) == dump(path)


@pytest.mark.parametrize("entry", entries("accept"))
def test_accepted(entry: dict[str, Any], tmp_path: Path) -> None:
    path = local_copy(entry, tmp_path)
    check_oracle(path, entry["oracle"])
    check_copy(path, tmp_path / f"out{path.suffix}")


@pytest.mark.parametrize("entry", entries("refuse"))
def test_refused(entry: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = local_copy(entry, tmp_path)
    outside = FIXTURES / "hostile" / "outside"
    (tmp_path / "outside").symlink_to(outside, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FormatError) as caught:
        arrays(path)
    assert str(caught.value).isprintable()
    assert caught.value.where.startswith(str(path))


@pytest.mark.parametrize("entry", entries("either"))
def test_either(entry: dict[str, Any], tmp_path: Path) -> None:
    path = local_copy(entry, tmp_path)
    try:
        found = arrays(path)
    except FormatError:
        return
    assert not any(SECRET in array.tobytes() for array in found.values() if array.size < 10**6)
    if entry.get("oracle"):
        check_oracle(path, entry["oracle"])
    if "fuzz" not in path.name:
        check_copy(path, tmp_path / f"out{path.suffix}")


def test_native_small_floats_keep_their_width() -> None:
    path = FIXTURES / "good" / "h5" / "small_floats.h5"
    if not path.exists():
        pytest.skip("the shared fixtures are not beside the project")
    source = open_source(path)
    assert {spec.name: spec.dtype for spec in source.tensors} == {
        "bare_opaque2": "V2",
        "keras_bf16": "bfloat16",
        "native_bf16": "bfloat16",
        "native_e5m2": "float8_e5m2",
    }
    source.close()
