"""Damage and interrupts: the model has its old task or its new one, whole, and never a mixture."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mcodec
from mcodec.api.resident import Resident
from mcodec.errors import FormatError, McodecError
from support import cases, torch_models

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow

KINDS = ("file", "planes", "weights")


def models() -> dict[str, dict[str, NDArray[Any]]]:
    """Return two networks with heads of two shapes and one tensor in common."""
    made = {}
    for seed, name in enumerate("AB"):
        made[name] = {
            "big": cases.weights("float32", (140, 150), seed),
            "bias": cases.weights("float32", (40,), seed),
            "half": cases.weights("float16", (30,), seed),
            "steps": np.arange(9) + seed,
            "head": cases.weights("float32", (5 + seed, 7), seed),
            "same": cases.weights("float32", (130, 140), 9),
        }
    return made


def pack(path: Path, **options: Any) -> Path:
    mcodec.pack(models(), path, jobs=1, **options)
    return path


def switcher(model: Any, path: Path, resident: str, **options: Any) -> Any:
    return mcodec.torch.TaskSwitcher(
        model, path, resident=resident, **({"rename": torch_models.key, "jobs": 2} | options)
    )


def expected(path: Path) -> dict[str, dict[str, bytes]]:
    with mcodec.open(path) as file:
        return {name: torch_models.bits_of(file.task(name).load()) for name in file.tasks}


def chunks_of(path: Path, task: str, other: str) -> list[tuple[int, int]]:
    """Return (start, stop) of each chunk that one task alone needs."""
    with mcodec.open(path) as file:
        runs = {
            name: {file.task(name).place(tensor)[0] for tensor in file.task(name)}
            for name in file.tasks
        }
        for name, found in runs.items():
            for run in tuple(found):
                bases = file.reader.manifest.runs[run].stands_on
                runs[name] |= {b for role in bases.roles for b, _ in role} if bases else set()
        return [
            (row.offset, row.offset + row.stored)
            for run in sorted(runs[task] - runs[other])
            for block in range(-1, file.reader.runs[run].blocks)
            for row in file.reader.rows(run, block)
            if row.stored
        ]


@pytest.fixture(params=[{}, {"bits": [9, 7]}, {"codec": "raw"}], ids=["lossless", "fused", "raw"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return pack(tmp_path / "x.mc", **request.param)


def damaged(path: Path) -> Iterator[None]:
    """Flip a byte of each chunk of B in turn, and set it right again."""
    sound = path.read_bytes()
    for start, stop in chunks_of(path, "B", "A"):
        data = bytearray(sound)
        data[(start + stop) // 2] ^= 0x10
        path.write_bytes(data)
        yield
        path.write_bytes(sound)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_damaged_task_is_not_switched_to(path: Path, jobs: int) -> None:
    bits, model = expected(path), torch_models.holder(models()["A"], zero=True)
    with switcher(model, path, "file", jobs=jobs) as tasks:
        tasks.switch("A")
        assert len(chunks_of(path, "B", "A")) > 3
        for _ in damaged(path):
            for again in (False, True):
                with pytest.raises(FormatError, match="tensor '"):
                    tasks.switch("B", force=again)
                assert tasks.task == "A"
                assert torch_models.bits(model) == bits["A"]
                with tasks.use("A"):
                    pass
        tasks.switch("B")
        assert torch_models.bits(model) == bits["B"]


def test_a_first_switch_that_fails_changes_nothing(path: Path) -> None:
    model = torch_models.holder(models()["A"], zero=True)
    before = torch_models.bits(model)
    for _ in damaged(path):
        with switcher(model, path, "file") as tasks:
            with pytest.raises(FormatError):
                tasks.switch("B")
            assert tasks.task is None
            assert torch_models.bits(model) == before


@pytest.mark.parametrize("resident", ["planes", "weights"])
def test_a_damaged_task_is_not_kept(path: Path, resident: str) -> None:
    model = torch_models.holder(models()["A"])
    threads = threading.active_count()
    for _ in damaged(path):
        before = torch_models.bits(model)
        with pytest.raises(FormatError, match="tensor '"):
            switcher(model, path, resident)
        assert torch_models.bits(model) == before
        with switcher(model, path, resident, tasks=["A"]) as tasks:
            tasks.switch("A")
    assert threading.active_count() == threads  # no file is left open


@pytest.mark.parametrize("verify", ["chunks", "none"])
def test_any_byte(tmp_path: Path, verify: str) -> None:
    # Whatever is damaged, with or without hashes: an error of mcodec and the old task, or a task.
    path = pack(tmp_path / "x.mc", bits=6)
    sound, rng = path.read_bytes(), np.random.default_rng(1)
    model = torch_models.holder(models()["A"], zero=True)
    bits, threads = expected(path)["A"], threading.active_count()
    for at in rng.integers(64, len(sound), 150):
        with switcher(model, path, "file", verify=verify) as tasks:
            tasks.switch("A", force=True)
        data = bytearray(sound)
        data[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(data)
        try:
            with switcher(model, path, "file", verify=verify) as tasks:
                tasks.switch("B")
        except McodecError:
            assert torch_models.bits(model) == bits
        path.write_bytes(sound)
    assert threading.active_count() <= threads + 2  # no file is left open


class Interrupts:
    """Raises KeyboardInterrupt once, when so many blocks or tensors of a switch are written."""

    def __init__(self, patch: pytest.MonkeyPatch, after: int) -> None:
        self.left, self.raised = after, False
        self._write, self._copy = Resident.write, torch.Tensor.copy_
        patch.setattr(Resident, "write", lambda kept, *rest: self.write(kept, *rest))  # noqa: PLW0108
        patch.setattr(torch.Tensor, "copy_", lambda *rest: self.copy(*rest))  # noqa: PLW0108

    def write(self, kept: Resident, jobs: Any, *rest: Any) -> None:
        """Write some of the blocks."""
        if self.raised or len(jobs) <= self.left:
            self.left -= 0 if self.raised else len(jobs)
            self._write(kept, jobs, *rest)
            return
        self._write(kept, jobs[: self.left], *rest)
        self.raised = True
        raise KeyboardInterrupt

    def copy(self, *arguments: Any) -> Any:
        """Copy a tensor."""
        if not self.raised and not self.left:
            self.raised = True
            raise KeyboardInterrupt
        self.left -= not self.raised
        return self._copy(*arguments)


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("resident", KINDS)
@pytest.mark.parametrize("mine", [torch.float32, torch.float64], ids=str)
def test_an_interrupt_in_the_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resident: str, jobs: int, mine: Any
) -> None:
    path = pack(tmp_path / "x.mc", bits=[9, 7])
    model = torch_models.holder(models()["A"], zero=True).to(mine)
    bits = {}
    with switcher(model, path, resident, jobs=jobs) as tasks:
        for name in "BA":
            tasks.switch(name)
            bits[name] = torch_models.bits(model)
        for after in range(60):
            with monkeypatch.context() as patch:
                interrupts = Interrupts(patch, after)
                try:
                    tasks.switch("B")
                except KeyboardInterrupt:
                    assert tasks.task == "A"
                    assert torch_models.bits(model) == bits["A"]
            for name in "BA":
                tasks.switch(name)
                assert torch_models.bits(model) == bits[name]
            if not interrupts.raised:
                break
        assert not interrupts.raised
        assert after > 2


def test_an_interrupt_before_there_was_a_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pack(tmp_path / "x.mc")
    bits, model = expected(path), torch_models.holder(models()["A"], zero=True)
    with switcher(model, path, "planes") as tasks:
        with monkeypatch.context() as patch:
            Interrupts(patch, 2)
            with pytest.raises(KeyboardInterrupt):
                tasks.switch("B")
        assert tasks.task is None
        tasks.switch("B")
        assert torch_models.bits(model) == bits["B"]
