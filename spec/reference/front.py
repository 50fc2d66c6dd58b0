"""container.md 1 and 2: the header, and the manifest's JSON and types."""

from __future__ import annotations

import itertools
import json
import re
import struct
from typing import Any, NamedTuple

from xxhash import xxh3_64_intdigest

from reference.basics import (
    MAX_DEPTH,
    MAX_FRONT,
    MAX_ROWS,
    Refused,
    is_dimension,
    is_int,
    is_list_of,
    is_number,
    need,
)
from reference.frames import read_frame

MAGIC = bytes.fromhex("894D43440D0A1A0A")
PROGRESSIVE = 2


class Header(NamedTuple):
    magic: bytes
    major: int
    minor: int
    kind: int
    layout: int
    flags: int
    file_length: int
    front_offset: int
    manifest_stored: int
    manifest_raw: int
    row_count: int
    reserved: int
    front_hash: int
    header_hash: int

    @property
    def padded(self) -> int:
        return -(-self.manifest_stored // 8) * 8

    @property
    def front_length(self) -> int:
        return self.padded + 32 * self.row_count


def read_header(data: bytes, partial: bool) -> Header:
    need(data[:8] == MAGIC, "not_mcodec", "no magic bytes")
    need(len(data) >= 64, "file_truncated", "no whole header")
    h = Header(*struct.unpack("<8sBBBBIQQIIIIQQ", data[:64]))
    need(h.major == 1, "version_unsupported", f"major version {h.major}")
    need(h.header_hash == xxh3_64_intdigest(data[:56]), "header_checksum", "header hash")
    sound = h.kind == 1 and h.layout <= PROGRESSIVE and h.flags == 0 and h.reserved == 0
    need(sound, "header_invalid", "kind, layout, flags or reserved")
    cut_off = partial and h.layout == PROGRESSIVE  # section 8
    need(len(data) >= h.file_length or cut_off, "file_truncated", "shorter than File_Length")
    need(len(data) <= h.file_length, "trailing_data", "longer than File_Length")
    small = h.row_count <= MAX_ROWS and max(h.manifest_raw, h.front_length) <= MAX_FRONT
    need(small, "limit_exceeded", "rows, manifest or front")
    end = h.front_offset + h.front_length
    sound = h.front_offset % 64 == 0 and h.front_offset >= 64 and end <= h.file_length
    need(sound, "front_bounds", "front offset")
    need(end <= len(data), "file_truncated", "no whole front")
    front = data[h.front_offset : end]
    need(h.front_hash == xxh3_64_intdigest(front), "front_checksum", "front hash")
    return h


def parse_json(text: bytes) -> Any:
    plain = re.sub(rb'"(?:[^"\\]|\\.)*+"?', b"", text, flags=re.DOTALL)
    steps = (1 if b in b"[{" else -1 for b in re.findall(rb"[\[\]{}]", plain))
    need(max(itertools.accumulate(steps), default=0) <= MAX_DEPTH, "limit_exceeded", "JSON depth")

    def no_constant(name: str) -> None:
        raise ValueError(name)

    try:
        value = json.loads(text.decode("utf-8"), parse_constant=no_constant)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # refuses lone surrogates
    except ValueError as error:
        raise Refused("manifest_invalid", f"JSON: {error}") from error
    return value


def is_codec(x: object) -> bool:
    return isinstance(x, dict) and isinstance(x.get("id"), str)


def is_run(x: object) -> bool:
    if not (isinstance(x, list) and len(x) in (6, 7)):
        return False
    codec, dtype, members, digest, source, errors = x[:6]

    def is_error(e: Any) -> bool:
        return e is None or (is_list_of(e, is_number) and len(e) == 3)

    return (
        is_int(codec)
        and isinstance(dtype, str)
        and is_list_of(members, lambda shape: is_list_of(shape, is_dimension))
        and isinstance(digest, str)
        and isinstance(source, str | None)
        and (errors is None or is_list_of(errors, is_error))
        and all(map(is_bases, x[6:]))
    )


def is_bases(x: object) -> bool:
    if not (isinstance(x, list) and len(x) == 2 and isinstance(x[0], str)):
        return False
    return is_list_of(x[1], lambda role: is_list_of(role, is_pair))


def is_pair(x: object) -> bool:
    return is_list_of(x, is_int) and isinstance(x, list) and len(x) == 2


def is_tensor(x: object) -> bool:
    if not (isinstance(x, list) and len(x) == 3):
        return False
    return isinstance(x[0], str) and is_int(x[1]) and is_int(x[2])


def is_words(x: object) -> bool:
    return isinstance(x, dict) and all(isinstance(v, str) for v in x.values())


def is_task(x: object) -> bool:
    if not isinstance(x, dict):
        return False
    return (
        isinstance(x.get("name"), str)
        and is_list_of(x.get("tensors"), is_tensor)
        and is_words(x.get("metadata", {}))
        and is_words(x.get("meta", {}))
        and is_list_of(x.get("ties", []), is_pair)
        and isinstance(x.get("format", ""), str)
        and is_int(x.get("skeleton", 0))
    )


def read_manifest(data: bytes, h: Header) -> dict[str, Any]:
    front = data[h.front_offset : h.front_offset + h.padded]
    frame, padding = front[: h.manifest_stored], front[h.manifest_stored :]
    text = read_frame(frame, h.manifest_raw, "manifest_corrupt")
    need(not any(padding), "manifest_corrupt", "padding of the manifest")
    m = parse_json(text)
    sound = (
        isinstance(m, dict)
        and is_list_of(m.get("codecs"), is_codec)
        and is_list_of(m.get("runs"), is_run)
        and is_list_of(m.get("tasks"), is_task)
        and is_list_of(m.get("pairs", []), lambda p: is_list_of(p, is_int) and len(p) >= 2)
    )
    need(sound, "manifest_invalid", "not the objects and types of section 2")
    assert isinstance(m, dict)
    return m
