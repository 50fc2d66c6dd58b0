"""Invalid vectors: rows and the places of chunks (rule 13)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vectors.bfp import bfp
from vectors.cases import Invalid
from vectors.family import Family
from vectors.invalid_front import plain
from vectors.models import float_, raw
from vectors.valid_bfp import weights
from vectors.valid_container import long_planes
from vectors.writer import FILL, ZSTD, Chunk, Draft, hand_frame

if TYPE_CHECKING:
    from collections.abc import Iterator

PATTERNS = weights("float32", 11, "rows")


def separate() -> Draft:
    """Make a float32 run of 11 elements, a raw chunk for each of its 25 streams."""
    family = Family(coding="raw", share=False)
    return family.task("A", {"w": float_("float32", [([11], PATTERNS)])}).draft()


def filled() -> Draft:
    """Make a raw tensor of equal bytes: one fill chunk."""
    return Family().task("A", {"w": raw("uint8", 1, [([9], b"7" * 9)])}).draft()


def zipped() -> Draft:
    """Make a raw tensor in one zstd chunk."""
    family = Family(coding="zstd")
    return family.task("A", {"w": raw("uint8", 1, [([96], b"abcdefgh" * 12)])}).draft()


def blocks(**config: Any) -> Draft:
    """Make a bfp run of 19 elements, a raw chunk for each stream."""
    family = Family(coding="raw", share=False)
    run = bfp("float32", [([19], weights("float32", 19, "rows"))], bits=9, **config)
    return family.task("A", {"w": run}).draft()


def large() -> Draft:
    """Make a raw tensor whose chunk has 4,096 bytes."""
    family = Family(coding="raw")
    return family.task("A", {"w": raw("uint8", 1, [([4096], bytes(range(256)) * 16)])}).draft()


def with_row(draft: Draft, index: int, **fields: Any) -> bytes:
    """Build a draft with fields of one row replaced."""
    draft.chunks[index].row = fields
    return draft.build()


def row_cases() -> Iterator[Invalid]:
    """Reserved values, and what the coders demand."""
    bad = "row_invalid"
    yield Invalid("row-coder", bad, "an unknown coder", with_row(plain(), 0, coder=3))
    yield Invalid("row-fill", bad, "a fill byte without fill", with_row(plain(), 0, fill=1))
    yield Invalid("row-reserved", bad, "reserved bytes", with_row(plain(), 0, reserved=b"\0\0\1"))
    yield Invalid("row-raw-stored", bad, "raw: Stored is not Raw", with_row(plain(), 0, stored=2))
    yield Invalid("row-zstd-empty", bad, "zstd: nothing stored", with_row(zipped(), 0, stored=0))
    yield Invalid("row-fill-stored", bad, "fill: bytes stored", with_row(filled(), 0, stored=8))
    yield Invalid(
        "row-fill-hash", bad, "fill: not the hash of no bytes", with_row(filled(), 0, hash=0)
    )
    yield Invalid("row-fill-offset", bad, "fill: an offset", with_row(filled(), 0, offset=64))
    yield Invalid("row-streams-0", bad, "a chunk of no streams", with_row(plain(), 0, streams=0))
    yield Invalid("row-mode", bad, "a mode that the codec has not", with_row(plain(), 0, mode=1))
    draft = blocks()
    yield Invalid("row-mode-head", bad, "a head chunk of mode 1", with_row(draft, 0, mode=1))
    yield Invalid("row-mode-two", bad, "two modes in a block", with_row(blocks(), 4, mode=1))
    yield Invalid("row-mode-2", bad, "bfp has modes 0 and 1", with_row(blocks(), 1, mode=2))
    for dtype, keep, mode, text in (
        ("float16", None, 2, "float16 has one mode of symbols"),
        ("float64", None, 1, "float64 has no mode of symbols"),
        ("float32", 10, 1, "symbols need two mantissa bits"),
        ("bfloat16", None, 16, "bfloat16 has 15 modes of symbols"),
    ):
        family = Family(coding="raw").task("A", {"w": float_(dtype, [([2], [0, 0])], keep)})
        made = with_row(family.draft(), 0, mode=mode)
        yield Invalid(f"row-mode-{dtype}", bad, text, made)
    draft = Family(coding="raw").task("A", {"w": float_("float32", [([11], PATTERNS)])}).draft()
    shared = draft.chunks[0]
    draft.chunks[0] = replace(shared, coder=ZSTD, stored=hand_frame(shared.stored))
    text = "several streams in a zstd chunk"
    yield Invalid("row-zstd-several", "row_length", text, draft.build())
    draft = filled()
    draft.chunks[0].raw = 2**26 + 1
    yield Invalid("row-raw-long", "limit_exceeded", "a Raw above 64 MiB", draft.build())


def nothing() -> Draft:
    """Make a bfp run of zeros whose compact signs, chunk 1, store no bytes."""
    family = Family(coding="raw", share=False)
    run = bfp("float32", [([9], [0] * 9)], bits=1, signs="compact")
    return family.task("A", {"w": run}).draft()


def order_cases() -> Iterator[Invalid]:
    """Rows against the streams."""
    bad = "row_order"
    yield Invalid("row-first", bad, "the first stream is not 0", with_row(plain(), 0, first=1))
    yield Invalid("row-gap", bad, "a stream is left out", with_row(separate(), 2, first=3))
    yield Invalid("row-again", bad, "a stream again", with_row(separate(), 2, first=1))
    yield Invalid("row-past", bad, "more streams than there are", with_row(plain(), 0, streams=2))
    draft = separate()
    draft.chunks.pop()
    draft.order = None
    yield Invalid("row-missing", bad, "the last row is missing", draft.build())
    draft = filled()
    draft.chunks *= 2
    draft.order = None
    yield Invalid("row-left", bad, "a row is left over", draft.build())
    draft = Family().task("A", {"w": raw("uint8", 1, [([0], b"")])}).draft()
    draft.chunks = [Chunk(FILL, 0, b"", 0, 1)]
    draft.order = None
    yield Invalid("row-of-nothing", bad, "a row of a run of no elements", draft.build())
    draft = blocks(signs="compact")
    sign, plane = draft.chunks[1:3]
    both = replace(sign, raw=sign.raw + plane.raw, stored=sign.stored + plane.stored, streams=2)
    draft.chunks[1:3] = [both]
    draft.order = None
    yield Invalid(
        "row-variable", "row_length", "a variable stream that is not alone", draft.build()
    )


def length_cases() -> Iterator[Invalid]:
    """Raw against the streams, and places in the file."""
    bad = "row_length"
    draft = plain()
    draft.chunks[0] = replace(draft.chunks[0], raw=4, stored=b"\1\2\xff\0")
    yield Invalid("length-more", bad, "a byte too many", draft.build())
    draft = filled()
    draft.chunks[0].raw -= 1
    yield Invalid("length-less", bad, "a byte too few", draft.build())
    draft = blocks(signs="compact")
    draft.chunks[1] = replace(draft.chunks[1], raw=4, stored=bytes(4))
    yield Invalid("length-variable", bad, "more compact signs than elements", draft.build())
    draft = Family(coding="raw").task("A", {"w": long_planes()}).draft()
    whole = draft.chunks[1]
    stored = whole.stored[: 6 * 4096] + whole.stored[6 * 4096 + 64 :]
    draft.chunks[1] = replace(whole, raw=len(stored), stored=stored)
    yield Invalid("length-stagger", bad, "a stagger is missing", draft.build())
    bad = "row_bounds"
    draft = plain()
    draft.spaces = {0: 1}
    end = len(draft.build())
    yield Invalid("bounds-8", bad, "not at a multiple of 8", with_row(plain(), 0, offset=end - 4))
    draft = large()
    draft.spaces = {0: 64}
    place = len(draft.build()) - 4096
    yield Invalid(
        "bounds-64",
        bad,
        "4,096 bytes not at a multiple of 64",
        with_row(draft, 0, offset=place - 8),
    )
    place = -(-end // 8) * 8
    yield Invalid("bounds-end", bad, "behind the file's end", with_row(plain(), 0, offset=place))
    far = 2**64 - 8
    yield Invalid("bounds-far", bad, "near 2^64", with_row(plain(), 0, offset=far))
    yield Invalid("bounds-header", bad, "a chunk in the header", with_row(plain(), 0, offset=8))
    text = "an offset of no bytes"
    yield Invalid("bounds-nothing", bad, text, with_row(nothing(), 1, offset=64))


def overlap_cases() -> Iterator[Invalid]:
    """Chunks over one another, the front and the header."""
    bad = "row_overlap"
    yield Invalid("overlap-front", bad, "a chunk in the front", with_row(plain(), 0, offset=64))
    draft = separate()
    first = len(draft.build()) - len(draft.placed(0)[1])
    yield Invalid("overlap-same", bad, "two rows of one place", with_row(draft, 2, offset=first))
    draft = separate()
    longer = with_row(draft, 2, offset=first + 8)
    yield Invalid("overlap-part", bad, "a chunk in the end of another", longer)


def cases() -> Iterator[Invalid]:
    """All cases of this module."""
    for group in (row_cases, order_cases, length_cases, overlap_cases):
        yield from group()
