"""`mcodec.safe_open` for TensorFlow, in an environment of its own (make venv-tf)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import mcodec
from support import cases

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-tf" / "bin" / "python"

# mcodec and what it needs come after the environment's own: TensorFlow keeps its NumPy. An editable
# mcodec has its kernels elsewhere, and the reference gives the same bits.
SCRIPT = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
sys.path += sys.argv[2].split(os.pathsep)
import numpy as np, tensorflow as tf, mcodec
with mcodec.safe_open(sys.argv[1], "tf") as file, mcodec.open(sys.argv[1]) as plain:
    for name in file.keys():
        array = plain.task()[name]
        try:
            tensor = file.get_tensor(name)
        except mcodec.errors.UsageError as error:
            assert "no TensorFlow tensor of" in str(error)
            print("NONE", name)
            continue
        part = file.get_slice(name)[1:, ::2]
        assert isinstance(tensor, tf.Tensor) and isinstance(part, tf.Tensor)
        assert tensor.dtype.name == array.dtype.name, (tensor.dtype, array.dtype)
        assert tensor.shape == array.shape and part.shape == array[1:, ::2].shape
        assert tensor.numpy().tobytes() == array.tobytes()
        assert part.numpy().tobytes() == array[1:, ::2].tobytes()
        print("SAME", name)
    flat = np.arange(4, dtype=np.float32)
    given = tf.experimental.dlpack.from_dlpack(flat.__dlpack__())
    assert given.numpy().tobytes() == flat.tobytes()
"""
NONE = {"float8_e8m0fnu", "V3"}


@pytest.mark.slow
def test_every_bit_of_every_dtype(tmp_path: Path) -> None:
    if not PYTHON.exists():
        pytest.skip("no environment of TensorFlow: make venv-tf")
    names = [name for name in cases.DTYPES if not name.startswith("V")] + ["V3"]
    arrays = {name: cases.noise(name, (4, 6)) for name in names}
    mcodec.pack({"A": arrays}, tmp_path / "x.mc", jobs=1)
    needed = os.pathsep.join([str(Path(mcodec.__file__).parents[1]), *filter(None, sys.path)])
    done = subprocess.run(
        [PYTHON, "-c", SCRIPT, str(tmp_path / "x.mc"), needed],
        capture_output=True, text=True, check=False, timeout=600,
        env={**os.environ, "MCODEC_BACKEND": "reference"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    said = [line.split() for line in done.stdout.splitlines()]
    assert {name for word, name in said if word == "NONE"} == NONE
    assert {name for _, name in said} == set(names)
