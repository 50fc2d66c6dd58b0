"""Model files with manifests: the project's own set, and the shared one where that is there."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from support.command import COMMAND, Outcome
from support.models import arrays

ROOT: Final = Path(__file__).resolve().parents[2]
OWN: Final = ROOT / "tests" / "data"
SHARED: Final = ROOT.parent / "shared" / "fixtures"
TORCH: Final = importlib.util.find_spec("torch") is not None
NEEDS_TORCH: Final = pytest.mark.skipif(not TORCH, reason="PyTorch is not installed")
PAYLOAD: Final = "FIXTURE_PAYLOAD_RAN"  # the file that a payload would make
SECRET: Final = b"\x00\x50\x9a\x44"  # the float 1234.5, which only files outside the fixture hold

# What a manifest calls a file, and the format's id.
FORMATS: Final = {
    "gguf": "gguf",
    "hdf5": "hdf5",
    "keras-legacy-h5": "hdf5",
    "keras2-h5": "hdf5",
    "keras2-weights-h5": "hdf5",
    "keras3-weights-h5": "hdf5",
    "keras2-zip": "keras",
    "keras3-zip": "keras",
    "keras3-sharded": "keras_shards",
    "npy": "npy",
    "npz": "npz",
    "onnx": "onnx",
    "onnx-external": "onnx",
    "safetensors": "safetensors",
    "safetensors-sharded": "safetensors",
    "torch-legacy": "torch",
    "torch-zip": "torch",
}
_TAGS: Final = {  # dtypes as oracles call them: safetensors, ONNX, GGUF
    "BOOL": "bool",
    **{f"{kind}{bits}": f"{word}int{bits}" for kind, word in (("U", "u"), ("I", ""))
       for bits in (8, 16, 32, 64)},
    **{f"F{bits}": f"float{bits}" for bits in (16, 32, 64)},
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "FLOAT": "float32",
}  # fmt: skip
_NATIVE: Final = {"native_bf16", "native_e5m2"}  # h5py shows these wider than they are
_NUMBERS: Final = {*_TAGS.values(), "complex64", "complex128"}  # dtypes that have a name here
# In no oracle: bytes that are no number; a sparse tensor, which is kept as its two dense ones.
_BESIDES: Final = {"opaque16", "coo.indices", "coo.values"}


@dataclass(frozen=True)
class Fixture:
    """An entry of a manifest; `sets` says in which it stands, `path` where it lies."""

    name: str
    kind: str
    verdict: str
    path: Path
    oracle: Path | None
    sets: tuple[str, ...]
    entry: dict[str, Any]

    @property
    def format(self) -> str:
        """The format's id."""
        return FORMATS[self.kind]

    @property
    def good(self) -> bool:
        """Whether a library wrote it as it is."""
        return self.name.startswith("good/")


@cache
def fixtures() -> tuple[Fixture, ...]:
    """Return all entries; what stands in both sets, with equal bytes, once: from the own set."""
    found = {one.name: one for one in _read(OWN, "own")}
    for one in _read(SHARED, "shared"):
        twin = found.get(one.name)
        if twin is None:
            found[one.name] = one
        else:
            same = twin.entry["sha256"] == one.entry["sha256"]
            assert same, f"{one.name}: the own set holds another file of this name"
            found[one.name] = replace(twin, sets=("own", "shared"))
    return tuple(found.values())


def _read(folder: Path, label: str) -> list[Fixture]:
    manifest = folder / "MANIFEST.json"
    if not manifest.is_file():
        return []
    return [
        Fixture(
            entry["name"],
            entry["format"],
            entry["verdict"],
            folder / entry["name"],
            folder / entry["oracle"] if entry.get("oracle") else None,
            (label,),
            entry,
        )
        for entry in json.loads(manifest.read_text())["entries"]
    ]


def parameters(*verdicts: str, good: bool | None = None) -> list[Any]:
    """Return the entries of these verdicts for `pytest.mark.parametrize`."""
    return [
        pytest.param(one, id=one.name, marks=[NEEDS_TORCH] if "/torch/" in one.name else [])
        for one in fixtures()
        if one.verdict in verdicts and good in (None, one.good)
    ]


def place(fixture: Fixture, folder: Path) -> Path:
    """Copy a fixture below a folder, out of its compression, and what it points to beside it.

    It lies as deep as in its set, so that ``../outside`` is there for a reader that follows.
    """
    parts = Path(fixture.name).parts
    if not fixture.good:
        outside = next(f.path.parent for f in fixtures() if f.name.startswith("hostile/outside/"))
        shutil.copytree(outside, folder / "outside", copy_function=shutil.copyfile)
    target = folder.joinpath(*parts[1:-1], parts[-1].removesuffix(".gz"))
    target.parent.mkdir(parents=True, exist_ok=True)
    if fixture.path.is_dir():
        shutil.copytree(fixture.path, target, copy_function=shutil.copyfile)
    elif fixture.path.suffix == ".gz":
        with gzip.open(fixture.path) as packed, target.open("wb") as out:
            shutil.copyfileobj(packed, out)
    else:
        shutil.copyfile(fixture.path, target)
    return target


def check_oracle(fixture: Fixture, path: Path) -> None:
    """Compare name, dtype, shape and bytes of every tensor with what the library itself read.

    `path` is the fixture, or what became of it in another format.
    """
    expected = oracle(fixture)
    found = arrays(path)
    assert expected.keys() <= found.keys()
    assert found.keys() - expected.keys() <= _BESIDES
    for name, row in expected.items():
        if name in _NATIVE:
            continue
        array = found[name]
        assert array.nbytes == row["nbytes"], name
        assert hashlib.sha256(array.tobytes()).hexdigest() == row["sha256"], name
        shape = row["shape"] if "shape" in row else row["ne"][::-1]  # GGUF: the fastest axis first
        dtype = row.get("dtype", row.get("type"))
        if _TAGS.get(dtype, dtype) in _NUMBERS:
            assert list(array.shape) == shape, name
            assert array.dtype.name == _TAGS.get(dtype, dtype), name
        else:  # blocks, and what has no name: bytes
            assert array.dtype.kind == "V" or array.dtype.name == "uint8", name


def oracle(fixture: Fixture) -> dict[str, Any]:
    """Return the rows of a fixture's oracle that are arrays, by name."""
    assert fixture.oracle
    rows = json.loads(fixture.oracle.read_text())
    if fixture.format == "npy":  # which has no names
        return dict.fromkeys(("array",), *rows)
    return {row["name"]: row for row in rows if "sha256" in row}


class Limited:
    """The command as a process of its own, with little memory and time, in an empty folder.

    `finish` returns what it left; a process that is still running then is killed and reported.
    """

    MEMORY: Final = 3 << 20  # KiB of address space
    SECONDS: Final = 20

    def __init__(self, cwd: Path, *arguments: object) -> None:
        limit = f'ulimit -v {self.MEMORY} && exec "$0" "$@"'
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", limit, str(COMMAND), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def finish(self) -> Outcome:
        try:
            out, err = self._process.communicate(timeout=self.SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            pytest.fail(f"still running after {self.SECONDS} s: {self._process.args!r}")
        return Outcome(self._process.returncode, out.decode(), err.decode())
