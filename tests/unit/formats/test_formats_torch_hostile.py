"""Checkpoints made to harm, and damaged ones: a FormatError of one line, and little memory."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcodec.errors import FormatError, McodecError, UsageError
from mcodec.formats.registry import create_sink, open_source
from mcodec.formats.torch_pickle import Scan
from mcodec.formats.torch_skeleton import read_torch
from mcodec.types import TensorSpec
from support.models import arrays, copy_model

FIXTURES = Path(__file__).resolve().parents[4] / "shared" / "fixtures"


def entries() -> list[Any]:
    if not FIXTURES.is_dir():
        return []
    rows = json.loads((FIXTURES / "MANIFEST.json").read_text())["entries"]
    return [pytest.param(row, id=row["name"]) for row in rows if "/torch/" in row["name"]]


def check(error: McodecError) -> None:
    assert str(error).isprintable()


@pytest.mark.parametrize("entry", entries())
def test_fixtures(entry: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    path, out = FIXTURES / entry["name"], tmp_path / "out.pt"
    try:
        found = arrays(path)
    except FormatError as error:
        assert entry["verdict"] != "accept"
        check(error)
        assert list(tmp_path.iterdir()) == []
        return
    assert entry["verdict"] != "refuse"
    for row in json.loads((FIXTURES / entry["oracle"]).read_text()):
        if "sha256" in row:
            data = found[row["name"]]
            assert list(data.shape) == row["shape"]
            assert hashlib.sha256(data.tobytes()).hexdigest() == row["sha256"]
    copy_model(path, out)
    with zipfile.ZipFile(out) as archive:
        assert archive.testzip() is None
    assert repr(torch.load(out, weights_only=True)) == repr(torch.load(path, weights_only=True))


def archive_of(path: Path, program: bytes, storage: bytes = b"\0" * 16) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", program)
        archive.writestr("a/byteorder", "little")
        archive.writestr("a/data/0", storage)
        archive.writestr("a/version", "3\n")
    return path


def name(path: str) -> bytes:
    module, _, last = path.rpartition(".")
    return f"c{module}\n{last}\n".encode()


STORAGE = b"(X\7\0\0\0storage" + name("torch.FloatStorage") + b"X\1\0\0\x000X\3\0\0\0cpuK\4tQ"
TENSOR = name("torch._utils._rebuild_tensor_v2") + b"(" + STORAGE
ORDERED = name("collections.OrderedDict") + b")R"
PROGRAMS = {
    "a bytearray of 1 GiB": name("builtins.bytearray") + b"J\0\0\0\x40\x85R",
    "codecs that double": name("_codecs.encode") + b"X\1\0\0\0aX\3\0\0\0hex\x86R",
    "an empty storage": name("torch.storage.UntypedStorage") + b"J\0\0\0\x40\x85R",
    "a tensor of a size": name("torch.Tensor") + b"J\0\0\0\x40\x85R",
    "outside": TENSOR + b"K\2K\3\x85K\1\x85\x89" + ORDERED + b"tR",
    "a stride outside": TENSOR + b"K\0K\3\x85K\2\x85\x89" + ORDERED + b"tR",
    "a negative stride": TENSOR + b"K\3K\3\x85J\xff\xff\xff\xff\x85\x89" + ORDERED + b"tR",
    "a huge expanded one": TENSOR
    + b"K\0"
    + b"\x8a\5\0\0\0\0\1\x85"
    + b"K\0\x85\x89"
    + ORDERED
    + b"tR",
    "a method replaced": name("torch._utils._rebuild_parameter_with_state")
    + b"("
    + TENSOR
    + b"K\0K\3\x85K\1\x85\x89"
    + ORDERED
    + b"tR\x89"
    + ORDERED
    + b"}X\4\0\0\0dataNs"
    + b"tR",
    "a key that takes years to hash": b"})" + b"".join(b"q\0h\0\x86" for _ in range(60)) + b"Ns",
    "a deep key": b"})" + b"\x85" * 5000 + b"Ns",
    "a deep one": b"]" * 3000 + b"a" * 2999,
    "itself": b"]q\0h\0a",
    "bytes that are none": name("_codecs.encode") + b"X\2\0\0\0\xc4\x80X\6\0\0\0latin1\x86R",
    "an object": name("torch.Tensor") + b")\x81",
    "a module": name("os.system") + b"X\2\0\0\0id\x85R",
    "a name with an escape": b"cos\nsys\x1b[2Jtem\n",
    "nothing to take": b"a",
    "no mark": b"t",
    "no memo": b"h\7",
    "a quantized one": name("torch._utils._rebuild_qtensor"),
    "a length": b"X\xff\xff\xff\x7fabc",
}


@pytest.mark.parametrize("kind", PROGRAMS)
def test_programs_that_are_refused(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("torch")
    path = archive_of(tmp_path / "a.pt", b"\x80\x02" + PROGRAMS[kind] + b".")
    with pytest.raises(FormatError) as caught:
        open_source(path)
    assert str(caught.value).isprintable()
    assert str(caught.value).count(str(path)) == 1


def test_shared_lists_are_counted(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    bomb = b"\x80\x02]" + b"".join(
        b"q" + bytes([n]) + b"](h" + bytes([n]) + b"h" + bytes([n]) + b"e" for n in range(40)
    )
    with pytest.raises(FormatError) as caught:
        open_source(archive_of(tmp_path / "a.pt", bomb + b"."))
    assert caught.value.code == "limit_exceeded"


def test_copies_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that is made a set many times costs memory that the pickle does not have."""
    monkeypatch.setattr("mcodec.formats.torch_pickle.MAX_PICKLE_STEPS", 1 << 18)
    numbers = b"](" + b"".join(b"J" + n.to_bytes(4, "little") for n in range(20_000)) + b"e"
    program = b"\x80\x02" + numbers + b"q\0" + (name("builtins.set") + b"h\0\x85R") * 1000 + b"."
    with pytest.raises(FormatError, match="too many objects"):
        Scan(memoryview(program)).run()


@given(st.binary(max_size=200))
def test_any_bytes_as_a_pickle(data: bytes) -> None:
    try:
        Scan(memoryview(data)).run()
    except FormatError:
        return


@settings(max_examples=200)
@given(data=st.data())
def test_any_instructions(data: st.DataObject) -> None:
    known = [b"]", b"}", b")", b"(", b"t", b"\x85", b"\x86", b"e", b"u", b"R", b"b", b"K\1", b"q\0"]
    known += [b"h\0", b"N", STORAGE, TENSOR, ORDERED, name("torch.Size"), name("builtins.set")]
    parts = data.draw(st.lists(st.sampled_from(known), max_size=30))
    try:
        Scan(memoryview(b"".join(parts) + b".")).run()
    except FormatError:
        return


@pytest.mark.parametrize("kind", ["zip", "legacy", "deflated"])
def test_damage_raises_nothing_else(tmp_path: Path, kind: str) -> None:
    torch = pytest.importorskip("torch")
    value = {"w": torch.arange(6.0), "n": [1, "x"], "p": torch.nn.Parameter(torch.ones(2))}
    path, out = tmp_path / "a.pt", tmp_path / "b.pt"
    torch.save(value, path, _use_new_zipfile_serialization=kind != "legacy")
    if kind == "deflated":
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
            for member in old.namelist():
                new.writestr(member, old.read(member))
        path.write_bytes(out.read_bytes())
    good = path.read_bytes()
    step = max(1, len(good) // 150)
    for place in range(0, len(good), step):
        for bad in (good[:place], good[:place] + bytes([good[place] ^ 0x41]) + good[place + 1 :]):
            path.write_bytes(bad)
            try:
                arrays(path)
            except McodecError as error:
                check(error)


def test_a_damaged_storage_is_noticed_when_it_is_read(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path / "a.pt"
    torch.save({"w": torch.full((1000,), 7.0), "v": torch.ones(3)}, path)
    data = bytearray(path.read_bytes())
    data[data.index(b"\0\0\xe0\x40" * 9) + 100] ^= 1
    path.write_bytes(data)
    source = open_source(path)
    assert source.read(1, 0, 3).tolist() == [1, 1, 1]
    with pytest.raises(FormatError) as caught:
        source.read(0, 0, 1)
    assert caught.value.code == "source_invalid"
    source.close()


def test_a_whole_pickle_is_refused(tmp_path: Path) -> None:
    for value in (5, {"a": 1}, io.BytesIO, 0x1950A86A20F9469CFC6C):
        (tmp_path / "a.pt").write_bytes(pickle.dumps(value, 2))
        with pytest.raises(FormatError):
            open_source(tmp_path / "a.pt")


W = '{"kind":"tensor","name":"w"}'
SKELETONS = {
    "no root": "",
    "itself": '{"kind":"sequence","type":"list","items":[0]}',
    "twice": '{"kind":"sequence","type":"list","items":[1,1]},' + W,
    "back": '{"kind":"sequence","type":"list","items":[1]},'
    '{"kind":"sequence","type":"list","items":[0]}',
    "far": '{"kind":"sequence","type":"list","items":[9]}',
    "alone": W + ",5",
    "other": '{"kind":"tensor","name":"v"}',
    "names": '{"kind":"sequence","type":"list","items":[1,2]},' + W + "," + W,
    "odd": '{"kind":"mapping","type":"dict","items":[1]},' + W,
    "key": '{"kind":"mapping","type":"dict","items":[1,2]},'
    '{"kind":"sequence","type":"list","items":[]},' + W,
    "attributes": '{"kind":"mapping","type":"OrderedDict","items":[],"attributes":1},' + W,
    "attribute": '{"kind":"mapping","type":"OrderedDict","items":[],"attributes":1},'
    '{"kind":"mapping","type":"dict","items":[99,2]},' + W,
    "part of a key": '{"kind":"mapping","type":"dict","items":[1,2]},'
    '{"kind":"sequence","type":"tuple","items":[99]},' + W,
    "size": '{"kind":"sequence","type":"size","items":[1]},' + W,
    "type": '{"kind":"sequence","type":"frozenset","items":[1]},' + W,
    "value": '{"kind":"value","type":"int","text":"1e5"}',
    "dtype": '{"kind":"value","type":"dtype","text":"x\\nR"}',
    "device": '{"kind":"value","type":"device","text":"cpu\\n"}',
    "float": '{"kind":"value","type":"float","text":"00"}',
    "tie": '{"kind":"tensor","name":"w","same_as":"v"}',
    "opaque": '{"kind":"tensor","name":"w","dtype":"float64"}',
    "width": '{"kind":"tensor","name":"w","dtype":"complex32"}',
    "gradient": '{"kind":"tensor","name":"w","parameter":true,"gradient":true}',
    "sparse": '{"kind":"sparse","layout":"sparse_coo","shape":[1],"parts":[1]},' + W,
    "unknown": '{"kind":"tensor","name":"w","more":1}',
}


@pytest.mark.parametrize("kind", SKELETONS)
def test_skeletons_that_are_refused(tmp_path: Path, kind: str) -> None:
    text = f'{{"format":"torch","version":1,"nodes":[{SKELETONS[kind]}]}}'
    with pytest.raises(FormatError) as caught:
        create_sink(tmp_path / "a.pt", "torch", [TensorSpec("w", "int8", (1,))], text.encode())
    assert caught.value.code in {"source_invalid", "limit_exceeded"}
    assert not (tmp_path / "a.pt").exists()


def test_deep_skeletons_and_later_versions_are_refused(tmp_path: Path) -> None:
    deep = ",".join(f'{{"kind":"sequence","type":"list","items":[{n + 1}]}}' for n in range(999))
    for nodes, version in ((deep + ",5", 1), ("5", 2)):
        with pytest.raises(FormatError):
            read_torch(f'{{"format":"torch","version":{version},"nodes":[{nodes}]}}'.encode())
    with pytest.raises(UsageError, match="one file"):
        create_sink(tmp_path, "torch", [])
