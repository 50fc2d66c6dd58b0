"""The library against the vectors: every valid file to the bit, every invalid one with its code."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

import mcodec
import mcodec.errors
from mcodec.types import dtype_name

VECTORS = Path(__file__).resolve().parents[2] / "spec" / "vectors"
MANIFEST: dict[str, Any] = json.loads((VECTORS / "manifest.json").read_text("utf-8"))
VALID = [path for path in MANIFEST if path.startswith("valid/")]
DERIVED = [
    pytest.param(path, ask, id=f"{path}-{ask['planes']}-{ask['midpoint']}-{ask['dither']}")
    for path in VALID
    for ask in MANIFEST[path].get("derived", [])
]
INVALID = [path for path in MANIFEST if path.startswith("invalid/")]


def observed(task: Any) -> dict[str, Any]:
    """Describe the tensors of a task as the manifest of the vectors does."""
    return {
        name: {
            "dtype": dtype_name(array.dtype),
            "shape": list(array.shape),
            "sha256": hashlib.sha256(array.tobytes()).hexdigest(),
        }
        for name, array in task.items()
    }


def pinned(tensors: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {key: value for key, value in tensor.items() if key != "hex"}
        for name, tensor in tensors.items()
    }


@pytest.mark.parametrize("path", VALID)
def test_valid(path: str) -> None:
    entry = MANIFEST[path]
    with mcodec.open(VECTORS / path, partial=entry.get("partial", False)) as file:
        assert list(file.tasks) == list(entry["tasks"])
        for name, tensors in entry["tasks"].items():
            assert list(file.task(name)) == list(tensors)
            assert observed(file.task(name)) == pinned(tensors)


@pytest.mark.parametrize(("path", "ask"), DERIVED)
def test_derived(path: str, ask: dict[str, Any]) -> None:
    with mcodec.open(VECTORS / path) as file:
        for name, tensors in ask["tasks"].items():
            options = {key: ask[key] for key in ("planes", "midpoint", "dither")}
            unchanged = ask["dither"] and tensors == MANIFEST[path]["tasks"][name]
            try:
                found = observed(file.task(name, **options))
            except mcodec.errors.UsageError:
                assert unchanged  # dither that would change nothing may be refused
                continue
            assert found == pinned(tensors)


@pytest.mark.parametrize("path", [path for path in VALID if not MANIFEST[path].get("partial")])
def test_verify(path: str) -> None:
    mcodec.verify(VECTORS / path, deep=True)


def read_all(path: Path, partial: bool) -> None:
    with mcodec.open(path, partial=partial) as file:
        for name in file.tasks:
            observed(file.task(name))
    mcodec.verify(path, deep=True)


@pytest.mark.parametrize("path", INVALID)
def test_invalid(path: str) -> None:
    entry = MANIFEST[path]
    with pytest.raises(mcodec.errors.FormatError) as caught:
        read_all(VECTORS / path, entry.get("partial", False))
    assert caught.value.code == entry["code"], str(caught.value)
