"""safetensors sets and files made to harm, or damaged: refused with a reason, nothing else."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from mcodec.errors import FormatError, McodecError
from mcodec.formats import safetensors_json, safetensors_sets
from mcodec.formats.registry import create_sink, open_source
from mcodec.formats.safetensors import (
    facts_safetensors,
    folder_safetensors,
    inner_safetensors,
    open_safetensors,
)
from mcodec.formats.safetensors_sets import parse_index
from support.models import arrays

if TYPE_CHECKING:
    from collections.abc import Iterator

FIXTURES = Path(__file__).resolve().parents[4] / "shared" / "fixtures"
INDEX = "m.safetensors.index.json"
ONE, TWO = "m-1.safetensors", "m-2.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a set of two shards."""
    path = tmp_path / "set"
    path.mkdir()
    words = {"format": "pt"}
    (path / ONE).write_bytes(safetensors.numpy.save({"a": np.arange(3.0)}, words))
    (path / TWO).write_bytes(safetensors.numpy.save({"b": np.arange(2)}, words))
    write_index(path, {"a": ONE, "b": TWO})
    return path


def write_index(path: Path, places: object) -> None:
    (path / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}))


def refused(path: Path, match: str | None = None) -> FormatError:
    for name in (path, path / INDEX):
        if not name.exists():
            continue
        with pytest.raises(FormatError, match=match) as caught:
            open_safetensors(str(name))
        assert str(caught.value).isprintable()
        assert caught.value.where.startswith(str(name))
    return caught.value


@pytest.mark.parametrize(
    ("places", "match"),
    [
        ({"a": ONE, "b": TWO, "c": TWO}, "names tensor 'c' of 'm-2.safetensors'"),
        ({"a": TWO, "b": TWO}, "names tensor 'a' of 'm-2.safetensors'"),
        ({"a": ONE, "b": "m-3.safetensors"}, "'m-3.safetensors', which is not there"),
        ({"a": ONE, "b": "../set/" + TWO}, "no plain name"),
        ({"a": ONE, "b": "..\\" + TWO}, "no plain name"),
        ({"a": ONE, "b": "C:" + TWO}, "no plain name"),
        ({"a": ONE, "b": "/etc/x.safetensors"}, "no plain name"),
        ({"a": ONE, "b": "m\0.safetensors"}, "no plain name"),
        ({"a": ONE, "b": "n" * 300 + ".safetensors"}, "no plain name"),
        ({"a": ONE, "b": "\ud800.safetensors"}, "surrogate"),
        ({"a": ONE, "b": ".."}, "no plain name"),
        ({"a": ONE, "b": ""}, "no plain name"),
        ({"a": ONE, "b": INDEX}, "no plain name"),
        ({"a": 1}, "no string"),
        ([], "no object"),
        ({}, "empty"),
        (None, "no object"),
    ],
)
def test_bad_maps(folder: Path, places: object, match: str) -> None:
    write_index(folder, places)
    refused(folder, match)


def test_a_shard_that_the_index_does_not_name_is_another_file(folder: Path) -> None:
    write_index(folder, {"a": ONE})
    source = open_source(folder)
    source.close()
    assert [spec.name for spec in source.tensors] == ["a"]
    assert TWO in source.notes[0]


def test_a_tensor_that_the_index_lacks(folder: Path) -> None:
    both = {"b": np.arange(2), "a": np.arange(3)}
    (folder / TWO).write_bytes(safetensors.numpy.save(both))
    refused(folder, "tensor 'a' is in 'm-1.safetensors' and in 'm-2.safetensors'")
    (folder / TWO).write_bytes(safetensors.numpy.save({"b": np.arange(2), "c": np.arange(3)}))
    refused(folder, "tensor 'c' of 'm-2.safetensors' is not in the index")
    (folder / INDEX).unlink()
    (folder / TWO).write_bytes(safetensors.numpy.save(both))
    refused(folder, "is in 'm-1.safetensors' and in")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b"\xef\xbb\xbf{}",
        b'{"weight_map":{"a":"x.safetensors"},"weight_map":{}}',
        b'{"weight_map":{"a":"x.safetensors","a":"y.safetensors"}}',
        b'{"metadata":{"total_size":NaN},"weight_map":{"a":"m-1.safetensors"}}',
        b'{"metadata":{"total_size":1e999},"weight_map":{"a":"m-1.safetensors"}}',
        b'{"metadata":{"total_size":-1},"weight_map":{"a":"m-1.safetensors"}}',
        b'{"metadata":' + b"9" * 5000 + b',"weight_map":{"a":"m-1.safetensors"}}',
        b'{"metadata":' + b"[" * 100_000,
        b'{"metadata":' + b"0." + b"1" * 5000 + b',"weight_map":{"a":"m-1.safetensors"}}',
    ],
)
def test_bad_indexes(folder: Path, text: bytes) -> None:
    (folder / INDEX).write_bytes(text)
    refused(folder)


def test_numbers_of_an_index_may_have_a_fraction() -> None:
    text = b'{"metadata":{"total_size":1.5,"x":[{}]},"weight_map":{"a":"m-1.safetensors"},"z":1}'
    assert parse_index("i.json", text).text.encode() == text


def test_limits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAX_INDEX_BYTES", "MAX_SHARDS", "MAX_FOLDER_FILES", "MAX_TENSORS"):
        with monkeypatch.context() as patch:
            patch.setattr(safetensors_sets, name, 1)
            assert refused(folder).code == "limit_exceeded"
    with monkeypatch.context() as patch:
        patch.setattr(safetensors_json, "MAX_SOURCE_MARKS", 5)
        assert refused(folder, "too many values").code == "limit_exceeded"
        patch.setattr(safetensors_json, "MAX_SOURCE_MARKS", 7)
        patch.setattr(safetensors_json, "MAX_SOURCE_PAIRS", 2)
        assert refused(folder, "too many values").code == "limit_exceeded"
        patch.setattr(safetensors_json, "MAX_SOURCE_PAIRS", 3)
        text = b'{"x":"[{,:::,,,,,\\"[[","weight_map":{"a":"m-1.safetensors"}}'
        assert parse_index("i.json", text).places == {"a": ONE}
    with monkeypatch.context() as patch:
        patch.setattr("mcodec.formats.safetensors.MAX_SHARD_HEADERS", 150)
        assert refused(folder, "over the limit").code == "limit_exceeded"


def test_the_links_of_a_cache_to_its_blobs_are_followed(folder: Path, tmp_path: Path) -> None:
    snapshot, blobs = tmp_path / "snapshots" / "main", tmp_path / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for number, path in enumerate(sorted(folder.iterdir())):
        blob = blobs / f"{number:064x}"
        path.rename(blob)
        (snapshot / path.name).symlink_to(f"../../blobs/{blob.name}")
    assert arrays(snapshot)
    (snapshot / TWO).unlink()
    (tmp_path / "x").write_bytes((blobs / f"{0:064x}").read_bytes())
    (snapshot / TWO).symlink_to("../../x")
    assert refused(snapshot, "is a link").code == "source_refused"


def test_links_and_folders_are_not_followed(folder: Path, tmp_path: Path) -> None:
    (folder / TWO).rename(tmp_path / TWO)
    (folder / TWO).symlink_to(tmp_path / TWO)
    assert refused(folder, "is a link").code == "source_refused"
    (folder / TWO).unlink()
    (folder / TWO).mkdir()
    assert refused(folder, "no regular file").code == "source_refused"
    (folder / TWO).rmdir()
    (tmp_path / TWO).rename(folder / TWO)
    (folder / INDEX).rename(tmp_path / INDEX)
    (folder / INDEX).symlink_to(tmp_path / INDEX)
    with pytest.raises(FormatError, match="is a link"):
        open_safetensors(str(folder))


def test_several_indexes(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / INDEX, folder / "n.safetensors.index.json")
    with pytest.raises(FormatError, match="several models") as caught:
        open_safetensors(str(folder))
    assert "'m.safetensors.index.json', 'n.safetensors.index.json'" in str(caught.value)
    open_safetensors(str(folder / INDEX)).close()
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match="no safetensors file"):
        open_safetensors(str(tmp_path / "empty"))


def skeleton_of(folder: Path) -> dict[str, Any]:
    source = open_source(folder)
    source.close()
    decoded: dict[str, Any] = json.loads(source.skeleton())
    return decoded


def bad_skeletons(good: dict[str, Any]) -> Iterator[dict[str, Any]]:
    first, second = good["shards"]
    index = good["index"]
    yield {**good, "shards": [first]}
    yield {**good, "shards": [first, first]}
    yield {**good, "shards": []}
    yield {**good, "header": first["header"]}
    yield {**good, "shards": [first, {**second, "header": first["header"]}]}
    yield {**good, "shards": [first, {**second, "header": "["}]}
    for name in ("../x.safetensors", "/x.safetensors", "x", "", "\0.safetensors"):
        yield {**good, "index": None, "shards": [first, {**second, "name": name}]}
    for name in ("../x.json", "x", first["name"], "a/x.json"):
        yield {**good, "index": {**index, "name": name}}
    yield {**good, "index": {**index, "text": "{}"}}
    yield {**good, "index": {**index, "text": index["text"].replace('"b"', '"c"')}}
    yield {**good, "version": 2}
    yield {**good, "more": 1}


def test_bad_skeletons_of_sets(folder: Path, tmp_path: Path) -> None:
    source = open_source(folder)
    source.close()
    out = tmp_path / "out"
    out.mkdir()
    every = list(bad_skeletons(skeleton_of(folder)))
    for number, bad in enumerate(every):
        skeleton = msgspec.json.encode(bad)
        for target in (out, tmp_path / "file"):
            with pytest.raises(FormatError) as caught:
                create_sink(target, "safetensors", source.tensors, skeleton)
            assert str(caught.value).isprintable(), number
        with pytest.raises(FormatError):
            facts_safetensors(skeleton)
        with pytest.raises(FormatError):
            inner_safetensors(skeleton)
    assert list(out.iterdir()) == []
    assert not (tmp_path / "file").exists()
    assert folder_safetensors(msgspec.json.encode(skeleton_of(folder)))


def read_all(path: Path) -> None:
    with contextlib.suppress(McodecError):
        arrays(path)


@pytest.mark.parametrize("name", [INDEX, ONE])
def test_damage(folder: Path, name: str) -> None:
    data = (folder / name).read_bytes()
    for cut in range(len(data)):
        (folder / name).write_bytes(data[:cut])
        read_all(folder)
    random = np.random.default_rng(3)
    for _ in range(500):
        broken = bytearray(data)
        for at in random.integers(0, len(data), random.integers(1, 4)):
            broken[at] ^= 1 << int(random.integers(8))
        (folder / name).write_bytes(broken)
        read_all(folder)


@given(text=st.text(st.sampled_from('{}[]":,0129-.e \\nweight_mapm-1.safetensors'), max_size=60))
def test_any_index_is_read_or_refused(text: str) -> None:
    for whole in (text, f'{{"weight_map":{text}}}'):
        with contextlib.suppress(FormatError):
            parse_index("i.json", whole.encode())


def test_the_fixture_that_names_files_outside() -> None:
    path = FIXTURES / "hostile" / "safetensors" / "index_traversal"
    if not path.is_dir():
        pytest.skip("the shared fixtures are not beside the project")
    for name in (path, path / "model.safetensors.index.json"):
        with pytest.raises(FormatError, match="no plain name") as caught:
            open_source(name)
        assert caught.value.code == "source_refused"
