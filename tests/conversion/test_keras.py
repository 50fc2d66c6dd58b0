"""Keras itself, 3 and 2, loads what came back, and finds the same model in it, bit for bit."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest

from support.command import call
from support.fixtures import ROOT, SHARED, Fixture, fixtures, place

if TYPE_CHECKING:
    from pathlib import Path

PYTHON_TF: Final = ROOT / ".venv-tf" / "bin" / "python"
GOOD: Final = SHARED / "good" / "keras3"
FEW: Final = (
    "good/keras3/cnn_adam.h5",
    "good/keras3/cnn_adam.keras",
    "good/keras3/bfloat16.keras",
    "good/keras3/nested_deep.weights.h5",
    "good/keras3/quant_int8.h5",
    "good/keras3/seqmodel.weights.h5",
    "good/keras3/sharded",
    "good/keras3/subclassed.keras",
    "good/keras3/unicode_norm.h5",
)
FEW_2: Final = (
    "good/keras2/cnn_adam.h5",
    "good/keras2/cnn_adam.keras",
    "good/keras2/many_layers_only_weights.h5",
    "good/keras2/nested_only_weights.h5",
    "good/keras3tf/text_assets.keras",
)
# bfloat16 in the old layout has no name, and the library that wrote it cannot read it.
CANNOT: Final = {"good/keras3/bfloat16.h5", "good/keras2/bf16_only_weights.h5"}

# Not importorskip: importing Keras here would choose a backend for this process.
needs_keras = pytest.mark.skipif(
    not importlib.util.find_spec("keras") or not importlib.util.find_spec("torch"),
    reason="Keras or PyTorch is not installed",
)
needs_tf = pytest.mark.skipif(not PYTHON_TF.exists(), reason="no Keras 2: make venv-tf")

# One process for many files: Keras takes longer to start than to load them.
COMPARE: Final = """
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
checker = importlib.import_module(sys.argv[2])
for name, *arguments in json.load(sys.stdin):
    try:
        bad, count = checker.compare(*arguments)
        word = f"DIFFERENT {bad[:3]}" if bad else f"SAME {count} variables"
    except Exception as error:
        word = " ".join(f"CANNOT {type(error).__name__}: {error}".split())[:200]
    print("\\n@" + json.dumps([name, word]), flush=True)
"""


def restore(fixture: Fixture, folder: Path) -> dict[str, Path]:
    """Send a fixture out and back, by both ways; the checkers know networks by a file's name."""
    path = place(fixture, folder / "in")
    ways = {way: folder / way / path.name for way in ("safetensors", "mc")}
    for restored in ways.values():
        restored.parent.mkdir()
    middle, packed = folder / "middle.safetensors", folder / "model.mc"
    to = ("--to", fixture.format, "-q")
    for arguments in (
        ("convert", path, middle, "-q"),
        ("convert", middle, ways["safetensors"], *to),
        ("pack", path, "-o", packed, "-q"),
        ("unpack", packed, "-o", ways["mc"], *to),
    ):
        done = call(*arguments)
        assert done.code == 0, done
    return ways


def architecture(fixture: Fixture) -> list[str]:
    """Return what gives weights a network, where the checker does not know it by itself."""
    name = fixture.path.name
    if fixture.format == "keras_shards":
        return [str(SHARED / fixture.name / "config.json")]
    whole = GOOD / name.replace(".weights.h5", ".h5")
    known = (GOOD / name.replace(".weights.h5", ".keras")).exists()
    return [] if known or name == whole.name or not whole.exists() else [str(whole)]


def verdicts(python: Path | str, checker: str, names: tuple[str, ...], tmp: Path) -> dict[str, str]:
    """Return what a checker says of files, compared with themselves and with what came back."""
    work: list[list[str]] = []
    for number, fixture in enumerate(f for f in fixtures() if f.name in names):
        folder = tmp / str(number)
        folder.mkdir()
        original = SHARED / fixture.name
        model = architecture(fixture) if checker == "check_keras" else []
        for way, path in {"itself": original, **restore(fixture, folder)}.items():
            work.append([f"{fixture.name} {way}", str(original), str(path), *model])
    assert len(work) == 3 * len(names)
    return ask(python, checker, work)


def ask(python: Path | str, checker: str, work: list[Any]) -> dict[str, str]:
    environment = {**os.environ, "KERAS_BACKEND": "torch", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [python, "-c", COMPARE, str(SHARED), checker],
        input=json.dumps(work),
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
        env=environment,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    lines = [line[1:] for line in done.stdout.splitlines() if line.startswith("@")]
    return dict(json.loads(line) for line in lines)


def check(found: dict[str, str]) -> None:
    """Print what was said; all that Keras can load at all has to be the same after either way."""
    cannot = {name.partition(" ")[0] for name, word in found.items() if "CANNOT" in word}
    for name, word in found.items():
        print(f"{name}: {word}")
    same = sum(word.startswith("SAME") for word in found.values())
    print(f"{same} times SAME; cannot be loaded by the library: {sorted(cannot)}")
    assert cannot <= CANNOT
    differ = {n: w for n, w in found.items() if not w.startswith("SAME")}
    assert {name.partition(" ")[0] for name in differ} <= cannot, differ


def families(*folders: str) -> tuple[str, ...]:
    return tuple(f.name for f in fixtures() if f.name.startswith(folders))


@pytest.mark.slow
@needs_keras
def test_keras_3(shared: Path, tmp_path: Path) -> None:
    check(verdicts(sys.executable, "check_keras", FEW, tmp_path))


@pytest.mark.slow
@needs_tf
def test_keras_2(shared: Path, tmp_path: Path) -> None:
    check(verdicts(PYTHON_TF, "check_keras2", FEW_2, tmp_path))


@pytest.mark.slow
@pytest.mark.keras_all
@needs_keras
def test_keras_3_on_every_family(shared: Path, tmp_path: Path) -> None:
    names = families("good/keras3/")
    assert len(names) > 25
    check(verdicts(sys.executable, "check_keras", names, tmp_path))


@pytest.mark.slow
@pytest.mark.keras_all
@needs_tf
def test_keras_2_on_every_family(shared: Path, tmp_path: Path) -> None:
    names = families("good/keras2/", "good/keras3tf/")
    assert len(names) > 9
    check(verdicts(PYTHON_TF, "check_keras2", names, tmp_path))
