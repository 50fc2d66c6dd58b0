"""`rm` and `rename`: what is left, in which order, and that no chunk of it changes."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mcodec
from mcodec.errors import InputOutputError, UnknownTaskError, UsageError
from support import cases
from support.forge import Forged
from support.stored import assert_sound, task_chunks

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Model = dict[str, NDArray[Any]]

LAYOUTS = ("task", "interleaved", "progressive")


def family() -> dict[str, Model]:
    """Three networks that share a part, one of them told from the first."""
    base = cases.network(1)
    noise = np.random.default_rng(5).standard_normal((160, 130)).astype(np.float32)
    tuned = base | {"body/kernel": base["body/kernel"] * (1 + noise / 100)}
    return {"base": base, "tuned": tuned, "other": cases.network(50)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "family.mc"


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("bits", [None, 9])
@pytest.mark.parametrize("gone", ["base", "tuned", "other"])
def test_rm_leaves_the_other_tasks_as_they_were(
    path: Path, layout: str, bits: int | None, gone: str
) -> None:
    models = family()
    mcodec.pack(models, path, layout=layout, bits=bits, jobs=1)
    before, size = task_chunks(path), path.stat().st_size
    report = mcodec.rm(path, gone)
    assert (report.removed, report.added, report.hidden_bytes) == ((gone,), (), 0)
    assert (report.bytes_before, report.file_bytes) == (size, path.stat().st_size)
    assert report.file_bytes < size
    assert report.layout == layout
    del before[gone], models[gone]
    assert task_chunks(path) == before
    assert list(before) == [row.name for row in report.tasks]
    assert_sound(path)
    assert mcodec.verify(path, against=models, jobs=1).differences == ()


@pytest.mark.parametrize("layout", ["task", "interleaved"])
def test_what_others_stand_on_stays_hidden(path: Path, layout: str) -> None:
    models = family()
    mcodec.pack(models, path, layout=layout, optimize="file", jobs=1)
    before = task_chunks(path)
    report = mcodec.rm(path, ["base", "other"])
    assert report.hidden_bytes > 10_000
    assert task_chunks(path) == {"tuned": before["tuned"]}
    assert_sound(path)
    mcodec.verify(path, against={"tuned": models["tuned"]}, jobs=1)
    with mcodec.open(path) as file:
        named = {tensor.run for tensor in file.entry("tuned").tensors}
        assert 0 not in named
        assert file.reader.manifest.runs[0].stands_on is None


def test_the_last_that_stands_on_it_takes_it_along(path: Path) -> None:
    mcodec.pack(family(), path, optimize="file", jobs=1)
    mcodec.rm(path, "base")
    assert mcodec.rm(path, "tuned").hidden_bytes == 0
    mcodec.pack({"other": family()["other"]}, path.with_name("alone.mc"), optimize="file", jobs=1)
    assert path.read_bytes() == path.with_name("alone.mc").read_bytes()


@pytest.mark.parametrize("layout", ["task", "interleaved"])
def test_an_owner_map_stays_with_those_that_need_it(path: Path, layout: str) -> None:
    rng = np.random.default_rng(4)
    base, order = cases.weights("float32", (200, 150)), rng.random((200, 150))
    models = {"base": {"w": base}}
    for name, keep in (("a", 0.3), ("b", 0.5), ("c", 0.8)):
        models[name] = {"w": np.where(order < keep, base, np.float32(0))}
    mcodec.pack(models, path, layout=layout, optimize="file", jobs=1)
    before = task_chunks(path)
    mcodec.rm(path, ["base", "b"])
    del before["base"], before["b"], models["base"], models["b"]
    assert task_chunks(path) == before
    assert_sound(path)
    mcodec.verify(path, against=models, jobs=1)
    with mcodec.open(path) as file:
        assert len(file.reader.runs) == 4  # base and owner map are hidden now


def test_pairs_shrink_and_go(path: Path) -> None:
    models = {name: cases.network(seed) for seed, name in enumerate("ABC")}
    mcodec.pack(models, path, bits=[9, 8, 7], jobs=1)
    with mcodec.open(path) as file:
        count = len(file.reader.manifest.pairs)
        assert {len(pair) for pair in file.reader.manifest.pairs} == {3}
    mcodec.rm(path, "B")
    with mcodec.open(path) as file:
        assert [len(pair) for pair in file.reader.manifest.pairs] == [2] * count
        dithered = dict(file.task("A", dither=True))
    assert_sound(path)
    mcodec.pack({"A": models["A"], "C": models["C"]}, path.with_name("ac.mc"), bits=[9, 7], jobs=1)
    with mcodec.open(path.with_name("ac.mc")) as file:
        cases.assert_same_model(dithered, file.task("A", dither=True))
    mcodec.rm(path, "A")
    with mcodec.open(path) as file:
        assert file.reader.manifest.pairs == []
        assert file.reader.layout == "interleaved"
    assert_sound(path)


def test_rm_refuses_what_cannot_be(path: Path) -> None:
    mcodec.pack(family(), path, jobs=1)
    before = path.read_bytes()
    with pytest.raises(UnknownTaskError, match="no task 'nosuch'"):
        mcodec.rm(path, ["base", "nosuch"])
    with pytest.raises(UsageError, match="no task would be left"):
        mcodec.rm(path, ["base", "tuned", "other", "base"])
    with pytest.raises(UsageError, match="name the tasks"):
        mcodec.rm(path, [])
    with pytest.raises(UsageError, match="this machine"):
        mcodec.rm(path, "base", out="s3://bucket/x.mc")
    with pytest.raises(InputOutputError, match="no such file"):
        mcodec.rm(path.with_name("nosuch.mc"), "base")
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_the_output_may_be_another_file(path: Path) -> None:
    mcodec.pack(family(), path, jobs=1)
    before, out = path.read_bytes(), path.with_name("out.mc")
    calls: list[tuple[int, int]] = []
    report = mcodec.rm(path, "base", out=out, progress=lambda *item: calls.append(item))
    assert report.path == str(out)
    assert path.read_bytes() == before
    with mcodec.open(out) as file:
        assert file.tasks == ("tuned", "other")
    assert calls[-1][0] == calls[-1][1] > 0
    assert calls == sorted(calls)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_rename_changes_names_only(path: Path, layout: str) -> None:
    mcodec.pack(family(), path, layout=layout, jobs=1)
    before = task_chunks(path)
    with mcodec.open(path) as file:
        runs = file.reader.manifest.runs
    report = mcodec.rename(path, {"base": "tuned", "tuned": "base", "other": "x"})
    assert report.renamed == {"base": "tuned", "tuned": "base", "other": "x"}
    new = {"base": "tuned", "tuned": "base", "other": "x"}
    assert task_chunks(path) == {new[name]: own for name, own in before.items()}
    with mcodec.open(path) as file:
        assert file.tasks == ("tuned", "base", "x")
        assert file.reader.manifest.runs == runs
    assert_sound(path)
    mcodec.rename(path, {"tuned": "base", "base": "tuned", "x": "other"})
    assert task_chunks(path) == before


def test_rename_refuses_what_cannot_be(path: Path) -> None:
    mcodec.pack(family(), path, jobs=1)
    before = path.read_bytes()
    with pytest.raises(UnknownTaskError, match="no task 'nosuch'"):
        mcodec.rename(path, {"nosuch": "x"})
    with pytest.raises(UsageError, match="two tasks are named 'tuned'"):
        mcodec.rename(path, {"base": "tuned"})
    with pytest.raises(UsageError, match="not empty"):
        mcodec.rename(path, {"base": ""})
    with pytest.raises(UsageError, match="4096 bytes"):
        mcodec.rename(path, {"base": "x" * 4097})
    with pytest.raises(UsageError, match="Unicode"):
        mcodec.rename(path, {"base": "\ud800"})
    with pytest.raises(UsageError, match="which name"):
        mcodec.rename(path, {})
    assert path.read_bytes() == before
    mcodec.rename(path, {"base": "base"})
    assert path.read_bytes() == before


def test_what_a_newer_writer_says_is_kept(path: Path) -> None:
    mcodec.pack({"A": {"x": np.arange(9)}, "B": {"y": np.arange(5)}}, path, jobs=1)
    forged = Forged.of(path.read_bytes())
    odd = {"deep": [1, 2.5, 10**40, None, "\u00e9"]}
    forged.manifest |= {"licence": odd}
    forged.manifest["tasks"][0] |= {"note": "of A", "tags": [1]}
    forged.manifest["tasks"][1] |= {"note": "of B"}
    path.write_bytes(forged.build())

    def notes() -> dict[str, Any]:
        with mcodec.open(path) as file:
            text = json.loads(file.reader.manifest_bytes)
        assert text["licence"] == odd
        assert text["writer"] == f"mcodec {mcodec.__version__}"
        return {task["name"]: (task.get("note"), task.get("tags")) for task in text["tasks"]}

    mcodec.rename(path, {"A": "B", "B": "A"})
    assert notes() == {"B": ("of A", [1]), "A": ("of B", None)}
    mcodec.add(path, "C", {"z": np.arange(3)})
    assert notes() == {"B": ("of A", [1]), "A": ("of B", None), "C": (None, None)}
    mcodec.replace(path, "B", {"z": np.arange(4)})
    assert notes() == {"B": (None, None), "A": ("of B", None), "C": (None, None)}
    mcodec.rm(path, "B")
    assert notes() == {"A": ("of B", None), "C": (None, None)}
    assert_sound(path)


def test_a_task_that_decodes_to_very_much_is_warned_of(path: Path) -> None:
    big = {"w": np.zeros((1 << 30) + 8, np.uint8)}
    mcodec.pack({"A": big, "B": {"x": np.arange(9)}}, path)
    report = mcodec.rm(path, "B", max_decoded=1 << 31)
    assert any("--max-decoded" in warning for warning in report.warnings)
