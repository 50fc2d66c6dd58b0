"""Invalid vectors: counted streams (container.md 4) and the codec `csr`."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vectors.cases import Invalid
from vectors.crafted import alone, crafted, stored
from vectors.invalid_rows import with_row
from vectors.models import float_block, plane
from vectors.writer import FILL, RAW, ZSTD, Chunk, Draft, Stream, hand_frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vectors.models import Run

BAD = "stream_invalid"


def counted(streams: list[Stream]) -> list[Stream]:
    """Make the streams of a codec those of values."""
    return [s if s.variable else replace(s, variable=True, counted=True) for s in streams]


def halves(c: int) -> list[Stream]:
    """Give the streams of c float16 values 1.0 that keep 8 bits: signs, exponents, two planes."""
    return counted(float_block("float16", [0x3C00] * c, 2))


def sparse(
    n: int, places: list[int], values: list[Stream] | None = None, members: list[int] | None = None
) -> Run:
    """Make a float16 run of n elements, with 1.0 at some places, under a mask."""
    mask = Stream("mask", plane([int(i in places) for i in range(n)], 0))
    config = {"id": "csr", "values": {"id": "float", "keep": 8}}
    shapes = [[m] for m in members or [n]]
    return crafted(config, "float16", shapes, [mask, *(values or halves(len(places)))])


def gaps(
    n: int, k: int, high: bytes, low: list[int], c: int, members: list[int] | None = None
) -> Run:
    """Make the same with gaps of k low bits; `low` are the low bits as numbers."""
    streams = [Stream("gap", high, variable=True)]
    planes = [Stream(f"gap.low.{j}", plane(low, j)) for j in range(k - 1, -1, -1)]
    config = {"id": "csr", "values": {"id": "float", "keep": 8}}
    shapes = [[m] for m in members or [n]]
    streams += counted(planes) + halves(c)
    return crafted(config, "float16", shapes, streams, mode=16 * (1 + k))


def length_cases() -> Iterator[Invalid]:
    """Give counted streams other lengths than they have."""
    places = [1, 4, 5, 9, 10, 11, 12, 13, 17]  # 9 of 24: 2 bytes a plane, of at most 3
    for name, text, data in (
        ("short", "a byte less than is counted", b"\0"),
        ("long", "a byte more than is counted", b"\0\0\0"),
    ):
        yield Invalid(f"counted-{name}", BAD, text, stored(alone(sparse(24, places)), 1, data))
    text = "more bytes than all elements need"
    data = stored(alone(sparse(24, places)), 1, bytes(4))
    yield Invalid("counted-most", "row_length", text, data)
    for name, text, more in (
        ("shared-short", "a shared chunk with a byte too few", -1),
        ("shared-long", "a shared chunk with a byte too many", 1),
    ):
        draft = alone(sparse(24, places), share=True)
        content = draft.chunks[0].stored
        content = content + bytes(more) if more > 0 else content[:more]
        yield Invalid(f"counted-{name}", BAD, text, stored(draft, 0, content))
    draft = alone(sparse(24, places), share=True)
    most = 3 + 3 + 24 + 3 + 3 + 64 * 4
    text = "more than all elements and staggers need"
    yield Invalid("counted-shared-most", "row_length", text, stored(draft, 0, bytes(most + 1)))
    text = "as many bytes as all elements and staggers need"
    draft = alone(sparse(24, places), share=True)
    content = draft.chunks[0].stored
    content += bytes(most - len(content))
    yield Invalid("counted-shared-all", BAD, text, stored(draft, 0, content))
    draft = alone(sparse(24, places), share=True)
    draft.chunks[0] = replace(
        draft.chunks[0], coder=ZSTD, stored=hand_frame(draft.chunks[0].stored)
    )
    text = "counted streams together in a zstd chunk"
    yield Invalid("counted-zstd", "row_length", text, draft.build())
    for name, code, text, length in (
        ("fill", BAD, "a fill chunk with a byte too many", 2 + 2 + 1),
        ("fill-most", "row_length", "a fill chunk above all elements, which has no staggers", 7),
    ):
        draft = alone(sparse(24, places))
        draft.chunks[3:] = [Chunk(FILL, length, b"", 3, 2)]
        draft.order = None
        yield Invalid(f"counted-{name}", code, text, draft.build())


def stagger_cases() -> Iterator[Invalid]:
    """Break staggers that only the count shows."""
    n, c = 4100, 4096
    draft = alone(gaps(n, 4, bytes(c), [0] * c, c), share=True)
    content = draft.chunks[1].stored
    begin = 5 * 512 + 4096  # behind four planes of gaps, the signs and the exponents
    assert len(content) == begin + 64 + 2 * 512
    for name, text, data in (
        ("set", "a stagger of a counted stream that is not zero", b"\0" * 63 + b"\1"),
        ("none", "a stagger of a counted stream that is not there", b""),
    ):
        changed = content[:begin] + data + content[begin + 64 :]
        yield Invalid(f"counted-stagger-{name}", BAD, text, stored(draft, 1, changed))
    draft = alone(gaps(n, 4, bytes(c - 1), [0] * (c - 1), c - 1), share=True)
    content = draft.chunks[1].stored
    begin -= 1
    text = "a stagger where the count is no multiple of 4,096"
    changed = content[:begin] + bytes(64) + content[begin:]
    yield Invalid("counted-stagger-more", BAD, text, stored(draft, 1, changed))


def position_cases() -> Iterator[Invalid]:
    """Put elements where none can be."""
    draft = alone(sparse(11, [0, 2]))
    text = "a bit behind the last element"
    yield Invalid("csr-mask-tail", BAD, text, stored(draft, 0, b"\1\x08"))
    yield Invalid(
        "csr-mask-gap",
        BAD,
        "an element between two members",
        alone(sparse(11, [0, 3], members=[3, 3])).build(),
    )
    highs: list[tuple[str, str, int, int, bytes, list[int]]] = [
        ("end", "a gap that does not end", 19, 0, b"\2\xff", []),
        ("end-alone", "nothing but a gap that does not end", 19, 0, b"\xff", []),
        ("n", "the position n", 19, 0, b"\2\x10", []),
        ("far", "a position far behind the block", 20, 8, b"\xff" * 19 + b"\xfe", [255]),
        ("low", "a position behind the block by its low bits", 19, 2, b"\4", [3]),
        ("first", "the first position behind, the others too", 20, 0, b"\x14\0\0", []),
    ]
    for name, text, n, k, high, low in highs:
        c = sum(b != 255 for b in high)
        yield Invalid(f"csr-gap-{name}", BAD, text, alone(gaps(n, k, high, low, c)).build())
    draft = alone(gaps(11, 0, b"\0\4", [], 2, [3, 3]))
    yield Invalid("csr-gap-member", BAD, "an element between two members", draft.build())
    draft = alone(gaps(19, 1, b"\1\2", [0, 1], 2))
    yield Invalid("csr-low-tail", BAD, "a bit behind the last low bit", stored(draft, 1, b"\6"))
    yield Invalid("csr-low-long", BAD, "more low bits than gaps", stored(draft, 1, b"\2\0"))
    yield Invalid("csr-low-none", BAD, "no low bits", stored(draft, 1, b""))
    draft = alone(gaps(19, 0, b"", [], 0))
    yield Invalid("csr-none-signs", BAD, "a sign where no element is", stored(draft, 1, b"\0"))
    text = "more bytes of gaps than elements"
    yield Invalid("csr-gap-most", "row_length", text, alone(gaps(3, 0, b"\0" * 4, [], 4)).build())
    draft = alone(gaps(19, 1, b"\1\2", [0, 1], 2))
    first, second = draft.chunks[:2]
    joined = Chunk(RAW, 3, first.stored + second.stored, 0, 2, mode=first.mode)
    draft.chunks[:2] = [joined]
    draft.order = None
    yield Invalid("csr-gap-shared", "row_length", "gaps and low bits in one chunk", draft.build())


def value_cases() -> Iterator[Invalid]:
    """Break the streams of the values, each by a rule of its own page."""
    draft = alone(sparse(11, [0, 3, 4]))
    yield Invalid("csr-sign-tail", BAD, "a bit behind the last sign", stored(draft, 1, b"\x08"))
    draft = alone(sparse(11, [0, 3, 4]))
    text = "a bit above the exponent"
    yield Invalid("csr-exponent", BAD, text, stored(draft, 2, b"\x0f\x0f\x2f"))
    draft = alone(sparse(11, [0, 3, 4]))
    yield Invalid("csr-plane-tail", BAD, "a bit behind the last value", stored(draft, 4, b"\x80"))
    mask = Stream("mask", b"\x09")
    nested: list[tuple[str, str, dict[str, Any], list[Stream], list[Stream]]] = [
        (
            "bfp-exponent",
            "an exponent outside of the dtype, of a scope without elements",
            {"id": "bfp", "bits": 1, "scope": "axis:0"},
            [Stream("exponent", struct.pack("<4h", 1, 129, 1, 1))],
            [Stream("sign", b"\0"), Stream("mantissa.0", b"\3")],
        ),
        (
            "bfp-compact",
            "compact signs of more values than there are",
            {"id": "bfp", "bits": 1, "signs": "compact"},
            [Stream("exponent", struct.pack("<h", 1))],
            [Stream("sign", b"", variable=True), Stream("mantissa.0", b"\3")],
        ),
        (
            "int8-scale",
            "a scale of zero",
            {"id": "int8"},
            [Stream("scale", bytes(4))],
            [Stream("sign", b"\0"), *(Stream(f"magnitude.{k}", b"\3") for k in range(6, -1, -1))],
        ),
        (
            "int8-code",
            "a sign of a zero",
            {"id": "int8"},
            [Stream("scale", struct.pack("<f", 1))],
            [Stream("sign", b"\1"), *(Stream(f"magnitude.{k}", b"\2") for k in range(6, -1, -1))],
        ),
    ]
    for name, text, values, head, streams in nested:
        config = {"id": "csr", "values": values}
        run = crafted(config, "float32", [[4]], [mask, *counted(streams)], head=head)
        yield Invalid(f"csr-{name}", BAD, text, alone(run).build())


def mode_cases() -> Iterator[Invalid]:
    """Use modes that are not there."""
    bad = "row_invalid"
    for name, text, mode in (
        ("values", "a mode that the values have not", 15),
        ("form", "a form that is not there", 160),
        ("most", "mode 255", 255),
    ):
        draft = alone(sparse(11, [0, 2]), share=True)
        yield Invalid(f"csr-mode-{name}", bad, text, with_row(draft, 0, mode=mode))


CONFIGS: list[tuple[str, str, dict[str, Any]]] = [
    ("key", "an unknown key", {"value": {"id": "float"}}),
    ("values-raw", "values in raw", {"values": {"id": "raw"}}),
    ("values-csr", "values in csr", {"values": {"id": "csr"}}),
    ("values-delta", "values in delta", {"values": {"id": "delta"}}),
    ("values-unknown", "values in an unknown codec", {"values": {"id": "none"}}),
    ("values-text", "values are a string", {"values": "float"}),
    ("values-null", "values are null", {"values": None}),
    ("values-id", "values without an id", {"values": {}}),
    ("values-id-list", "an id is a list", {"values": {"id": ["float"]}}),
    ("values-key", "an unknown key of the values", {"values": {"id": "float", "bits": 8}}),
    ("values-keep", "more bits kept than float16 has", {"values": {"id": "float", "keep": 17}}),
    ("values-axis", "an axis that a member has not", {"values": {"id": "int8", "scope": "axis:2"}}),
    (
        "values-block",
        "values under scopes of blocks",
        {"values": {"id": "bfp", "bits": 8, "scope": "block:8"}},
    ),
    ("split-65", "a split above 64", {"split": 65}),
    ("split-low", "a split below -64", {"split": -65}),
    ("split-3", "a split of more dimensions than a member has", {"split": 3}),
    ("split-3-low", "the same, from the end", {"split": -3}),
    ("split-true", "true is no integer", {"split": True}),
    ("split-null", "null is no integer", {"split": None}),
    ("split-fraction", "1.0 is no integer", {"split": 1.0}),
]


def configured(config: dict[str, Any], dtype: str = "float16") -> Draft:
    """Make a run of two dimensions and one of one, without elements."""
    draft = alone(crafted({"id": "csr"}, "float16", [[2, 0], [0]], []))
    draft.manifest["codecs"] = [{"id": "csr", **config}]
    draft.manifest["runs"][0][1] = dtype
    return draft


def config_cases() -> Iterator[Invalid]:
    """Break configurations."""
    for name, text, config in CONFIGS:
        yield Invalid(f"config-csr-{name}", "codec_config", text, configured(config).build())
    for dtype in ("int32", "complex64"):
        text = f"csr of {dtype}"
        yield Invalid(f"config-csr-{dtype}", "codec_config", text, configured({}, dtype).build())


def cases() -> Iterator[Invalid]:
    """All cases of this module."""
    groups = (length_cases, stagger_cases, position_cases, value_cases, mode_cases, config_cases)
    for group in groups:
        yield from group()
