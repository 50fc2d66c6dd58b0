"""Sharded Keras weights: in, out, and what is refused."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcodec.errors import FormatError, McodecError, UsageError
from mcodec.formats.keras_index import first_shard, shard_names
from mcodec.formats.keras_shards import facts_keras_shards, folder_keras_shards, inner_keras_shards
from mcodec.formats.registry import create_sink, open_source
from mcodec.limits import MAX_KERAS_SHARDS
from mcodec.types import TensorSpec
from support.models import arrays, copy_model, copy_tensors, dump

if TYPE_CHECKING:
    from pathlib import Path

INDEX = "m.weights.json"


def shard(number: int) -> str:
    return f"m_{number:05}.weights.h5"


def sharded(path: Path, count: int = 3) -> Path:
    """Write shards as Keras does: at a cut the earlier one has the group, empty but named."""
    path.mkdir(exist_ok=True)
    weight_map: dict[str, Any] = {}
    for number in range(count):
        with h5py.File(path / shard(number), "w") as file:
            file.create_group(f"layers/dense_{number}/vars").attrs["name"] = f"d{number}"
            file[f"layers/dense_{number}/vars/0"] = np.arange(20, dtype="<f4") * (number - 1)
            file.create_group(f"layers/dense_{number + 1}/vars").attrs["name"] = f"d{number + 1}"
            weight_map[f"/layers/dense_{number}/vars"] = [shard(number)]
    weight_map["/layers/dense_0/vars"] = shard(0)  # alone, it may stand without a list
    index = {"metadata": {"total_size": 240.0}, "weight_map": weight_map}
    (path / INDEX).write_text(json.dumps(index, indent=4))
    return path


def same_files(one: Path, two: Path) -> bool:
    assert sorted(os.listdir(one)) == sorted(os.listdir(two))
    return all(
        dump(one / name) == dump(two / name)
        if name.endswith(".h5")
        else (one / name).read_bytes() == (two / name).read_bytes()
        for name in os.listdir(one)
    )


@pytest.mark.parametrize("given_index", [False, True])
@pytest.mark.parametrize("count", [1, 3, 20])
def test_shards_come_back(tmp_path: Path, count: int, given_index: bool) -> None:
    path, out = sharded(tmp_path / "a", count), tmp_path / "b"
    out.mkdir()
    source = open_source(path / INDEX if given_index else path)
    assert [spec.name for spec in source.tensors] == [
        f"layers/dense_{number}/vars/0" for number in range(count)
    ]
    assert not source.notes
    copy_tensors(source, out, step=7)
    source.close()
    assert same_files(path, out)


def test_more_shards_than_are_held_open_are_read_from_threads(tmp_path: Path) -> None:
    source = open_source(sharded(tmp_path / "a", 20))
    order = np.random.default_rng(1).permutation(np.repeat(np.arange(20), 5)).tolist()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda number: source.read(number, 0, 20), order))
    for number, value in zip(order, found, strict=True):
        assert value.tobytes() == (np.arange(20, dtype="<f4") * (number - 1)).tobytes()
    source.close()


def test_hard_links_in_a_shard_stay_links(tmp_path: Path) -> None:
    path, out = sharded(tmp_path / "a"), tmp_path / "b"
    with h5py.File(path / shard(1), "a") as file:
        file["again"] = file["layers/dense_1/vars/0"]
    source, one = open_source(path), open_source(path / shard(1))
    assert source.same_as == {index + 1: first + 1 for index, first in one.same_as.items()}
    one.close()
    out.mkdir()
    copy_tensors(source, out)
    source.close()
    assert same_files(path, out)


def test_facts_notes_and_what_is_not_carried(tmp_path: Path) -> None:
    path = sharded(tmp_path / "a")
    (path / "config.json").write_text("{}")
    source = open_source(path)
    assert source.notes == ["files in the folder that are not taken: 'config.json'"]
    skeleton = source.skeleton()
    source.close()
    assert f"index {INDEX!r}" in facts_keras_shards(skeleton)
    assert facts_keras_shards(b"") == {}
    assert folder_keras_shards(skeleton)
    assert inner_keras_shards(skeleton) == b""


def test_what_cannot_be_written(tmp_path: Path) -> None:
    spec = TensorSpec("w", "int8", (1,))
    (tmp_path / "b").mkdir()
    for skeleton in (b"", b'{"format":"other","version":1}'):
        with pytest.raises(UsageError, match=r"name a \.weights\.h5 file"):
            create_sink(tmp_path / "b", "keras_shards", [spec], skeleton)
    source = open_source(sharded(tmp_path / "a"))
    with pytest.raises(UsageError, match="name a folder"):
        copy_tensors(source, tmp_path / "b.weights.json")
    for specs in (source.tensors[1:], [*source.tensors, spec]):
        with pytest.raises(FormatError):
            create_sink(tmp_path / "b", "keras_shards", specs, source.skeleton())
    source.close()
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]
    assert not os.listdir(tmp_path / "b")


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"extra": 1},
        {"name": "x.weights.json"},
        {"name": "../m.weights.json"},
        {"name": "m.weights"},
        {"index": "e30="},
        {"shards": []},
        {"shards": [{"name": shard(0), "tensors": [], "weights": {}}]},
    ],
)
def test_a_skeleton_that_breaks_a_rule_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    source = open_source(sharded(tmp_path / "a", 1))
    skeleton = {**json.loads(source.skeleton()), **change}
    (tmp_path / "b").mkdir()
    with pytest.raises(FormatError):
        create_sink(tmp_path / "b", "keras_shards", source.tensors, json.dumps(skeleton).encode())
    source.close()
    assert not os.listdir(tmp_path / "b")


MAP: dict[str, Any] = {"/vars": ["m_00000.weights.h5"]}
GOOD = {"weight_map": MAP}
BAD: list[tuple[bytes, str]] = [
    (b"", "no JSON"),
    (b"[]", "no JSON object"),
    (b"\xff", "no JSON"),
    (b"\xef\xbb\xbf{}", "no JSON"),
    (b"{}", "no object 'weight_map'"),
    (b'{"metadata": 1, "weight_map": {}}', "object 'metadata'"),
    (b'{"weight_map": []}', "no object 'weight_map'"),
    (b'{"weight_map": {}, "weight_map": {}}', "twice"),
    (b'{"weight_map": {"vars": "a.h5"}}', "no path of a group"),
    (b'{"weight_map": {"/vars": []}}', "no names"),
    (b'{"weight_map": {"/vars": [1]}}', "no names"),
    (b'{"weight_map": {"/vars": null}}', "no names"),
    (b'{"weight_map": {}, "metadata": {"total_size": NaN}}', "no number"),
    (b'{"weight_map": {}, "metadata": {"total_size": 1e999}}', "out of range"),
    (b'{"weight_map": {}, "metadata": {"total_size": ' + b"9" * 5000 + b"}}", "out of range"),
    (b'{"weight_map": {}, "metadata": ' + b'{"a":' * 40 + b"1" + b"}" * 41, "deeper"),
    (b"[" * 100_000, "no JSON"),
    *(
        (json.dumps({"weight_map": {"/vars": [name]}}).encode(), "plain name|UTF-8|itself")
        for name in (
            "../a.h5",
            "sub/a.h5",
            "/a.h5",
            "a\\b.h5",
            "C:a",
            "",
            "..",
            "a\0",
            "\ud800",
            INDEX,
        )
    ),
    (
        json.dumps({"weight_map": {"/v": [f"{n}.h5" for n in range(MAX_KERAS_SHARDS)]}}).encode(),
        "more than 4096 shards",
    ),
]


@pytest.mark.parametrize(("index", "words"), BAD)
def test_bad_indexes_are_refused(tmp_path: Path, index: bytes, words: str) -> None:
    path = sharded(tmp_path / "a", 1)
    (path / INDEX).write_bytes(index)
    with pytest.raises(FormatError, match=words) as caught:
        open_source(path)
    assert str(caught.value).isprintable()
    assert caught.value.where == str(path)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists), st.text())
def test_an_index_gives_plain_names_or_is_refused(value: Any, key: str) -> None:
    index = json.dumps({"weight_map": {f"/{key}": value}}).encode()
    try:
        names = shard_names(index, INDEX)
    except McodecError as error:
        assert str(error).isprintable()  # noqa: PT017 - some are good
        return
    assert names[0] == first_shard(INDEX) == shard(0)
    assert all(name not in ("", ".", "..") and "/" not in name for name in names)


def test_shards_that_are_not_there_or_links(tmp_path: Path) -> None:
    path = sharded(tmp_path / "a")
    (path / shard(1)).rename(tmp_path / "elsewhere.h5")
    with pytest.raises(FormatError, match=f"'{shard(1)}' is not there"):
        open_source(path)
    (path / shard(1)).symlink_to(tmp_path / "elsewhere.h5")
    with pytest.raises(FormatError, match=f"'{shard(1)}' is a link"):
        open_source(path)


def test_one_index_is_needed(tmp_path: Path) -> None:
    path = sharded(tmp_path / "a")
    (path / "n.weights.json").write_text("{}")
    with pytest.raises(FormatError, match=r"there are 2: 'm.weights.json', 'n.weights.json'"):
        open_source(path)
    (path / INDEX).unlink()
    (path / "n.weights.json").unlink()
    (path / INDEX).symlink_to(tmp_path / "b.json")
    with pytest.raises(FormatError, match="is a link"):
        open_source(path)


def test_a_path_in_two_shards_is_refused(tmp_path: Path) -> None:
    path = sharded(tmp_path / "a")
    with h5py.File(path / shard(1), "a") as file:
        file["layers/dense_0/vars/0"] = np.float32(1)
    with pytest.raises(FormatError, match="'layers/dense_0/vars/0' is in two shards"):
        open_source(path)
    sharded(path)
    with h5py.File(path / shard(1), "a") as file:
        file["layers/dense_0/vars"] = "text"
    source = open_source(path)
    with pytest.raises(FormatError, match="'layers/dense_0/vars' is in two shards"):
        source.skeleton()
    source.close()


def test_a_shard_that_changes_is_noticed(tmp_path: Path) -> None:
    path = sharded(tmp_path / "a", 20)
    source = open_source(path)
    with h5py.File(path / shard(0), "a") as file:
        file["more"] = np.float32(1)
    with pytest.raises(FormatError, match=f"'{shard(0)}' has changed"):
        source.read(0, 0, 1)
    source.close()


def test_shards_together_declare_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sharded(tmp_path / "a")
    monkeypatch.setattr("mcodec.formats.keras_shards.decoded_budget", lambda _: 200)
    with pytest.raises(FormatError, match="declare 240 bytes") as caught:
        open_source(path)
    assert caught.value.code == "decoded_too_large"


def test_damage(tmp_path: Path) -> None:
    path = sharded(tmp_path / "a", 2)
    random = np.random.default_rng(3)
    for name in (INDEX, shard(1)):
        whole = (path / name).read_bytes()
        full = [place for place, byte in enumerate(whole) if byte]
        for place in random.choice(full, 80).tolist():
            for bad in (
                whole[:place],
                whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :],
            ):
                (path / name).write_bytes(bad)
                out = tmp_path / f"{name}.{place}.{len(bad)}"
                out.mkdir(exist_ok=True)
                try:
                    arrays(path)
                    copy_model(path, out)
                except McodecError as error:
                    assert str(error).isprintable()  # noqa: PT017 - not all is noticed
        (path / name).write_bytes(whole)
