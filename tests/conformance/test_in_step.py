"""Registry, pages, reason codes, vectors and the reference decoder name the same things."""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from mcodec.codec.registry import CODECS
from mcodec.errors import REASONS

SPEC = Path(__file__).resolve().parents[2] / "spec"
VECTORS = SPEC / "vectors"
MANIFEST: dict[str, Any] = json.loads((VECTORS / "manifest.json").read_text("utf-8"))
PAGES = sorted(p for p in (SPEC / "codecs").glob("*.md") if p.name != "README.md")


@pytest.fixture(scope="module")
def decoder() -> Any:
    sys.path.insert(0, str(SPEC))
    try:
        return importlib.import_module("reference_decoder")
    finally:
        sys.path.remove(str(SPEC))


def table(page: Path, heading: str) -> dict[str, list[str]]:
    """Rows of the table under a heading, by their first cell."""
    section = page.read_text("utf-8").split(heading, 1)[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([^`]+)` \| (.*) \|$", section, re.MULTILINE)
    return {name: rest.split(" | ") for name, rest in rows}


def test_codecs(decoder: Any) -> None:
    pages = {page.stem for page in PAGES}
    assert set(CODECS) == pages
    assert set(decoder.CODECS) == pages
    listed = table(SPEC / "codecs" / "README.md", "# Codecs")
    assert set(listed) == pages
    for page in PAGES:
        text = page.read_text("utf-8")
        assert text.startswith(f"# `{page.stem}`\n")
        assert f"**Since / until.** {listed[page.stem][-1]} / " in text


def test_every_codec_has_vectors(decoder: Any) -> None:
    seen = set()
    for path, entry in MANIFEST.items():
        if path.startswith("valid/"):
            data = (VECTORS / path).read_bytes()
            header = decoder.read_header(data, entry.get("partial", False))
            seen |= {config["id"] for config in decoder.read_manifest(data, header)["codecs"]}
    assert seen == set(CODECS)


def test_reason_codes() -> None:
    page = SPEC / "errors.md"
    groups = [
        table(page, f"## Of {what}") for what in ("an `.mc` file", "a source model file", "a call")
    ]
    listed: dict[str, str] = {}
    for group in groups:
        for code, cells in group.items():
            listed.setdefault(code, cells[-1])  # a code in two groups: the first names it
    assert listed == REASONS


def test_every_reason_of_a_file_has_a_vector() -> None:
    codes = table(SPEC / "errors.md", "## Of an `.mc` file")
    assert {entry["code"] for entry in MANIFEST.values() if "code" in entry} == set(codes)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_worked_examples(page: Path, decoder: Any) -> None:
    example = page.read_text("utf-8").split("## Worked example", 1)[1].split("\n## ")[0]
    vector = re.search(r"Vector `([^`]+)`", example)
    assert vector is not None
    file = decoder.open_file((VECTORS / f"valid/{vector[1]}.mc").read_bytes(), False, None)
    run = file.runs[-1]  # those that it stands on come before it
    streams = decoder.read_part(file, run, decoder.read_head(file, run), 0).streams
    shown = re.findall(r"`([a-z.0-9]+)` = `([0-9A-F ]+)`", example)
    assert shown
    for name, data in shown:
        assert streams[name] == bytes.fromhex(data)


def test_worked_example_of_the_container() -> None:
    page = (SPEC / "container.md").read_text("utf-8")
    example = page.split("Worked example", 1)[1].split("\n## ")[0]
    vector = re.search(r"Vector `([^`]+)`", example)
    assert vector is not None
    data = (VECTORS / f"valid/{vector[1]}.mc").read_bytes()
    lines = re.findall(r"^ *(\d+)  ((?:[0-9A-F]{2} ?)+)", example, re.MULTILINE)
    shown = [(int(offset), bytes.fromhex(text)) for offset, text in lines]
    assert b"".join(part for _, part in shown) == data
    for offset, part in shown:
        assert data[offset : offset + len(part)] == part
