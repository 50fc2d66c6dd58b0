"""Many merges in one call are the merges one by one, on every target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from harness import EVERY, TENSOR

from mcodec.codec import kernels
from mcodec.types import FLOATS

if TYPE_CHECKING:
    from numpy.typing import NDArray

every_target = pytest.mark.parametrize("target", EVERY)


def plane(rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    return np.frombuffer(rng.bytes(size), np.uint8)


def calls(seed: int) -> list[tuple[str, tuple[Any, ...]]]:
    rng = np.random.default_rng(seed)
    found: list[tuple[str, tuple[Any, ...]]] = []
    for dtype, form in FLOATS.items():
        for n in (0, 1, 9, 1000):
            out = np.zeros(n, f"<u{form.width // 8}")
            size = -(-n // 8)
            planes = [plane(rng, size), None, plane(rng, size), plane(rng, size).data]
            sign = plane(rng, size)
            how = (4, False, TENSOR.flat, np.array([3], np.int16), None)
            found.append(("merge_bfp", (dtype, out, *how, sign, planes, None)))
            bytes_ = np.frombuffer(rng.bytes(n), np.uint8)
            stepped = (12, False, TENSOR.flat, None, 0.25)
            found.append(("merge_bfp", (dtype, out.copy(), *stepped, None, planes, bytes_)))
            exponent: list[Any] = [np.frombuffer(rng.bytes(n), np.uint8)]
            if dtype == "float64":
                exponent = [3, *exponent]
            found.append(("merge_float", (dtype, out.copy(), sign, exponent, planes, None)))
            if dtype != "float64":
                symbols = np.frombuffer(rng.bytes(n), np.uint8)
                found.append((
                    "merge_symbols", (dtype, out.copy(), sign, symbols, 0, planes, None)
                ))  # fmt: skip
    return found


@every_target
def test_many_are_as_one_by_one(target: str) -> None:
    with kernels.forced(target):
        together, alone = calls(1), calls(1)
        valid = kernels.merge_all(together)
        for (name, ours), (_, theirs), good in zip(together, alone, valid, strict=True):
            found = getattr(kernels.switch.impl(), name)(*theirs)
            assert (found is not False) == good
            if good:
                assert ours[1].tobytes() == theirs[1].tobytes(), name
        assert kernels.merge_all([]) == []


@every_target
def test_mistakes(target: str) -> None:
    out = np.zeros(8, "<u4")
    with kernels.forced(target):
        mistakes: list[tuple[str, tuple[Any, ...]]] = [
            ("merge_nothing", ("float32", out)),
            ("merge_bfp", ("float32", out)),
            ("merge_float", ("float32", out, None, [np.zeros(7, np.uint8)], [], None)),
        ]
        for wrong in mistakes:
            with pytest.raises((ValueError, TypeError)):
                kernels.merge_all([wrong])
