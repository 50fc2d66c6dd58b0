"""Invalid vectors: the codecs that stand on other runs, `delta` and `mask`."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from vectors.cases import Invalid
from vectors.crafted import alone, crafted, pinned, stored
from vectors.invalid_rows import with_row
from vectors.models import pattern_of, plane, raw, to_bytes
from vectors.writer import RAW, Chunk, Draft, Stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vectors.models import Run

BAD = "stream_invalid"
BASE = [0x3C00, 0x3800, 0x3C00, 0x3800, 0]  # float16: exponent fields 15, 14, 15, 14, 0
WIDTH = 16


def below(dtype: str = "float16", values: list[int] | None = None, width: int = WIDTH) -> Run:
    """Make a base."""
    patterns = BASE if values is None else values
    return raw(dtype, width // 8, [([len(patterns)], to_bytes(patterns, width))])


def delta(lengths: list[bytes], mode: int = 0) -> Run:
    """Make a delta of 5 elements whose L are `lengths`, class by class; all other bits are zero."""
    each = b"".join(lengths)
    streams = [Stream(f"length.{i}", part, variable=True) for i, part in enumerate(lengths)]
    for k in range(WIDTH - 2, -1, -1):
        count = sum(length > k + 1 for length in each)
        streams.append(Stream(f"low.{k}", plane([0] * count, 0), variable=True, counted=True))
    count = sum(length > 0 for length in each)
    streams.append(Stream("sign", plane([0] * count, 0), variable=True, counted=True))
    return crafted({"id": "delta"}, "float16", [[5]], streams, mode=mode, roles=[[(0, 0)]])


def delta_cases() -> Iterator[Invalid]:
    """Break the streams of a lossless delta."""
    good = b"\0\1\2\3\2"
    for name, text, length in (
        ("above", "an L of W + 1", b"\0\1\2\x11\2"),
        ("few", "an L too few", good[:4]),
        ("none", "no L", b""),
    ):
        yield Invalid(f"delta-length-{name}", BAD, text, alone(delta([length]), below()).build())
    text = "more L than elements"
    draft = alone(delta([bytes(6)]), below())
    yield Invalid("delta-length-most", "row_length", text, draft.build())
    for name, text, lengths, mode in (
        ("other", "as many L as elements, but of other classes", [good[:3], good[3:]], 1),
        ("all", "all L in the last class", [b"", good], 1),
        ("few", "an L too few in two classes", [good[:2], good[2:4]], 1),
        ("many", "an L too many in two classes", [good[:3], good[2:]], 1),
        (
            "sixteen",
            "a class of 16 that the base has not",
            [good[:2], good[2:4], *[b""] * 12, good[4:], b""],
            4,
        ),
    ):
        draft = alone(delta(lengths, mode), below())
        yield Invalid(f"delta-class-{name}", BAD, text, draft.build())
    for name, text, index, data in (
        ("low-tail", "a bit behind the last one of a packed plane", -2, b"\x08"),
        ("sign-tail", "a bit behind the last sign", -1, b"\x10"),
        ("low-long", "a packed plane where no element has that bit", -4, b"\0"),
        ("low-none", "a packed plane that is not there", -2, b""),
    ):
        draft = alone(delta([good]), below())
        at = len(draft.chunks) + index
        yield Invalid(f"delta-{name}", BAD, text, stored(draft, at, data))
    draft = alone(delta([good]), below(), share=True)
    text = "a byte too many behind the signs"
    more = draft.chunks[-1].stored + b"\0"
    yield Invalid("delta-shared-long", BAD, text, stored(draft, len(draft.chunks) - 1, more))
    draft = alone(delta([good]), below())
    first, second = draft.chunks[1:3]
    joined = Chunk(RAW, first.raw + second.raw, first.stored + second.stored, 0, 2)
    draft.chunks[1:3] = [joined]
    draft.order = None
    text = "lengths in a chunk with what they count"
    yield Invalid("delta-length-shared", "row_length", text, draft.build())
    draft = alone(delta([good]), below())
    text = "mode 5"
    yield Invalid("delta-mode", "row_invalid", text, with_row(draft, 1, mode=5))


def residual(base: list[int], e: int, dtype: str = "float32", width: int = 32) -> Draft:
    """Make a residual of one bit, 2^(e-1), over a base."""
    n = len(base)
    streams = [Stream("sign", bytes(-(-n // 8))), Stream("mantissa.0", plane([1] * n, 0))]
    config = {"id": "delta", "values": {"id": "bfp", "bits": 1}}
    head = [Stream("exponent", struct.pack("<h", e))]
    run = crafted(config, dtype, [[n]], streams, head=head, roles=[[(0, 0)]])
    return alone(run, below(dtype, base, width))


def residual_cases() -> Iterator[Invalid]:
    """Break residuals."""
    one = pattern_of("float32", 1.0)
    for name, text, pattern in (
        ("infinite", "a base that is infinite", 0xFF800000),
        ("nan", "a base that is no number", 0x7F800001),
    ):
        draft = residual([one, pattern], 1)
        yield Invalid(f"delta-base-{name}", BAD, text, draft.build())
    draft = residual([0x3C00, 0x7C00], 1, "float16", 16)
    yield Invalid("delta-base-float16", BAD, "the same in float16", draft.build())
    for e in (-149, 129):
        text = "an exponent outside of float32"
        yield Invalid(f"delta-e{e:+}", BAD, text, residual([one], e).build())
    text = "an exponent that float64 has, in a residual of bfloat16"
    draft = residual([0x3F80], -149, "bfloat16", 16)
    yield Invalid("delta-e-bfloat16", BAD, text, draft.build())
    draft = residual([one], 1)
    yield Invalid("delta-sign-values", BAD, "a bit behind the last sign", stored(draft, 2, b"\2"))


DELTAS: list[tuple[str, str, dict[str, Any], str]] = [
    ("key", "an unknown key", {"base": 0}, "float32"),
    ("values-float", "values in float", {"values": {"id": "float"}}, "float32"),
    ("values-unknown", "values in an unknown codec", {"values": {"id": "none"}}, "float32"),
    ("values-id", "values without an id", {"values": {"bits": 8}}, "float32"),
    ("values-null", "values are null", {"values": None}, "float32"),
    ("values-text", "values are a string", {"values": "bfp"}, "float32"),
    (
        "values-key",
        "an unknown key of the values",
        {"values": {"id": "bfp", "bits": 8, "x": 0}},
        "float32",
    ),
    ("values-bits", "values of no bits", {"values": {"id": "bfp", "bits": 0}}, "float32"),
    (
        "values-axis",
        "an axis that a member has not",
        {"values": {"id": "bfp", "bits": 8, "scope": "axis:1"}},
        "float32",
    ),
    ("values-float64", "a residual of float64", {"values": {"id": "bfp", "bits": 8}}, "float64"),
    ("int32", "delta of int32", {}, "int32"),
    ("complex64", "delta of complex64", {}, "complex64"),
]
MASKS: list[tuple[str, str, dict[str, Any], str]] = [
    ("key", "an unknown key", {"base": 0}, "float32"),
    ("owner-0", "owner 0 is nobody", {"owner": 0}, "float32"),
    ("owner-256", "an owner above 255", {"owner": 256}, "float32"),
    ("owner-true", "true is no integer", {"owner": True}, "float32"),
    ("owner-null", "null is no integer", {"owner": None}, "float32"),
    ("owner-fraction", "1.0 is no integer", {"owner": 1.0}, "float32"),
    ("zero", "an unknown zero", {"zero": "minus"}, "float32"),
    ("zero-null", "zero is null", {"zero": None}, "float32"),
    ("signed-int", "signed zeros of int32", {"zero": "signed"}, "int32"),
    ("signed-complex", "signed zeros of complex64", {"zero": "signed"}, "complex64"),
    ("signed-float8", "signed zeros of float8", {"zero": "signed"}, "float8_e5m2"),
    ("v3", "elements of 3 bytes", {}, "V3"),
    ("complex128", "elements of 16 bytes", {}, "complex128"),
]


def configured(codec: str, config: dict[str, Any], dtype: str) -> Draft:
    """Make a run of no elements on another."""
    run = crafted({"id": codec}, "float32", [[0]], [], roles=[[(0, 0)]])
    draft = alone(run, raw("float32", 4, [([0], b"")]))
    draft.manifest["codecs"][1] |= config
    for item in draft.manifest["runs"]:
        item[1] = dtype
    return pinned(draft, 1)


def config_cases() -> Iterator[Invalid]:
    """Break configurations."""
    for codec, table in (("delta", DELTAS), ("mask", MASKS)):
        for name, text, config, dtype in table:
            data = configured(codec, config, dtype).build()
            yield Invalid(f"config-{codec}-{name}", "codec_config", text, data)


def mask_cases() -> Iterator[Invalid]:
    """Break the stream of a mask."""
    streams = [Stream("mask", b"\x15")]
    run = crafted({"id": "mask"}, "float16", [[5]], streams, roles=[[(0, 0)]])
    draft = alone(run, below())
    yield Invalid("mask-tail", BAD, "a bit behind the last element", stored(draft, 1, b"\x35"))
    draft = alone(run, below())
    yield Invalid("mask-mode", "row_invalid", "mode 1", with_row(draft, 1, mode=1))
    owners = raw("uint8", 1, [([5], bytes([0, 1, 2, 1, 0]))])
    roles = [[(0, 0)], [(1, 0)]]
    run = crafted({"id": "mask", "owner": 1}, "float16", [[5]], streams, roles=roles)
    text = "a row of a block of no streams"
    yield Invalid("mask-owner-row", "row_order", text, alone(run, below(), owners).build())


def cases() -> Iterator[Invalid]:
    """All cases of this module."""
    for group in (delta_cases, residual_cases, mask_cases, config_cases):
        yield from group()
