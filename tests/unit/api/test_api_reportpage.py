"""The page of a report: sound HTML that is closed to the network, whatever names a file has."""

from __future__ import annotations

import base64
import hashlib
import html
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mcodec
from mcodec.api import reportlayers, reporttables, reporttext
from mcodec.api.reportcharts import Segment, bar, histogram
from support import cases
from support.pages import HOSTILE, Page, hostile_models

if TYPE_CHECKING:
    from pathlib import Path

OWN = files("mcodec.api").joinpath("report_page")
# What a page could load something with, or act on.
ACTIVE = {"src", "srcset", "href", "action", "formaction", "data", "poster", "style", "xlink:href"}


def page_of(tmp_path: Path, models: dict[str, Any], **options: Any) -> Page:
    path, out = tmp_path / "x.mc", tmp_path / "x.html"
    mcodec.pack(models, path, jobs=1, **options)
    mcodec.report(path, out)
    return Page(out.read_text(encoding="utf-8"))


def check_closed(page: Page) -> None:
    """Check that the page loads nothing, and runs and looks as only this package says."""
    for tag, attributes in page.elements:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "form", "video")
        for key, value in attributes.items():
            assert not key.startswith("on"), (tag, key)
            assert key not in ACTIVE or (tag, key) == ("a", "href"), (tag, key)
            assert key != "href" or (value or "").startswith("#")
    assert page.raw["style"] == OWN.joinpath("page.css").read_text()
    assert page.raw["script"] == OWN.joinpath("page.js").read_text()
    assert "url(" not in page.raw["style"]
    assert "@import" not in page.raw["style"]
    assert "innerHTML" not in page.raw["script"]
    assert len(page.tags("script")) == len(page.tags("style")) == 1
    policy = next(
        one["content"]
        for one in page.tags("meta")
        if one.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for kind in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(page.raw[kind].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy


def check_accessible(page: Page) -> None:
    """Check titles of sections, captions of tables, and words for each drawing."""
    assert page.tags("html")[0]["lang"] == "en"
    assert len(page.tags("h1")) == 1
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for section in page.tags("section"):
        assert section["aria-labelledby"] in ids
    assert len(page.tags("table")) == len(page.tags("caption"))
    for drawing in page.tags("svg"):
        assert drawing.get("aria-hidden") == "true" or drawing["aria-label"]
    for link in page.tags("a"):
        assert (link["href"] or "")[1:] in ids
    for head in page.tags("th"):
        assert head["scope"] in ("row", "col")


@pytest.mark.parametrize(
    "options", [{}, {"bits": [12, 11]}, {"codec": "int8(scope=axis:-1)"}], ids=str
)
def test_a_page_is_sound(tmp_path: Path, options: dict[str, Any]) -> None:
    models = {"A": cases.network(1), "B": cases.network(2)}
    models["A"]["lost"] = np.full((140, 140), np.nan, np.float32)
    page = page_of(tmp_path, models, **options)
    check_closed(page)
    check_accessible(page)
    found = mcodec.report(tmp_path / "x.mc")
    assert page.says(f"{found.file_bytes:,}")
    for part in ("manifest", "rows", "header", "padding"):
        assert page.says(f"{found.parts[part]:,}")
    assert page.says("lost")
    assert page.says("Every tensor of the file is exact") == (not options)
    assert page.says("2 tasks · 17 tensors")


def test_a_page_of_nothing(tmp_path: Path) -> None:
    page = page_of(tmp_path, {"A": {}, "B": {"": np.zeros((0, 3), np.float32)}})
    check_closed(page)
    check_accessible(page)
    assert page.says("no name")


@pytest.mark.parametrize("options", [{}, {"bits": 6}], ids=str)
def test_hostile_names_are_text(tmp_path: Path, options: dict[str, Any]) -> None:
    models = hostile_models()
    words = dict.fromkeys(HOSTILE, "</dd><script>window.hacked=6</script>")
    page = page_of(tmp_path, models, meta=dict.fromkeys(models, words), **options)
    check_closed(page)
    check_accessible(page)
    for shown in HOSTILE.values():
        assert page.says(shown)
    assert page.says("window.hacked=6")
    assert "\u202e" not in page.text
    assert "\0" not in page.text


def test_hostile_file_names_are_text(tmp_path: Path) -> None:
    name = '<img src=x onerror=alert(1)> "\u202e&\udcff.mc'
    path, out = tmp_path / name, tmp_path / "x.html"
    mcodec.pack({"A": cases.network()}, path, jobs=1)
    mcodec.report(path, out)
    page = Page(out.read_text(encoding="utf-8"))
    check_closed(page)
    assert page.says('<img src=x onerror=alert(1)> "\\u202e&\\udcff.mc')


def test_metadata_of_a_source_is_text_and_bounded(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    words = {f"key {index} <b>": "<script>" * 2000 for index in range(100)}
    save_file(cases.network(), tmp_path / "a.safetensors", words)
    mcodec.pack([tmp_path / "a.safetensors"], tmp_path / "x.mc", jobs=1)
    mcodec.report(tmp_path / "x.mc", tmp_path / "x.html")
    text = (tmp_path / "x.html").read_text(encoding="utf-8")
    page = Page(text)
    check_closed(page)
    assert page.says("80, not shown")
    assert len(text) < 100_000


def test_ten_thousand_tensors_give_a_small_page(tmp_path: Path) -> None:
    models = {
        task: {
            f"model.layers.{index}.attention.projection.{part}": np.full(3 + index % 5, seed + 0.1)
            for index in range(2500)
            for part in ("weight", "bias")
        }
        for seed, task in enumerate(("first", "second"))
    }
    page = page_of(tmp_path, models, codec="raw")
    check_closed(page)
    assert (tmp_path / "x.html").stat().st_size < 2_000_000
    assert page.says(f"The {reporttables.TENSORS:,} largest of 10,000 tensors")
    assert page.says(f"The {reportlayers.LAYERS} largest of 2,500 layers")
    assert page.says("2,460 smaller layers together")
    assert len(mcodec.report(tmp_path / "x.mc").to_json()["tensors"]) == 10_000


def test_many_tasks_and_long_names_give_a_small_page(tmp_path: Path) -> None:
    models = {
        f"{index:03}" + "t" * 4000: {"n" * 4000 + f"/{k}": np.full(9, index + k) for k in range(3)}
        for index in range(150)
    }
    page = page_of(tmp_path, models)
    check_closed(page)
    assert page.says("50 tasks more")
    assert page.says("142 tasks more")
    assert (tmp_path / "x.html").stat().st_size < 1_500_000


@given(st.text(), st.integers(3, 40))
def test_plain_text_is_printable_and_bounded(text: str, width: int) -> None:
    shown = reporttext.plain(text, width)
    assert shown.isprintable()
    assert len(shown) <= width
    if text.isprintable() and len(text) <= width:
        assert shown == text
    assert Page(f"<p>{reporttext.name(text, width)}</p>").text == (shown or "no name")
    assert html.unescape(reporttext.attribute(text, width)) == shown
    assert not set('<>"') & set(reporttext.attribute(text, width))


def test_codec_strings_are_shortened_and_kept() -> None:
    long = "delta(values=bfp(bits=9,step=0.0018714866600930691,signs=compact))"
    shown = Page(reporttext.codec(long))
    assert shown.text == "delta(values=bfp(bits=9,step=0.00187,signs=compact))"
    assert shown.tags("code") == [{"title": long}]
    assert Page(reporttext.codec("bfp(bits=12,step=0.5)")).tags("code") == [{}]
    assert Page(reporttext.codec("bfp(step=1.5258789062e-05)")).text == "bfp(step=1.53e-05)"
    assert Page(reporttext.codec("<b>,(")).text == "<b>,("


def test_numbers_have_units() -> None:
    assert [reporttext.size(n) for n in (0, 999, 1000, 999_499, 999_500, 4_210_000)] == [
        "0 B",
        "999 B",
        "1 kB",
        "999 kB",
        "1 MB",
        "4.21 MB",
    ]
    assert reporttext.percent(0, 0) == "-"
    assert reporttext.percent(1, 10_000) == "< 0.1 %"
    assert reporttext.percent(0, 5) == "0.0 %"
    assert [reporttext.error(x) for x in (0.0, 1.23456e-5, None)] == [
        "exact",
        "1.23e-05",
        "not finite",
    ]
    assert reporttext.shape(()) == "scalar"
    assert reporttext.shape((2, 3)) == "2×3"
    assert reporttext.shape(tuple(range(20))) == "0×1×2×3×…×17×18×19"


@given(st.lists(st.floats(0, 1e18), max_size=8))
def test_segments_of_a_bar_lie_side_by_side(values: list[float]) -> None:
    drawn = Page(bar([Segment("c", value, "<x>") for value in values], sum(values), 'a "b"'))
    at = 0.0
    rects = drawn.tags("rect")
    assert len(rects) == sum(value / sum(values) > 0 for value in values if value)
    for rect in rects:
        assert float(rect["x"] or "nan") >= at - 0.5
        at = float(rect["x"] or "nan")
        assert 0 < float(rect["width"] or "nan") <= 1000.01
    assert drawn.tags("svg")[0]["aria-label"] == 'a "b"'


def test_columns_stand_on_the_ground() -> None:
    drawn = Page(histogram([[Segment("a", 3, "x"), Segment("b", 1, "y")], [], []], "says"))
    first, second = drawn.tags("rect")
    assert (first["y"], first["height"]) == ("25", "75")
    assert (second["y"], second["height"]) == ("0", "25")
    assert drawn.tags("svg")[0]["viewbox"] == "0 0 30 100"
    assert Page(histogram([[]], "says")).tags("rect") == []
