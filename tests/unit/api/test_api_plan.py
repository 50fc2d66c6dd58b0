"""Plans: every goal is reached, and what `pack` makes of one is what it says."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import mcodec
from mcodec.api.goals import find_goal
from mcodec.api.listing import list_tensors
from mcodec.api.planmodes import stepped
from mcodec.api.planner import as_step
from mcodec.errors import EvaluatorError, InputOutputError, UsageError
from support import cases

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]

LOSSY = ("stem/kernel", "body/kernel", "head/kernel", "tall/kernel")


def tuned(arrays: Arrays, seed: int = 9) -> Arrays:
    """Return a network whose weights moved by a little, as a fine-tune's do."""
    rng = np.random.default_rng(seed)
    return {
        name: (array + 0.05 * array.std() * rng.standard_normal(array.shape)).astype(array.dtype)
        if name in LOSSY
        else array
        for name, array in arrays.items()
    }


def family(dtype: str = "float32") -> dict[str, Arrays]:
    network = cases.network(1, dtype)
    return {"A": network, "B": tuned(network)}


def packed(tmp_path: Path, models: Mapping[str, Arrays], **goal: Any) -> mcodec.PlanReport:
    """Plan and pack by the plan; check what holds of every plan."""
    path, out = tmp_path / "plan.toml", tmp_path / "x.mc"
    report = mcodec.plan(models, path, **goal)
    assert path.read_text() == report.text
    done = mcodec.pack(models, out, plan=path)
    assert done.file_bytes == report.head.file_bytes == out.stat().st_size
    assert done.warnings == ()
    found = mcodec.verify(out, deep=True, against=models)
    assert found.differences == ()
    with mcodec.open(out) as file:
        for name in models:
            rows = {row.spec.name: row for row in list_tensors(file.reader, file.entry(name))}
            assert len(rows) == len(report.rules[name])
            for rule in report.rules[name]:
                row = rows[rule.match.partition(":")[2]]
                assert (rule.max_abs_error or 0.0) == row.max_abs_error
                assert (rule.sqnr_db or 0.0) == pytest.approx(row.sqnr_db or 0.0, abs=1e-4)
                assert (row.max_abs_error == 0) or row.spec.name in LOSSY
    return report


def errors(models: Mapping[str, Arrays], out: Path, task: str) -> dict[str, NDArray[np.float64]]:
    with mcodec.open(out) as file:
        given = file.task(task)
        return {
            name: given[name].astype(np.float64) - models[task][name].astype(np.float64)
            for name in LOSSY
        }


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
@pytest.mark.parametrize("target", [45_000, 70_000])
def test_a_size_is_reached(tmp_path: Path, dtype: str, target: int) -> None:
    report = packed(tmp_path, family(dtype), target_size=target)
    assert 0.98 * target <= report.head.file_bytes <= target


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
@pytest.mark.parametrize("limit", [1e-2, 1e-3, 1e-4])
def test_no_weight_is_off_by_more(tmp_path: Path, dtype: str, limit: float) -> None:
    models = family(dtype)
    report = packed(tmp_path, models, max_error={"A": limit, "B": 2 * limit})
    for task, most in (("A", limit), ("B", 2 * limit)):
        found = errors(models, tmp_path / "x.mc", task)
        assert max(np.abs(error).max() for error in found.values()) <= most
    if dtype == "float32":
        assert [task.max_abs_error for task in report.head.task] == [
            pytest.approx(limit, rel=0.1),
            pytest.approx(2 * limit, rel=0.2),
        ]


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_the_ratio_is_kept(tmp_path: Path, dtype: str) -> None:
    models = family(dtype)
    report = packed(tmp_path, models, min_sqnr=[40, 32])
    for task, least in zip(report.head.task, (40, 32), strict=True):
        found = errors(models, tmp_path / "x.mc", task.name)
        noise = sum(float((error**2).sum()) for error in found.values())
        power = sum(float((models[task.name][w].astype(np.float64) ** 2).sum()) for w in LOSSY)
        assert task.sqnr_db == pytest.approx(10 * np.log10(power / noise), abs=1e-3)
        assert task.sqnr_db is not None
        assert least <= task.sqnr_db <= least + 0.1


def likeness(original: Arrays) -> Any:
    """Return an evaluator: 100 less the error in percent, by root mean squares."""

    def score(weights: Mapping[str, NDArray[Any]], task: str) -> dict[str, float]:
        lost = [np.abs(weights[w].astype(np.float64) - original[w]).mean() for w in LOSSY]
        kept = [np.abs(original[w].astype(np.float64)).mean() for w in LOSSY]
        return {"likeness": 100 - 100 * float(np.mean(lost) / np.mean(kept)), "worst": 0.0}

    return score


def test_no_more_is_lost_than_the_evaluator_may(tmp_path: Path) -> None:
    models = family()
    told = {name: likeness(arrays) for name, arrays in models.items()}
    lines: list[str] = []
    report = packed(
        tmp_path, models, max_drop={"A": 1.0, "B": 3.0}, evaluate=told, say=lines.append
    )
    with mcodec.open(tmp_path / "x.mc") as file:
        for task, most in zip(report.head.task, (1.0, 3.0), strict=True):
            assert (task.metric, task.baseline) == ("likeness", 100.0)
            assert task.score == told[task.name](file.task(task.name), task.name)["likeness"]
            # An eighth of a bit more would have been too much: the search stops there.
            assert task.score is not None
            assert 0.7 * most <= 100 - task.score <= most
    assert any(line.startswith("B at about ") for line in lines)


def test_an_evaluator_is_asked_of_any_plan(tmp_path: Path) -> None:
    models = family()
    report = packed(
        tmp_path, models, min_sqnr=30, evaluate={n: likeness(a) for n, a in models.items()}
    )
    assert all(task.score is not None and 95 < task.score < 100 for task in report.head.task)


def test_any_drop_allowed_takes_the_coarsest(tmp_path: Path) -> None:
    report = packed(
        tmp_path, {"A": family()["A"]}, max_drop=1e9, evaluate=lambda weights, task: 1.0
    )
    kernels = [rule for rule in report.rules["A"] if rule.match.endswith("body/kernel")]
    assert kernels[0].codec.startswith("bfp(bits=1,")


def test_no_drop_allowed_stays_lossless(tmp_path: Path) -> None:
    network = family()["A"]

    def same(weights: Mapping[str, NDArray[Any]], task: str) -> float:
        return -float(any((weights[name] != network[name]).any() for name in network))

    report = packed(tmp_path, {"A": network}, max_drop=0, evaluate=same)
    assert {rule.codec for rule in report.rules["A"]} <= {"float", "raw"}
    assert report.head.task[0].sqnr_db is None


def test_modes_are_those_that_pay(tmp_path: Path) -> None:
    models = family()
    sparse = np.where(np.abs(models["A"]["tall/kernel"]) > 0.1, models["A"]["tall/kernel"], 0)
    models["A"]["tall/kernel"] = sparse.astype(np.float32)
    models["B"]["tall/kernel"] = cases.weights("float32", (129, 131), 77)
    report = packed(tmp_path, models, min_sqnr=35)
    codecs = {
        rule.match: rule.codec.partition("(step")[0]
        for rule in (*report.rules["A"], *report.rules["B"])
    }
    assert codecs["A:tall/kernel"].startswith("csr(values=bfp(")
    assert codecs["B:tall/kernel"].startswith("bfp(")
    assert codecs["B:body/kernel"].startswith("delta(values=bfp(")
    assert codecs["A:body/steps"] == "raw"
    refused = {rule.match: rule.refused for rule in report.rules["B"]}["B:tall/kernel"]
    assert any(line.startswith("delta(") and line.endswith("not smaller") for line in refused)
    assert any(line.startswith("int8(") for line in refused)


def test_equal_weights_are_stored_once_and_coded_alike(tmp_path: Path) -> None:
    models = family()
    models["B"]["body/kernel"] = models["A"]["body/kernel"]
    report = packed(tmp_path, models, min_sqnr={"A": 40, "B": 30})
    one, other = (
        next(rule for rule in report.rules[name] if rule.match.endswith("body/kernel"))
        for name in ("A", "B")
    )
    assert (one.codec, one.sqnr_db) == (other.codec, other.sqnr_db)
    assert other.bytes == 0


def test_what_cannot_be_lossy_stays_as_it_is(tmp_path: Path) -> None:
    models = {"A": cases.network(3)}
    models["A"]["body/kernel"][3, 4] = np.nan
    models["A"]["none/kernel"] = np.zeros((0, 4), np.float32)
    models["A"]["zero/kernel"] = np.zeros((200, 100), np.float32)
    report = mcodec.plan(models, min_sqnr=30)
    assert report.path is None
    assert report.warnings == ("tensor 'body/kernel' stays lossless: it holds NaN or infinity",)
    found = {rule.match: rule for rule in report.rules["A"]}
    assert found["A:body/kernel"].sqnr_db is None
    assert found["A:none/kernel"].bytes == 0
    assert found["A:zero/kernel"].max_abs_error is None


def test_a_model_without_weights(tmp_path: Path) -> None:
    models: dict[str, Arrays] = {"A": {"x": np.arange(9.0), "n": np.arange(3)}, "B": {}}
    for goal in ({"min_sqnr": 30}, {"max_error": 1.0}, {"target_size": 10_000}):
        report = packed(tmp_path, models, **goal)
        assert report.head.task[0].sqnr_db is None
    packed(tmp_path, models, max_drop=0, evaluate=lambda weights, task: len(weights))


def test_patterns_say_which_weights(tmp_path: Path) -> None:
    report = mcodec.plan(family(), max_error=1e-2, include=["body/*"], exclude=["x*"])
    lossy = {rule.match for name in "AB" for rule in report.rules[name] if rule.max_abs_error}
    assert lossy == {"A:body/kernel", "B:body/kernel"}
    assert set(report.warnings) == {"the pattern 'x*' matches no weight"}


def test_threads_make_no_difference() -> None:
    one, three = (mcodec.plan(family(), min_sqnr=33, jobs=jobs).text for jobs in (1, 3))
    assert one == three


def test_a_size_that_cannot_be(tmp_path: Path) -> None:
    out = tmp_path / "plan.toml"
    with pytest.raises(UsageError, match=r"target-size 2,000 cannot be reached: the least is \d"):
        mcodec.plan(family(), out, target_size=2000)
    assert not out.exists()
    large = mcodec.plan(family(), target_size=10**9)
    assert all(task.sqnr_db is None for task in large.head.task)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda weights, task: 1 / 0, "ZeroDivisionError"),
        (lambda weights, task: None, "nothing"),
        (lambda weights, task: float("nan"), "nan"),
        (lambda weights, task: weights["body/kernel"].fill(0), "only read"),
    ],
)
def test_an_evaluator_that_fails(tmp_path: Path, function: Any, message: str) -> None:
    out = tmp_path / "plan.toml"
    with pytest.raises(EvaluatorError, match=message):
        mcodec.plan(family(), out, max_drop=1, evaluate=function)
    assert not out.exists()


def test_a_plan_for_other_models(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    mcodec.plan(family(), path, min_sqnr=30)
    other = cases.network(1)
    other["body/kernel"] = other["body/kernel"][:100]
    del other["head/bias"]
    other["more"] = np.zeros(3, np.float32)
    message = (
        r"does not fit the models: A:body/kernel is float32\[100, 130\], not float32\[160, 130\]; "
        r"A:head/bias is not there; A:more is not in the plan"
    )
    with pytest.raises(UsageError, match=message):
        mcodec.pack({"A": other, "B": family()["B"]}, tmp_path / "x.mc", plan=path)
    with pytest.raises(UsageError, match=r"B:stem/kernel is not there.*, and 13 more"):
        mcodec.pack({"A": family()["A"], "C": family()["B"]}, tmp_path / "x.mc", plan=path)
    assert not (tmp_path / "x.mc").exists()


def test_other_values_are_packed_and_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    mcodec.plan({"A": cases.network(1)}, path, min_sqnr=30)
    report = mcodec.pack({"A": cases.network(50)}, tmp_path / "x.mc", plan=path)
    assert len(report.warnings) == 1
    assert "its plan says" in report.warnings[0]


def test_goals() -> None:
    nothing = dict.fromkeys(("target_size", "max_error", "min_sqnr", "max_drop"))
    for asked, message in (
        ({}, "one goal, of --target-size, .*given: none"),
        ({"max_error": 1, "min_sqnr": 2}, "given: --max-error and --min-sqnr"),
        ({"max_error": 0}, "more than 0"),
        ({"max_error": "1"}, "is a number"),
        ({"max_drop": -1}, "0 or more"),
        ({"max_drop": float("inf")}, "is a number"),
        ({"min_sqnr": [1, 2, 3]}, "3 numbers, and there are 2 tasks"),
        ({"min_sqnr": {"A": 1}}, "names A, and the tasks are A, B"),
        ({"min_sqnr": {"A": 1, "B": 2, "C": 3}}, "names A, B, C"),
        ({"target_size": 0}, "whole number of bytes"),
        ({"target_size": 1.5}, "whole number of bytes"),
        ({"target_size": True}, "is a number"),
    ):
        with pytest.raises(UsageError, match=message):
            find_goal(["A", "B"], **{**nothing, **asked})
    goal = find_goal(["A", "B"], **{**nothing, "min_sqnr": {"B": 2, "A": 1.5}})
    assert (goal.limits, str(goal)) == ((1.5, 2.0), "--min-sqnr A=1.5,B=2")
    assert str(find_goal(["A"], **{**nothing, "target_size": 40_000_000})) == (
        "--target-size 40000000"
    )


def test_what_is_asked_is_checked_before_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is none"):
        mcodec.plan(family(), max_drop=1)
    with pytest.raises(InputOutputError, match="folder"):
        mcodec.plan(family(), tmp_path / "none" / "plan.toml", max_error=1)


def test_steps() -> None:
    assert as_step(0.1) == float(np.nextafter(np.float32(0.1), np.float32(0)))
    assert as_step(0.5) == 0.5
    assert as_step(0.0) == 2.0**-126
    assert as_step(1e300) == 2.0**127
    for peak, step, bits in (
        (1.0, 1.0, 1),
        (1.5, 1.0, 2),
        (0.0, 1.0, 1),
        (7.5, 1.0, 4),
        (6.5, 1.0, 3),
    ):
        codec = stepped(peak, step)
        assert codec is not None
        assert codec.bits == bits
    assert stepped(2.0**24, 1.0) is None


def test_an_evaluator_may_get_a_file(tmp_path: Path) -> None:
    models = family()
    seen: list[str] = []

    def score(path: str, task: str) -> float:
        seen.append(path)
        with safe_open(path, "np") as file:
            arrays = {name: file.get_tensor(name) for name in LOSSY}
        return float(likeness(models[task])(arrays, task)["likeness"])

    save_file(models["A"], tmp_path / "a.safetensors")
    sources: dict[str, Any] = {"A": tmp_path / "a.safetensors", "B": models["B"]}
    report = mcodec.plan(sources, max_drop=2.0, evaluate=score, as_file=True)
    assert report.text == mcodec.plan(
        sources, max_drop=2.0, evaluate={n: likeness(a) for n, a in models.items()}
    ).text.replace('metric = "likeness"', 'metric = "score"')
    assert {os.path.basename(path) for path in seen} == {"a.safetensors", "model.safetensors"}
    assert not any(os.path.exists(path) for path in seen)
    with pytest.raises(UsageError, match="as-file"):
        mcodec.plan(sources, max_error=1, as_file=True)
