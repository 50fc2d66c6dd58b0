"""The figures of a report: every byte of a file is told once, and nothing is read but the front."""

from __future__ import annotations

import json
import math
import os
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mcodec
from mcodec.api.listing import list_tensors
from mcodec.api.reportcollect import _histogram
from mcodec.api.reportfigures import GROUPS, MOST_BINS, PARTS, group_of
from mcodec.errors import FormatError, InputOutputError, UsageError
from support import cases, strategies
from support.command import leftovers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from mcodec import Report

Models = dict[str, dict[str, "NDArray[Any]"]]


def two() -> Models:
    return {"A": cases.network(1), "B": cases.network(2)}


def family() -> Models:
    """Return a network, a fine-tune of it, and the same under a mask, with one more tensor."""
    base = {
        "block.weight": cases.weights("float32", (200, 150), 3),
        "frozen.weight": cases.weights("float32", (130, 140), 4),
    }
    moved = (
        base["block.weight"].view(np.uint32)
        + np.arange(30_000, dtype=np.uint32).reshape(200, 150) % 99
    )
    kept = np.random.default_rng(5).random((200, 150)) < 0.7
    masked = np.where(kept, base["block.weight"], np.float32(0))
    return {
        "base": base,
        "tuned": base | {"block.weight": moved.view(np.float32)},
        "masked": base | {"block.weight": masked, "head": np.ones(3, np.float32)},
    }


def odd() -> Models:
    """Return a model with what has no size, no error, or no finite one."""
    return {
        "A": {
            "": np.array(3.5, np.float32),
            "empty": np.zeros((0, 3), np.float32),
            "lost/kernel": np.full((130, 130), np.nan, np.float32),
            "lost/other": cases.weights("float32", (140, 130)),
            "zeros": np.zeros((150, 150), np.float32),
            "long": cases.noise("float64", (1 << 18,)),  # staggered planes
            "steps": np.arange(7),
        }
    }


CASES: dict[str, tuple[Callable[[], Models], dict[str, Any]]] = {
    "lossless": (two, {}),
    "fused": (two, {"bits": [12, 11]}),
    "progressive": (two, {"bits": 9, "layout": "progressive"}),
    "int8": (two, {"codec": "int8(scope=axis:-1)"}),
    "csr": (two, {"codec": "csr(values=int8)", "force": True}),
    "family": (family, {"optimize": "file"}),
    "odd": (odd, {}),
    "odd-lossy": (odd, {"bits": 5}),
    "empty": (lambda: {"A": {}}, {}),
}


@pytest.fixture(params=CASES)
def packed(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    make, options = CASES[request.param]
    path = tmp_path / f"{request.param}.mc"
    mcodec.pack(make(), path, jobs=1, **options)
    return path


def claimed(data: bytes) -> dict[str, int]:
    """Count the bytes of a file by the page of the format alone (spec/container.md, 1 and 4)."""
    fields = struct.unpack_from("<8s4BIQQIIII", data)
    front, manifest, rows = fields[7], fields[8], fields[10]
    start = front + -(-manifest // 8) * 8
    chunks = [struct.unpack_from("<QI", data, start + 32 * row) for row in range(rows)]
    spans = [(0, 64), (front, front + manifest), (start, start + 32 * rows)]
    spans += [(offset, offset + stored) for offset, stored in chunks if stored]
    gaps = end = 0
    for first, last in sorted(spans):
        assert first >= end
        gaps += first - end
        end = last
    gaps += len(data) - end
    stored = sum(stored for _, stored in chunks)
    return {"manifest": manifest, "rows": 32 * rows, "padding": gaps, "chunks": stored}


def check_sums(found: Report, data: bytes) -> None:
    """Check that all figures of a report add up, to the file and to one another."""
    expected = claimed(data)
    parts = found.parts
    assert list(parts) != []
    assert set(parts) == set(PARTS)
    assert sum(parts.values()) == found.file_bytes == len(data)
    assert parts["header"] == 64
    assert {key: parts[key] for key in ("manifest", "rows", "padding")} == {
        key: expected[key] for key in ("manifest", "rows", "padding")
    }
    arrays = ("tensors", "bases", "skeletons", "unnamed")
    assert sum(parts[part] for part in arrays) == expected["chunks"]
    assert sum(one.row.stored_bytes for one in found.streams) == parts["tensors"]
    assert sum(one.stored_bytes for one in found.codecs) == parts["tensors"]
    for group in (*found.codecs, *(layer for task in found.tasks for layer in task.layers)):
        assert sum(group.streams.values()) == group.stored_bytes
        assert list(group.streams) == [name for name in GROUPS if name in group.streams]
    new = [one for one in found.tensors if not one.same_as]
    assert sum(one.stored_bytes for one in new) == parts["tensors"]
    assert sum(one.tensors for one in found.codecs) == len(new)
    weights = sum(one.weights for one in new)
    assert sum(one.weights for one in found.codecs) == weights
    assert sum(one.exact_weights + one.other_weights for one in found.histogram) == weights
    quality = found.quality
    assert quality.exact + quality.lossy + quality.not_finite == len(new)
    assert found.source_bytes == sum(one.source_bytes for one in found.tensors)
    for task in found.tasks:
        own = [one for one in found.tensors if one.task == task.row.name]
        assert sum(layer.tensors for layer in task.layers) == task.row.tensors == len(own)
        assert sum(layer.weights for layer in task.layers) == task.row.parameters
        assert sum(layer.source_bytes for layer in task.layers) == task.row.source_bytes
        assert task.quality.exact + task.quality.lossy + task.quality.not_finite == len(own)
    json.dumps(found.to_json(), allow_nan=False)


def test_every_byte_of_the_file_is_told_once(packed: Path) -> None:
    check_sums(mcodec.report(packed), packed.read_bytes())


@given(
    tasks=st.lists(strategies.models(), min_size=1, max_size=3),
    bits=st.none() | st.integers(1, 20),
)
def test_every_byte_of_any_file_is_told_once(
    tmp_path_factory: pytest.TempPathFactory, tasks: list[dict[str, Any]], bits: int | None
) -> None:
    path = tmp_path_factory.mktemp("any") / "x.mc"
    named = {"ABC"[index]: model for index, model in enumerate(tasks)}
    mcodec.pack(named, path, bits=bits, jobs=1)
    check_sums(mcodec.report(path), path.read_bytes())


def test_a_source_has_its_skeleton_among_the_parts(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file(cases.network(), tmp_path / "a.safetensors", {"trained": "twice"})
    mcodec.pack([tmp_path / "a.safetensors"], tmp_path / "x.mc", jobs=1, meta={"A": {"k": "v"}})
    found = mcodec.report(tmp_path / "x.mc")
    assert found.parts["skeletons"] > 0
    assert found.tasks[0].came_from == "safetensors"
    assert found.tasks[0].metadata == {"trained": "twice"}
    assert found.tasks[0].row.meta == {"k": "v"}
    assert found.written_by == f"mcodec {mcodec.__version__}"
    check_sums(found, (tmp_path / "x.mc").read_bytes())


def test_a_base_that_only_a_delta_needs_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "x.mc"
    mcodec.pack(family(), path, jobs=1, optimize="file")
    found = mcodec.report(path)
    by_name = {(one.task, one.name): one for one in found.tensors}
    assert by_name["tuned", "block.weight"].codec.startswith("delta")
    assert by_name["tuned", "block.weight"].bases == ("base:block.weight",)
    assert by_name["tuned", "frozen.weight"].same_as == "base:frozen.weight"
    tuned = found.tasks[1]
    assert tuned.row.delta_bytes == by_name["tuned", "block.weight"].stored_bytes
    assert tuned.layers[0].streams["difference"] > 0


def test_error_by_layer_is_that_of_the_weights(tmp_path: Path) -> None:
    """The SQNR of a layer of two tensors, beside one made from the decoded arrays."""
    arrays = {
        "body/one": cases.weights("float32", (150, 140), 1),
        "body/two": cases.weights("float32", (150, 140), 2, scale=3.0),
        "body/bias": cases.weights("float32", (140,), 3),
        "head.weight": cases.weights("float32", (150, 140), 4),
    }
    path = tmp_path / "x.mc"
    mcodec.pack({"A": arrays}, path, bits=6, jobs=1)
    with mcodec.open(path) as file:
        decoded = {name: np.asarray(array) for name, array in file.task().items()}
    noise = signal = largest = 0.0
    for name in ("body/one", "body/two"):
        one, other = arrays[name].astype(np.float64), decoded[name].astype(np.float64)
        noise += float(((one - other) ** 2).sum())
        signal += float((one**2).sum())
        largest = max(largest, float(abs(one - other).max()))
    body, head = mcodec.report(path).tasks[0].layers
    assert (body.name, body.tensors, head.name, head.tensors) == ("body", 3, "head", 1)
    assert (body.quality.exact, body.quality.lossy) == (1, 2)
    assert body.quality.max_abs_error == largest
    assert body.quality.sqnr_db == pytest.approx(10 * math.log10(signal / noise), abs=1e-9)


def test_a_tensor_named_twice_counts_once_in_its_task(tmp_path: Path) -> None:
    same = cases.weights("float32", (150, 140))
    path = tmp_path / "x.mc"
    mcodec.pack({"A": {"in/w": same, "out/w": same.copy()}}, path, jobs=1)
    found = mcodec.report(path)
    first, second = found.tasks[0].layers
    assert (first.stored_bytes, second.stored_bytes) == (found.parts["tensors"], 0)
    assert (first.tensors, second.tensors, second.weights) == (1, 1, same.size)
    assert [one.same_as for one in found.tensors] == ["", "A:in/w"]
    assert found.tensors[1].stored_bytes == found.tensors[0].stored_bytes


def test_an_error_that_overflows_has_no_sqnr(tmp_path: Path) -> None:
    arrays = {f"w/{k}": np.full((200, 200), 1.3e154 * (1 + k)) for k in range(4)}
    for array in arrays.values():
        array[0] *= 0.77
    path = tmp_path / "x.mc"
    mcodec.pack({"A": arrays}, path, jobs=1, codec="bfp(bits=2)")
    found = mcodec.report(path)
    assert found.tasks[0].quality.sqnr_db is None
    json.dumps(found.to_json(), allow_nan=False)


def test_no_chunk_is_read(tmp_path: Path) -> None:
    """All chunks damaged: the report is the same, since it is the front's."""
    path = tmp_path / "x.mc"
    mcodec.pack(two(), path, bits=12, jobs=1)
    before = mcodec.report(path).to_json()
    data = bytearray(path.read_bytes())
    front, manifest, rows = (
        struct.unpack_from("<QII", data, 24)[0],
        *struct.unpack_from("<I4xI", data, 32),
    )
    start = front + -(-manifest // 8) * 8
    for row in range(rows):
        offset, stored = struct.unpack_from("<QI", data, start + 32 * row)
        data[offset : offset + stored] = bytes(stored)
    path.write_bytes(data)
    with pytest.raises(FormatError):
        mcodec.verify(path)
    assert mcodec.report(path).to_json() == before


def test_stream_names_have_their_groups(packed: Path) -> None:
    with mcodec.open(packed) as file:
        for task in file.reader.manifest.tasks:
            for row in list_tensors(file.reader, task):
                for stream in row.streams:
                    assert group_of(stream.name) != "other", stream.name


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("sign", "sign"),
        ("exponent.1", "exponent"),
        ("mantissa.22", "mantissa"),
        ("magnitude.6", "mantissa"),
        ("low.30 to sign", "difference"),
        ("gap.low.3 to mantissa.0", "positions"),
        ("what/nobody.knows", "other"),
        ("", "other"),
    ],
)
def test_group_of(name: str, group: str) -> None:
    assert group_of(name) == group


@given(st.lists(st.tuples(st.floats(0, 2000), st.integers(1, 1 << 40), st.booleans()), max_size=30))
def test_the_histogram_has_every_weight_in_its_bar(bits: list[tuple[float, int, bool]]) -> None:
    bins = _histogram(bits)
    assert len(bins) <= MOST_BINS
    assert [one.low for one in bins] == [index * (bins[0].high) for index in range(len(bins))]
    for index, one in enumerate(bins):
        high = math.inf if index == MOST_BINS - 1 else one.high
        inside = [(w, exact) for b, w, exact in bits if one.low <= b < high]
        assert one.exact_weights == sum(w for w, exact in inside if exact)
        assert one.other_weights == sum(w for w, exact in inside if not exact)
    total = sum(w for _, w, _ in bits)
    assert sum(one.exact_weights + one.other_weights for one in bins) == total


def test_the_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path, out = tmp_path / "x.mc", tmp_path / "x.html"
    mcodec.pack(two(), path, jobs=1)
    out.write_text("old")
    bad = tmp_path / "bad.mc"
    bad.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FormatError):
        mcodec.report(bad, out)
    assert out.read_text() == "old"
    found = mcodec.report(path, out)
    assert out.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert found == mcodec.report(path)
    assert leftovers(tmp_path) == []


def test_the_same_file_gives_the_same_page(tmp_path: Path) -> None:
    path = tmp_path / "x.mc"
    mcodec.pack(two(), path, bits=8, jobs=1)
    mcodec.report(path, tmp_path / "1.html")
    mcodec.report(os.path.relpath(path), tmp_path / "2.html")
    page = (tmp_path / "1.html").read_bytes()
    assert page == (tmp_path / "2.html").read_bytes()
    assert str(tmp_path).encode() not in page


def test_bad_outputs(tmp_path: Path) -> None:
    path = tmp_path / "x.mc"
    mcodec.pack(two(), path, jobs=1)
    for bad in ("", path, "s3://bucket/x.html"):
        with pytest.raises(UsageError):
            mcodec.report(path, bad)
    with pytest.raises(InputOutputError):
        mcodec.report(path, tmp_path / "nowhere" / "x.html")
    with pytest.raises(InputOutputError):
        mcodec.report(tmp_path / "none.mc", tmp_path / "x.html")
    with pytest.raises(FormatError, match="decodes to"):
        mcodec.report(path, tmp_path / "x.html", max_decoded=1000)
    assert not (tmp_path / "x.html").exists()
