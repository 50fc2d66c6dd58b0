"""What the strict zip reader refuses, and what it gives."""

from __future__ import annotations

import struct
import warnings
import zipfile
from typing import TYPE_CHECKING

import pytest

from mcodec.errors import FormatError, InputOutputError
from mcodec.formats.zips import ZipDirectory

if TYPE_CHECKING:
    from pathlib import Path

LOCAL_NAME = 30  # bytes of a local header before its name


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("one.txt", b"first member")
        file.writestr("two.txt", b"second" * 100, zipfile.ZIP_DEFLATED)
        file.writestr("folder/", b"")
    return path


def refusal(path: Path) -> FormatError:
    with pytest.raises(FormatError) as caught:
        ZipDirectory(str(path))
    assert str(path) in str(caught.value)
    return caught.value


def test_members_come_in_order_and_without_folders(archive: Path) -> None:
    directory = ZipDirectory(str(archive))
    assert list(directory.members) == ["one.txt", "two.txt"]
    assert directory.read("two.txt", 1000) == b"second" * 100
    place = directory.stored_at("one.txt")
    assert place is not None
    assert archive.read_bytes()[place : place + 12] == b"first member"
    assert directory.stored_at("two.txt") is None
    directory.close()
    directory.close()


def test_a_member_over_the_limit_is_not_read(archive: Path) -> None:
    directory = ZipDirectory(str(archive))
    with pytest.raises(FormatError, match="over the limit of 599") as caught:
        directory.read("two.txt", 599)
    assert caught.value.code == "limit_exceeded"
    directory.close()


def test_a_wrong_checksum_is_found(archive: Path) -> None:
    data = archive.read_bytes()
    archive.write_bytes(data.replace(b"first member", b"First member"))
    directory = ZipDirectory(str(archive))
    with pytest.raises(FormatError, match="CRC"):
        directory.read("one.txt", 100)
    with pytest.raises(FormatError, match="CRC"):
        directory.check_crc("one.txt")
    directory.close()


def test_a_name_that_stands_twice_is_refused(archive: Path) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(archive, "a") as file:
        warnings.simplefilter("ignore")
        file.writestr("one.txt", b"another")
    error = refusal(archive)
    assert error.code == "source_refused"
    assert "stands twice" in error.message


def test_a_local_name_that_differs_is_refused(archive: Path) -> None:
    data = bytearray(archive.read_bytes())
    data[LOCAL_NAME : LOCAL_NAME + 7] = b"eno.txt"
    archive.write_bytes(data)
    assert "its own header" in refusal(archive).message


def test_an_encrypted_member_is_refused(archive: Path) -> None:
    data = bytearray(archive.read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 8] |= 1
    archive.write_bytes(data)
    assert "encrypted" in refusal(archive).message


def test_a_method_that_is_not_known_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "b.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as file:
        file.writestr("one", b"x" * 100)
    assert "neither stored nor deflated" in refusal(path).message


def test_overlapping_members_are_refused(archive: Path) -> None:
    data = bytearray(archive.read_bytes())
    first = data.index(b"PK\x01\x02")
    data[first + 20 : first + 28] = struct.pack("<II", 40, 40)  # reaches into the second member
    archive.write_bytes(data)
    assert "overlaps" in refusal(archive).message


def test_a_bomb_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("one", b"\0" * 1000)
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = struct.pack("<I", (1 << 32) - 2)
    path.write_bytes(data)
    assert refusal(path).code == "decoded_too_large"


@pytest.mark.parametrize("kept", [0, 10, 100])
def test_a_cut_archive_is_refused(archive: Path, kept: int) -> None:
    archive.write_bytes(archive.read_bytes()[:kept])
    assert refusal(archive).code == "source_invalid"


def test_a_missing_archive_is_an_io_error(tmp_path: Path) -> None:
    with pytest.raises(InputOutputError, match="no such file"):
        ZipDirectory(str(tmp_path / "none.zip"))
