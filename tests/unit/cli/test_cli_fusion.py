"""`mcodec pack --fusion` and `--report` as people type them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from safetensors.numpy import load_file, save_file

from support import cases
from support.command import call

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate("ab"):
        save_file(
            {
                "w": cases.weights("float32", (40, 50), seed),
                "b": cases.weights("float32", (50,), seed),
            },
            f"{name}.safetensors",
        )


PACK = ("pack", "a.safetensors", "b.safetensors", "-o", "x.mc")


def test_json() -> None:
    found = json.loads(call(*PACK, "--bits", "12,11", "--report", "--json").out)["report"]
    assert found["tasks"] == ["A", "B"]
    assert (found["weights"], found["tensors"], found["bits"]) == (2000, 1, [12, 11])
    rows = {row["way"]: row for row in found["rows"]}
    assert {way: row["pair_bits"] for way, row in rows.items()} == {
        "separate": 64,
        "classifier": 32,
        "piggyback": 34,
        "packnet": 33,
        "v1": 41,
        "v2": 25,
    }
    assert rows["v2"]["theory_bytes"] == 6250
    assert rows["v2"]["file_bytes"] < 6250
    assert rows["v1"]["file_bytes"] is None
    assert rows["v1"]["paper_names"] == [50, 49]
    assert [one["parameters"] for one in found["besides"]] == [50, 50]
    assert "report" not in json.loads(call(*PACK, "--json").out)


def test_v1_and_what_people_see() -> None:
    outcome = call(*PACK, "--bits", "12,11", "--fusion", "v1", "--report")
    assert outcome.code == 0
    assert "2,000 weights of 1 pair of tensors, 12 and 11 bits" in outcome.out
    line = next(line for line in outcome.out.splitlines() if line.startswith("bit fusion v1"))
    assert " 41 " in line
    assert "50 (table), 49 (text)" in line
    assert "besides, B: 1 tensor, 50 numbers" in outcome.out
    assert call(*PACK, "--bits", "12,11", "--report", "-q").out == ""
    call("unpack", "x.mc", "--task", "A", "-o", "m.safetensors")
    assert load_file("m.safetensors")["w"].shape == (40, 50)


def test_dither_of_v1_on_the_command_line() -> None:
    call(*PACK, "--bits", "12,11", "--fusion", "v1")
    for options in ((), ("--dither",)):
        name = f"m{len(options)}.safetensors"
        assert call("unpack", "x.mc", "--task", "A", "-o", name, *options).code == 0
    plain, dithered = (load_file(f"m{i}.safetensors") for i in (0, 1))
    assert (plain["w"] != dithered["w"]).mean() > 0.99
    assert (plain["w"].view("u4") == dithered["w"].view("u4") >> 11 << 11).all()
    assert (plain["b"] == dithered["b"]).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--fusion", "v1"), ("--fusion says what --bits are of",)),
        (("--bits", "9", "--fusion", "v3"), ("'v3'",)),
        (("--bits", "9", "--fusion", "v1", "--rounding", "nearest"), ("v1 truncates",)),
        (("--bits", "24", "--fusion", "v1"), ("'w' is float32, which has 23",)),
        (("c=a.safetensors", "--report"), ("--report is of two tasks", "there are 3")),
    ],
    ids=str,
)
def test_usage(tmp_path: Path, options: tuple[str, ...], words: tuple[str, ...]) -> None:
    call(*PACK, *options).assert_fails(2, *words)
    assert not (tmp_path / "x.mc").exists()


def test_v1_with_rounding_truncate_is_the_same() -> None:
    call(*PACK, "--bits", "9", "--fusion", "v1")
    with open("x.mc", "rb") as file:
        one = file.read()
    call(*PACK, "--bits", "9", "--fusion", "v1", "--rounding", "truncate")
    with open("x.mc", "rb") as file:
        assert file.read() == one
