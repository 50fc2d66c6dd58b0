"""Text for people: sizes, tables, and names that must not act on a terminal."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcodec.cli import render

ANYTHING = st.text(st.characters(exclude_categories=()))  # lone surrogates too: paths have them


@pytest.mark.parametrize(
    ("count", "text"),
    [
        *((0, "0 B"), (1, "1 B"), (999, "999 B"), (1000, "1 kB"), (1234, "1.23 kB")),
        *((999_499, "999 kB"), (999_999, "1 MB"), (4_210_000, "4.21 MB"), (10**9, "1 GB")),
        *((1 << 62, "4.61e+03 PB"),),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert render.size(count) == text


@given(ANYTHING)
def test_nothing_that_is_printed_acts_on_a_terminal(text: str) -> None:
    shown = render.printable(text)
    assert all(char.isprintable() for char in shown)
    shown.encode()


@given(ANYTHING)
def test_what_can_be_read_is_left_as_it_is(text: str) -> None:
    if text.isprintable():
        assert render.printable(text) == text


def test_escapes() -> None:
    assert render.printable("a\nb\x1b[31m\u202e\0\udcff é 日本") == (
        "a\\nb\\x1b[31m\\u202e\\x00\\udcff é 日本"
    )


@given(ANYTHING, st.integers(3, 50))
def test_long_texts_lose_their_middle(text: str, width: int) -> None:
    whole, short = render.printable(text), render.elide(text, width)
    assert len(short) <= width
    if len(whole) <= width:
        assert short == whole
    elif "…" not in whole:
        head, tail = short.split("…")
        assert whole.startswith(head)
        assert whole.endswith(tail)


def test_tables_are_aligned() -> None:
    assert render.table(["name", "size"], [["a", "1"], ["long name", "12345"]]).splitlines() == [
        "name        size",
        "a              1",
        "long name  12345",
    ]
    assert render.table(["name", "kind", "n"], [["x\n", "y", "1"]], left=2).splitlines() == [
        "name  kind  n",
        "x\\n   y     1",
    ]
    assert render.table(["only"], []) == "only"


def test_json_is_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"é": "日本\n\udcff", "n": None}
    render.emit_json(value)
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out) == value


def test_without_a_terminal_there_is_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with render.progress_bar("working", shown=True) as move:
        move(1, 2)
    assert capsys.readouterr() == ("", "")
