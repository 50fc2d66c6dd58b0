"""Invalid vectors: the header, the front's place, the manifest's frame, and its JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import zstandard

from vectors.cases import Invalid
from vectors.family import Family
from vectors.models import raw
from vectors.valid_container import nested, small_family
from vectors.writer import PROGRESSIVE, Draft, compress, hand_frame

if TYPE_CHECKING:
    from collections.abc import Iterator

SKIPPABLE = bytes.fromhex("502A4D18 02000000 0000")


def plain() -> Draft:
    """Make the smallest file with a tensor."""
    family = Family(coding="raw")
    return family.task("A", {"w": raw("uint8", 1, [([3], b"\x01\x02\xff")])}).draft()


def bad_frames(content: bytes) -> dict[str, tuple[str, bytes]]:
    """Frames that break section 5: name -> (what is broken, frame)."""
    good = compress(content)

    def made(**options: Any) -> bytes:
        return zstandard.ZstdCompressor(level=9, **options).compress(content)

    return {
        "no-size": ("no content size", made(write_content_size=False)),
        "checksum": ("a content checksum", made(write_checksum=True)),
        "dictionary": ("a dictionary id", hand_frame(content, dictionary=7)),
        "window": ("a window of 16 MiB", hand_frame(content, window=14 << 3)),
        "second": ("a second frame", good + compress(b"")),
        "skippable-first": ("a skippable frame before", SKIPPABLE + good),
        "skippable-last": ("a skippable frame behind", good + SKIPPABLE),
        "trailing": ("a byte behind the frame", good + b"\0"),
        "cut": ("the last byte is missing", good[:-1]),
        "magic": ("not a zstd frame", b"\0" + good[1:]),
        "block": ("a block of the reserved type", hand_frame(content, kind=3)),
    }


def header_cases() -> Iterator[Invalid]:
    """Rules 1 to 5."""
    good = plain().build()
    yield Invalid("magic-none", "not_mcodec", "an empty file", b"")
    yield Invalid("magic-short", "not_mcodec", "7 bytes of magic", good[:7])
    yield Invalid(
        "magic-wrong", "not_mcodec", "a line end was changed", good.replace(b"\r\n", b"\n", 1)
    )
    yield Invalid("header-short", "file_truncated", "63 bytes", good[:63])
    changes: list[tuple[str, str, dict[str, Any]]] = [
        ("major-0", "version_unsupported", {"major": 0}),
        ("major-2", "version_unsupported", {"major": 2}),
        ("kind-0", "header_invalid", {"kind": 0}),
        ("kind-2", "header_invalid", {"kind": 2}),
        ("layout-3", "header_invalid", {"layout": 3}),
        ("flags", "header_invalid", {"flags": 1 << 31}),
        ("reserved", "header_invalid", {"reserved": 1}),
        ("length-short", "trailing_data", {"file_length": len(good) - 1}),
        ("length-long", "file_truncated", {"file_length": 2**63}),
        ("rows-many", "limit_exceeded", {"row_count": 2**23 + 1}),
        ("manifest-raw-long", "limit_exceeded", {"manifest_raw": 2**29 + 1}),
        ("front-long", "limit_exceeded", {"manifest_stored": 2**29 - 31}),
        ("front-unaligned", "front_bounds", {"front_offset": 72}),
        ("front-in-header", "front_bounds", {"front_offset": 0}),
        ("front-outside", "front_bounds", {"front_offset": 64 * (len(good) // 64)}),
        ("front-far", "front_bounds", {"front_offset": 2**64 - 64}),
        ("front-hash", "front_checksum", {"front_hash": 0}),
    ]
    for name, code, header in changes:
        draft = plain()
        draft.header = header
        (field, value), *_ = header.items()
        yield Invalid(f"header-{name}", code, f"{field} is {value}", draft.build())
    draft = plain()
    draft.patches = [(9, b"\x07")]
    yield Invalid(
        "header-hash", "header_checksum", "the header changed behind its hash", draft.build()
    )
    yield Invalid("file-short", "file_truncated", "the last byte is missing", good[:-1])
    yield Invalid("file-long", "trailing_data", "a byte behind the end", good + b"\0")


def partial_cases() -> Iterator[Invalid]:
    """Section 8: what a partial open refuses too."""
    good = small_family(PROGRESSIVE).draft().build()
    rows = int.from_bytes(good[40:44], "little")
    front = 64 + -(-int.from_bytes(good[32:36], "little") // 8) * 8 + 32 * rows
    text = "a progressive file that is cut off, opened as a whole one"
    yield Invalid("partial-not-asked", "file_truncated", text, good[:-1])
    text = "cut off in level 0"
    yield Invalid("partial-level-0", "file_truncated", text, good[: front + 16], partial=True)
    text = "cut off in the front"
    yield Invalid("partial-front", "file_truncated", text, good[: front - 1], partial=True)
    text = "cut off, and not progressive"
    yield Invalid("partial-layout", "file_truncated", text, plain().build()[:-1], partial=True)


def frame_cases() -> Iterator[Invalid]:
    """Rule 6: the manifest's frame and padding."""
    for name, (text, frame) in bad_frames(plain().json()).items():
        draft = plain()
        draft.frame = frame
        yield Invalid(f"manifest-frame-{name}", "manifest_corrupt", text, draft.build())
    draft = plain()
    draft.frame = b""
    yield Invalid("manifest-frame-none", "manifest_corrupt", "no frame", draft.build())
    draft = plain()
    draft.header = {"manifest_raw": len(draft.json()) + 1}
    text = "Manifest_Raw is not the frame's content size"
    yield Invalid("manifest-frame-raw", "manifest_corrupt", text, draft.build())
    draft = plain()
    draft.header = {"manifest_raw": len(draft.json()) + 1}
    draft.frame = hand_frame(draft.json(), more=1)
    text = "the frame holds less than its content size"
    yield Invalid("manifest-frame-less", "manifest_corrupt", text, draft.build())
    draft = plain()
    draft.frame = hand_frame(draft.json(), window=0)
    draft.frame_padding = bytes(-len(draft.frame) % 8 - 1) + b"\1"
    assert len(draft.frame) % 8
    yield Invalid("manifest-padding", "manifest_corrupt", "padding that is not zero", draft.build())


def json_cases() -> Iterator[Invalid]:
    """Rule 6: the JSON itself."""
    good = plain().json()

    def extra(value: bytes) -> bytes:
        return good[:-1] + b',"x":' + value + b"}"

    texts = {
        "empty": ("no JSON", b""),
        "array": ("an array", b"[]"),
        "cut": ("the last brace is missing", good[:-1]),
        "trailing": ("text behind the value", good + b"1"),
        "bom": ("a byte order mark", b"\xef\xbb\xbf" + good),
        "latin1": ("not UTF-8", extra(b'"\xe4"')),
        "nan": ("NaN", extra(b"NaN")),
        "infinity": ("-Infinity", extra(b"[-Infinity]")),
        "surrogate": ("half a surrogate pair", extra(b'"\\ud83d"')),
        "control": ("a control character in a string", extra(b'"\n"')),
        "comma": ("a comma too many", extra(b"[1,]")),
        "zero": ("a leading zero", extra(b"01")),
    }
    for name, (text, json) in texts.items():
        draft = plain()
        draft.text = json
        yield Invalid(f"json-{name}", "manifest_invalid", text, draft.build())
    draft = plain()
    draft.manifest["x"] = nested(32)
    yield Invalid("json-depth", "limit_exceeded", "brackets 33 deep", draft.build())
    draft = plain()
    draft.text = b"[" * 100000
    text = "brackets 100,000 deep that never close"
    yield Invalid("json-depth-bomb", "limit_exceeded", text, draft.build())


def cases() -> Iterator[Invalid]:
    """All cases of this module."""
    yield from header_cases()
    yield from partial_cases()
    yield from frame_cases()
    yield from json_cases()
