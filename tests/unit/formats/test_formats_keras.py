"""Keras archives and folders: in, out, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from typing import TYPE_CHECKING, Any

import h5py
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcodec.errors import FormatError, McodecError, UsageError
from mcodec.formats.keras import facts_keras, folder_keras, inner_keras
from mcodec.formats.keras_archive import WEIGHTS
from mcodec.formats.keras_names import check_names
from mcodec.formats.registry import create_sink, open_source
from mcodec.types import TensorSpec
from support.keras_files import archive, contents, unzipped, weights
from support.models import arrays, copy_model, copy_tensors

if TYPE_CHECKING:
    from pathlib import Path


def skeleton_of(path: Path) -> bytes:
    source = open_source(path)
    try:
        return source.skeleton()
    finally:
        source.close()


@pytest.mark.parametrize("deflated", [(), (WEIGHTS, "config.json")])
def test_an_archive_comes_back(tmp_path: Path, deflated: tuple[str, ...]) -> None:
    path, out = archive(tmp_path / "a.keras", deflated), tmp_path / "b.keras"
    copy_model(path, out, step=5)
    assert contents(out) == contents(path)
    with zipfile.ZipFile(path) as one, zipfile.ZipFile(out) as two:
        assert [(i.filename, i.compress_type) for i in one.infolist()] == [
            (i.filename, i.compress_type) for i in two.infolist()
        ]
        assert {info.date_time for info in two.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert sorted(os.listdir(tmp_path)) == ["a.keras", "b.keras"]
    assert not folder_keras(skeleton_of(path))


def test_tensors_are_those_of_the_weights(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(weights(">"))
    path = archive(tmp_path / "a.keras", more={WEIGHTS: weights(">")})
    found, expected = arrays(path), arrays(tmp_path / "a.h5")
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].tobytes() == value.tobytes()
        assert found[name].shape == value.shape


def test_hard_links_in_the_weights_stay_links(tmp_path: Path) -> None:
    plain = tmp_path / "a.h5"
    plain.write_bytes(weights())
    with h5py.File(plain, "a") as file:
        file["optimizer/again"] = file["layers/dense/vars/0"]
        file["optimizer/group"] = file["layers/dense_1"]
    path = archive(tmp_path / "a.keras", more={WEIGHTS: plain.read_bytes()})
    one, two = open_source(plain), open_source(path)
    assert list(two.tensors) == list(one.tensors)
    assert two.same_as == one.same_as
    one.close()
    two.close()
    copy_model(path, tmp_path / "b.keras")
    assert contents(tmp_path / "b.keras") == contents(path)


def test_a_folder_comes_back_as_a_folder_and_as_a_file(tmp_path: Path) -> None:
    path, out = unzipped(tmp_path / "a"), tmp_path / "b"
    out.mkdir()
    copy_model(path, out)
    assert contents(out) == contents(path)
    assert folder_keras(skeleton_of(path))
    source = open_source(path)
    copy_tensors(source, tmp_path / "c.keras")
    source.close()
    assert contents(tmp_path / "c.keras") == contents(archive(tmp_path / "d.keras"))


def test_facts_tell_what_is_besides_arrays(tmp_path: Path) -> None:
    facts = facts_keras(skeleton_of(archive(tmp_path / "a.keras")))
    assert facts["member 'config.json'"].startswith("28 bytes, blake3:")
    assert f"member {WEIGHTS!r}" not in facts
    assert facts_keras(b"") == {}
    assert inner_keras(skeleton_of(tmp_path / "a.keras")) == b""


def test_what_cannot_be_written(tmp_path: Path) -> None:
    spec = TensorSpec("w", "int8", (1,))
    for skeleton in (b"", b'{"format":"other","version":1}'):
        with pytest.raises(UsageError, match=r"configuration besides its weights.*\.weights\.h5"):
            create_sink(tmp_path / "a.keras", "keras", [spec], skeleton)
    source = open_source(archive(tmp_path / "a.keras"))
    (tmp_path / "b").mkdir()
    with pytest.raises(UsageError, match="name a file"):
        copy_tensors(source, tmp_path / "b")
    with pytest.raises(FormatError):
        create_sink(tmp_path / "c.keras", "keras", source.tensors[1:], source.skeleton())
    source.close()
    assert sorted(os.listdir(tmp_path)) == ["a.keras", "b"]


def test_a_sink_that_is_discarded_leaves_nothing(tmp_path: Path) -> None:
    source = open_source(archive(tmp_path / "a.keras"))
    sink = create_sink(tmp_path / "b.keras", "keras", source.tensors, source.skeleton())
    sink.discard()
    source.close()
    assert sorted(os.listdir(tmp_path)) in (["a.keras"], ["a.keras", "b.keras"])


BAD = ["../a", "/a", "a//b", "a/./b", "a\\b", "c:/a", "a\nb", "config.json/a", "é" * 200]


@pytest.mark.parametrize("name", BAD)
def test_unsafe_names_are_refused_in_files_and_in_skeletons(tmp_path: Path, name: str) -> None:
    with pytest.raises(FormatError) as caught:
        open_source(archive(tmp_path / "a.keras", more={name: b"x"}))
    assert caught.value.where == str(tmp_path / "a.keras")
    assert str(caught.value).isprintable()
    source = open_source(unzipped(tmp_path / "a"))
    skeleton = json.loads(source.skeleton())
    skeleton["members"].append({"name": name})
    (tmp_path / "b").mkdir()
    for out in ("b", "b.keras"):
        with pytest.raises(FormatError):
            create_sink(tmp_path / out, "keras", source.tensors, json.dumps(skeleton).encode())
    source.close()
    assert not os.listdir(tmp_path / "b")


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"folder": False},
        {"folder": 1},
        {"extra": 1},
        {"members": []},
        {"members": [{"name": "config.json", "weights": True}]},
        {"members": [{"name": WEIGHTS, "weights": True, "data": "eA=="}]},
        {"members": [{"name": WEIGHTS, "weights": True}, {"name": "a/", "data": "eA=="}]},
        {"members": [{"name": WEIGHTS, "weights": True}, {"name": "a\ud800"}]},
        {"members": [{"name": WEIGHTS, "weights": True, "deflated": True}]},
        {"weights": {"format": "npz", "version": 1, "members": []}},
        {"weights": {"format": "hdf5", "version": 1, "types": [], "objects": []}},
        {"weights": None},
    ],
)
def test_a_skeleton_that_breaks_a_rule_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    source = open_source(unzipped(tmp_path / "a"))
    skeleton = {**json.loads(source.skeleton()), **change}
    (tmp_path / "b").mkdir()
    with pytest.raises(FormatError):
        create_sink(tmp_path / "b", "keras", source.tensors, json.dumps(skeleton).encode())
    source.close()
    assert not os.listdir(tmp_path / "b")


def test_links_and_devices_in_a_folder_are_refused(tmp_path: Path) -> None:
    path = unzipped(tmp_path / "a")
    (path / "assets" / "x").symlink_to("/etc/passwd")
    with pytest.raises(FormatError, match="'assets/x' is a link"):
        open_source(path)
    (path / "assets" / "x").unlink()
    (path / "up").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(FormatError, match="'up' is a link"):
        open_source(path)
    (path / "up").unlink()
    os.mkfifo(path / "pipe")
    with pytest.raises(FormatError, match="no regular file"):
        open_source(path)


def test_limits_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = unzipped(tmp_path / "a")
    deep = path.joinpath(*["d"] * 40)
    deep.mkdir(parents=True)
    with pytest.raises(FormatError, match="deep"):
        open_source(path)
    shutil.rmtree(path / "d")
    monkeypatch.setattr("mcodec.formats.keras_names.MAX_FOLDER_FILES", 5)
    with pytest.raises(FormatError, match="more than 5 files"):
        open_source(path)


def test_large_members_are_refused_before_they_are_read(tmp_path: Path) -> None:
    path = unzipped(tmp_path / "a")
    with (path / "big").open("wb") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(FormatError, match="'big' has 67108865 bytes") as caught:
        open_source(path)
    assert caught.value.code == "limit_exceeded"


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=5), max_size=5))
def test_checked_names_can_lie_in_a_folder(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    try:
        check_names(names)
    except McodecError:
        return
    root = tmp_path_factory.mktemp("names")
    for name in names:
        target = root / name
        assert target.is_relative_to(root)
        assert ".." not in target.parts
        if name.endswith("/"):
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(b"")
