"""Folders that are whole or absent."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from mcodec.errors import FormatError, InputOutputError, UsageError
from mcodec.outputs import atomic_folder, check_folder, known_as, size_of

if TYPE_CHECKING:
    from pathlib import Path


def write(target: Path, error: BaseException | None = None) -> None:
    with atomic_folder(target) as name:
        os.mkdir(os.path.join(name, "inner"))
        for path in ("a", "inner/b"):
            with open(os.path.join(name, path), "w", encoding="ascii") as file:
                file.write("new")
        if error is not None:
            raise error


@pytest.mark.parametrize("empty", [False, True])
def test_a_new_folder(tmp_path: Path, empty: bool) -> None:
    out = tmp_path / "out"
    if empty:
        out.mkdir()
    write(out)
    assert (out / "inner" / "b").read_text() == "new"
    assert size_of(str(out)) == 6
    assert size_of(str(out / "a")) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error):
        write(tmp_path / "out", error())
    assert not list(tmp_path.iterdir())


def test_an_error_names_the_folder_as_people_know_it(tmp_path: Path) -> None:
    with pytest.raises(FormatError) as caught, atomic_folder(tmp_path / "out") as name:
        raise FormatError("is damaged", where=name)
    assert str(caught.value) == f"{tmp_path / 'out'}: is damaged"


def test_folders_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("file", "full", "link", "missing/out"):
        with pytest.raises(InputOutputError):
            check_folder(tmp_path / name)
    for path in ("", "https://example.com/out"):
        with pytest.raises(UsageError):
            check_folder(path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="an input as well"):
        check_folder(tmp_path / "empty", [tmp_path / "empty"])
    check_folder(tmp_path / "empty")
    assert (tmp_path / "full" / "x").read_text() == "x"


def test_an_error_of_a_file_beside_the_output_names_the_output() -> None:
    with pytest.raises(InputOutputError) as caught, known_as("/x/.npz.abc.tmp", "out.npz"):
        raise InputOutputError("/x/.npz.abc.tmp: no space left on device")
    assert str(caught.value) == "out.npz: no space left on device"
