"""`--max-memory` holds: peaks of real commands on models larger than their limits.

With ``MCODEC_ALL_MEMORY=1`` models are of 600 MB and of 20,000 tensors, and limits are three: that
takes a quarter of an hour.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest

from support.large import write_random

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc"),
]

# What a process had in memory before it began is not in VmHWM, but is in ru_maxrss.
_CHILD: Final = """
import json, sys
from mcodec.cli.app import main
try:
    code = main(sys.argv[1:])
except SystemExit as end:
    code = end.code
for line in open("/proc/self/status"):
    if line.startswith("VmHWM"):
        print(json.dumps([code or 0, int(line.split()[1]) * 1024]))
"""
_ALL: Final = bool(os.environ.get("MCODEC_ALL_MEMORY"))
# 600 MB, of which one tensor is 300; else a third of it.
_LARGE: Final = [(73_242, 1024)] + [(18_311, 1024)] * 4 if _ALL else [(24_414, 1024)] * 2
_MANY: Final = 20_000 if _ALL else 5_000
_UNITS: Final = {"100M": 100e6, "256M": 256e6, None: 512 * 2**20}


def peak_of(*arguments: object, limit: str | None, jobs: int = 8) -> tuple[int, int]:
    """Run a command under a limit; return its exit code and its peak resident bytes."""
    more = ["--quiet", "--jobs", str(jobs), *(["--max-memory", limit] if limit else [])]
    command = [sys.executable, "-c", _CHILD, *map(str, arguments), *more]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    code, peak = json.loads(done.stdout.splitlines()[-1])
    if code:
        assert "is too little" in done.stderr, done.stderr
        assert len(done.stderr.splitlines()) == 1
    return code, peak


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two large models."""
    folder = tmp_path_factory.mktemp("large")
    for seed, name in enumerate("ab"):
        write_random(folder / f"{name}.safetensors", _LARGE, seed)
    return folder


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models of many small tensors each."""
    folder = tmp_path_factory.mktemp("many")
    sides = np.random.default_rng(5).integers(1, 90, (_MANY, 2))
    shapes = [(int(one), int(other)) for one, other in sides]
    for seed, name in enumerate("ab"):
        write_random(folder / f"{name}.safetensors", shapes, seed)
    return folder


def check_all(folder: Path, out: Path, limit: str | None, *, needs: int) -> None:
    """Run verbs under a limit: each stays under it, or says that it is too little.

    From `needs` bytes on all are done.
    """
    one, two = folder / "a.safetensors", folder / "b.safetensors"
    steps: list[tuple[object, ...]] = [
        ("pack", one, "-o", out / "lossless.mc"),
        ("pack", one, "-o", out / "bits.mc", "--bits", "12"),
        ("pack", one, two, "-o", out / "two.mc", "--bits", "12,11"),
        ("pack", one, "-o", out / "levels.mc", "--layout", "progressive"),
        ("unpack", out / "lossless.mc", "-o", out / "out.safetensors"),
        ("unpack", out / "bits.mc", "-o", out / "out.h5"),
        ("unpack", out / "two.mc", "--task", "B", "-o", out / "out.npz"),
        ("unpack", out / "levels.mc", "-o", out / "out.safetensors"),
        ("convert", one, out / "c.h5"),
        ("convert", out / "c.h5", out / "out.safetensors"),
        ("prune", one, "--sparsity", "0.5", "-o", out / "out.safetensors"),
    ]
    for step in steps:
        code, peak = peak_of(*step, limit=limit)
        if _UNITS[limit] >= needs:
            assert code == 0, step
        if code == 0:
            assert peak <= _UNITS[limit], step
        else:  # what the next steps read
            assert peak_of(*step, limit=None)[0] == 0


@pytest.mark.parametrize("limit", ["100M", "256M", None] if _ALL else ["100M"])
def test_a_large_model(large: Path, tmp_path: Path, limit: str | None) -> None:
    check_all(large, tmp_path, limit, needs=100_000_000)


@pytest.mark.parametrize("limit", ["100M", "256M", None] if _ALL else ["256M"])
def test_many_tensors(many: Path, tmp_path: Path, limit: str | None) -> None:
    check_all(many, tmp_path, limit, needs=256_000_000)


def test_the_peak_does_not_grow_with_the_model(large: Path, tmp_path: Path) -> None:
    # Not too small: below some 40 MB a model is done before all pieces and buffers are in use.
    write_random(tmp_path / "small.safetensors", [(rows // 4, 1024) for rows, _ in _LARGE], 0)
    for flags in ([], ["--bits", "12"], ["--layout", "progressive"]):
        peaks = []
        for source in (tmp_path / "small.safetensors", large / "a.safetensors"):
            packed = peak_of("pack", source, "-o", tmp_path / "m.mc", *flags, limit="100M", jobs=2)
            out = tmp_path / "out.safetensors"
            back = peak_of("unpack", tmp_path / "m.mc", "-o", out, limit="100M", jobs=2)
            peaks.append((packed[1], back[1]))
        for less, more in zip(*peaks, strict=True):
            assert more <= less + 8_000_000, flags
