"""Targets that this machine lacks, run in an emulation beside the portable one.

The kernels are compiled as they are shipped, with a driver of random jobs (``emulated/``): those of
AVX-512 for SIMDe, which has the instructions in C, and those of AArch64 for qemu-user.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path
from typing import Final, NamedTuple

import pytest

HERE: Final = Path(__file__).parent / "emulated"
KERNELS: Final = Path(__file__).parents[2] / "src/mcodec/codec/kernels"
SIMDE: Final = f"-I{HERE / 'include'}"
PARTS: Final = ("driver.cpp", "planes.cpp", "sparse.cpp")


class Emulation(NamedTuple):
    target: str
    compiler: str
    options: tuple[str, ...]
    link: tuple[str, ...]
    run: tuple[str, ...]


EMULATIONS: Final = (
    Emulation("avx512", "g++", ("-DMCODEC_X86", SIMDE), (), ()),
    Emulation("avx512_gfni", "g++", ("-DMCODEC_X86", SIMDE), (), ()),
    Emulation("neon", "aarch64-linux-gnu-g++", ("-DMCODEC_NEON",), ("-static",), ("qemu-aarch64",)),
)


def checked(*command: str | Path) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def missing(emulation: Emulation) -> str | None:
    """Return what this machine lacks."""
    for tool in (emulation.compiler, *emulation.run):
        if shutil.which(tool) is None:
            return tool
    if SIMDE not in emulation.options:
        return None
    if platform.machine() != "x86_64":
        return "an x86-64 machine"
    headers = subprocess.run(
        [emulation.compiler, SIMDE, "-x", "c++", "-fsyntax-only", "-"],
        input="#include <simde/x86/avx512.h>\n#include <simde/x86/gfni.h>\n",
        capture_output=True,
        text=True,
        check=False,
    )
    return "SIMDe (libsimde-dev)" if headers.returncode else None


@pytest.mark.slow
@pytest.mark.parametrize("emulation", EMULATIONS, ids=lambda e: e.target)
def test_the_target_gives_the_bytes_of_the_portable_one(
    emulation: Emulation, tmp_path: Path
) -> None:
    lacking = missing(emulation)
    if lacking:
        pytest.skip(f"needs {lacking}")
    sources = [HERE / part for part in PARTS]
    sources += [KERNELS / f"{emulation.target}.cpp", KERNELS / "portable.cpp"]
    objects = []
    for source in sources:
        objects.append(tmp_path / f"{source.stem}.o")
        checked(
            emulation.compiler,
            *("-std=c++17", "-O1", "-ffp-contract=off", "-w", f"-I{KERNELS}"),
            *emulation.options,
            *(f"-DMCODEC_TARGET={emulation.target}", "-c", source, "-o", objects[-1]),
        )
    driver = tmp_path / "driver"
    checked(emulation.compiler, *emulation.link, *objects, "-o", driver)
    count, _, unit = checked(*emulation.run, driver).strip().partition(" ")
    assert unit == "comparisons"
    assert int(count) > 50_000
