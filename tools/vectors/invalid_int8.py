"""Invalid vectors: the codec `int8`."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from vectors.cases import Invalid
from vectors.crafted import alone, crafted, stored
from vectors.int8 import craft
from vectors.invalid_rows import with_row
from vectors.writer import Draft, Stream

if TYPE_CHECKING:
    from collections.abc import Iterator

BAD = "stream_invalid"


def coded(mode: int) -> Draft:
    """Make a run of 5 codes: a chunk of the scale, then planes (mode 0) or bytes (mode 1)."""
    return alone(craft("float32", [1, 0x82, 0, 0xFF, 64], [1.0], (mode,)))


def scale_cases() -> Iterator[Invalid]:
    """Break scales."""
    for name, text, pattern in (
        ("zero", "a scale of zero", 0),
        ("negative", "a scale below zero", 0xBF800000),
        ("minus-zero", "a scale of -0.0", 0x80000000),
        ("subnormal", "a subnormal scale", 0x007FFFFF),
        ("infinite", "an infinite scale", 0x7F800000),
        ("nan", "a scale that is no number", 0x7FC00000),
    ):
        data = stored(coded(1), 0, struct.pack("<I", pattern))
        yield Invalid(f"int8-scale-{name}", BAD, text, data)
    draft = alone(craft("float32", [1, 2, 3], [1.0, 1.0, 1.0], (1,), scope="axis:0"))
    data = stored(draft, 0, struct.pack("<3f", 1.0, 1.0, 0.0))
    yield Invalid("int8-scale-last", BAD, "the last of three scales is zero", data)


def code_cases() -> Iterator[Invalid]:
    """Break codes."""
    text = "a sign of a zero, as a byte"
    yield Invalid("int8-code", BAD, text, stored(coded(1), 1, b"\1\x80\0\xff\x40"))
    text = "a sign of a zero, in planes"
    yield Invalid("int8-code-plane", BAD, text, stored(coded(0), 1, b"\x0e"))
    for name, index in (("sign", 1), ("magnitude", 8)):
        draft = coded(0)
        tail = bytes([draft.chunks[index].stored[0] | 0x20])
        text = f"a bit behind the last element: {name}"
        yield Invalid(f"int8-tail-{name}", BAD, text, stored(draft, index, tail))
    streams = [Stream("codes", b"\1\1\1\x80\0\0\0\0\1")]
    head = [Stream("scale", struct.pack("<2f", 1, 1))]
    run = crafted({"id": "int8"}, "float32", [[3], [1]], streams, mode=1, head=head)
    text = "a sign of a zero in the gap between two members"
    yield Invalid("int8-code-gap", BAD, text, alone(run).build())
    yield Invalid("int8-mode", "row_invalid", "mode 2", with_row(coded(1), 1, mode=2))
    text = "a code too few"
    yield Invalid("int8-codes-few", "row_length", text, stored(coded(1), 1, b"\1\1\1\1"))


CONFIGS: list[tuple[str, str, dict[str, Any]]] = [
    ("key", "an unknown key", {"axis": 0}),
    ("scope", "an unknown scope", {"scope": "channel"}),
    ("scope-null", "a scope is null", {"scope": None}),
    ("scope-number", "a scope is a number", {"scope": -1}),
    ("block", "a scope of blocks", {"scope": "block:8"}),
    ("axis-text", "an axis without a number", {"scope": "axis:"}),
    ("axis-zeros", "an axis with a leading zero", {"scope": "axis:00"}),
    ("axis-64", "an axis above 63", {"scope": "axis:64"}),
    ("axis-low", "an axis below -64", {"scope": "axis:-65"}),
    ("axis-1", "an axis that a member has not", {"scope": "axis:1"}),
    ("axis-2-low", "the same, from the end", {"scope": "axis:-2"}),
]


def config_cases() -> Iterator[Invalid]:
    """Break configurations."""
    for name, text, config in CONFIGS:
        draft = coded(1)
        draft.manifest["codecs"] = [{"id": "int8", **config}]
        yield Invalid(f"config-int8-{name}", "codec_config", text, draft.build())
    for dtype in ("int8", "float8_e4m3fn", "complex64"):
        draft = coded(1)
        draft.manifest["runs"][0][1] = dtype
        yield Invalid(f"config-int8-of-{dtype}", "codec_config", f"int8 of {dtype}", draft.build())


def cases() -> Iterator[Invalid]:
    """All cases of this module."""
    for group in (scale_cases, code_cases, config_cases):
        yield from group()
