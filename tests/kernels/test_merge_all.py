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
def test_streams_of_one_memory(target: str) -> None:
    rng = np.random.default_rng(3)
    for dtype, form in FLOATS.items():
        for n in (8, 1000, 2104):
            size, count = n // 8, 3
            memory = memoryview(rng.bytes(5 + n + (count + 1) * size))
            offsets = np.array([5 + n, 5, *(5 + n + (i + 1) * size for i in range(count))])
            parts: list[Any] = [
                memory[at : at + (n if at == 5 else size)] for at in offsets.tolist()
            ]
            sign, symbols, *planes = parts
            outs = [np.zeros(n, f"<u{form.width // 8}") for _ in range(6)]
            planes[1], offsets[3] = None, -1
            how = (11, False, TENSOR.flat, np.array([3], np.int16), None)
            where = memory, offsets
            all_calls: list[tuple[str, tuple[Any, ...]]] = [
                ("merge_bfp", (dtype, outs[0], *how, sign, planes, symbols)),
                ("placed_bfp", (dtype, outs[1], *how, *where, True, 0)),
                ("merge_bfp", (dtype, outs[2], *how, sign, planes, None)),
                ("placed_bfp", (dtype, outs[3], *how, memory, offsets[[0, 2, 3, 4]], False, 0)),
            ]
            if dtype != "float64":
                all_calls += [
                    ("merge_symbols", (dtype, outs[4], sign, symbols, 0, planes, None)),
                    ("placed_symbols", (dtype, outs[5], *where, 0, None)),
                ]
            with kernels.forced(target):
                valid = kernels.merge_all(all_calls, [n == 8] * len(all_calls))
            assert valid[4:5] == valid[5:]
            for ours, theirs in zip(outs[1::2], outs[::2], strict=True):
                assert ours.tobytes() == theirs.tobytes() or not all(valid)
            for wrong in (-2, len(memory) - size + 1, len(memory) + 1):
                bad = np.array([wrong, 5])
                with kernels.forced(target), pytest.raises(ValueError, match=r"offsets|planes"):
                    kernels.merge_all(
                        [("placed_bfp", (dtype, outs[1], *how, memory, bad, True, 0))]
                    )


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
