"""The header: 64 bytes, and steps 1 to 5 of spec/container.md, section 6."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from mcodec.container import header as headers
from mcodec.container.header import LAYOUTS, MAGIC, SIZE, Header
from mcodec.errors import FormatError

GOOD = Header("task", 1000, 64, 33, 50, 2, 7)


def parse(data: bytes, size: int, *, partial: bool = False) -> Header:
    header = headers.parse(data)
    headers.check_place(header, size, partial=partial)
    return header


def code(data: bytes, size: int = 1000, *, partial: bool = False) -> str:
    with pytest.raises(FormatError) as caught:
        parse(data, size, partial=partial)
    return caught.value.code


def changed(offset: int, form: str, value: int, header: Header = GOOD) -> bytes:
    """Return a header with one field replaced, and its hash right."""
    data = bytearray(header.pack())
    struct.pack_into(form, data, offset, value)
    struct.pack_into("<Q", data, 56, xxh3_64_intdigest(bytes(data[:56])))
    return bytes(data)


def test_the_bytes_of_a_header() -> None:
    data = GOOD.pack()
    assert data[:8] == MAGIC == bytes.fromhex("894D43440D0A1A0A")
    assert data[8:16] == bytes([1, 0, 1, 0, 0, 0, 0, 0])
    assert struct.unpack_from("<QQIIIIQ", data, 16) == (1000, 64, 33, 50, 2, 0, 7)
    assert struct.unpack_from("<Q", data, 56)[0] == xxh3_64_intdigest(data[:56])
    assert (GOOD.manifest_padded, GOOD.front_length) == (40, 104)


@given(
    layout=st.sampled_from(LAYOUTS),
    stored=st.integers(0, 2**20),
    raw=st.integers(0, 2**20),
    rows=st.integers(0, 2**10),
    more=st.integers(0, 2**50),
    digest=st.integers(0, 2**64 - 1),
)
def test_a_header_survives(
    layout: str, stored: int, raw: int, rows: int, more: int, digest: int
) -> None:
    header = Header(layout, 0, 64, stored, raw, rows, digest)
    header = replace(header, file_length=64 + header.front_length + more)
    assert parse(header.pack(), header.file_length) == header


@pytest.mark.parametrize("length", range(65))
def test_a_file_that_ends_in_its_header(length: int) -> None:
    data = GOOD.pack()[:length]
    if length == SIZE:
        assert parse(data, 1000) == GOOD
    else:
        assert code(data, length) == ("not_mcodec" if length < 8 else "file_truncated")


@pytest.mark.parametrize("data", [b"", b"PK\3\4" + bytes(60), b"\x89HDF\r\n\x1a\n" + bytes(56)])
def test_other_files(data: bytes) -> None:
    assert code(data) == "not_mcodec"


@pytest.mark.parametrize(
    ("offset", "form", "value", "expected"),
    [
        (8, "B", 2, "version_unsupported"),
        (8, "B", 0, "version_unsupported"),
        (10, "B", 0, "header_invalid"),
        (10, "B", 2, "header_invalid"),
        (11, "B", 3, "header_invalid"),
        (12, "<I", 1, "header_invalid"),
        (12, "<I", 1 << 31, "header_invalid"),
        (44, "<I", 1, "header_invalid"),
        (16, "<Q", 1001, "file_truncated"),
        (16, "<Q", 999, "trailing_data"),
        (16, "<Q", 2**64 - 1, "file_truncated"),
        (24, "<Q", 0, "front_bounds"),
        (24, "<Q", 63, "front_bounds"),
        (24, "<Q", 65, "front_bounds"),
        (24, "<Q", 960, "front_bounds"),
        (24, "<Q", 2**64 - 64, "front_bounds"),
        (32, "<I", 2**32 - 1, "limit_exceeded"),
        (36, "<I", 2**29 + 1, "limit_exceeded"),
        (40, "<I", 2**23 + 1, "limit_exceeded"),
        (40, "<I", 100, "front_bounds"),
    ],
)
def test_fields_that_are_refused(offset: int, form: str, value: int, expected: str) -> None:
    assert code(changed(offset, form, value)) == expected


def test_fields_that_are_not_looked_at() -> None:
    assert parse(changed(9, "B", 255), 1000) == GOOD  # a minor version
    assert parse(changed(24, "<Q", 896), 1000).front_offset == 896


@pytest.mark.parametrize("offset", [9, 20, 30, 50, 56, 63])
def test_a_damaged_header(offset: int) -> None:
    data = bytearray(GOOD.pack())
    data[offset] ^= 4
    assert code(bytes(data)) == "header_checksum"


def test_the_order_of_the_checks() -> None:
    data = bytearray(GOOD.pack())
    data[8] = 2  # a newer version may hash its header otherwise
    assert code(bytes(data)) == "version_unsupported"
    assert code(changed(11, "B", 9), 5) == "header_invalid"


@pytest.mark.parametrize(
    ("size", "expected"), [(1000, None), (500, None), (168, None), (167, "file_truncated")]
)
def test_a_progressive_file_may_end_behind_its_front(size: int, expected: str | None) -> None:
    data: Any = replace(GOOD, layout="progressive").pack()
    if expected:
        assert code(data, size, partial=True) == expected
    else:
        parse(data, size, partial=True)
    if size < 1000:
        assert code(data, size) == "file_truncated"
        assert code(GOOD.pack(), size, partial=True) == "file_truncated"
    assert code(data, 1001, partial=True) == "trailing_data"
