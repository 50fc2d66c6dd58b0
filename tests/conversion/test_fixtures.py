"""Files that the libraries wrote go into every format and come back, by the command."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
from safetensors import safe_open

from mcodec.formats.registry import open_source
from support.command import call
from support.equal import check_same
from support.fixtures import NEEDS_TORCH, OWN, Fixture, check_oracle, fixtures, parameters, place

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.command import Outcome

    Count = Callable[[Fixture, str], None]

SUFFIXES = ("safetensors", "npz", "h5", pytest.param("pt", marks=NEEDS_TORCH))
GOOD = parameters("accept", "either", good=True)


def told(fixture: Fixture, outcome: Outcome) -> bool:
    """Return whether a fixture was taken; one that may be refused is refused in one line."""
    if fixture.verdict == "either" and outcome.code == 3:
        outcome.assert_fails(3)
        return False
    assert outcome.code == 0, outcome
    return True


def names(path: Path) -> list[str]:
    source = open_source(path)
    try:
        return [spec.name for spec in source.tensors]
    finally:
        source.close()


def cannot_hold(suffix: str, path: Path) -> bool:
    """Tell whether a format has no place for a file's names: the only reasons to refuse them."""
    found = names(path)
    if suffix == "h5":
        parts = [name.split("/") for name in found]
        groups = {"/".join(p[:cut]) for p in parts for cut in range(1, len(p))}
        odd = any(part in {"", "."} or "\0" in part for p in parts for part in p)
        return odd or not groups.isdisjoint(found)
    if suffix == "npz":
        return any("\0" in name for name in found)
    return suffix == "safetensors" and "__metadata__" in found


def check_readable(path: Path) -> None:
    """Check that the format's own library opens what was made."""
    match path.suffix:
        case ".safetensors":
            with safe_open(path, framework="np") as file:
                assert isinstance(list(file.keys()), list)
        case ".npz":
            with np.load(path) as archive:
                assert all(archive[name] is not None for name in archive.files if "." not in name)
        case ".h5":
            with h5py.File(path) as file:
                file.visititems(lambda _, item: item.shape if hasattr(item, "shape") else None)
        case ".pt":
            import torch

            torch.load(path, weights_only=True)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("fixture", GOOD)
def test_converted_and_back(fixture: Fixture, suffix: str, tmp_path: Path, counted: Count) -> None:
    path = place(fixture, tmp_path / "in")
    middle = tmp_path / f"middle.{suffix}"
    first = call("convert", path, middle, "-q")
    if first.code == 2:
        first.assert_fails(2)
        assert cannot_hold(suffix, path), first.err
        assert not middle.exists()
        return
    taken = told(fixture, first)
    counted(fixture, "accepted" if taken else "refused")
    if not taken:
        assert not middle.exists()
        return
    if fixture.oracle:
        check_oracle(fixture, path)
        check_oracle(fixture, middle)
    check_readable(middle)
    restored = tmp_path / "out" / path.name
    restored.parent.mkdir()
    assert call("convert", middle, restored, "--to", fixture.format).code == 0
    check_same(fixture.format, path, restored)
    assert call("diff", path, restored).code == 0
    assert call("diff", path, middle).code == 0


@pytest.mark.parametrize("fixture", GOOD)
def test_packed_and_unpacked(fixture: Fixture, tmp_path: Path, counted: Count) -> None:
    path = place(fixture, tmp_path / "in")
    packed = tmp_path / "model.mc"
    taken = told(fixture, call("pack", path, "-o", packed, "-q"))
    counted(fixture, "accepted" if taken else "refused")
    if not taken:
        assert not packed.exists()
        return
    restored = tmp_path / "out" / path.name
    restored.parent.mkdir()
    done = call("unpack", packed, "-o", restored, "--to", fixture.format)
    assert done.code == 0, done
    check_same(fixture.format, path, restored)
    assert call("diff", path, restored).code == 0
    assert call("diff", path, packed).code == 0


def of_each_format() -> list[object]:
    """Return one fixture, or two, of each format; all formats can hold their names."""
    chosen = {
        "good/keras2/cnn_adam.h5",
        "good/keras2/cnn_adam.keras",
        "good/keras3/bfloat16.keras",
        "good/keras3/sharded",
        "good/npz/stored.npz",
        "good/npz/one.npy",
        "good/gguf/quants.gguf",
        "good/onnx/external",
        "good/safetensors/all_dtypes.safetensors",
        "good/safetensors/sharded",
        "good/torch/checkpoint.pt",
        "good/torch/tied.pt",
    }
    return [one for one in parameters("accept", "either") if one.id in chosen]


@NEEDS_TORCH
@pytest.mark.parametrize("fixture", of_each_format())
def test_through_all_formats_in_turn(fixture: Fixture, tmp_path: Path) -> None:
    """The first file's form is carried from one format to the next, .mc among them."""
    path = place(fixture, tmp_path / "in")
    here = path
    for step, suffix in enumerate(("h5", "mc", "npz", "pt", "safetensors", "mc")):
        there = tmp_path / f"{step}.{suffix}"
        verb = "unpack" if here.suffix == ".mc" else "pack" if suffix == "mc" else "convert"
        out = ("-o", there) if verb != "convert" else (there,)
        done = call(verb, here, *out, "-q")
        assert done.code == 0, done
        here = there
    restored = tmp_path / "out" / path.name
    restored.parent.mkdir()
    assert call("unpack", here, "-o", restored, "--to", fixture.format).code == 0
    check_same(fixture.format, path, restored)
    assert call("diff", path, restored).code == 0


def test_own_set_is_as_its_manifest_says() -> None:
    """Every file is what the manifest lists; nothing besides lies there."""
    expected = {}
    for fixture in (f for f in fixtures() if "own" in f.sets):
        for name, digest in fixture.entry.get("files", {"": fixture.entry["sha256"]}).items():
            expected[OWN / fixture.name / name] = digest
    found = {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in ("good", "hostile")
        for path in (OWN / folder).rglob("*")
        if path.is_file()
    }
    assert found == expected
    assert sum(path.stat().st_size for path in OWN.rglob("*") if path.is_file()) < 3_000_000
    oracles = {f.oracle for f in fixtures() if "own" in f.sets and f.oracle}
    assert oracles == set((OWN / "oracle").iterdir())


def test_native_small_floats_keep_their_width() -> None:
    path = OWN / "good" / "h5" / "small_floats.h5"
    source = open_source(path)
    assert {spec.name: spec.dtype for spec in source.tensors} == {
        "bare_opaque2": "V2",
        "keras_bf16": "bfloat16",
        "native_bf16": "bfloat16",
        "native_e5m2": "float8_e5m2",
    }
    source.close()
