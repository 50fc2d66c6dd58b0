"""safetensors sets: folders of shards and their indexes, in, out, and merged into one file."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from mcodec.errors import FormatError, UsageError
from mcodec.formats import safetensors_files
from mcodec.formats.registry import create_sink, open_source
from mcodec.formats.safetensors import (
    facts_safetensors,
    folder_safetensors,
    inner_safetensors,
)
from mcodec.formats.safetensors_sets import natural_key
from mcodec.types import TensorSpec
from support.cases import noise
from support.models import arrays, copy_model, copy_tensors
from support.strategies import names

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARDED = (
    Path(__file__).resolve().parents[4] / "shared" / "fixtures" / "good" / "safetensors" / "sharded"
)
INDEX = "model.safetensors.index.json"
Model = dict[str, "NDArray[Any]"]


def make_set(folder: Path, shards: dict[str, Model], *, index: bool = True, **words: str) -> Path:
    """Write shards, and an index as transformers does it."""
    folder.mkdir()
    for name, model in shards.items():
        (folder / name).write_bytes(safetensors.numpy.save(model, {"format": "pt", **words}))
    if index:
        places = {tensor: name for name, model in shards.items() for tensor in model}
        text = json.dumps({"metadata": {"total_size": 1}, "weight_map": places}, indent=2) + "\n"
        (folder / INDEX).write_text(text)
    return folder


def plain_set(folder: Path, **options: Any) -> Path:
    shards = {
        "model-00001-of-00002.safetensors": {
            "a": noise("float32", (40,)),
            "e": noise("int8", (0,)),
        },
        "model-00002-of-00002.safetensors": {"b": noise("float16", (3, 5)), "c": noise("bool", ())},
    }
    return make_set(folder, shards, **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refused(path: Path) -> FormatError:
    with pytest.raises(FormatError) as caught:
        open_source(path)
    assert str(caught.value).isprintable()
    assert str(path) in str(caught.value)
    return caught.value


def send(path: Path, out: Path) -> None:
    out.mkdir()
    copy_model(path, out, step=7)


@pytest.mark.parametrize("index", [True, False])
def test_a_set_comes_back_byte_for_byte(tmp_path: Path, *, index: bool) -> None:
    folder = plain_set(tmp_path / "a", index=index)
    source = open_source(folder)
    assert [spec.name for spec in source.tensors] == ["a", "e", "b", "c"]
    assert source.metadata == {"format": "pt"}
    assert source.notes == []
    skeleton = source.skeleton()
    assert folder_safetensors(skeleton)
    assert inner_safetensors(skeleton) == b""
    facts = facts_safetensors(skeleton)
    assert facts["shards"] == "model-00001-of-00002.safetensors, model-00002-of-00002.safetensors"
    assert ("index" in facts) == index
    source.close()
    send(folder, tmp_path / "b")
    assert contents(tmp_path / "b") == contents(folder)


def test_an_index_is_named_and_other_files_are_noted(tmp_path: Path) -> None:
    folder = plain_set(tmp_path / "a")
    for name in ("config.json", "other.safetensors", "a\nb"):
        (folder / name).write_bytes(b"{}")
    for path in (folder, folder / INDEX):
        source = open_source(path)
        assert source.notes == [
            "not taken, though in the folder: 'a\\nb', 'config.json', 'other.safetensors'"
        ]
        source.close()
        send(path, tmp_path / f"b{path.name}")
        assert len(contents(tmp_path / f"b{path.name}")) == 3


def test_an_index_is_found_from_its_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(plain_set(tmp_path / "a"))
    assert len(arrays(Path(INDEX))) == len(arrays(Path())) == 4


def test_a_folder_of_one_file_is_that_file(tmp_path: Path) -> None:
    folder = make_set(tmp_path / "a", {"w.safetensors": {"w": noise("int8", (3,))}}, index=False)
    source = open_source(folder)
    assert not folder_safetensors(source.skeleton())
    copy_tensors(source, tmp_path / "b")
    source.close()
    assert (tmp_path / "b").read_bytes() == (folder / "w.safetensors").read_bytes()
    (tmp_path / "c").mkdir()
    with pytest.raises(UsageError, match="makes a folder"):
        create_sink(tmp_path / "c", "safetensors", source.tensors, source.skeleton())
    with pytest.raises(UsageError, match="makes a folder"):
        create_sink(tmp_path / "c", "safetensors", source.tensors)
    with pytest.raises(UsageError, match="makes a folder"):
        create_sink(tmp_path / "c", "safetensors", source.tensors, b'{"format":"hdf5"}')
    assert contents(tmp_path / "c") == {}


def test_a_set_is_merged_and_comes_back(tmp_path: Path) -> None:
    folder = plain_set(tmp_path / "a")
    copy_model(folder, tmp_path / "one.safetensors")
    assert len(safetensors.numpy.load_file(tmp_path / "one.safetensors")) == 4
    source = open_source(tmp_path / "one.safetensors")
    inner = inner_safetensors(source.skeleton())
    assert folder_safetensors(inner)
    assert source.metadata == {"format": "pt"}
    (tmp_path / "b").mkdir()
    sink = create_sink(tmp_path / "b", "safetensors", source.tensors, inner, source.metadata)
    for number, spec in enumerate(source.tensors):
        sink.write(number, 0, source.read(number, 0, spec.size).view(np.uint8).data)
    sink.close()
    sink.close()
    source.close()
    assert contents(tmp_path / "b") == contents(folder)


def test_metadata_of_a_set(tmp_path: Path) -> None:
    folder = plain_set(tmp_path / "a")
    one = folder / "model-00001-of-00002.safetensors"
    words = {"format": "pt", "part": "1"}
    one.write_bytes(
        safetensors.numpy.save({"a": noise("float32", (40,)), "e": noise("int8", (0,))}, words)
    )
    source = open_source(folder)
    source.close()
    assert source.metadata == {"format": "pt"}
    assert facts_safetensors(source.skeleton())[f"metadata part of {one.name}"] == "1"
    (tmp_path / "b").mkdir()
    create_sink(
        tmp_path / "b", "safetensors", source.tensors, source.skeleton(), {"format": "tf"}
    ).close()
    with safetensors.safe_open(tmp_path / "b" / one.name, "numpy") as file:
        assert file.metadata() == {"format": "tf", "part": "1"}
    assert open_source(tmp_path / "b").metadata == {"format": "tf"}


def test_a_set_does_not_fit_other_tensors(tmp_path: Path) -> None:
    folder = plain_set(tmp_path / "a")
    source = open_source(folder)
    source.close()
    other = [TensorSpec("new", "int8", (2,))]
    (tmp_path / "b").mkdir()
    with pytest.raises(FormatError, match="not those of the set"):
        create_sink(tmp_path / "b", "safetensors", other, source.skeleton())
    assert contents(tmp_path / "b") == {}
    sink = create_sink(tmp_path / "c", "safetensors", other, source.skeleton())
    sink.close()
    assert "laid out anew" in sink.notes[0]
    assert inner_safetensors(open_source(tmp_path / "c").skeleton()) == b""
    with pytest.raises(FileExistsError):  # nothing is overwritten in a folder
        (folder / INDEX).mkdir()
    with pytest.raises(OSError, match="exists"):
        create_sink(folder, "safetensors", source.tensors, source.skeleton())


def test_few_files_are_open_and_threads_may_read_and_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safetensors_files, "_MOST_OPEN", 2)
    shards = {f"m-{n}.safetensors": {f"w{n}": noise("int16", (50,), n)} for n in range(30)}
    folder = make_set(tmp_path / "a", shards)
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    source = open_source(folder)
    (tmp_path / "b").mkdir()
    sink = create_sink(tmp_path / "b", "safetensors", source.tensors, source.skeleton())

    def copy(first: int) -> None:
        for start in range(0, 50, 5):
            for number in range(first, 30, 3):
                part = source.read(number, start, start + 5)
                sink.write(number, 2 * start, part.view(np.uint8).data)

    threads = [threading.Thread(target=copy, args=(first,)) for first in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if before:
        assert len(os.listdir("/proc/self/fd")) <= before + 4
    sink.close()
    source.close()
    assert contents(tmp_path / "b") == contents(folder)
    with pytest.raises(OSError, match="closed"):
        source.read(0, 0, 1)
    with pytest.raises(OSError, match="closed"):
        sink.write(0, 0, memoryview(b"x"))


def test_a_file_that_changes_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safetensors_files, "_MOST_OPEN", 1)
    folder = plain_set(tmp_path / "a")
    source = open_source(folder)
    (folder / "model-00001-of-00002.safetensors").write_bytes(b"short")
    with pytest.raises(FormatError, match="has changed"):
        source.read(0, 0, 1)
    source.close()


@given(
    model=st.dictionaries(names.filter("__metadata__".__ne__), st.integers(0, 9), max_size=8),
    parts=st.integers(1, 4),
    index=st.booleans(),
)
def test_any_set_comes_back(
    tmp_path_factory: pytest.TempPathFactory, model: dict[str, int], parts: int, *, index: bool
) -> None:
    folder = tmp_path_factory.mktemp("sets")
    shards: dict[str, Model] = {f"part {n}.safetensors": {} for n in range(parts)}
    for name, size in model.items():
        shards[f"part {size % parts}.safetensors"][name] = noise("float32", (size,), size)
    if index:
        shards = {name: shard for name, shard in shards.items() if shard}
        index = bool(shards)
    make_set(folder / "a", shards, index=index)
    if not shards:
        return
    out = folder / "b"
    if index or len(shards) > 1:
        out.mkdir()
        copy_model(folder / "a", out)
        assert contents(out) == contents(folder / "a")
        copy_model(folder / "a", folder / "one.safetensors")
        merged = arrays(folder / "one.safetensors")
        assert merged.keys() == model.keys()
    found = arrays(folder / "a")
    assert {name: a.size for name, a in found.items()} == model


def test_natural_order() -> None:
    every = ["b", "a10", "a9", "a", "1", "٣", "a9b"]
    assert sorted(every, key=natural_key) == ["1", "a", "a9", "a9b", "a10", "b", "٣"]


def test_the_fixture_of_a_set(tmp_path: Path) -> None:
    if not SHARDED.is_dir():
        pytest.skip("the shared fixtures are not beside the project")
    oracle = SHARDED.parents[2] / "oracle" / "good__safetensors__sharded.json"
    rows = [row for row in json.loads(oracle.read_text()) if "sha256" in row and "shape" in row]
    found = arrays(SHARDED)
    assert found.keys() == {row["name"] for row in rows}
    for row in rows:
        assert list(found[row["name"]].shape) == row["shape"]
        assert hashlib.sha256(found[row["name"]].tobytes()).hexdigest() == row["sha256"]
    send(SHARDED, tmp_path / "b")
    assert contents(tmp_path / "b") == contents(SHARDED)
