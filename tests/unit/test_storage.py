"""Files under everything: positional reads, and outputs that are whole or absent."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from mcodec.errors import FormatError, InputOutputError, UsageError
from mcodec.outputs import atomic_output
from mcodec.storage import LocalFile, RemoteFile, is_url, open_bytes


def write(target: Path | str, text: str = "new", error: BaseException | None = None) -> None:
    """Write an output, and leave it by an error if there is one."""
    with atomic_output(target) as name:
        assert os.path.dirname(name) == os.path.dirname(os.path.realpath(target))
        Path(name).write_text(text, encoding="ascii")
        if error is not None:
            raise error


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_new_file(tmp_path: Path) -> None:
    write(tmp_path / "out.mc")
    assert (tmp_path / "out.mc").read_text() == "new"
    assert names(tmp_path) == ["out.mc"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
@pytest.mark.parametrize("before", [None, "old"])
def test_an_error_leaves_what_was_there(
    tmp_path: Path, error: type[BaseException], before: str | None
) -> None:
    target = tmp_path / "out.mc"
    if before:
        target.write_text(before)
    with pytest.raises(error):
        write(target, "half", error())
    assert names(tmp_path) == (["out.mc"] if before else [])
    assert not before or target.read_text() == before


def test_a_temporary_file_that_was_taken_away(tmp_path: Path) -> None:
    with (
        pytest.raises(InputOutputError, match="no such file"),
        atomic_output(tmp_path / "out.mc") as name,
    ):
        os.unlink(name)
    assert names(tmp_path) == []


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
def test_an_existing_file_keeps_its_permissions(tmp_path: Path, mode: int) -> None:
    target = tmp_path / "out.mc"
    target.touch()
    target.chmod(mode)
    write(target)
    assert stat.S_IMODE(target.stat().st_mode) == mode


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_a_new_file_has_the_usual_permissions(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write(tmp_path / "out.mc")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out.mc").stat().st_mode) == 0o666 & ~mask


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.mc"
    link.symlink_to("real/out.mc")  # which is not there yet
    for text in ("first", "second"):
        write(link, text)
        assert link.is_symlink()
        assert (tmp_path / "real" / "out.mc").read_text() == text
    assert names(tmp_path / "real") == ["out.mc"]


def test_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write("out.mc")
    assert names(tmp_path) == ["out.mc"]


def test_the_longest_name(tmp_path: Path) -> None:
    target = tmp_path / ("名" * 85)  # 255 bytes, all that a file system takes
    write(target)
    assert target.read_text() == "new"


def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o500)
    with pytest.raises(InputOutputError, match=r"out\.mc: permission denied"):
        write(tmp_path / "out.mc")


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    for target, message in (
        (tmp_path, "is a directory"),
        (tmp_path / "none" / "out.mc", "the folder to write it in is not there"),
        (tmp_path / "file" / "out.mc", "not a directory"),
        (tmp_path / "loop", "too many levels of symbolic links"),
    ):
        with pytest.raises(InputOutputError, match=message) as caught:
            write(target)
        assert str(caught.value).startswith(str(target))
        assert "\n" not in str(caught.value)
    assert names(tmp_path) == ["file", "loop"]


@pytest.mark.parametrize("target", ["", "s3://bucket/out.mc"])
def test_names_that_are_no_output(target: str) -> None:
    with pytest.raises(UsageError):
        write(target)


def test_a_device_is_never_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(InputOutputError, match="not a regular file"):
        write(pipe)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


# --- reading ---


def test_positional_reads(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(range(100)))
    source = open_bytes(path)
    assert (source.name, source.size) == (str(path), 100)
    assert source.read_at(0, 100) == bytes(range(100))
    assert source.read_at(90, 10) == bytes(range(90, 100))
    assert source.read_at(100, 0) == b""
    for offset, length in ((90, 11), (100, 1), (10**12, 5)):
        with pytest.raises(FormatError) as caught:
            source.read_at(offset, length)
        assert caught.value.code == "file_truncated"
    path.write_bytes(b"short")  # shrunk by somebody else
    with pytest.raises(FormatError):
        source.read_at(0, 100)
    source.close()
    source.close()
    with pytest.raises(InputOutputError):
        source.read_at(0, 1)


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(InputOutputError, match="no such file") as caught:
        open_bytes(tmp_path / "none")
    assert caught.value.where == ""
    assert str(tmp_path / "none") in str(caught.value)
    with pytest.raises(InputOutputError, match="is a directory"):
        open_bytes(tmp_path)


def test_urls_go_to_fsspec(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(range(100)))
    source = open_bytes(path.as_uri())
    assert isinstance(source, RemoteFile)
    assert source.size == 100
    assert source.read_at(90, 10) == bytes(range(90, 100))
    with pytest.raises(FormatError):
        source.read_at(95, 10)
    source.close()
    with pytest.raises(InputOutputError, match="no such file"):
        open_bytes((tmp_path / "none").as_uri()).first(64)  # the first request
    with pytest.raises(InputOutputError, match="nonsense"):
        open_bytes("nonsense://x")


def test_what_is_a_url() -> None:
    assert is_url("s3://bucket/x.mc")
    assert not is_url("a/b.mc")
    assert not is_url("C:/b.mc")
    assert isinstance(open_bytes(__file__), LocalFile)
