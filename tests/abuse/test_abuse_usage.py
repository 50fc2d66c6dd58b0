"""Options that people get wrong: exit code 2, a line that says what would be right, no output."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest

from support.command import call

if TYPE_CHECKING:
    from pathlib import Path

    from abuse.conftest import Models

BITS: Final = {
    "0": "from 1 to 24",
    "25": "from 1 to 24",
    "-1": "from 1 to 24",
    "12,11,10": "bits for 3 tasks, and there are 2",
    "C=12": "task 'C', and the tasks are A, B",
    "x": "12,11, or A=12,B=11",
    "12,": "12,11, or A=12,B=11",
    "": "12,11, or A=12,B=11",
    "1.5": "12,11, or A=12,B=11",
    "A=3,A=4": "names a task twice",
    "A=0": "from 1 to 24",
}
CODECS: Final = {
    "nosuch": "unknown codec 'nosuch'; this mcodec knows: ",
    "": "id(key=value,…)",
    "float(": "id(key=value,…)",
    "float)": "id(key=value,…)",
    "float(keep)": "id(key=value,…)",
    "float(keep=9,keep=9)": "id(key=value,…)",
    "Float": "id(key=value,…)",
    "float(keep=99)": "keep",
    "float(keep=x)": "keep",
    "float(nosuch=1)": "no option 'nosuch'; it has: keep",
    "bfp": "bits is an integer from 1 to 24",
    "bfp(bits=0)": "bits is an integer from 1 to 24",
    "bfp(bits=8.5)": "bits is an integer from 1 to 24",
    "bfp(bits=8,scope=all)": "scope is tensor, axis:A",
    "bfp(bits=8,scope=axis:9)": "axis:9",
    "bfp(bits=8,step=0)": "step",
    "bfp(bits=8,rounding=up)": "rounding",
}
PLANS: Final = {
    "this is not TOML": "not a plan",
    '[[tensors]]\nmatch = "*"\ncodec = "float"\n': "tensors",
    '[[tensor]]\nmatch = "*"\n': "codec",
    '[[tensor]]\nmatch = "*"\ncodec = "float"\nbits = 3\n': "bits",
    '[[tensor]]\nmatch = 3\ncodec = "float"\n': "match",
    '[[tensor]]\nmatch = "*"\ncodec = "nosuch"\n': "unknown codec 'nosuch'",
    '[[tensor]]\nmatch = "*"\ncodec = "bfp(bits=99)"\n': "bits",
    '[[tensor]]\nmatch = "*"\ncodec = "bfp(bits=4,scope=axis:7)"\n': "axis:7",
    "tensor = 3\n": "tensor",
    "\0": "not a plan",
}
PAIRS: Final = {
    "x": "A:name=B:name",
    "A:x": "A:name=B:name",
    "x=y": "A:name=B:name",
    "A:nosuch=B:nosuch": "no tensor 'nosuch'",
    "A:dense/kernel_layer/weight:0=Z:x": "names no task",
    "A:dense/kernel_layer/weight:0=B:dense/bias_layer/weight:0": "dtype or shape",
    "A:dense/kernel_layer/weight:0=A:dense/kernel_layer/weight:0": "another task",
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("bits", BITS)
def test_bits(bits: str, models: Models, here: Path) -> None:
    call("pack", models.a, models.b, "-o", "x.mc", "--bits", bits).assert_fails(2, BITS[bits])
    assert not os.listdir(here)


@pytest.mark.parametrize("codec", CODECS)
def test_codecs(codec: str, models: Models, here: Path) -> None:
    call("pack", models.a, "-o", "x.mc", "--codec", codec).assert_fails(2, CODECS[codec])
    assert not os.listdir(here)


@pytest.mark.parametrize("plan", PLANS)
def test_plans(plan: str, models: Models, here: Path) -> None:
    (here / "plan.toml").write_text(plan)
    outcome = call("pack", models.a, "-o", "x.mc", "--plan", "plan.toml")
    outcome.assert_fails(2, PLANS[plan])
    assert os.listdir(here) == ["plan.toml"]


def test_plans_that_are_no_text(models: Models, here: Path) -> None:
    (here / "plan.toml").write_bytes(b"\xff\xfe")
    pack = ("pack", models.a, "-o", "x.mc", "--plan")
    call(*pack, "plan.toml").assert_fails(2, "plan.toml: not a plan: it is not UTF-8 text")
    call(*pack, "nosuch.toml").assert_fails(5, "nosuch.toml: no such file")
    call(*pack, ".").assert_fails(5, ".: is a directory")


@pytest.mark.parametrize("pair", PAIRS)
def test_pairs(pair: str, models: Models, here: Path) -> None:
    pack = ("pack", models.a, models.b, "-o", "x.mc", "--pair", pair)
    call(*pack, "--bits", "8").assert_fails(2, PAIRS[pair])
    call(*pack).assert_fails(2, "--bits")
    assert not os.listdir(here)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--jobs", "0"), "1<=x<=1024"),
        (("--jobs", "-1"), "1<=x<=1024"),
        (("--jobs", "x"), "'x' is not a valid whole number"),
        (("--jobs", "100000"), "1<=x<=1024"),
        (("--layout", "nosuch"), "'task', 'interleaved', 'progressive'"),
        (("--rounding", "up", "--bits", "3"), "'nearest', 'truncate'"),
        (("--rounding", "truncate"), "no --bits"),
        (("--bits",), "requires an argument"),
        (("--bits", "3", "--codec"), "requires an argument"),
        (("--layout", "progressive", "--codec", "bfp(bits=3,signs=compact)"), "progressive"),
    ],
    ids=str,
)
def test_options_of_pack(arguments: tuple[str, ...], word: str, models: Models, here: Path) -> None:
    call("pack", models.a, "-o", "x.mc", *arguments).assert_fails(2, word)
    assert not os.listdir(here)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--planes", "-1"), "x>=0"),
        (("--planes", "x"), "'x' is not a valid"),
        (("--planes", "3", "--dither"), "leave out planes"),
        (("--midpoint", "--dither"), "leave out planes and midpoint"),
        (("--task", "B", "--dither"), "no fused partner"),
        (("--to", "nosuch"), "'nosuch'; the formats are safetensors, keras, weights.json, pt, npz"),
        (("--to", ""), "unknown format ''"),
        (("--to", "../h5"), "unknown format"),
        (("--jobs", "0"), "1<=x<=1024"),
        (("--max-decoded", "1Q"), "500M or 2Gi"),
        (("--max-decoded", "-1"), "500M or 2Gi"),
    ],
    ids=str,
)
def test_options_of_unpack(
    arguments: tuple[str, ...], word: str, models: Models, here: Path
) -> None:
    task = () if "--task" in arguments else ("--task", "A")
    call("unpack", models.fused, *task, *arguments).assert_fails(2, word)
    assert not os.listdir(here)


def test_dither_is_for_fused_tasks(models: Models, here: Path) -> None:
    call("unpack", models.lossless, "--dither").assert_fails(2, "no fused partner")
    assert not os.listdir(here)
    outcome = call("unpack", models.fused, "--task", "A", "--dither")
    assert outcome.code == 0
    assert "every bit" not in outcome.out


def test_a_limit_that_is_too_low_is_of_the_file(models: Models) -> None:
    for verb in ("ls", "info", "verify", "unpack"):
        outcome = call(verb, models.lossless, "--max-decoded", "10")
        outcome.assert_fails(3, "over the limit of 10", "--max-decoded")
        assert call(verb, models.lossless, "--max-decoded", "nosuch").code == 2


def test_against_more_sources_than_tasks(models: Models) -> None:
    a, b = models.a, models.b
    verify = ("verify", models.fused, "--against")
    call(*verify, a, "--against", b, "--against", b).assert_fails(2, "3 sources", "2 tasks")
    call(*verify, f"B={b}", "--against", a).assert_fails(2, f"write TASK={a}")
    call(*verify, "").assert_fails(2, "[NAME=]PATH")


def test_relayout_of_what_is_not_fused(models: Models, here: Path) -> None:
    relayout = ("relayout", models.lossless, "-o", "x.mc", "--layout")
    call(*relayout, "interleaved").assert_fails(2, "--bits")
    call(*relayout, "nosuch").assert_fails(2, "'task', 'interleaved', 'progressive'")
    assert not os.listdir(here)


def test_a_source_that_differs_is_exit_code_1(models: Models) -> None:
    """The file is sound: what differs is on stdout, and nothing is wrong with the call."""
    outcome = call("verify", models.lossless, "--against", models.a)
    assert (outcome.code, outcome.err) == (1, "")
    assert "A:dense/kernel is not in the source" in outcome.out
    outcome = call("verify", models.fused, "--against", models.b, "--quiet")
    assert (outcome.code, outcome.err) == (1, "")
    assert all(line.startswith("A:") for line in outcome.out.splitlines())


def test_a_plan_that_matches_nothing_is_warned_of(models: Models, here: Path) -> None:
    (here / "plan.toml").write_text('[[tensor]]\nmatch = "Z:*"\ncodec = "float(keep=9)"\n')
    outcome = call("pack", models.a, "-o", "x.mc", "--plan", "plan.toml")
    assert outcome.code == 0
    assert outcome.err == "mcodec: warning: the plan's pattern 'Z:*' matches no tensor\n"
