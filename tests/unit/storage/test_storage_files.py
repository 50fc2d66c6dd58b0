"""Files of this machine, mapped or not, and which backend opens what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mcodec.errors import FormatError, InputOutputError, MissingDependencyError, UsageError
from mcodec.storage import LocalFile, MappedFile, open_bytes
from mcodec.storage.fetch import shown

if TYPE_CHECKING:
    from pathlib import Path

DATA = bytes(range(200))


@pytest.fixture(params=["pread", "mmap"])
def backend(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_both_read_the_same(tmp_path: Path, backend: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(DATA)
    source = open_bytes(path, backend=backend)
    assert source.size == 200
    assert source.first(10) == DATA[:10]
    assert source.first(1000) == DATA
    assert source.claim(200, 5, 10) is None
    with source.ahead([(0, 10), (50, 60)]):
        assert source.read_at(50, 10) == DATA[50:60]
    assert source.read_at(200, 0) == b""
    for offset, length in ((195, 6), (200, 1), (10**12, 5)):
        with pytest.raises(FormatError) as caught:
            source.read_at(offset, length)
        assert caught.value.code == "file_truncated"
    source.close()
    source.close()
    for use in (lambda: source.read_at(0, 1), source.refresh):
        with pytest.raises(InputOutputError, match="closed"):
            use()


def test_a_file_that_grows_and_shrinks(tmp_path: Path, backend: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(DATA[:100])
    source = open_bytes(path, backend=backend)
    with path.open("ab") as file:
        file.write(DATA[100:])
    assert source.size == 100
    assert source.refresh() == source.size == 200
    assert source.read_at(150, 50) == DATA[150:]
    with path.open("r+b") as file:
        file.truncate(60)
    with pytest.raises(FormatError, match="ends early"):
        source.read_at(50, 20)
    assert source.read_at(50, 10) == DATA[50:60]
    source.close()


def test_a_mapping_gives_views_that_outlive_it(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(DATA)
    source = open_bytes(path, backend="mmap")
    assert isinstance(source, MappedFile)
    view = source.read_at(5, 10)
    assert isinstance(view, memoryview)
    assert view.readonly
    source.close()
    assert view == DATA[5:15]


def test_an_empty_file(tmp_path: Path, backend: str) -> None:
    path = tmp_path / "x"
    path.touch()
    source = open_bytes(path, backend=backend)
    assert source.first(10) == source.read_at(0, 0) == b""
    with pytest.raises(FormatError):
        source.read_at(0, 1)
    source.close()


def test_what_cannot_be_opened(tmp_path: Path, backend: str) -> None:
    for path, message in ((tmp_path / "none", "no such file"), (tmp_path, "is a directory")):
        with pytest.raises(InputOutputError, match=message):
            open_bytes(path, backend=backend)


def test_backends_and_options_that_cannot_be(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(DATA)
    with pytest.raises(UsageError, match="'pread' or 'mmap', not 'direct'"):
        open_bytes(path, backend="direct")
    with pytest.raises(UsageError, match="for URLs"):
        open_bytes(path, options={"anon": True})
    for backend in ("pread", "mmap", "x"):
        with pytest.raises(UsageError, match="not for a URL"):
            open_bytes("memory://x", backend=backend)
    plain = open_bytes(path, options={})
    assert type(plain) is LocalFile
    plain.close()


def test_a_library_that_is_not_there() -> None:
    with pytest.raises(MissingDependencyError, match=r"oci://bucket/x: .*ocifs"):
        open_bytes("oci://bucket/x")
    with pytest.raises(InputOutputError, match="nonsense"):
        open_bytes("nonsense://x")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://me:secret@host/a/b.mc", "https://host/a/b.mc"),
        ("https://host/b.mc?X-Amz-Signature=12&x=3", "https://host/b.mc"),
        ("Cannot connect to 'http://u:p@h/x?sig=1' today", "Cannot connect to 'http://h/x' today"),
        ("s3://bucket/x@2.mc", "s3://bucket/x@2.mc"),
        ("plain words?", "plain words?"),
    ],
)
def test_what_is_shown_of_a_url(url: str, expected: str) -> None:
    assert shown(url) == expected
