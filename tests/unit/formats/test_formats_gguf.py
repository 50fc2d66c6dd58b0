"""GGUF: byte for byte back, and nothing but FormatError for what breaks a rule."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcodec.errors import FormatError, UsageError
from mcodec.formats import gguf
from mcodec.types import TensorSpec

FIXTURES = Path(__file__).resolve().parents[4] / "shared" / "fixtures"
U8, U32, F32, BOOL, STRING, ARRAY = 0, 4, 6, 7, 8, 9


def entries(verdict: str) -> list[Any]:
    if not FIXTURES.is_dir():
        return []
    rows = json.loads((FIXTURES / "MANIFEST.json").read_text())["entries"]
    return [
        pytest.param(row, id=row["name"])
        for row in rows
        if row["format"] == "gguf" and row["verdict"] == verdict
    ]


def text(value: bytes | str) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def pair(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def info(name: str, ne: tuple[int, ...], kind: int, offset: int) -> bytes:
    dims = struct.pack(f"<I{len(ne)}Q", len(ne), *ne)
    return text(name) + dims + struct.pack("<IQ", kind, offset)


def build(
    pairs: list[bytes] | None = None,
    infos: list[bytes] | None = None,
    data: bytes = b"",
    version: int = 3,
    alignment: int = 32,
) -> bytes:
    pairs, infos = pairs or [], infos or []
    head = b"GGUF" + struct.pack("<IQQ", version, len(infos), len(pairs))
    head += b"".join(pairs) + b"".join(infos)
    return head + (b"\0" * (-len(head) % alignment) + data if data else b"")


def opened(tmp_path: Path, data: bytes) -> gguf.GgufSource:
    path = tmp_path / "model.gguf"
    path.write_bytes(data)
    return gguf.open_gguf(str(path))


def arrays(source: gguf.GgufSource) -> dict[str, Any]:
    return {
        spec.name: source.read(index, 0, spec.size).reshape(spec.shape)
        for index, spec in enumerate(source.tensors)
    }


def give_back(source: gguf.GgufSource, out: Path, step: int = 1000) -> None:
    """Write the file again, from the last tensor to the first, in small pieces."""
    specs = list(reversed(source.tensors))
    count = len(specs)
    sink = gguf.create_gguf(str(out), specs, source.skeleton(), source.metadata)
    for index, spec in enumerate(specs):
        for start in range(0, spec.size, step):
            part = source.read(count - 1 - index, start, min(start + step, spec.size))
            sink.write(index, start * part.itemsize, part.view(np.uint8).data)
    sink.close()


@pytest.mark.parametrize("entry", entries("accept"))
def test_accepted(entry: dict[str, Any], tmp_path: Path) -> None:
    path = FIXTURES / entry["name"]
    source = gguf.open_gguf(str(path))
    found = arrays(source)
    rows = json.loads((FIXTURES / entry["oracle"]).read_text())
    facts = gguf.facts_gguf(source.skeleton())
    for row in rows[:-1]:
        array = found[row["name"]]
        assert hashlib.sha256(array.tobytes()).hexdigest() == row["sha256"], row
        assert array.nbytes == row["nbytes"]
        assert list(array.shape[:-1]) == row["ne"][:0:-1]
        if f"type of {row['name']}" in facts:
            assert facts[f"type of {row['name']}"] == row["type"]
        else:
            assert list(array.shape) == row["ne"][::-1]
    assert len(found) == len(rows) - 1
    for key, kinds in rows[-1]["kv"].items():
        assert facts[key].split(":")[0].split()[-1] == kinds[-1].lower()
    give_back(source, tmp_path / "out")
    source.close()
    assert (tmp_path / "out").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("entry", entries("refuse"))
def test_refused(entry: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        gguf.open_gguf(str(FIXTURES / entry["name"]))


def test_gaps_order_and_alignment_come_back(tmp_path: Path) -> None:
    """Tensors against the order of the header, a gap that is not zero, and a tail."""
    infos = [info("b", (2,), 24, 64), info("none", (0, 3), 24, 0), info("a", (), 0, 0)]
    data = struct.pack("<f", 1.5) + b"junk" + b"\0" * 56 + b"\x01\x02" + b"tail"
    pairs = [pair("general.alignment", U32, struct.pack("<I", 64))]
    raw = build(pairs, infos, data, version=2, alignment=64)
    source = opened(tmp_path, raw)
    assert [(s.name, s.shape) for s in source.tensors] == [("b", (2,)), ("none", (3, 0)), ("a", ())]
    assert arrays(source)["a"] == np.float32(1.5)
    give_back(source, tmp_path / "out", step=1)
    assert (tmp_path / "out").read_bytes() == raw


def test_facts_are_text(tmp_path: Path) -> None:
    many = b"".join(text(b"token") for _ in range(100))
    pairs = [
        pair("odd", STRING, text(b"\xff")),
        pair("flags", ARRAY, struct.pack("<IQ", BOOL, 2) + b"\0\1"),
        pair("words", ARRAY, struct.pack("<IQ", STRING, 100) + many),
    ]
    facts = gguf.facts_gguf(opened(tmp_path, build(pairs)).skeleton())
    assert facts["odd"] == "string: \\xff"
    assert facts["flags"] == "2 × bool: [False, True]"
    assert facts["words"].startswith("100 × string: 1300 bytes, blake3:")


ONE = info("w", (4,), 0, 0)
BROKEN = {
    "empty": (b"GGUF", "source_invalid"),
    "version 1": (build(version=1), "version_unsupported"),
    "big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "source_refused"),
    "key twice": (build([pair("a", U8, b"1")] * 2), "source_invalid"),
    "key empty": (build([pair("", U8, b"1")]), "source_invalid"),
    "value type": (build([pair("a", 13, b"1234")]), "source_invalid"),
    "item type": (build([pair("a", ARRAY, struct.pack("<IQ", 13, 0))]), "source_invalid"),
    "nested": (build([pair("a", ARRAY, struct.pack("<IQ", 9, 0))]), "source_refused"),
    "array long": (
        build([pair("a", ARRAY, struct.pack("<IQ", F32, 1 << 62))]),
        "source_invalid",
    ),
    "string long": (build([pair("a", STRING, struct.pack("<Q", 1 << 63))]), "source_invalid"),
    "bool of 2": (build([pair("a", BOOL, b"\2")]), "source_invalid"),
    "alignment 24": (build([pair("general.alignment", U32, b"\x18\0\0\0")]), "source_invalid"),
    "alignment 0": (build([pair("general.alignment", U32, b"\0\0\0\0")]), "source_invalid"),
    "alignment text": (build([pair("general.alignment", STRING, text("32"))]), "source_invalid"),
    "alignment huge": (build([pair("general.alignment", U32, b"\0\0\0\x80")]), "limit_exceeded"),
    "name twice": (build([], [ONE, ONE], bytes(16)), "source_invalid"),
    "overlap": (build([], [ONE, info("v", (4,), 0, 0)], bytes(16)), "source_invalid"),
    "unaligned": (build([], [info("w", (1,), 0, 4)], bytes(16)), "source_invalid"),
    "type": (build([], [info("w", (32,), 4, 0)], bytes(99)), "dtype_unknown"),
    "half a block": (build([], [info("w", (33,), 2, 0)], bytes(99)), "source_invalid"),
    "no row of blocks": (build([], [info("w", (), 2, 0)], bytes(99)), "source_invalid"),
    "dims": (build([], [info("w", (1 << 63, 2), 0, 0)], bytes(16)), "limit_exceeded"),
    "dims of none": (build([], [info("w", (0, 1 << 63), 0, 0)], bytes(16)), "limit_exceeded"),
    "cut": (build([], [ONE], bytes(15)), "source_invalid"),
    "offset": (build([], [info("w", (1,), 0, 1 << 63)], bytes(16)), "source_invalid"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken(case: str, tmp_path: Path) -> None:
    data, code = BROKEN[case]
    with pytest.raises(FormatError) as caught:
        opened(tmp_path, data)
    assert caught.value.code == code


def test_any_damage_is_a_format_error(tmp_path: Path) -> None:
    pairs = [
        pair("general.alignment", U32, struct.pack("<I", 32)),
        pair("words", ARRAY, struct.pack("<IQ", STRING, 2) + text("a") + text("bc")),
    ]
    raw = build(pairs, [ONE, info("q", (32, 2), 2, 32)], bytes(68))
    draw = random.Random(5)
    for _ in range(1500):
        bad = bytearray(raw)
        for _ in range(draw.randint(1, 3)):
            bad[draw.randrange(len(bad))] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, 9))
        del bad[draw.choice((len(bad), draw.randrange(len(bad)))) :]
        try:
            source = opened(tmp_path, bytes(bad))
        except FormatError:
            continue
        give_back(source, tmp_path / "out")
        gguf.facts_gguf(source.skeleton())
        source.close()
        assert (tmp_path / "out").read_bytes() == bytes(bad)


def test_skeletons_are_checked(tmp_path: Path) -> None:
    source = opened(tmp_path, build([], [ONE], bytes(16)))
    good = json.loads(source.skeleton())
    out = str(tmp_path / "out")
    tail = base64.b64encode(base64.b64decode(good["header"]) + b"\0").decode()
    changes: list[dict[str, Any]] = [
        {"version": 2},
        {"size": 16},
        {"size": -1},
        {"size": 1 << 60},
        {"header": "R0dVRg=="},
        {"header": tail},
        {"more": 1},
        {"gaps": [{"offset": 70, "data": "AAAA"}]},
        {"gaps": [{"offset": -1, "data": "AAAA"}]},
        {"gaps": [{"offset": good["size"], "data": "AAAA"}]},
    ]
    for change in changes:
        with pytest.raises(FormatError):
            gguf.create_gguf(out, source.tensors, json.dumps(good | change).encode(), {})
    for specs in ([], [TensorSpec("w", "int32", (4,))], [*source.tensors] * 2):
        with pytest.raises(FormatError):
            gguf.create_gguf(out, specs, source.skeleton(), {})
    for other in (b"", b'{"format":"safetensors"}'):
        with pytest.raises(UsageError, match="came from one"):
            gguf.create_gguf(out, source.tensors, other, {})
    assert not (tmp_path / "out").exists()
    sink = gguf.create_gguf(out, source.tensors, source.skeleton(), {"a": "b"})
    assert sink.notes
    sink.close()
    assert gguf.inner_gguf(source.skeleton()) == b""
