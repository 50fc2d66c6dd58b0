"""Certificates: what `pack` stores, what `info` shows, and what `verify --against` finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from blake3 import blake3

import mcodec
from mcodec.api.listing import list_tensors
from mcodec.errors import FormatError, UsageError
from support import cases
from support.command import call
from support.forge import Forged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MODELS = {task: cases.network(seed) for seed, task in enumerate("AB", 1)}
LARGE = "body/kernel"  # a run of its own


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    mcodec.pack(MODELS, tmp_path / "x.mc", bits=[12, 11])
    return tmp_path / "x.mc"


def forge(path: Path, change: Callable[[Any, Any], None]) -> None:
    """Change the run of B's large matrix in the manifest; all hashes of the file are right."""
    forged = Forged.of(path.read_bytes())
    task = next(task for task in forged.manifest["tasks"] if task["name"] == "B")
    run = next(run for name, run, _ in task["tensors"] if name == LARGE)
    change(forged.manifest["runs"][run], forged.manifest)
    path.write_bytes(forged.build())


def test_four_things_a_tensor(packed: Path) -> None:
    with mcodec.open(packed) as file:
        rows = list_tensors(file.reader, file.entry("B"))
        decoded = dict(file.task("B"))
    for row in rows:
        source = MODELS["B"][row.spec.name]
        shown = row.to_json()
        assert shown["codec"] == row.codec["id"] or shown["codec"].startswith("bfp(bits=11")
        if row.digest_tensors == 1:
            assert row.source_digest == blake3(source.tobytes()).hexdigest()
        if row.codec["id"] == "bfp":
            gap = source.astype(np.float64) - decoded[row.spec.name]
            assert row.max_abs_error == np.abs(gap).max() > 0
            ratio = np.square(source.astype(np.float64)).sum() / np.square(gap).sum()
            assert row.sqnr_db == pytest.approx(10 * np.log10(ratio))
    shared = [row for row in rows if row.digest_tensors > 1]
    assert shared
    for digest in {row.source_digest for row in shared}:
        own = [row for row in shared if row.source_digest == digest]
        assert {row.digest_tensors for row in own} == {len(own)}
        assert digest == blake3(_run_of(own)).hexdigest()


def _run_of(rows: list[Any]) -> bytes:
    """Lay the members of a shared run one after another, each at a multiple of 8 elements."""
    data = b""
    for row in rows:
        array = MODELS["B"][row.spec.name]
        data += bytes(-len(data) % (8 * array.itemsize)) + array.tobytes()
    return data


def test_info_shows_them(packed: Path) -> None:
    outcome = call("info", packed, "--task", "B")
    line = next(line for line in outcome.out.splitlines() if line.startswith(LARGE))
    assert "bfp(bits=11)" in line
    assert "dB" in line
    assert blake3(MODELS["B"][LARGE].tobytes()).hexdigest()[:12] in line
    assert " of 2" in next(
        line for line in outcome.out.splitlines() if line.startswith("stem/kernel")
    )


def other_maximum(run: Any, manifest: Any) -> None:
    run[5][0][0] *= 1.5


def other_noise(run: Any, manifest: Any) -> None:
    run[5][0][1] *= 1 + 1e-9


def other_signal(run: Any, manifest: Any) -> None:
    run[5][0][2] *= 2


def no_error(run: Any, manifest: Any) -> None:
    run[5][0] = None


def other_digest(run: Any, manifest: Any) -> None:
    run[4] = "0" * 64


def other_codec(run: Any, manifest: Any) -> None:
    manifest["codecs"].append(manifest["codecs"][run[0]] | {"reconstruct": "mid"})
    run[0] = len(manifest["codecs"]) - 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_maximum, "its certificate says"),
        (other_noise, "its certificate says"),
        (other_signal, "is off by"),
        (no_error, "its certificate says no finite error"),
        (other_digest, "of another source: the digests differ"),
        (other_codec, "its certificate says"),
    ],
)
def test_a_tampered_certificate_is_found(
    packed: Path, change: Callable[[Any, Any], None], words: str
) -> None:
    forge(packed, change)
    report = mcodec.verify(packed, against={"B": MODELS["B"]})
    ((found),) = report.differences
    assert (found.task, found.tensor) == ("B", LARGE)
    assert words in found.what
    assert not mcodec.verify(packed, against={"A": MODELS["A"]}).differences
    if change is other_codec:
        with pytest.raises(FormatError, match="digest"):
            mcodec.verify(packed, deep=True)


def test_signal_alone_is_compared_and_said(packed: Path) -> None:
    forge(packed, other_signal)
    (found,) = mcodec.verify(packed, against={"B": MODELS["B"]}).differences
    assert found.what.startswith("is off by")


def test_a_digest_of_an_exact_tensor(tmp_path: Path) -> None:
    path = tmp_path / "x.mc"
    mcodec.pack(MODELS, path)
    forge(path, lambda run, _: run.__setitem__(3, "1" * 64))
    (found,) = mcodec.verify(path, against={"B": MODELS["B"]}).differences
    assert found.tensor == LARGE
    assert "digests differ" in found.what


def test_another_source_of_the_same_error(tmp_path: Path) -> None:
    """Errors of +e and -e are alike: only the digest tells."""
    path = tmp_path / "x.mc"
    array = np.full((4, 4), 1.0, np.float32)
    array[0, 0] = np.float32(1 + 2**-10)
    twin = np.full((4, 4), 1.0, np.float32)
    twin[0, 0] = np.float32(1 - 2**-10)
    for model in (array, twin):
        mcodec.pack({"A": {"w": model}}, path, bits=4)
        assert not mcodec.verify(path, against={"A": {"w": model}}).differences
    swapped = array.copy()
    swapped[0, 0], swapped[0, 1] = array[0, 1], array[0, 0]
    mcodec.pack({"A": {"w": array}}, path, bits=4)
    (found,) = mcodec.verify(path, against={"A": {"w": swapped}}).differences
    assert "digests differ" in found.what


def damage(path: Path, task: str) -> None:
    """Change every chunk of a task."""
    data = bytearray(path.read_bytes())
    with mcodec.open(path) as file:
        for run in {tensor.run for tensor in file.entry(task).tensors}:
            for block in range(-1, file.reader.runs[run].blocks):
                for row in file.reader.rows(run, block):
                    for place in range(row.offset, row.offset + row.stored):
                        data[place] ^= 0xFF
    path.write_bytes(data)


def test_one_task_without_the_others(packed: Path) -> None:
    whole = mcodec.verify(packed, deep=True)
    part = mcodec.verify(packed, deep=True, task="B", against={"B": MODELS["B"]})
    assert (part.compared, part.lossy, part.differences) == (("B",), ("B",), ())
    assert 0 < part.runs < whole.runs
    assert 0 < part.chunks < whole.chunks
    damage(packed, "A")
    assert mcodec.verify(packed, deep=True, task="B", against={"B": MODELS["B"]}) == part
    for options in ({}, {"task": "A"}, {"against": {"B": MODELS["B"]}}):
        with pytest.raises(FormatError):
            mcodec.verify(packed, **options)


def test_one_task_needs_its_bases_and_its_skeleton(tmp_path: Path) -> None:
    base = cases.network(1)
    tuned = {
        name: array + np.float32(1e-6) * cases.weights("float32", array.shape, 7)
        if array.dtype == np.float32
        else array
        for name, array in base.items()
    }
    mcodec.pack({"A": base, "B": tuned}, tmp_path / "x.mc", optimize="file")
    with mcodec.open(tmp_path / "x.mc") as file:
        assert any(run.stands_on is not None for run in file.reader.manifest.runs)
    assert not mcodec.verify(
        tmp_path / "x.mc", task="B", against={"B": tuned}, deep=True
    ).differences
    damage(tmp_path / "x.mc", "A")
    with pytest.raises(FormatError):
        mcodec.verify(tmp_path / "x.mc", task="B")


def test_usage(packed: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no task 'C'"):
        mcodec.verify(packed, task="C")
    with pytest.raises(UsageError, match="2 sources to compare, but task 'B' is one"):
        mcodec.verify(packed, task="B", against=[tmp_path / "a", tmp_path / "b"])
    with pytest.raises(UsageError, match="source of task 'A', and only task 'B'"):
        mcodec.verify(packed, task="B", against={"A": MODELS["A"]})
    np.savez(tmp_path / "b.npz", **MODELS["B"])  # type: ignore[arg-type]
    outcome = call("verify", packed, "--task", "B", "--against", tmp_path / "b.npz")
    assert outcome.code == 0
    assert "task B is off from its source by exactly the error" in outcome.out
    call("verify", packed, "--task", "C").assert_fails(2, "no task 'C'")


def test_progress_of_one_task(packed: Path) -> None:
    seen: list[tuple[int, int]] = []
    mcodec.verify(packed, task="A", progress=lambda *pair: seen.append(pair))
    total = sum(array.nbytes for model in MODELS.values() for array in model.values())
    assert seen[-1][0] == seen[-1][1] < total
