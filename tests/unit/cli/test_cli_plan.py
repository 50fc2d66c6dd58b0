"""`mcodec plan` as people type it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.numpy import save_file

from mcodec.codec.planfile import parse_plan
from support import cases
from support.command import call

EVALUATOR = """
def likeness(weights, task):
    return {"finite": float(sum(w.size for w in weights.values())), "other": 1}

def none(weights, task):
    return None

def breaks(weights, task):
    raise OSError("no data")
"""


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    monkeypatch.chdir(tmp_path)
    save_file(cases.network(1), "a.safetensors")
    save_file(cases.network(2), "b.safetensors")
    Path("score.py").write_text(EVALUATOR)
    return "a.safetensors", "b.safetensors"


def test_a_plan_is_made_and_followed(models: tuple[str, str]) -> None:
    outcome = call("plan", *models, "--target-size", "70k", "-o", "plan.toml")
    assert (outcome.code, outcome.err) == (0, "")
    assert "plan.toml: --target-size 70000; packed, the file takes" in outcome.out
    planned = parse_plan(Path("plan.toml").read_text(), "plan.toml").file_bytes
    done = call("pack", *models, "--plan", "plan.toml", "-o", "x.mc", "--json")
    assert json.loads(done.out)["file_bytes"] == Path("x.mc").stat().st_size == planned
    assert call("verify", "x.mc", "--deep", "--against", models[0]).code == 0


def test_json_and_the_plan_itself(models: tuple[str, str]) -> None:
    found = json.loads(call("plan", *models, "--min-sqnr", "A=30,B=35", "--json").out)
    assert found["plan"] is None
    assert found["goal"] == "--min-sqnr A=30,B=35"
    assert [task["name"] for task in found["task"]] == ["A", "B"]
    assert len(found["tensors"]) == 16
    text = call("plan", *models, "--min-sqnr", "A=30,B=35").out
    assert parse_plan(text, "-").file_bytes == found["file_bytes"]
    assert call("plan", *models, "--max-error", "0.1", "-o", "p.toml", "--quiet").out == ""


def test_an_evaluator_is_shown(models: tuple[str, str]) -> None:
    outcome = call(
        "plan", *models, "--max-drop", "0.5", "--evaluate", "score.py:likeness", "-o", "p.toml"
    )
    assert outcome.code == 0
    assert "finite" in outcome.out
    assert "as planned" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "one goal"),
        (["--max-error", "1", "--min-sqnr", "2"], 2, "--max-error and --min-sqnr"),
        (["--max-error", "x"], 2, "--max-error 'x' is not of the form"),
        (["--max-error", "1,2,3"], 2, "3 numbers"),
        (["--min-sqnr", "A=1,A=2"], 2, "not of the form"),
        (["--min-sqnr", "A=1"], 2, "the tasks are A, B"),
        (["--target-size", "7x"], 2, "is not a size"),
        (["--target-size", "1k"], 2, "cannot be reached: the least is"),
        (["--max-drop", "1"], 2, "--evaluate"),
        (["--max-drop", "1", "--evaluate", "score.py:none"], 2, "returns nothing"),
        (["--max-drop", "1", "--evaluate", "score.py:breaks"], 2, "no data"),
        (["--max-drop", "1", "--evaluate", "score.py:absent"], 2, "absent"),
        (["--max-drop", "1", "--evaluate", "absent.py:f"], 5, "absent.py"),
        (["--max-error", "1", "-o", "none/plan.toml"], 5, "none/plan.toml"),
        (["--max-error", "1", "-o", "a.safetensors"], 2, "a.safetensors is an input"),
    ],
)
def test_what_cannot_be(
    models: tuple[str, str], arguments: list[str], code: int, words: str
) -> None:
    call("plan", *models, "-o", "plan.toml", *arguments).assert_fails(code, words)
    assert not Path("plan.toml").exists()


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        ('codec = "raw"', 'codec = "raw(level=3)"', 2, "p.toml:{line}:9: codec raw has no option"),
        ('codec = "raw"', "codec = 3", 2, "p.toml:{line}:9: not a plan: Expected `str`"),
        ('codec = "raw"', 'codek = "raw"', 2, "unknown field `codek`"),
        ('codec = "raw"', 'codec = raw"', 2, "line {line}"),
        ("A:body/steps", "A:body/stops", 2, "A:body/stops is not there"),
        ("int64[5]", "int64[6]", 2, "A:body/steps is int64[5], not int64[6]"),
    ],
)
def test_a_plan_edited_by_hand(
    models: tuple[str, str], old: str, new: str, code: int, words: str
) -> None:
    call("plan", models[0], "--max-error", "0.01", "-o", "p.toml")
    text = Path("p.toml").read_text()
    at = text.index(old)
    Path("p.toml").write_text(text[:at] + new + text[at + len(old) :])
    line = text[:at].count("\n") + 1
    outcome = call("pack", models[0], "--plan", "p.toml", "-o", "x.mc")
    outcome.assert_fails(code, words.format(line=line))
    assert not Path("x.mc").exists()


def test_a_codec_edited_by_hand_is_followed(models: tuple[str, str]) -> None:
    call("plan", models[0], "--max-error", "0.01", "-o", "p.toml")
    text = Path("p.toml").read_text()
    before, _, rest = text.partition('match = "A:head/kernel"\ncodec = ')
    Path("p.toml").write_text(
        before + 'match = "A:head/kernel"\ncodec = "float"\n' + rest.partition("\n")[2]
    )
    outcome = call("pack", models[0], "--plan", "p.toml", "-o", "x.mc")
    assert outcome.code == 0
    assert "its plan says" in outcome.err
    info = call("info", "x.mc").out
    (row,) = [line for line in info.splitlines() if line.startswith("head/kernel")]
    assert " float " in row
