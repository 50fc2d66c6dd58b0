"""Headers read at a glance, and rule by rule: the two accept the same, and give the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcodec.errors import FormatError
from mcodec.formats import safetensors_header
from mcodec.formats.safetensors_header import Header, parse_header

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = {"F32": 4, "F64": 8, "I8": 1, "BF16": 2, "BOOL": 1, "F8_E5M2": 1, "F4": 0}
NAMES = st.text(max_size=6) | st.sampled_from(
    ["dtype", "shape", "data_offsets", "__metadata__", 'a"b', "a\\b", "é", "layer.0/w"]
)
SHAPES = st.lists(st.integers(0, 5), max_size=3)


@st.composite
def headers(draw: st.DrawFn) -> bytes:
    """Draw a header: mostly good, sometimes with a fault."""
    entries: dict[str, Any] = {}
    if draw(st.booleans()):
        entries["__metadata__"] = draw(st.dictionaries(st.text(max_size=4), st.text(max_size=4)))
    at = 0
    for name in draw(st.lists(NAMES, max_size=5, unique=True)):
        tag, shape = draw(st.sampled_from(list(SIZES))), draw(SHAPES)
        size = SIZES[tag]
        for side in shape:
            size *= side
        entries[name] = {"dtype": tag, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(entries, ensure_ascii=draw(st.booleans()))
    fault: Callable[[str], str] = draw(st.sampled_from(FAULTS))
    return fault(text).encode("utf-8", "surrogatepass")


FAULTS = [
    lambda text: text,
    lambda text: text + " " * 7,
    lambda text: text.replace("[0", "[-1", 1),
    lambda text: text.replace("[0, ", "[0.0, ", 1),
    lambda text: text.replace("[0, ", "[0, 0, ", 1),
    lambda text: text.replace('"F32"', '"F31"', 1),
    lambda text: text.replace('"dtype"', '"\\u0064type"', 1),
    lambda text: text.replace('{"dtype": "F32"', '{"dtype": "F32", "dtype": "F32"', 1),
    lambda text: text.replace('{"dtype": "F32"', '{"dtype": "F32", "more": 1', 1),
    lambda text: text[:-1] + ', "twice": {"dtype": "I8", "shape": [0], "data_offsets": [0, 0]}}',
    lambda text: text[:-1] + "," + text[1:],
    lambda text: text[:-1],
    lambda text: text + "x",
]


def slowly(data: bytes, patch: pytest.MonkeyPatch) -> Header:
    with patch.context() as context:
        context.setattr(safetensors_header, "read_plain", lambda data, json: None)
        return safetensors_header._parse(data)


def outcome(read: Any, *arguments: Any) -> Any:
    try:
        return read(*arguments)
    except FormatError as error:
        return error.code, str(error)


@given(data=headers())
def test_both_ways_agree(data: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        assert outcome(parse_header, data) == outcome(slowly, data, patch)


def test_most_headers_are_read_at_a_glance(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
    for words in ({}, {"__metadata__": {"format": "pt", "note": 'a "quoted" \\ word'}}):
        data = json.dumps({**words, "w": entry}).encode()
        whole = parse_header(data + b" ")
        monkeypatch.setattr(safetensors_header._JSON, "read", None)
        assert parse_header(data) == whole
        monkeypatch.undo()
