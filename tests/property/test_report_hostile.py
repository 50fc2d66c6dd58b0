"""A report of a forged file is a FormatError, or figures that add up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mcodec
from mcodec.api.reportpage import render
from mcodec.errors import FormatError
from support.forge import Forged
from support.junk import mutate
from support.pages import Page
from support.probe import PLAN, small_models

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("report")
    (folder / "plan.toml").write_text(PLAN)
    mcodec.pack(small_models(), folder / "x.mc", plan=folder / "plan.toml", layout="task", jobs=1)
    return (folder / "x.mc").read_bytes()


@given(data=st.data())
def test_a_forged_manifest(tmp_path: Path, original: bytes, data: st.DataObject) -> None:
    forged = Forged.of(original)
    mutate(forged.manifest, data)
    path = tmp_path / "x.mc"
    path.write_bytes(forged.build())
    try:
        found = mcodec.report(path, tmp_path / "x.html")
    except FormatError:
        assert not (tmp_path / "x.html").exists()
        return
    assert sum(found.parts.values()) == found.file_bytes
    assert min(found.parts.values()) >= 0
    json.dumps(found.to_json(), allow_nan=False)
    Page((tmp_path / "x.html").read_text(encoding="utf-8"))
    (tmp_path / "x.html").unlink()


@pytest.mark.parametrize("writer", [None, 7, ["x"], {"a": {}}, "<script>", "x" * 10_000], ids=repr)
def test_a_writer_of_any_kind(tmp_path: Path, original: bytes, writer: object) -> None:
    forged = Forged.of(original)
    forged.manifest["writer"] = writer
    (tmp_path / "x.mc").write_bytes(forged.build())
    found = mcodec.report(tmp_path / "x.mc")
    assert found.written_by == (writer if isinstance(writer, str) else "")
    assert "<script>x" not in render(found)
    assert len(render(found)) < 200_000


def test_certificates_at_the_ends_of_numbers(tmp_path: Path, original: bytes) -> None:
    forged = Forged.of(original)
    for run in forged.manifest["runs"]:
        if run[5] is not None:
            run[5] = [[1.7e308, 1.7e308, 5e-324] for _ in run[5]]
    (tmp_path / "x.mc").write_bytes(forged.build())
    found = mcodec.report(tmp_path / "x.mc", tmp_path / "x.html")
    json.dumps(found.to_json(), allow_nan=False)
    text = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert "nan" not in Page(text).text
    assert '"inf' not in text
