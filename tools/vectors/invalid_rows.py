"""Invalid vectors: rows, chunks, streams, padding and digests (rule 13 and what follows)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vectors.bfp import bfp, craft
from vectors.cases import Invalid
from vectors.family import Family
from vectors.invalid_front import bad_frames, plain
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


def blocks(**config: Any) -> Draft:  # noqa: ANN401
    """Make a bfp run of 19 elements, a raw chunk for each stream."""
    family = Family(coding="raw", share=False)
    run = bfp("float32", [([19], weights("float32", 19, "rows"))], bits=9, **config)
    return family.task("A", {"w": run}).draft()


def large() -> Draft:
    """Make a raw tensor whose chunk has 4,096 bytes."""
    family = Family(coding="raw")
    return family.task("A", {"w": raw("uint8", 1, [([4096], bytes(range(256)) * 16)])}).draft()


def with_row(draft: Draft, index: int, **fields: Any) -> bytes:  # noqa: ANN401
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
    yield Invalid("row-streams-0", bad, "a chunk of no streams", with_row(plain(), 0, streams=0))
    yield Invalid("row-mode", bad, "a mode that the codec has not", with_row(plain(), 0, mode=1))
    draft = blocks()
    yield Invalid("row-mode-head", bad, "a head chunk of mode 1", with_row(draft, 0, mode=1))
    yield Invalid("row-mode-two", bad, "two modes in a block", with_row(blocks(), 4, mode=1))
    yield Invalid("row-mode-2", bad, "bfp has modes 0 and 1", with_row(blocks(), 1, mode=2))
    draft = Family(coding="raw").task("A", {"w": float_("float32", [([11], PATTERNS)])}).draft()
    shared = draft.chunks[0]
    frame = hand_frame(shared.stored)
    draft.chunks[0] = replace(shared, coder=ZSTD, stored=frame)
    yield Invalid("row-zstd-several", bad, "several streams in a zstd chunk", draft.build())
    draft = filled()
    draft.chunks[0].raw = 2**26 + 1
    yield Invalid("row-raw-long", "limit_exceeded", "a Raw above 64 MiB", draft.build())


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
    yield Invalid("row-variable", bad, "a variable stream that is not alone", draft.build())


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
    stored = whole.stored[:4096] + whole.stored[4096 + 64 :]
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
    yield Invalid("bounds-fill", bad, "fill: an offset", with_row(filled(), 0, offset=64))


def overlap_cases() -> Iterator[Invalid]:
    """Chunks over one another, the front and the header."""
    bad = "row_overlap"
    yield Invalid("overlap-front", bad, "a chunk in the front", with_row(plain(), 0, offset=64))
    yield Invalid("overlap-header", bad, "a chunk in the header", with_row(plain(), 0, offset=8))
    draft = separate()
    first = len(draft.build()) - len(draft.placed(0)[1])
    yield Invalid("overlap-same", bad, "two rows of one place", with_row(draft, 2, offset=first))
    draft = separate()
    longer = with_row(draft, 2, offset=first + 8)
    yield Invalid("overlap-part", bad, "a chunk in the end of another", longer)


def chunk_cases() -> Iterator[Invalid]:
    """Break chunks: found when they are read."""
    yield Invalid("chunk-hash", "chunk_checksum", "a wrong hash", with_row(plain(), 0, hash=0))
    draft = plain()
    draft.patches = [(len(draft.build()) - 1, b"\xfe")]
    yield Invalid("chunk-changed", "chunk_checksum", "a changed byte", draft.build())
    for name, (text, frame) in bad_frames(b"abcdefgh" * 12).items():
        draft = zipped()
        draft.chunks[0].stored = frame
        yield Invalid(f"chunk-frame-{name}", "chunk_corrupt", text, draft.build())
    for name, more in (("more", 1), ("less", -1)):
        draft = zipped()
        draft.chunks[0].stored = hand_frame(b"abcdefgh" * 12 + b"x" * more, more=-max(more, 0))
        if more < 0:
            draft.chunks[0].stored = hand_frame((b"abcdefgh" * 12)[:-1], more=1)
        text = f"the frame holds {name} than its content size"
        yield Invalid(f"chunk-frame-{name}", "chunk_corrupt", text, draft.build())
    draft = zipped()
    draft.chunks[0].stored = hand_frame(b"abcdefgh" * 11)
    yield Invalid("chunk-frame-raw", "chunk_corrupt", "the content size is not Raw", draft.build())


def stored(draft: Draft, index: int, data: bytes) -> bytes:
    """Build a draft with other bytes in one raw chunk."""
    draft.chunks[index] = replace(draft.chunks[index], raw=len(data), stored=data)
    return draft.build()


def stream_cases() -> Iterator[Invalid]:
    """Break streams: found when they are taken apart."""
    bad = "stream_invalid"
    draft = Family(coding="raw").task("A", {"w": long_planes()}).draft()
    data = bytearray(draft.chunks[1].stored)
    data[4096 + 63] = 1
    yield Invalid(
        "stream-stagger", bad, "a stagger that is not zero", stored(draft, 1, bytes(data))
    )
    draft = Family(coding="raw").task("A", {"w": raw("bool", 1, [([2], b"\0\1")])}).draft()
    yield Invalid("stream-bool", bad, "a bool of 2", stored(draft, 0, b"\2\1"))
    draft = separate()
    tail = bytes([draft.chunks[0].stored[0], draft.chunks[0].stored[1] | 8])
    yield Invalid("stream-tail-sign", bad, "a bit behind the last sign", stored(draft, 0, tail))
    draft = separate()
    plane = draft.chunks[-1].stored
    tail = bytes([plane[0], plane[1] | 128])
    yield Invalid(
        "stream-tail-plane", bad, "a bit behind the last element", stored(draft, 24, tail)
    )
    for dtype, first, value in (("float16", 1, 0x20), ("float64", 1, 8)):
        family = Family(coding="raw", share=False)
        draft = family.task("A", {"w": float_(dtype, [([2], [0, 0])])}).draft()
        text = "an exponent byte with a bit above its field"
        yield Invalid(
            f"stream-exponent-{dtype}", bad, text, stored(draft, first, bytes([0, value]))
        )
    for dtype, e in (("float16", 17), ("float16", -24), ("bfloat16", -133), ("float32", -149)):
        draft = Family().task("A", {"w": craft(dtype, [(0, 1)], [e], bits=1)}).draft()
        yield Invalid(
            f"stream-e-{dtype}{e:+}", bad, "an exponent outside of the dtype", draft.build()
        )
    draft = Family().task("A", {"w": craft("float64", [(0, 1)], [1025], bits=1)}).draft()
    yield Invalid("stream-e-float64", bad, "an exponent outside of the dtype", draft.build())
    draft = (
        Family()
        .task("A", {"w": craft("float32", [(0, 1)], [129], bits=1, scope="block:1")})
        .draft()
    )
    yield Invalid("stream-e-block", bad, "the same in a block's stream", draft.build())
    family = Family(coding="raw", share=False)
    run = craft("float32", [(0, 3), (0, 1)], [0], (1,), bits=2)
    draft = family.task("A", {"w": run}).draft()
    yield Invalid("stream-symbol", bad, "a symbol of three bits", stored(draft, 2, b"\3\4"))
    elements = [(1, 1)] * 9 + [(0, 0)] * 9
    for name, text, signs in (
        ("short", "compact signs too short", b"\xff"),
        ("long", "compact signs too long", b"\xff\1\0"),
        ("tail", "a bit behind the last compact sign", b"\xff\3"),
    ):
        family = Family(coding="raw", share=False)
        run = craft("float32", elements, [0], bits=1, signs="compact")
        draft = family.task("A", {"w": run}).draft()
        yield Invalid(f"stream-compact-{name}", bad, text, stored(draft, 1, signs))


def last_cases() -> Iterator[Invalid]:
    """Break padding and digests."""
    draft = separate()
    draft.patches = [(len(draft.build()) - 3, b"\1")]
    yield Invalid("padding-between", "padding_nonzero", "a byte between two chunks", draft.build())
    draft = plain()
    draft.spaces = {0: 8}
    draft.patches = [(len(draft.build()) - 3 - 8, b"\1")]
    yield Invalid("padding-front", "padding_nonzero", "a byte behind the front", draft.build())
    draft = plain()
    draft.resize = 1
    draft.header["file_length"] = end = len(plain().build()) + 1
    draft.patches = []
    changed = bytearray(draft.build())
    changed[end - 1] = 1
    yield Invalid("padding-end", "padding_nonzero", "a byte behind the last chunk", bytes(changed))
    draft = plain()
    draft.manifest["runs"][0][3] = "0" * 64
    yield Invalid("digest", "digest_mismatch", "a wrong digest", draft.build())
    family = Family().task("A", {"w": raw("uint8", 1, [([2], b"ab")])})
    family.add(raw("uint8", 1, [([2], b"cd")]))
    draft = family.draft()
    draft.manifest["runs"][1][3] = "0" * 64
    text = "a wrong digest of a run that no task names"
    yield Invalid("digest-hidden", "digest_mismatch", text, draft.build())
    family = Family(coding="raw")
    index = family.add(raw("uint8", 1, [([2], b"ab"), ([2], b"cd")]))
    draft = family.task("A", {"w": (index, 0), "v": (index, 1)}).draft()
    data = b"ab\0\0\1\0\0\0cd"
    yield Invalid("digest-gap", "digest_mismatch", "a gap that is not zero", stored(draft, 0, data))


def cases() -> Iterator[Invalid]:
    """All cases of this module."""
    for group in (row_cases, order_cases, length_cases, overlap_cases, chunk_cases, stream_cases):
        yield from group()
    yield from last_cases()
