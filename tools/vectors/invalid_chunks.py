"""Invalid vectors: what is found when chunks are read: frames, streams, padding and digests."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vectors.bfp import craft
from vectors.cases import Invalid
from vectors.family import Family
from vectors.invalid_front import bad_frames, plain
from vectors.invalid_rows import nothing, separate, with_row, zipped
from vectors.models import float_, raw
from vectors.valid_container import long_planes
from vectors.writer import ZSTD, Draft, compress, hand_frame

if TYPE_CHECKING:
    from collections.abc import Iterator


def chunk_cases() -> Iterator[Invalid]:
    """Break chunks: found when they are read."""
    yield Invalid("chunk-hash", "chunk_checksum", "a wrong hash", with_row(plain(), 0, hash=0))
    text = "not the hash of no bytes"
    yield Invalid("chunk-hash-nothing", "chunk_checksum", text, with_row(nothing(), 1, hash=0))
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
    for name, text, frame in (
        ("cut", "a frame of no bytes is cut off", compress(b"")[:-1]),
        ("trailing", "a byte behind a frame of no bytes", compress(b"") + b"\0"),
        ("block", "a frame of no bytes, with a block of one", hand_frame(b"x", more=-1)),
    ):
        draft = nothing()
        draft.chunks[1] = replace(draft.chunks[1], coder=ZSTD, stored=frame)
        yield Invalid(f"chunk-frame-empty-{name}", "chunk_corrupt", text, draft.build())
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
    data[6 * 4096 + 63] = 1
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

    for dtype, mode, value in (("float16", 1, 128), ("bfloat16", 15, 240), ("float32", 15, 240)):
        family = Family(coding="raw", share=False)
        run = float_(dtype, [([2], [0, 0])], modes=(mode,))
        draft = family.task("A", {"w": run}).draft()
        yield Invalid(
            f"stream-symbol-{dtype}",
            bad,
            "a symbol that stands for an exponent above its field",
            stored(draft, 1, bytes([0, value])),
        )


def bfp_stream_cases() -> Iterator[Invalid]:
    """Break streams of bfp."""
    bad = "stream_invalid"
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
    for group in (chunk_cases, stream_cases, bfp_stream_cases, last_cases):
        yield from group()
