"""Families changed task by task: weights are as packed at once, the bytes of others stay.

What `test_families.py` draws is packed in part; the rest is added, replaced, taken out and renamed.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_families import families

import mcodec
from mcodec.errors import FormatError, UsageError
from support.forge import Forged
from support.junk import mutate
from support.probe import BUDGET, PLAN, small_models
from support.stored import assert_sound, task_chunks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Model = dict[str, NDArray[Any]]
    Family = dict[str, Model]

LAYOUTS = st.sampled_from(("task", "interleaved", "progressive"))
OPTIONS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    ({}, {"optimize": "file"}, {"bits": 6}, {"bits": 6, "optimize": "file"}, {"codec": "float"})
)


def decoded(path: Path) -> dict[str, dict[str, tuple[str, tuple[int, ...], bytes]]]:
    """Return all that a file decodes to."""
    with mcodec.open(path, jobs=1) as file:
        return {
            name: {
                key: (array.dtype.name, array.shape, array.tobytes())
                for key, array in file.task(name).items()
            }
            for name in file.tasks
        }


@given(families(), OPTIONS, LAYOUTS, st.data())
def test_added_is_as_packed_at_once(
    tmp_path: Path, family: Family, options: dict[str, Any], layout: str, data: st.DataObject
) -> None:
    if layout == "progressive":
        options = options | {"optimize": "load"}
    names = list(family)
    first = data.draw(st.integers(1, len(names) - 1))
    path, whole = tmp_path / "x.mc", tmp_path / "whole.mc"
    mcodec.pack({n: family[n] for n in names[:first]}, path, layout=layout, jobs=1, **options)
    for name in names[first:]:
        before = task_chunks(path)
        mcodec.add(path, name, family[name], jobs=1, **options)
        after = task_chunks(path)
        assert list(after) == [*before, name]
        assert {n: after[n] for n in before} == before
    assert_sound(path)
    assert mcodec.verify(path, against=family, jobs=1).differences == ()
    mcodec.pack(family, whole, layout=layout, jobs=1, **options)
    assert decoded(path) == decoded(whole)


@given(families(), OPTIONS, LAYOUTS, st.data())
def test_any_changes(
    tmp_path: Path, family: Family, options: dict[str, Any], layout: str, data: st.DataObject
) -> None:
    if layout == "progressive":
        options = options | {"optimize": "load"}
    path = tmp_path / "x.mc"
    mcodec.pack(family, path, layout=layout, jobs=1, **options)
    spare = list(family.values())
    for step in range(data.draw(st.integers(1, 5))):
        verb = data.draw(st.sampled_from(("rm", "replace", "rename", "add")))
        before, names = task_chunks(path), list(family)
        one, two = (data.draw(st.sampled_from(names)) for _ in range(2))
        model = data.draw(st.sampled_from(spare))
        gone: set[str] = set()
        if verb == "rename":
            swap = {one: two, two: one}
            family = {swap.get(name, name): own for name, own in family.items()}
            before = {swap.get(name, name): own for name, own in before.items()}
            mcodec.rename(path, swap)
        elif verb == "add":
            family = family | {f"new{step}": model}
            mcodec.add(path, f"new{step}", model, jobs=1, **options)
            gone = {f"new{step}"}
        elif verb == "replace":
            family = family | {one: model}
            mcodec.replace(path, one, model, jobs=1, **options)
            gone = {one}
        elif len(names) > len({one, two}):
            mcodec.rm(path, [one, two])
            gone = {one, two}
            family = {name: own for name, own in family.items() if name not in gone}
        after = task_chunks(path)
        assert list(after) == list(family)
        kept = {name for name in after if name not in gone}
        assert {n: after[n] for n in kept} == {n: before[n] for n in kept}
        assert_sound(path)
    assert mcodec.verify(path, against=family, jobs=1).differences == ()


@given(families(), LAYOUTS)
def test_out_and_in_again_is_the_same_file(tmp_path: Path, family: Family, layout: str) -> None:
    """Of float alone: auto tells nothing of other tasks, and the last task stands behind all."""
    path = tmp_path / "x.mc"
    name = list(family)[-1]
    model = {f"own/{key}": own for key, own in family[name].items()}
    rng = np.random.default_rng(1)
    model = {key: rng.permuted(own.reshape(-1)).reshape(own.shape) for key, own in model.items()}
    family[name] = model
    mcodec.pack(family, path, codec="float", layout=layout, jobs=1)
    before = decoded(path)
    mcodec.rm(path, name)
    mcodec.add(path, name, model, codec="float", jobs=1)
    assert decoded(path) == before
    once = path.read_bytes()
    mcodec.rm(path, name)
    mcodec.add(path, name, model, codec="float", jobs=1)
    assert path.read_bytes() == once


def edits(model: Model) -> dict[str, Callable[[Path], object]]:
    """Return the verbs, to be called with a file that may be hostile."""
    more: dict[str, Any] = {"max_decoded": BUDGET}
    return {
        "rm": lambda path: mcodec.rm(path, "A", **more),
        "rename": lambda path: mcodec.rename(path, {"A": "B", "B": "A"}, **more),
        "add": lambda path: mcodec.add(path, "C", model, optimize="file", jobs=1, **more),
        "replace": lambda path: mcodec.replace(path, "B", model, jobs=1, **more),
    }


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Small files of every kind of stream, by layout, and one of a delta, a mask and an alias."""
    folder = tmp_path_factory.mktemp("hostile")
    plan, path = folder / "plan.toml", folder / "small.mc"
    found = {}
    for layout in ("task", "interleaved"):
        plan.write_text(PLAN)
        mcodec.pack(small_models(), path, plan=plan, layout=layout, jobs=1)
        found[layout] = path.read_bytes()
    rng = np.random.default_rng(1)
    base = {"w": rng.standard_normal((130, 130)).astype(np.float32), "b": np.arange(300.0)}
    moved = {"w": base["w"] * np.float32(1.001), "b": base["b"]}
    hidden = {"w": np.where(rng.random((130, 130)) < 0.4, base["w"], np.float32(0)), "b": base["b"]}
    mcodec.pack({"A": base, "B": moved, "M": hidden}, path, optimize="file", jobs=1)
    found["based"] = path.read_bytes()
    return found


@given(st.sampled_from(("task", "interleaved", "based")), st.data())
def test_hostile_files_are_refused_or_stay_readable(
    tmp_path: Path, originals: dict[str, bytes], kind: str, data: st.DataObject
) -> None:
    """What comes out of a file that a reader takes is one that it takes, too."""
    forged = Forged.of(originals[kind])
    for _ in range(data.draw(st.integers(1, 2))):
        mutate(forged.manifest, data)
    path, text = tmp_path / "x.mc", forged.build()
    model = small_models()["A"]
    verb = data.draw(st.sampled_from(("rm", "rename", "add", "replace")))
    path.write_bytes(text)
    with contextlib.suppress(FormatError), mcodec.open(path, max_decoded=BUDGET) as file:
        tasks = file.tasks
    try:
        edits(model)[verb](path)
    except (FormatError, UsageError):  # of use: a task that is there, or not, or the last one
        assert path.read_bytes() == text
    else:
        with mcodec.open(path, max_decoded=BUDGET << 1) as file:
            assert abs(len(file.tasks) - len(tasks)) <= 1
    assert [one.name for one in tmp_path.iterdir()] == ["x.mc"]
    path.unlink()
