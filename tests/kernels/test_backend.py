"""Which backend and target runs, what misuse raises, and the floating-point mode of the caller."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import harness
import numpy as np
import pytest
from harness import EVERY, TARGETS, TENSOR

from mcodec.codec import kernels
from mcodec.codec.kernels import Scopes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

every_target = pytest.mark.parametrize("target", EVERY)
PRINT: Final = "import mcodec.codec.kernels as k; print(k.backend(), k.target(), *k.targets())"


def run(**environment: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MCODEC_")}
    return subprocess.run(
        [sys.executable, "-c", PRINT],
        env=clean | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def native_targets() -> list[str]:
    return run().stdout.split()[2:]


def test_the_best_target_is_the_default() -> None:
    backend, target, *targets = run().stdout.split()
    assert backend == "native"
    assert target == targets[0]
    assert targets[-1] == "portable"


@pytest.mark.parametrize("target", ["avx512_gfni", "avx512", "avx2", "neon", "portable"])
def test_a_target_can_be_forced(target: str) -> None:
    if target not in native_targets():
        pytest.skip(f"this machine has no {target}")
    assert run(MCODEC_SIMD=target).stdout.split()[:2] == ["native", target]


def test_the_reference_can_be_chosen() -> None:
    assert run(MCODEC_BACKEND="reference").stdout.split() == ["reference"] * 3


@pytest.mark.parametrize(
    ("name", "value"), [("MCODEC_SIMD", "avx1024"), ("MCODEC_SIMD", ""), ("MCODEC_BACKEND", "fast")]
)
def test_what_cannot_be_had_is_an_error(name: str, value: str) -> None:
    result = run(**{name: value})
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert "UsageError" in last
    assert f"{name}={value!r}" in last


def test_forced_is_put_back() -> None:
    before = kernels.target()
    with kernels.forced(TARGETS[-1]), kernels.forced("reference"):
        assert (kernels.backend(), kernels.target()) == ("reference", "reference")
    assert kernels.target() == before
    with pytest.raises(ValueError, match="avx1024"), kernels.forced("avx1024"):
        pass


def plane(n: int = 2) -> np.ndarray[Any, Any]:
    return np.zeros(n, np.uint8)


def read_only() -> np.ndarray[Any, Any]:
    array = plane()
    array.flags.writeable = False
    return array


V: Final = np.zeros(16, np.uint32)
E: Final = np.zeros(1, np.int16)
MISUSE: Final[dict[str, tuple[str, Callable[[], object]]]] = {
    "dtype": ("dtype", lambda: kernels.split_float("int8", V, plane(), [plane(16)], [])),
    "item size": (
        "values",
        lambda: kernels.split_float("float64", V, plane(), [plane(16)] * 2, []),
    ),
    "dimensions": (
        "values",
        lambda: kernels.split_float("float32", V.reshape(4, 4), plane(), [plane(16)], []),
    ),
    "sign": ("sign", lambda: kernels.split_float("float32", V, plane(3), [plane(16)], [])),
    "exponent parts": (
        "exponent",
        lambda: kernels.split_float("float32", V, plane(), [plane(16)] * 2, []),
    ),
    "exponent size": (
        "exponent",
        lambda: kernels.split_float("float32", V, plane(), [plane(2)], []),
    ),
    "planes": (
        "planes",
        lambda: kernels.split_float("float32", V, plane(), [plane(16)], [plane()] * 24),
    ),
    "plane size": (
        "planes",
        lambda: kernels.split_float("float32", V, plane(), [plane(16)], [plane(1)]),
    ),
    "fill": ("fill", lambda: kernels.merge_float("float32", V.copy(), None, [256], [])),
    "bits": (
        "bits",
        lambda: kernels.split_bfp(
            "float32", V, 25, False, TENSOR, E, None, plane(), [plane()] * 25
        ),
    ),
    "no bits": (
        "bits",
        lambda: kernels.split_bfp("float32", V, 0, False, TENSOR, E, None, plane(), []),
    ),
    "few planes": (
        "planes",
        lambda: kernels.split_bfp("float32", V, 3, False, TENSOR, E, None, plane(), [plane()] * 2),
    ),
    "many planes": (
        "planes",
        lambda: kernels.merge_bfp(
            "float32", V.copy(), 3, False, TENSOR, E, None, None, [plane()] * 4
        ),
    ),
    "mid": (
        "mid",
        lambda: kernels.merge_bfp(
            "float32", V.copy(), 24, True, TENSOR, E, None, None, [plane()] * 24
        ),
    ),
    "no exponents": (
        "exponents",
        lambda: kernels.merge_bfp("float32", V.copy(), 3, False, TENSOR, None, None, None, []),
    ),
    "short table": (
        "scopes",
        lambda: kernels.merge_bfp("float32", V.copy(), 3, False, Scopes(4, 4), E, None, None, []),
    ),
    "no scopes": (
        "scopes",
        lambda: kernels.merge_bfp("float32", V.copy(), 3, False, Scopes(0, 1), E, None, None, []),
    ),
    "step": (
        "step",
        lambda: kernels.merge_bfp("float32", V.copy(), 3, False, TENSOR, None, 0.1, None, []),
    ),
    "tiny step": (
        "step",
        lambda: kernels.merge_bfp("float32", V.copy(), 3, False, TENSOR, None, 2.0**-127, None, []),
    ),
    "no step": (
        "step",
        lambda: kernels.merge_bfp(
            "float32", V.copy(), 3, False, TENSOR, None, float("nan"), None, []
        ),
    ),
    "cut step": (
        "truncate",
        lambda: kernels.split_bfp("float32", V, 1, True, TENSOR, None, 1.0, plane(), [plane()]),
    ),
    "no planes": ("planes", lambda: kernels.planes_to_bytes([], plane(16))),
    "nine planes": ("planes", lambda: kernels.bytes_to_planes(plane(16), [plane()] * 9)),
    "maxima": (
        "scopes",
        lambda: kernels.scope_max("float32", V, Scopes(1, 9), np.zeros(8, np.uint64)),
    ),
    "decoded": ("decoded", lambda: kernels.error_stats("float32", V, V[:8])),
}


@every_target
@pytest.mark.parametrize("case", MISUSE)
def test_misuse_is_a_value_error(target: str, case: str) -> None:
    name, call = MISUSE[case]
    with kernels.forced(target), pytest.raises(ValueError, match=name):
        call()


@every_target
def test_read_only_outputs_are_refused(target: str) -> None:
    with kernels.forced(target), pytest.raises(ValueError, match=r"read-only|writable"):
        kernels.bytes_to_planes(plane(16), [read_only()])


@contextmanager
def mode(control: int) -> Iterator[Callable[[], int]]:
    """Set MXCSR for a while; yields a function that reads it. The C library's fenv_t holds it."""
    libm = ctypes.CDLL("libm.so.6")

    def read() -> ctypes.Array[ctypes.c_uint32]:
        environment = (ctypes.c_uint32 * 8)()
        libm.fegetenv(environment)
        return environment

    before, changed = read(), read()
    changed[7] = control
    libm.fesetenv(changed)
    try:
        yield lambda: int(read()[7])
    finally:
        libm.fesetenv(before)


@pytest.mark.skipif(
    platform.machine() != "x86_64" or not sys.platform.startswith("linux"), reason="sets MXCSR"
)
@pytest.mark.parametrize("target", [name for name in TARGETS if name != "reference"])
@pytest.mark.parametrize("control", [0x9FC0, 0x3F80, 0x5F80, 0xFFC0], ids=hex)
def test_the_callers_mode_changes_nothing(target: str, control: int) -> None:
    """FTZ and DAZ, rounding down, rounding up, toward zero with both: the bits stay the same."""
    n = 300
    table = harness.exponent_table(-120)
    values = harness.noise("float32", n) & np.uint32(0x80FFFFFF)  # subnormals and just above
    planes = harness.split_bfp(target, "float32", values, 24, table)
    out = harness.merge_bfp(target, "float32", n, planes, 24, table)
    again = [np.empty_like(x) for x in planes]
    decoded = np.empty_like(out)
    stats = kernels.error_stats("float32", values, out)
    with kernels.forced(target), mode(control) as read:
        kernels.split_bfp("float32", values, 24, False, TENSOR, table, None, again[0], again[1:])
        kernels.merge_bfp("float32", decoded, 24, False, TENSOR, table, None, again[0], again[1:])
        measured = kernels.error_stats("float32", values, decoded)
        left = read()
    assert left & 0xFFC0 == control
    assert all(np.array_equal(x, y) for x, y in zip(planes, again, strict=True))
    assert np.array_equal(out, decoded)
    assert measured == stats
