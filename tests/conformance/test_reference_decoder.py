"""The reference decoder against the vectors and the published examples; nothing of the library."""

from __future__ import annotations

import hashlib
import importlib
import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "spec" / "vectors"
MANIFEST: dict[str, Any] = json.loads((VECTORS / "manifest.json").read_text("utf-8"))
VALID = [path for path in MANIFEST if path.startswith("valid/")]
INVALID = [path for path in MANIFEST if path.startswith("invalid/")]
SMALL = [path for path in VALID if (VECTORS / path).stat().st_size < 1500 and "block" not in path]


def load() -> Any:
    sys.path.insert(0, str(ROOT / "spec"))
    try:
        return importlib.import_module("reference_decoder")
    finally:
        sys.path.remove(str(ROOT / "spec"))


decoder = load()


def assert_equal(decoded: dict[str, Any], pinned: dict[str, Any]) -> None:
    assert list(decoded) == list(pinned)
    for task, tensors in pinned.items():
        assert list(decoded[task]) == list(tensors)
        for name, tensor in tensors.items():
            dtype, shape, data = decoded[task][name]
            assert data.hex() == tensor.get("hex", data.hex())
            found = {
                "dtype": dtype,
                "shape": list(shape),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
            assert found == {key: tensor[key] for key in found}, f"{task}: {name}"


def test_manifest_lists_the_files() -> None:
    there = {p.relative_to(VECTORS).as_posix() for p in VECTORS.rglob("*.mc")}
    assert there == set(MANIFEST)
    assert len(VALID) > 50
    assert len(INVALID) > 50
    for path, entry in MANIFEST.items():
        assert hashlib.sha256((VECTORS / path).read_bytes()).hexdigest() == entry["sha256"], path
        assert entry["since"] == "1.0"
        assert ("code" in entry) == path.startswith("invalid/")


@pytest.mark.parametrize("path", VALID)
def test_valid(path: str) -> None:
    entry, data = MANIFEST[path], (VECTORS / path).read_bytes()
    assert_equal(decoder.decode(data, entry.get("partial", False)), entry["tasks"])
    for ask in entry.get("derived", []):
        decoded = decoder.decode(
            data, planes=ask["planes"], mid=ask["midpoint"], dither=ask["dither"]
        )
        assert_equal(decoded, ask["tasks"])


@pytest.mark.parametrize("path", INVALID)
def test_invalid(path: str) -> None:
    entry = MANIFEST[path]
    with pytest.raises(decoder.Refused) as caught:
        decoder.decode((VECTORS / path).read_bytes(), entry.get("partial", False))
    assert caught.value.code == entry["code"], str(caught.value)


def test_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    path = "valid/container-aliases.mc"
    assert decoder.main(str(VECTORS / path)) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    expected = [
        [task, name, tensor["dtype"], str(tensor["shape"]), tensor["sha256"]]
        for task, tensors in MANIFEST[path]["tasks"].items()
        for name, tensor in tensors.items()
    ]
    assert lines == expected
    assert decoder.main(str(VECTORS / "invalid/digest.mc")) == 3
    assert capsys.readouterr().out == "digest_mismatch\n"


def test_budget() -> None:
    data = (VECTORS / "valid/raw-int64.mc").read_bytes()
    assert decoder.decode(data, budget=32)
    with pytest.raises(decoder.Refused, match="decoded_too_large"):
        decoder.decode(data, budget=31)


def tensors_of(path: str, ask: int | None = None) -> dict[str, dict[str, bytes]]:
    entry = MANIFEST[path]
    tasks = entry["tasks"] if ask is None else entry["derived"][ask]["tasks"]
    return {
        task: {name: bytes.fromhex(tensor["hex"]) for name, tensor in tensors.items()}
        for task, tensors in tasks.items()
    }


def test_truncation_is_the_published_one(shared: Path) -> None:
    table = json.loads((shared / "oracles/vectors.json").read_text("utf-8"))["truncation"]
    decoded = tensors_of("valid/float-float32-keep.mc")["A"]
    for i, column in enumerate(table.values()):
        for keep, entry in column.items():
            pattern = struct.unpack_from("<I", decoded[f"keep {keep}"], 4 * i)[0]
            assert pattern == int(entry["hex"], 16)


def test_bfp_is_the_published_one(shared: Path) -> None:
    oracle = json.loads((shared / "oracles/vectors.json").read_text("utf-8"))
    decoded = tensors_of("valid/bfp-paper.mc")["A"]
    for bits in (4, 8, 11, 12, 24):
        for rounding, suffix in (("truncate", "trunc"), ("nearest", "rne")):
            values = struct.unpack("<7f", decoded[f"{bits} {rounding}"])
            assert list(values) == oracle["bfp"][f"n{bits}_{suffix}"]["value"]
    fused, path = oracle["fusion_23bit"], "valid/bfp-paper-fused.mc"
    for task, key in (("A", "A12"), ("B", "B11")):
        assert list(struct.unpack("<3f", tensors_of(path)[task]["w"])) == fused[key]["value"]
    dithered = struct.unpack("<3f", tensors_of(path, 0)["A"]["w"])
    assert list(dithered) == fused["A_dither_values"]


@pytest.mark.slow
def test_vectors_can_be_made_again() -> None:
    command = [sys.executable, str(ROOT / "tools" / "make_vectors.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def refused_or(data: bytes, pinned: dict[str, Any] | None, partial: bool = False) -> None:
    """Decode; where that works, it gives `pinned` (None: anything)."""
    try:
        decoded = decoder.decode(data, partial)
    except decoder.Refused:
        return
    if pinned is not None:
        assert_equal(decoded, pinned)


@given(st.sampled_from(SMALL), st.data())
def test_fuzz_one_byte(path: str, data: st.DataObject) -> None:
    content = bytearray((VECTORS / path).read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    partial = data.draw(st.booleans()) or MANIFEST[path].get("partial", False)
    refused_or(bytes(content), MANIFEST[path]["tasks"], partial)


@given(st.sampled_from(SMALL), st.data())
def test_fuzz_cut(path: str, data: st.DataObject) -> None:
    content = (VECTORS / path).read_bytes()
    short = content[: data.draw(st.integers(0, len(content) - 1))]
    refused_or(short, MANIFEST[path]["tasks"])
    refused_or(short, None, partial=True)


TOKENS = [b"", b"0", b"1", b"-1", b"8", b"1.5", b"1e999", b"true", b"null", b"NaN", b"[]", b"{}"]
TOKENS += [b'""', b'"x"', b"[[", b"]", b"}", b'"', b"\\", b",", b":", b'"\\ud800"', b"\xff", b"\0"]
TOKENS += [b"9" * 20, b"9" * 5000, b'"bfp"', b'"raw"', b'"bool"', b'"float64"', b'"axis:-1"']


def resealed(content: bytes, text: bytes, rows: bytes) -> bytes:
    """Put another front behind the file, with all lengths and hashes right."""
    fields = list(struct.unpack("<8sBBBBIQQIIIIQQ", content[:64]))
    offset, stored = fields[7], fields[8]
    end = offset + -(-stored // 8) * 8 + 32 * fields[10]
    body = content[64:offset] + bytes(end - offset) + content[end:]
    body += bytes(-len(body) % 64)
    frame = zstandard.ZstdCompressor().compress(text)
    front = frame + bytes(-len(frame) % 8) + rows
    fields[6:11] = [
        64 + len(body) + len(front),
        64 + len(body),
        len(frame),
        len(text),
        len(rows) // 32,
    ]
    header = struct.pack("<8sBBBBIQQIIIIQ", *fields[:12], xxh3_64_intdigest(front))
    return header + struct.pack("<Q", xxh3_64_intdigest(header)) + body + front


@given(st.sampled_from([p for p in SMALL if "partial" not in p]), st.data())
def test_fuzz_behind_the_hashes(path: str, data: st.DataObject) -> None:
    content = (VECTORS / path).read_bytes()
    h = decoder.read_header(content, False)
    text = bytearray(
        decoder.read_frame(
            content[h.front_offset : h.front_offset + h.manifest_stored], h.manifest_raw, ""
        )
    )
    rows = bytearray(content[h.front_offset + h.padded : h.front_offset + h.front_length])
    if rows and data.draw(st.booleans()):
        place = data.draw(st.integers(0, len(rows) - 1))
        rows[place] ^= data.draw(st.integers(1, 255))
    else:
        begin = data.draw(st.integers(0, len(text)))
        end = min(len(text), begin + data.draw(st.integers(0, 6)))
        text[begin:end] = data.draw(st.sampled_from(TOKENS))
    refused_or(resealed(content, bytes(text), bytes(rows)), None)
