"""Any damage to a file, in front of the hashes or behind them, is a FormatError or a sound decode.

The files here are forged: after a change every hash is computed again, so that the checks behind
the hashes are reached. Nothing but McodecError may come out, and little memory is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

import mcodec
from support.forge import Forged
from support.junk import mutate
from support.probe import PLAN, probe, small_models

if TYPE_CHECKING:
    from pathlib import Path

ODD: Final = (0, 1, 2, 7, 8, 63, 255, 2**16, 2**31, 2**32 - 1, 2**48, 2**63, 2**64 - 1)
WIDTH: Final = {"offset": 64, "stored": 32, "raw": 32, "hash": 64} | {
    "file_length": 64,
    "front_offset": 64,
    "manifest_stored": 32,
    "manifest_raw": 32,
    "row_count": 32,
    "flags": 32,
    "reserved": 32,
}


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The same models in every layout, by layout."""
    folder = tmp_path_factory.mktemp("hostile")
    plan, path = folder / "plan.toml", folder / "small.mc"
    plan.write_text(PLAN)
    found = {}
    for layout in ("task", "interleaved", "progressive"):
        text = PLAN.replace(",signs=compact", "") if layout == "progressive" else PLAN
        plan.write_text(text)
        mcodec.pack(small_models(), path, plan=plan, layout=layout, jobs=1)
        found[layout] = path.read_bytes()
    return found


LAYOUTS = st.sampled_from(("task", "interleaved", "progressive"))


@given(layout=LAYOUTS, data=st.data())
def test_any_bytes_changed(
    tmp_path: Path, originals: dict[str, bytes], layout: str, data: st.DataObject
) -> None:
    changed = bytearray(originals[layout])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(changed) - 1) | st.integers(0, 255))
        changed[place] = data.draw(st.integers(0, 255))
    code = probe(tmp_path / "x.mc", bytes(changed))
    assert (code == "sound") == (bytes(changed) == originals[layout])


@given(layout=LAYOUTS, data=st.data())
def test_any_length(
    tmp_path: Path, originals: dict[str, bytes], layout: str, data: st.DataObject
) -> None:
    original = originals[layout]
    size = data.draw(st.integers(0, len(original) - 1))
    assert probe(tmp_path / "x.mc", original[:size]) in ("not_mcodec", "file_truncated")
    assert probe(tmp_path / "x.mc", original + bytes(1 + size % 100)) == "trailing_data"


@given(layout=LAYOUTS, data=st.data())
def test_header_fields(
    tmp_path: Path, originals: dict[str, bytes], layout: str, data: st.DataObject
) -> None:
    forged = Forged.of(originals[layout])
    name = data.draw(
        st.sampled_from([*WIDTH, "major", "minor", "kind", "layout"]).filter(
            lambda field: field in forged.header
        )
    )
    value = data.draw(st.sampled_from(ODD) | st.integers(0, 2**64)) % 2 ** WIDTH.get(name, 8)
    probe(tmp_path / "x.mc", forged.build(**{name: value}))


@given(layout=LAYOUTS, data=st.data())
def test_row_fields(
    tmp_path: Path, originals: dict[str, bytes], layout: str, data: st.DataObject
) -> None:
    forged = Forged.of(originals[layout])
    for _ in range(data.draw(st.integers(1, 3))):
        row = data.draw(st.sampled_from(forged.rows))
        field = data.draw(st.sampled_from([name for name in row if name != "zero"]))
        value = data.draw(st.sampled_from(ODD) | st.integers(0, 2**64))
        near = data.draw(st.sampled_from((value, row[field] + 1, row[field] - 1, 8 * value)))
        row[field] = near % 2 ** WIDTH.get(field, 8)
    probe(tmp_path / "x.mc", forged.build())


@given(layout=LAYOUTS, data=st.data())
def test_rows_moved(
    tmp_path: Path, originals: dict[str, bytes], layout: str, data: st.DataObject
) -> None:
    forged = Forged.of(originals[layout])
    count = len(forged.rows)
    first, second = (data.draw(st.integers(0, count - 1)) for _ in range(2))
    kind = data.draw(st.sampled_from(("swap", "drop", "twice", "places")))
    rows = forged.rows
    if kind == "swap":
        rows[first], rows[second] = rows[second], rows[first]
    elif kind == "drop":
        del rows[first]
    elif kind == "twice":
        rows.insert(first, dict(rows[second]))
    else:
        place = {name: rows[second][name] for name in ("offset", "stored", "hash", "coder")}
        rows[first] = {**rows[first], **place}
    probe(tmp_path / "x.mc", forged.build())


@given(layout=LAYOUTS, data=st.data())
def test_chunks_with_their_hash(
    tmp_path: Path, originals: dict[str, bytes], layout: str, data: st.DataObject
) -> None:
    forged = Forged.of(originals[layout])
    stored = [index for index, row in enumerate(forged.rows) if row["stored"]]
    for _ in range(data.draw(st.integers(1, 3))):
        index = data.draw(st.sampled_from(stored))
        place, value = data.draw(st.integers(0, 2**16)), data.draw(st.integers(1, 255))
        forged.damage(index, place, value)
    code = probe(tmp_path / "x.mc", forged.build())
    assert code in ("sound", "stream_invalid", "chunk_corrupt", "digest_mismatch")


@given(layout=LAYOUTS, data=st.data())
def test_manifest_values(
    tmp_path: Path, originals: dict[str, bytes], layout: str, data: st.DataObject
) -> None:
    forged = Forged.of(originals[layout])
    for _ in range(data.draw(st.integers(1, 2))):
        mutate(forged.manifest, data)
    probe(tmp_path / "x.mc", forged.build())


@given(
    text=st.sampled_from(
        (
            *(b"", b"{}", b"[]", b"null", b"{", b"\xff", b"\xef\xbb\xbf{}", b'{"codecs":NaN}'),
            *(b"[" * 100_000, b'{"a":' * 40 + b"1" + b"}" * 40, b'"' + b"[" * 50 + b'"'),
        )
    )
    | st.binary(max_size=30)
)
def test_manifests_that_are_none(tmp_path: Path, originals: dict[str, bytes], text: bytes) -> None:
    forged = Forged.of(originals["task"])
    forged.manifest = text
    code = probe(tmp_path / "x.mc", forged.build())
    assert code in ("manifest_invalid", "limit_exceeded")


def test_deep_brackets_inside_strings_are_no_depth(
    tmp_path: Path, originals: dict[str, bytes]
) -> None:
    forged = Forged.of(originals["task"])
    forged.manifest["tasks"][0]["metadata"] = {"note": "[{" * 500 + '\\"' + "]" * 70}
    assert probe(tmp_path / "x.mc", forged.build()) == "sound"
    forged.manifest["note"] = [[]]
    for _ in range(33):
        forged.manifest["note"] = [forged.manifest["note"]]
    assert probe(tmp_path / "x.mc", forged.build()) == "limit_exceeded"


def test_a_file_that_claims_far_more_than_it_holds(tmp_path: Path) -> None:
    # 2^18 zeros in 300 bytes are fine; a terabyte of them is over any budget.
    path = tmp_path / "x.mc"
    mcodec.pack({"A": {"w": np.zeros(1 << 18, np.uint8)}}, path, jobs=1)
    forged = Forged.of(path.read_bytes())
    forged.manifest["runs"][0][2] = [[1 << 40]]
    assert probe(path, forged.build()) == "decoded_too_large"
    forged.manifest["tasks"][0]["tensors"] = []  # hidden: its rows are still counted
    assert probe(path, forged.build()) == "row_order"


@given(layout=LAYOUTS, data=st.data())
def test_a_compact_run_in_a_progressive_file(
    tmp_path: Path, originals: dict[str, bytes], layout: str, data: st.DataObject
) -> None:
    forged = Forged.of(originals[layout])
    for config in forged.manifest["codecs"]:
        if config["id"] == "bfp" and data.draw(st.booleans()):
            config["signs"] = data.draw(st.sampled_from(("full", "compact")))
            config["bits"] = data.draw(st.integers(1, 9))
    whole = forged.build()
    probe(tmp_path / "x.mc", whole)
    size = data.draw(st.integers(0, len(whole)))
    probe(tmp_path / "x.mc", whole[:size])


def test_forging_itself_changes_nothing(tmp_path: Path, originals: dict[str, bytes]) -> None:
    for original in originals.values():
        forged = Forged.of(original)
        assert probe(tmp_path / "x.mc", forged.build()) == "sound"
        stored = [index for index, row in enumerate(forged.rows) if row["stored"]]
        assert all(xxh3_64_intdigest(forged.chunk(i)) == forged.rows[i]["hash"] for i in stored)
