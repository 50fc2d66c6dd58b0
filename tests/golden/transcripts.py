"""Runs of the command in text files, as a person would see them.

A transcript is a file of `transcripts/`: lines that begin with ``$ `` are commands, run one after
another in a fresh folder with the models of `write_models`; what follows is their stdout, then
their stderr with ``! `` before each line, then ``? CODE`` if the exit code is not 0. Lines that
begin with ``# `` are comments. After a change that is meant, write them anew and read the diff:

    .venv/bin/python tests/golden/transcripts.py
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

import h5py
import numpy as np
from safetensors.numpy import save_file

import mcodec

if TYPE_CHECKING:
    from numpy.typing import NDArray

HERE: Final = Path(__file__).parent
TRANSCRIPTS: Final = HERE / "transcripts"
# Measures of a model, good and bad, for `sweep`.
_SCORE: Final = """
def near(weights, task):
    kernel = weights["dense/dense/kernel:0"].astype("float64")
    return {"near": 100 - round(float(abs(kernel * 3025 - (kernel * 3025).round()).max()), 3)}

def nothing(weights, task):
    pass

def changes(weights, task):
    weights["dense/dense/kernel:0"][0] = 0
"""


def _values(shape: tuple[int, ...], step: int) -> NDArray[Any]:
    """Return numbers in (-1/6, 1/6), by arithmetic that is the same on every machine."""
    numbers = np.arange(int(np.prod(shape)), dtype=np.int64) * step
    return ((numbers % 1009 - 504) / 3025).astype(np.float32).reshape(shape)


def write_models(folder: Path) -> None:
    """Write the models that transcripts are about: two Keras models, and a flat one."""
    for name, step in (("a.h5", 7919), ("b.h5", 104_729)):
        with h5py.File(folder / name, "w") as file:
            file.attrs["layer_names"] = np.array([b"dense"])
            group = file.create_group("dense")
            group.attrs["weight_names"] = np.array([b"dense/kernel:0", b"dense/bias:0"])
            group["dense/kernel:0"] = _values((40, 30), step)
            group["dense/bias:0"] = _values((30,), step)
    flat = {
        "embed.weight": _values((50, 16), 31),
        "embed.scale": np.ones(16, np.float32),
        "lost.weight": np.full((3, 3), np.nan, np.float32),
    }
    save_file(flat, folder / "flat.safetensors")
    _write_family(folder)
    (folder / "score.py").write_text(_SCORE)
    (folder / "notes.txt").write_text("not a model\n")
    (folder / "cut.safetensors").write_bytes((folder / "flat.safetensors").read_bytes()[:-5])
    _write_download(folder)
    plan = '[[tensor]]\nmatch = "*:embed.weight"\ncodec = "bfp(bits=6,scope=axis:0)"\n'
    (folder / "plan.toml").write_text(plan)


def _write_family(folder: Path) -> None:
    """Write a network, the same with every weight moved by some bits, and under a mask."""
    base = {"block.weight": _values((160, 120), 7919), "frozen.weight": _values((130, 130), 31)}
    # The low bits of weights are of no pattern, as in a trained network.
    noise = (np.arange(160 * 120, dtype=np.uint32) * 2_654_435_761 >> 12).reshape(160, 120)
    base["block.weight"] = (base["block.weight"].view(np.uint32) ^ (noise & 0xFFFFF)).view(
        np.float32
    )
    moved = (base["block.weight"].view(np.uint32) + (noise >> 7 & 0xFFF)).view(np.float32)
    masked = np.where(noise % 10 < 7, base["block.weight"], np.float32(0))
    save_file(base, folder / "base.safetensors")
    save_file(base | {"block.weight": moved}, folder / "tuned.safetensors")
    save_file(base | {"block.weight": masked}, folder / "masked.safetensors")


def _write_download(folder: Path) -> None:
    """Write the first 60 % of a progressive file, and of one of another layout."""
    sources = [folder / "a.h5", folder / "b.h5"]
    for layout, name in (("progressive", "download.part"), ("task", "task.part")):
        mcodec.pack(sources, folder / name, bits=[12, 11], layout=layout)
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) * 6 // 10])


def replay(text: str) -> str:
    """Run a transcript's commands in the current folder; return it with what they print now."""
    from support.command import call

    lines = []
    for line in text.splitlines():
        if line.startswith("# "):
            lines += ["", line]
        elif line.startswith("$ "):
            with mock.patch.dict(os.environ, COLUMNS="80"):  # of the help
                outcome = call(*shlex.split(line[2:])[1:])
            lines += ["", line, *outcome.out.splitlines()]
            lines += [f"! {error}" for error in outcome.err.splitlines()]
            if outcome.code:
                lines.append(f"? {outcome.code}")
    return "\n".join(lines[1:]) + "\n"


def main() -> None:
    """Write every transcript anew."""
    sys.path.insert(0, str(HERE.parent))
    for path in sorted(TRANSCRIPTS.glob("*.txt")):
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            write_models(Path(folder))
            path.write_text(replay(path.read_text()))


if __name__ == "__main__":
    main()
