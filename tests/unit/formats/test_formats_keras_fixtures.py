"""Keras archives and shards that Keras wrote, or that are made to harm: what the manifest says."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mcodec.errors import FormatError
from mcodec.formats.registry import open_source
from support.keras_files import contents
from support.models import arrays, copy_model, dump

FIXTURES = Path(__file__).resolve().parents[4] / "shared" / "fixtures"
GOOD = FIXTURES / "good" / "keras3"
SHARDED = GOOD / "sharded"
FORMATS = {"keras3-zip", "keras2-zip", "keras3-sharded"}
SECRET = b"\x00\x50\x9a\x44"  # the float 1234.5, which only files outside the fixture hold
with_keras = pytest.mark.skipif(
    not importlib.util.find_spec("keras"), reason="Keras is not installed"
)
with_fixtures = pytest.mark.skipif(not SHARDED.is_dir(), reason="the fixtures are not there")


def entries(*verdicts: str) -> list[Any]:
    if not FIXTURES.is_dir():
        return []
    return [
        pytest.param(entry, id=entry["name"])
        for entry in json.loads((FIXTURES / "MANIFEST.json").read_text())["entries"]
        if entry["format"] in FORMATS and entry["verdict"] in verdicts
    ]


def check_copy(path: Path, out: Path) -> None:
    """Send a model through source and sink, and compare all of its files."""
    if not path.is_dir():
        copy_model(path, out, step=100_000)
        (out.parent / path.name).write_bytes(path.read_bytes())
        assert contents(out) == contents(out.parent / path.name)
        return
    out.mkdir()
    copy_model(path, out)
    for name in os.listdir(out):
        if name.endswith(".h5"):
            assert dump(out / name) == dump(path / name)
        else:
            assert (out / name).read_bytes() == (path / name).read_bytes()
    assert sorted(os.listdir(out)) == sorted(set(os.listdir(path)) - {"config.json"})


@pytest.mark.parametrize("entry", entries("accept"))
def test_accepted(entry: dict[str, Any], tmp_path: Path) -> None:
    path = FIXTURES / entry["name"]
    rows = json.loads((FIXTURES / entry["oracle"]).read_text())
    found = arrays(path)
    assert found.keys() == {row["name"] for row in rows if "name" in row}
    for row in rows:
        if "name" in row:
            array = found[row["name"]]
            assert list(array.shape) == row["shape"], row["name"]
            assert hashlib.sha256(array.tobytes()).hexdigest() == row["sha256"], row["name"]
    check_copy(path, tmp_path / "out.keras")


@pytest.mark.parametrize("entry", entries("refuse"))
def test_refused(entry: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = FIXTURES / entry["name"]
    with pytest.raises(FormatError) as caught:
        arrays(path)
    assert str(caught.value).isprintable()
    assert str(caught.value).count(str(path)) == 1
    assert caught.value.where.startswith(str(path))
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("entry", entries("either"))
def test_either(entry: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = FIXTURES / entry["name"]
    try:
        found = arrays(path)
    except FormatError:
        return
    assert not any(SECRET in array.tobytes() for array in found.values())
    check_copy(path, tmp_path / "out.keras")
    assert sorted(os.listdir(tmp_path)) == sorted(["out.keras", path.name])


@pytest.mark.parametrize("entry", entries("refuse", "either"))
def test_little_memory_is_enough(entry: dict[str, Any], tmp_path: Path) -> None:
    code = """if True:
        import resource, sys
        resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
        from mcodec.errors import FormatError
        from mcodec.formats.registry import open_source
        try:
            source = open_source(sys.argv[1])
            source.skeleton()
            for index, spec in enumerate(source.tensors):
                source.read(index, 0, spec.size)
        except FormatError:
            pass
    """
    subprocess.run(
        [sys.executable, "-c", code, str(FIXTURES / entry["name"])],
        check=True,
        timeout=20,
        cwd=tmp_path,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    assert not os.listdir(tmp_path)


@with_fixtures
def test_notes_name_what_is_not_taken() -> None:
    source = open_source(SHARDED)
    assert source.notes == ["files in the folder that are not taken: 'config.json'"]
    source.close()


def same(*arguments: str) -> bool:
    """Tell whether Keras finds the same model in two files."""
    environment = {**os.environ, "KERAS_BACKEND": "torch", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, str(FIXTURES / "check_keras.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env=environment,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return "SAME" in done.stdout


@pytest.mark.slow
@with_keras
@pytest.mark.parametrize("name", sorted(path.name for path in GOOD.glob("*.keras")))
def test_keras_loads_a_restored_archive(tmp_path: Path, name: str) -> None:
    copy_model(GOOD / name, tmp_path / name, step=100_000)
    assert same(str(GOOD / name), str(tmp_path / name))


@pytest.mark.slow
@with_keras
@with_fixtures
def test_keras_loads_restored_shards(tmp_path: Path) -> None:
    out = tmp_path / "sharded"
    out.mkdir()
    copy_model(SHARDED, out)
    assert same(str(SHARDED), str(out), "--model", str(SHARDED / "config.json"))


MAKE = """
import sys, numpy as np, keras
keras.utils.set_random_seed(1)
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(2)])
model.compile("adam", keras.losses.MeanSquaredError())
model.fit(np.ones((4, 4)), np.zeros((4, 2)), verbose=0)
keras.saving.save_model(model, sys.argv[1], zipped=False)
"""
COMPARE = """
import sys, keras
a, b = (keras.saving.load_model(path) for path in sys.argv[1:3])
raw = keras.ops.convert_to_numpy
assert len(a.optimizer.variables) > 4
for p, q in zip(
    [*a.variables, *a.optimizer.variables], [*b.variables, *b.optimizer.variables], strict=True
):
    assert raw(p).tobytes() == raw(q).tobytes()
"""


@pytest.mark.slow
@with_keras
def test_keras_loads_a_restored_folder(tmp_path: Path) -> None:
    environment = {**os.environ, "KERAS_BACKEND": "torch", "PYTHONWARNINGS": "ignore"}
    path, out = tmp_path / "a", tmp_path / "b"
    subprocess.run([sys.executable, "-c", MAKE, str(path)], check=True, env=environment)
    out.mkdir()
    copy_model(path, out)
    assert contents(out) == contents(path)
    assert (out / "assets").is_dir()
    subprocess.run(
        [sys.executable, "-c", COMPARE, str(path), str(out)], check=True, env=environment
    )
