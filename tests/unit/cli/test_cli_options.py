"""The small forms that people type: sizes, bits, names with paths; and which file is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import pytest

import mcodec
from mcodec.cli import options
from mcodec.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "size"),
    [
        *(("0", 0), ("500", 500), ("40M", 40_000_000), ("40Mi", 40 << 20), ("1.5Gi", 3 << 29)),
        *(("1k", 1000), ("1K", 1000), ("1ki", 1024), ("1KiB", 1024), ("2T", 2 * 10**12)),
        *(("12B", 12), ("3 GB", 3 * 10**9)),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert options.Size().convert(text, None, None) == size


@pytest.mark.parametrize(
    "text",
    ["", "-1", "1Q", "M", "1iB", "1i", "1e3", "nan", "٣M", "1,000", "9" * 400, "1 2", "0x10"],
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a size like 500M or 2Gi"):
        options.Size().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        (None, None),
        ("12", 12),
        ("12,11", [12, 11]),
        ("A=12,B=11", {"A": 12, "B": 11}),
        ("A=12", {"A": 12}),
        ("a=b=7", {"a=b": 7}),
        (" 12 , 11 ", [12, 11]),
        ("-3", -3),  # refused where the limits are known
    ],
)
def test_bits(text: str | None, bits: Any) -> None:
    assert options.parse_bits(text) == bits


@pytest.mark.parametrize(
    "text", ["", ",", "12,", "x", "A=", "A=x", "12,B=3", "=3", "1.5", "A=1,,B=2"]
)
def test_what_is_no_bits(text: str) -> None:
    with pytest.raises(UsageError, match="is not of the form 12, or 12,11, or A=12,B=11"):
        options.parse_bits(text)


def test_bits_that_name_a_task_twice() -> None:
    with pytest.raises(UsageError, match="names a task twice"):
        options.parse_bits("A=12,A=11")


def test_names_and_paths(here: Path) -> None:
    (here / "odd=name.h5").touch()
    assert options.split_named(["a.h5", "b.h5"]) == {"A": "a.h5", "B": "b.h5"}
    assert options.split_named(["x=a.h5", "b.h5"]) == {"x": "a.h5", "B": "b.h5"}
    assert options.split_named(["x=a=b.h5"]) == {"x": "a=b.h5"}
    assert options.split_named(["odd=name.h5"]) == {"A": "odd=name.h5"}  # it is there
    assert options.split_named(["dir/odd=name.h5"]) == {"A": "dir/odd=name.h5"}
    assert options.split_named(["x=dir/a.h5"]) == {"x": "dir/a.h5"}
    assert list(options.split_named([f"{i}.h5" for i in range(28)]))[25:] == ["Z", "AA", "AB"]


@pytest.mark.parametrize("text", ["", "=", "=a.h5", "x="])
def test_half_a_name_and_path(text: str) -> None:
    with pytest.raises(UsageError, match=r"is not of the form \[NAME=\]PATH"):
        options.split_named([text])


@pytest.mark.parametrize("texts", [["x=a", "x=b"], ["B=a", "b"], ["x=a", "y=b", "x=a"]])
def test_two_tasks_of_one_name(texts: list[str]) -> None:
    with pytest.raises(UsageError, match=r"two tasks are named '[xB]'"):
        options.split_named(texts)


def test_the_file_may_be_left_out_where_there_is_one(here: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no \.mc file in this folder"):
        options.find_file(None)
    (here / "b.mc").touch()
    (here / "b.h5").touch()
    assert options.find_file(None) == "b.mc"
    assert options.find_file("other.mc") == "other.mc"
    (here / "a.mc").touch()
    with pytest.raises(UsageError, match=r"2 \.mc files in this folder \(a\.mc, b\.mc\)"):
        options.find_file(None)
    for index in range(9):
        (here / f"{index}.mc").touch()
    with pytest.raises(
        UsageError, match=r"11 \.mc files in this folder \(0\.mc, 1\.mc, 2\.mc, …\)"
    ):
        options.find_file(None)
    with pytest.raises(UsageError, match="is empty"):
        options.find_file("")


def test_task_names_are_completed_from_the_file_on_the_line() -> None:
    mcodec.pack({"alpha": {"x": [1.0]}, "beta": {"x": [2.0]}}, "x.mc")
    context = click.Context(click.Command("unpack"))
    parameter = click.Option(["--task"])
    assert options.complete_task(context, parameter, "") == ["alpha", "beta"]
    context.params["file"] = "x.mc"
    assert options.complete_task(context, parameter, "b") == ["beta"]
    context.params["file"] = "nosuch.mc"
    assert options.complete_task(context, parameter, "b") == []
    context.params["file"] = None
    context.args = ["nosuch.mc"]
    assert options.complete_task(context, parameter, "") == []
