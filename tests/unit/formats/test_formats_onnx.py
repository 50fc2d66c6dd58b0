"""ONNX: byte for byte back wherever tensors are, and nothing but FormatError for bad bytes."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcodec.errors import FormatError, UsageError
from mcodec.formats import onnx, onnx_varints
from mcodec.formats.onnx_varints import encode
from mcodec.types import TensorSpec

FIXTURES = Path(__file__).resolve().parents[4] / "shared" / "fixtures"
FLOAT, INT8, INT32, INT64, STRING, BOOL, HALF, INT4 = 1, 3, 6, 7, 8, 9, 10, 22


def entries(*verdicts: str) -> list[Any]:
    if not FIXTURES.is_dir():
        return []
    rows = json.loads((FIXTURES / "MANIFEST.json").read_text())["entries"]
    return [
        pytest.param(row, id=row["name"])
        for row in rows
        if row["format"].startswith("onnx") and row["verdict"] in verdicts
    ]


def varint(value: int) -> bytes:
    out, value = b"", value & ((1 << 64) - 1)
    while value > 0x7F:
        out, value = out + bytes((value & 0x7F | 0x80,)), value >> 7
    return out + bytes((value,))


def put(number: int, value: int | bytes | str) -> bytes:
    """Return one field: a varint or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def tensor(name: str, kind: int, dims: tuple[int, ...], rest: bytes) -> bytes:
    shape = b"".join(put(1, n) for n in dims)
    return shape + put(2, kind) + (put(8, name) if name else b"") + rest


def raw(name: str, *values: float) -> bytes:
    return tensor(name, FLOAT, (len(values),), put(9, np.array(values, "<f4").tobytes()))


def external(name: str, nbytes: int, **entries: str) -> bytes:
    pairs = b"".join(put(13, put(1, key) + put(2, value)) for key, value in entries.items())
    return tensor(name, BOOL, (nbytes,), pairs + put(14, 1))


def graph(*initializers: bytes, nodes: bytes = b"") -> bytes:
    return nodes + b"".join(put(5, one) for one in initializers)


def model(*initializers: bytes, nodes: bytes = b"", more: bytes = b"") -> bytes:
    return put(1, 9) + put(7, graph(*initializers, nodes=nodes)) + more


def opened(folder: Path, data: bytes) -> onnx.OnnxSource:
    path = folder / "model.onnx"
    path.write_bytes(data)
    return onnx.open_onnx(str(path))


def arrays(source: onnx.OnnxSource) -> dict[str, Any]:
    return {
        spec.name: source.read(index, 0, spec.size).reshape(spec.shape)
        for index, spec in enumerate(source.tensors)
    }


def give_back(source: onnx.OnnxSource, out: Path, step: int = 3) -> None:
    """Write the model again, from the last tensor to the first, in small pieces."""
    skeleton = source.skeleton()
    specs = list(reversed(source.tensors))
    if onnx.folder_onnx(skeleton):
        out.mkdir()
    sink = onnx.create_onnx(str(out), specs, skeleton, {})
    for index, spec in enumerate(specs):
        for start in reversed(range(0, spec.size, step)):
            part = source.read(len(specs) - 1 - index, start, min(start + step, spec.size))
            sink.write(index, start * part.itemsize, part.view(np.uint8).data)
    sink.close()
    sink.close()


def check(tmp_path: Path, data: bytes) -> tuple[dict[str, Any], int]:
    """Send a model there and back; return its arrays, and how many bytes the skeleton keeps."""
    source = opened(tmp_path, data)
    found = arrays(source)
    give_back(source, tmp_path / "out")
    rest = int(onnx.facts_onnx(source.skeleton())["the model besides its arrays"].split()[0])
    source.close()
    assert (tmp_path / "out").read_bytes() == data
    (tmp_path / "out").unlink()
    return found, rest


@pytest.mark.parametrize("entry", entries("accept", "either"))
def test_accepted(entry: dict[str, Any], tmp_path: Path) -> None:
    path = FIXTURES / entry["name"]
    source = onnx.open_onnx(str(path))
    found = arrays(source)
    if "oracle" in entry:
        rows = json.loads((FIXTURES / entry["oracle"]).read_text())
        assert list(found) == [row["name"] for row in rows]
        for row in rows:
            assert list(found[row["name"]].shape) == row["shape"]
            assert hashlib.sha256(found[row["name"]].tobytes()).hexdigest() == row["sha256"]
    give_back(source, tmp_path / "out", step=100)
    source.close()
    pairs = [(path, tmp_path / "out")]
    if path.is_dir():
        assert sorted(os.listdir(path)) == sorted(os.listdir(tmp_path / "out"))
        pairs = [(path / name, tmp_path / "out" / name) for name in os.listdir(path)]
    assert all(theirs.read_bytes() == ours.read_bytes() for theirs, ours in pairs)


@pytest.mark.parametrize("entry", entries("refuse"))
def test_refused(entry: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        onnx.open_onnx(str(FIXTURES / entry["name"]))


def test_tensors_are_found_wherever_they_are(tmp_path: Path) -> None:
    one = raw("inner", 1)
    constant = put(5, put(1, "value") + put(5, one)) + put(2, "out") + put(4, "Constant")
    branch = put(5, put(1, "then") + put(6, graph(one, nodes=put(1, constant)))) + put(3, "if")
    lists = put(5, put(1, "many") + put(10, one) + put(10, one) + put(11, graph(one))) + put(3, "n")
    sparse = put(1, raw("sp", 2)) + put(2, tensor("", INT64, (1,), put(7, varint(5))))
    in_node = put(5, put(1, "sp") + put(22, sparse)) + put(2, "y")
    text = tensor("text", STRING, (1,), put(6, "words"))
    nodes = b"".join(put(1, node) for node in (constant, branch, lists, in_node))
    function = put(7, constant) + put(11, put(1, "a") + put(5, one)) + put(1, "F") + put(10, "dom")
    training = put(1, graph(one)) + put(2, graph(one))
    data = model(
        raw("w", 1, 2),
        raw("w", 3),
        text,
        nodes=nodes + put(15, sparse),
        more=put(25, function) + put(20, training) + put(99, "unknown"),
    )
    found, _ = check(tmp_path, data)
    assert list(found) == [
        "out",
        "if.then/out",
        "if.then/inner",
        "n.many.0",
        "n.many.1",
        "n.many.2/inner",
        "sp",
        "sp.indices",
        "sp#2",
        "sp.indices#2",
        "w",
        "w#2",
        "dom::F/out",
        "dom::F/default.a",
        "training.0.initialization/inner",
        "training.0.algorithm/inner",
    ]
    assert found["w#2"] == 3


def test_encodings(tmp_path: Path) -> None:
    """What protobuf would write again is cut out; all else is kept, and comes back too."""
    floats = np.array([1, -2, 3], "<f4")
    words = np.array([0, -1, 300], np.int32)
    halves = np.array([0, 1, -2], np.float16)
    packed = encode(words)
    cut = [
        tensor("floats", FLOAT, (3,), put(4, floats.tobytes())),
        tensor("words", INT32, (3,), put(5, packed)),
        tensor("bytes", INT8, (3,), put(5, encode(np.array([-128, 0, 127], np.int8)))),
        tensor("halves", HALF, (3,), put(5, encode(halves))),
        tensor("longs", INT64, (2,), put(7, encode(np.array([-(1 << 63), 1 << 62], np.int64)))),
        tensor("unsigned", 13, (1,), put(11, encode(np.array([(1 << 64) - 1], np.uint64)))),
        tensor("doubles", 11, (1,), put(10, struct.pack("<d", 0.5))),
        tensor("complex", 14, (1,), put(4, floats[:2].tobytes())),
        tensor("int4", INT4, (3,), put(9, b"\x21\x03")),
        tensor("six", 27, (3,), put(5, b"\x01\x02\x03")),
        tensor("none", FLOAT, (0, 3), b""),
        tensor("scalar", BOOL, (), put(5, b"\x01")),
    ]
    single = b"".join(b"\x25" + struct.pack("<f", value) for value in floats)
    kept = [
        tensor("long zero", INT32, (3,), put(5, b"\x80\x00" + packed[1:])),
        tensor("short minus", INT32, (1,), put(5, varint((1 << 32) - 1))),
        tensor("unpacked", FLOAT, (3,), single),
        tensor("unpacked words", INT32, (2,), put(5, 7) + put(5, -1)),
        tensor("in runs", INT32, (6,), put(5, packed) + put(5, packed)),
    ]
    for one in cut:
        found, rest = check(tmp_path, model(one))
        (name, array), *_ = found.items()
        assert rest < len(model(one)) or not array.size, name
    for one in kept:
        _, rest = check(tmp_path, model(one))
        assert rest == len(model(one))
    found, _ = check(tmp_path, model(*cut, *kept))
    assert found["floats"].tobytes() == found["unpacked"].tobytes() == floats.tobytes()
    assert found["words"].tolist() == found["long zero"].tolist() == [0, -1, 300]
    assert found["halves"].tobytes() == halves.tobytes()
    assert found["longs"].tolist() == [-(1 << 63), 1 << 62]
    assert found["short minus"].tolist() == [-1]
    assert found["unpacked words"].tolist() == [7, -1]
    assert found["in runs"].tolist() == [0, -1, 300] * 2
    assert found["scalar"].shape == ()
    assert found["scalar"]
    assert found["int4"].tolist() == [0x21, 3]


@given(values=st.lists(st.integers(-(1 << 63), (1 << 63) - 1), max_size=50))
def test_varints_are_protobufs(values: list[int]) -> None:
    data = encode(np.array(values, np.int64))
    assert data == b"".join(map(varint, values))
    patterns, used = onnx_varints.decode(data)
    assert used == len(data)
    assert onnx_varints.convert(patterns, "int64", word=False).tolist() == values


def test_varints_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_varints, "_BLOCK", 16)
    monkeypatch.setattr("mcodec.formats.onnx_sink._PIECE", 5)
    values = np.random.default_rng(0).integers(-1000, 1000, 200, dtype=np.int64)
    found, _ = check(tmp_path, model(tensor("w", INT64, (200,), put(7, encode(values)))))
    assert found["w"].tolist() == values.tolist()


def test_values_that_no_longer_fit_are_refused(tmp_path: Path) -> None:
    canonical = tensor("a", INT32, (2,), put(5, b"\x01\x02"))
    unpacked = tensor("b", INT32, (2,), put(5, 1) + put(5, 2))
    source = opened(tmp_path, model(canonical, unpacked))
    out = str(tmp_path / "out")
    for values in ([1, 300], [300, 1]):
        sink = onnx.create_onnx(out, source.tensors, source.skeleton(), {"a": "b"})
        assert sink.notes
        sink.write(0, 0, memoryview(np.array(values, "<i4").tobytes()))
        with pytest.raises(UsageError, match="'a'"):
            sink.close()
    sink = onnx.create_onnx(out, source.tensors, source.skeleton(), {})
    with pytest.raises(UsageError, match="'b'"):
        sink.write(1, 4, memoryview(np.array([3], "<i4").tobytes()))
    with pytest.raises(UsageError, match="past the end"):
        sink.write(1, 8, memoryview(np.array([3], "<i4").tobytes()))


def deep(levels: int) -> bytes:
    node = put(4, "If")
    for _ in range(levels):
        node = put(5, put(6, graph(nodes=put(1, node))))
    return model(nodes=put(1, node))


W = tensor("w", FLOAT, (1,), b"")
BROKEN = {
    "empty": (b"", "source_invalid"),
    "no graph": (put(1, 9), "source_invalid"),
    "two graphs": (put(7, b"") * 2, "source_invalid"),
    "text": (b"hello, this is no model", "source_refused"),
    "deep": (deep(40), "limit_exceeded"),
    "group": (model(more=b"\x0b\x0c"), "source_refused"),
    "wire type 7": (model(more=b"\x0f"), "source_invalid"),
    "field 0": (model(more=b"\0\0"), "source_invalid"),
    "endless varint": (model(more=b"\x08" + b"\x80" * 20), "source_invalid"),
    "varint of 70 bits": (model(more=b"\x08" + b"\xff" * 9 + b"\x7f"), "source_invalid"),
    "graph a number": (put(7, 5), "source_invalid"),
    "no data": (model(W), "source_invalid"),
    "two places": (model(W + put(9, bytes(4)) + put(4, bytes(4))), "source_invalid"),
    "raw twice": (model(W + put(9, bytes(4)) * 2), "source_invalid"),
    "too few": (model(tensor("w", INT32, (2,), put(5, b"\1"))), "source_invalid"),
    "wrong field": (model(tensor("w", FLOAT, (1,), put(5, b"\1"))), "source_invalid"),
    "over int8": (model(tensor("w", INT8, (1,), put(5, varint(128)))), "source_invalid"),
    "bool of 2": (model(tensor("w", BOOL, (1,), put(5, b"\2"))), "source_invalid"),
    "varint cut": (model(tensor("w", INT64, (1,), put(7, b"\x80"))), "source_invalid"),
    "varint long": (model(tensor("w", INT64, (1,), put(7, b"\x80" * 99))), "source_invalid"),
    "type 0": (model(tensor("w", 0, (1,), put(9, b"\0"))), "dtype_unknown"),
    "type 99": (model(tensor("w", 99, (1,), put(9, b"\0"))), "dtype_unknown"),
    "negative": (model(tensor("w", FLOAT, (-1,), put(9, bytes(4)))), "source_invalid"),
    "shape of none": (model(tensor("w", FLOAT, (0, 1 << 60), b"")), "limit_exceeded"),
    "rank": (model(tensor("w", FLOAT, (1,) * 99, put(9, bytes(4)))), "limit_exceeded"),
    "segment": (model(W + put(3, put(1, 0))), "source_refused"),
    "name": (model(tensor("", FLOAT, (0,), put(8, b"\xff"))), "source_invalid"),
    "long name": (model(tensor("n" * 5000, FLOAT, (0,), b"")), "limit_exceeded"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken(case: str, tmp_path: Path) -> None:
    data, code = BROKEN[case]
    with pytest.raises(FormatError) as caught:
        opened(tmp_path, data)
    assert caught.value.code == code


def test_any_damage_is_a_format_error(tmp_path: Path) -> None:
    node = put(5, put(1, "value") + put(5, raw("", 1))) + put(2, "out") + put(4, "Constant")
    words = tensor("i", INT32, (3,), put(5, encode(np.array([1, -1, 300], np.int32))))
    data = model(raw("w", 1, 2), words, nodes=put(1, node))
    draw = random.Random(7)
    for _ in range(1500):
        bad = bytearray(data)
        for _ in range(draw.randint(1, 3)):
            bad[draw.randrange(len(bad))] = draw.choice(
                (0, 1, 0x7F, 0x80, 0xFF, draw.randrange(99))
            )
        del bad[draw.choice((len(bad), draw.randrange(len(bad)))) :]
        try:
            check(tmp_path, bytes(bad))
        except FormatError:
            continue


def folder_model(folder: Path) -> bytes:
    """Write data files with a gap, a tail and a shared range; return the model beside them."""
    (folder / "sub").mkdir()
    (folder / "sub" / "w.bin").write_bytes(b"\1\0\1" + bytes(5) + b"junk" + b"\1\1" + b"tail")
    (folder / "all").write_bytes(b"\1\0")
    return model(
        external("a", 3, location="sub/w.bin", offset="0", length="3"),
        external("b", 2, location="./sub//w.bin", offset="12", length="2"),
        external("same", 2, location="sub/w.bin", offset="12", length="2"),
        external("whole", 2, location="all", checksum="?"),
        raw("inside", 5),
    )


def test_external_data(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(folder_model(folder))
    source = onnx.open_onnx(str(folder))
    assert source.same_as == {2: 1}
    assert {name: array.tolist() for name, array in arrays(source).items()} == {
        "a": [True, False, True],
        "b": [True, True],
        "same": [True, True],
        "whole": [True, False],
        "inside": [5],
    }
    give_back(source, tmp_path / "out", step=1)
    names = ("model.onnx", "sub/w.bin", "all")
    assert all((folder / n).read_bytes() == (tmp_path / "out" / n).read_bytes() for n in names)
    sink = onnx.create_onnx(
        str(fresh(tmp_path / "twice")), source.tensors, source.skeleton(), source.metadata
    )
    assert sink.same_as == {2: 1}
    sink.close()


def fresh(folder: Path) -> Path:
    """Return an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


UNSAFE = {
    "absolute": {"location": "/etc/passwd"},
    "up": {"location": "sub/../../secret"},
    "backslash": {"location": "..\\secret"},
    "drive": {"location": "c:secret"},
    "none": {},
    "dot": {"location": "."},
    "control": {"location": "a\nb"},
    "itself": {"location": "model.onnx"},
    "link": {"location": "link"},
    "link to a folder": {"location": "up/secret"},
    "folder": {"location": "sub"},
    "pipe": {"location": "pipe"},
    "through a file": {"location": "model.onnx/x"},
}


@pytest.mark.parametrize("case", UNSAFE)
def test_unsafe_locations(case: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(2))
    folder = fresh(tmp_path / "in")
    (folder / "sub").mkdir()
    (folder / "link").symlink_to("../secret")
    (folder / "up").symlink_to("..")
    os.mkfifo(folder / "pipe")
    with pytest.raises(FormatError) as caught:
        opened(folder, model(external("w", 2, **UNSAFE[case])))
    assert caught.value.code == "source_refused"


def test_external_ranges_are_checked(tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(bytes(8))
    whole = external("v", 8, location="w")
    for initializers in (
        [external("w", 2, location="absent")],
        [external("w", 2, location="n" * 300)],
        [external("w", 2, location="w")],
        [external("w", 2, location="w", offset="7", length="2")],
        [external("w", 2, location="w", offset="99")],
        [external("w", 2, location="w", offset="-1", length="2")],
        [external("w", 2, location="w", offset="9" * 30, length="2")],
        [external("w", 2, location="w", length="\u0662")],
        [external("w", 2, location="w", length="2") + put(9, b"\0\0")],
        [external("w", 2, location="w", length="2") + put(13, put(1, "length"))],
        [whole, external("w", 2, location="w", offset="1", length="2")],
        [whole, external("w", 8, location="w").replace(put(2, BOOL), put(2, INT8))],
    ):
        with pytest.raises(FormatError) as caught:
            opened(tmp_path, model(*initializers))
        assert caught.value.code == "source_invalid"
    (tmp_path / "b.onnx").touch()
    with pytest.raises(FormatError, match=r"2 \.onnx files"):
        onnx.open_onnx(str(tmp_path))


def test_skeletons_are_checked(tmp_path: Path) -> None:
    folder = fresh(tmp_path / "in")
    source = opened(folder, folder_model(folder))
    good = json.loads(source.skeleton())
    (offset, length), *_ = good["holes"]
    size = next(one for one in good["files"] if one["location"] == "all")
    others = [one for one in good["files"] if one != size]
    changes: list[dict[str, Any]] = [
        {"version": 2},
        {"more": 1},
        {"rest": ""},
        {"holes": []},
        {"holes": [[offset, 1 << 62]]},
        {"holes": [[offset, -1]]},
        {"holes": [[-1, length]]},
        {"holes": [[offset - 1, length]]},
        {"holes": [[offset, length]] * 2},
        {"model": ""},
        {"model": "../model.onnx"},
        {"model": "sub/model.onnx"},
        {"model": "all"},
        {"model": "sub"},
        {"files": []},
        {"files": others},
        {"files": [*others, size, size]},
        {"files": [*others, size | {"location": "../all"}]},
        {"files": [*others, size | {"location": "/all"}]},
        {"files": [*others, size | {"location": "./all"}]},
        {"files": [*others, size | {"location": "all/x"}]},
        {"files": [*others, size | {"size": 1}]},
        {"files": [*others, size | {"size": -1}]},
        {"files": [*others, size | {"size": 1 << 62}]},
        {"files": [*others, size | {"gaps": [{"offset": 0, "data": "AAAA"}]}]},
        {"files": [*others, size | {"gaps": [{"offset": -1, "data": "AAAA"}]}]},
        {"files": [*others, size, {"location": "extra", "size": 1}]},
    ]
    for change in changes:
        text = json.dumps(good | change).encode()
        out = str(fresh(tmp_path / "out"))
        with pytest.raises(FormatError):
            onnx.create_onnx(out, source.tensors, text, {})
    for specs in ([], [*source.tensors, TensorSpec("more", "int8", (1,))]):
        with pytest.raises(FormatError):
            onnx.create_onnx(str(fresh(tmp_path / "out")), specs, source.skeleton(), {})
    for other in (b"", b'{"format":"safetensors"}'):
        assert not onnx.folder_onnx(other)
        with pytest.raises(UsageError, match="came from one"):
            onnx.create_onnx(str(tmp_path / "none"), source.tensors, other, {})
    assert onnx.inner_onnx(source.skeleton()) == b""


def test_damaged_skeletons(tmp_path: Path) -> None:
    source = opened(tmp_path, model(raw("w", 1, 2), tensor("i", INT32, (2,), put(5, b"\1\2"))))
    good = json.loads(source.skeleton())
    draw = random.Random(3)
    for _ in range(500):
        text = list(good["rest"])
        text[draw.randrange(len(text))] = draw.choice("AB/9z")
        skeleton = json.dumps(good | {"rest": "".join(text)}).encode()
        try:
            onnx.create_onnx(str(tmp_path / "out"), source.tensors, skeleton, {}).close()
        except (FormatError, UsageError):
            continue
