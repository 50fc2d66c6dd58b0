"""The row table: step 13 of spec/container.md, section 6, each rule with its reason code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mcodec
from mcodec.errors import FormatError
from support import cases
from support.forge import Forged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EMPTY = 0x2D06800538D394C2
HUGE = (64 << 20) + 1


@pytest.fixture
def forged(tmp_path: Path) -> Forged:
    """A file of two runs: planes with a head, then raw bytes."""
    path = tmp_path / "good.mc"
    arrays = {"w": cases.weights("float32", (130, 140)), "raw": cases.noise("uint8", (20_000,))}
    mcodec.pack({"A": arrays}, path, codec="bfp(bits=9,scope=axis:0)", jobs=1)
    return Forged.of(path.read_bytes())


def code(forged: Forged, folder: Path) -> str:
    """Return the reason why the file is refused when it is opened."""
    path = folder / "bad.mc"
    path.write_bytes(forged.build())
    with pytest.raises(FormatError) as caught:
        mcodec.open(path)
    assert str(caught.value).startswith(str(path))
    return caught.value.code


def find(forged: Forged, coder: int, *, first: int | None = None) -> dict[str, Any]:
    """Return the first row with a coder (and a first stream)."""
    return next(
        row
        for row in forged.rows
        if row["coder"] == coder and (first is None or row["first"] == first)
    )


def test_the_rows_of_a_sound_file(forged: Forged, tmp_path: Path) -> None:
    coders = [row["coder"] for row in forged.rows]
    assert set(coders) == {1, 2}
    assert [row["mode"] for row in forged.rows] == [0, *[1] * (len(coders) - 2), 0]
    (tmp_path / "good.mc").write_bytes(forged.build())
    mcodec.verify(tmp_path / "good.mc", deep=True, jobs=1)


def test_row_0_needs_its_stream(forged: Forged, tmp_path: Path) -> None:
    forged.rows[1]["first"] = 1
    assert code(forged, tmp_path) == "row_order"


RULES: list[tuple[int, dict[str, Any], str]] = [
    (1, {"coder": 3}, "row_invalid"),
    (1, {"coder": 255}, "row_invalid"),
    (1, {"fill": 1}, "row_invalid"),
    (2, {"fill": 1}, "row_invalid"),
    (1, {"zero": b"\1\0\0"}, "row_invalid"),
    (2, {"zero": b"\0\0\1"}, "row_invalid"),
    (1, {"streams": 0}, "row_invalid"),
    (1, {"mode": 1}, "row_invalid"),
    (2, {"mode": 2}, "row_invalid"),
    (2, {"stored": 0}, "row_invalid"),
    (1, {"stored": 0}, "row_invalid"),
    (1, {"coder": 0}, "row_invalid"),
    (1, {"coder": 0, "stored": 0, "hash": EMPTY}, "row_invalid"),
    (1, {"coder": 0, "stored": 0, "offset": 0}, "row_invalid"),
    (1, {"raw": 1}, "row_invalid"),
    (2, {"raw": HUGE}, "limit_exceeded"),
    (2, {"raw": 0}, "row_length"),
    (2, {"streams": 2}, "row_length"),
    (2, {"streams": 255}, "row_order"),
    (1, {"offset": 65}, "row_bounds"),
    (1, {"offset": 2**63}, "row_bounds"),
    (2, {"stored": 2**32 - 1}, "row_bounds"),
]


@pytest.mark.parametrize(("coder", "fields", "expected"), RULES, ids=str)
def test_every_rule(
    forged: Forged, tmp_path: Path, coder: int, fields: dict[str, Any], expected: str
) -> None:
    # Row 0 is the head, coded raw or zstd; a raw chunk of the last run stands alone.
    row = forged.rows[-1] if coder == 1 else find(forged, 2, first=1)
    row.update(fields)
    assert code(forged, tmp_path) == expected


def test_a_mode_is_the_same_in_a_block(forged: Forged, tmp_path: Path) -> None:
    forged.rows[2]["mode"] = 0
    assert code(forged, tmp_path) == "row_invalid"


def test_a_head_has_mode_0(forged: Forged, tmp_path: Path) -> None:
    forged.rows[0]["mode"] = 1
    assert code(forged, tmp_path) == "row_invalid"


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.pop(),
        lambda rows: rows.pop(0),
        lambda rows: rows.append(dict(rows[-1])),
        lambda rows: rows.insert(1, dict(rows[0])),
        lambda rows: rows.clear(),
        lambda rows: rows[1].update(first=1),
    ],
    ids=range(6),
)
def test_rows_missing_and_left_over(
    forged: Forged, tmp_path: Path, change: Callable[[Any], None]
) -> None:
    change(forged.rows)
    assert code(forged, tmp_path) in ("row_order", "row_length", "row_invalid")


def test_chunks_that_overlap(forged: Forged, tmp_path: Path) -> None:
    last = forged.rows[-1]
    last["offset"] = find(forged, 2)["offset"] // 64 * 64
    assert code(forged, tmp_path) == "row_overlap"


def test_a_chunk_that_stands_in_the_front(forged: Forged, tmp_path: Path) -> None:
    data = forged.build()
    row = forged.rows[-1]
    row["offset"] = 64 - (len(data) - len(forged.payload) - forged.start)
    row["offset"] = max(row["offset"], 0)
    assert code(forged, tmp_path) in ("row_overlap", "row_bounds")


@pytest.mark.parametrize("stored", [4095, 4096])
def test_large_chunks_lie_at_multiples_of_64(tmp_path: Path, stored: int) -> None:
    path = tmp_path / "raw.mc"
    mcodec.pack({"A": {"w": cases.noise("uint8", (stored,))}}, path, jobs=1)
    forged = Forged.of(path.read_bytes())
    forged.payload += bytes(8)
    row = forged.rows[0]
    start = row["offset"] - forged.start
    forged.payload[start + 8 : start + 8 + stored] = forged.payload[start : start + stored]
    row["offset"] += 8
    path.write_bytes(forged.build())
    if stored < 4096:
        mcodec.open(path).close()
        return
    with pytest.raises(FormatError) as caught:
        mcodec.open(path)
    assert caught.value.code == "row_bounds"


def test_padding_is_zero(tmp_path: Path) -> None:
    path = tmp_path / "padded.mc"
    mcodec.pack({"A": {"w": cases.noise("uint8", (13,)), "v": np.arange(70)}}, path, jobs=1)
    forged = Forged.of(path.read_bytes())
    first = forged.rows[0]
    forged.payload[first["offset"] + first["stored"] - forged.start] = 1
    path.write_bytes(forged.build())
    with mcodec.open(path) as file:
        assert file.task()["v"][69] == 69
    with pytest.raises(FormatError) as caught:
        mcodec.verify(path)
    assert caught.value.code == "padding_nonzero"


def test_a_stagger_is_zero(tmp_path: Path) -> None:
    # 2^18 elements: a plane has 32,768 bytes, and 64 zero bytes stand behind each sixth stream.
    path = tmp_path / "staggered.mc"
    mcodec.pack({"A": {"w": cases.noise("float32", (1 << 18,))}}, path, jobs=1)
    forged = Forged.of(path.read_bytes())
    (row,) = forged.rows
    assert row["raw"] == 24 * 32_768 + (1 << 18) + 4 * 64
    forged.damage(0, 5 * 32_768 + (1 << 18) + 63, 1)
    path.write_bytes(forged.build())
    with mcodec.open(path) as file, pytest.raises(FormatError) as caught:
        file.task()["w"]
    assert caught.value.code == "stream_invalid"


def test_hashes_can_be_left_unchecked(tmp_path: Path) -> None:
    path = tmp_path / "rotten.mc"
    array = cases.noise("uint8", (500,))
    mcodec.pack({"A": {"w": array}}, path, jobs=1)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with mcodec.open(path) as file, pytest.raises(FormatError) as caught:
        file.task()["w"]
    assert caught.value.code == "chunk_checksum"
    with mcodec.open(path, verify="none") as file:
        assert (file.task()["w"] != array).sum() == 1
    with pytest.raises(FormatError) as caught:
        mcodec.verify(path)
    assert caught.value.code == "chunk_checksum"


def test_a_wrong_digest(tmp_path: Path) -> None:
    path = tmp_path / "digest.mc"
    mcodec.pack({"A": {"w": cases.noise("uint8", (500,))}}, path, jobs=1)
    forged = Forged.of(path.read_bytes())
    forged.manifest["runs"][0][3] = "0" * 64
    path.write_bytes(forged.build())
    mcodec.verify(path)
    with pytest.raises(FormatError) as caught:
        mcodec.verify(path, deep=True)
    assert caught.value.code == "digest_mismatch"
