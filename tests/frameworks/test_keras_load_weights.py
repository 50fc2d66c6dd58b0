"""`mcodec.keras.load_weights` on each backend of Keras 3, each in a process of its own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import mcodec

ROOT = Path(__file__).resolve().parents[2]
CHECKS = ROOT / "tests" / "frameworks" / "keras_checks.py"
TENSORFLOW = ROOT / ".venv-tf" / "bin" / "python"


def run(python: Path | str, backend: str, folder: Path, *paths: str) -> None:
    """Run all checks; an editable mcodec has its kernels where another environment sees none."""
    more = {"MCODEC_BACKEND": "reference"} if paths else {}
    environment = {
        **os.environ, **more, "KERAS_BACKEND": backend, "PYTHONWARNINGS": "ignore",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }  # fmt: skip
    done = subprocess.run(
        [python, CHECKS, folder, *paths],
        capture_output=True, text=True, check=False, timeout=600, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    wanted = [line[4:].partition("(")[0] for line in CHECKS.read_text().splitlines()]
    wanted = [name for name in wanted if name.startswith("check_")]
    assert [line[3:] for line in done.stdout.splitlines() if line[:3] == "OK "] == wanted
    assert len(wanted) > 5


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_backend(tmp_path: Path, backend: str) -> None:
    for name in ("keras", backend):  # not importorskip: Keras would choose a backend here
        if not importlib.util.find_spec(name):
            pytest.skip(f"{name} is not installed")
    run(sys.executable, backend, tmp_path)


@pytest.mark.slow
def test_tensorflow(tmp_path: Path) -> None:
    if not TENSORFLOW.exists():
        pytest.skip("no environment of TensorFlow: make venv-tf")
    run(TENSORFLOW, "tensorflow", tmp_path, str(Path(mcodec.__file__).parents[1]), *sys.path[1:])


def test_keras_that_is_not_there_is_named() -> None:
    code = "import sys, mcodec; sys.modules['keras'] = None; mcodec.keras.load_weights(1, 'x.mc')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    line = done.stderr.splitlines()[-1]
    assert line.startswith("mcodec.errors.MissingDependencyError: Keras 3 and a backend are needed")
