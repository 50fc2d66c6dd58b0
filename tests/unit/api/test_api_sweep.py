"""`mcodec.evaluate.sweep`: what an evaluator sees, what is measured, and what is not again."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import mcodec
import mcodec.evaluate
from mcodec.api.sweepgrid import parse_grid
from mcodec.api.sweepmodel import layer_of
from mcodec.errors import (
    CodecConfigError,
    EvaluatorError,
    InputOutputError,
    UsageError,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mcodec.evaluate import SweepReport


def network() -> dict[str, NDArray[Any]]:
    """Return a network of two layers, with statistics, a step counter and a half."""
    values = np.random.default_rng(5).normal(0, 0.1, 4000).astype(np.float32)
    return {
        "conv.weight": values[:1800].reshape(100, 18),
        "conv.running_var": np.abs(values[1800:1900]),
        "conv.count": np.array(7),
        "head.weight": values[1900:3900].reshape(20, 100),
        "head.half": values[3900:].astype(np.float16),
    }


class Seen:
    """An evaluator that keeps what it saw."""

    def __init__(self) -> None:
        self.calls: list[dict[str, NDArray[Any]]] = []

    def __call__(self, weights: dict[str, NDArray[Any]], task: str) -> float:
        self.calls.append({name: array.copy() for name, array in weights.items()})
        return 100 - float(np.abs(network()["conv.weight"] - weights["conv.weight"]).sum())


def truncated(array: NDArray[Any], keep: int) -> NDArray[Any]:
    """Return (u >> n) << n over the patterns."""
    width = 8 * array.itemsize
    if array.dtype.kind != "f" or keep >= width:
        return array
    bits = array.view(f"u{array.itemsize}")
    dropped = bits.dtype.type(width - keep)
    kept: NDArray[Any] = ((bits >> dropped) << dropped).view(array.dtype)
    return kept


def test_keep_is_the_papers_truncation_of_every_float() -> None:
    seen = Seen()
    report = mcodec.evaluate.sweep(network(), seen, keep="32:2:-10")
    assert report.settings == (32, 22, 12, 2)
    # 32 keeps all of the model, and is not measured again.
    assert [call["conv.count"] for call in seen.calls] == [7] * 4
    for call, keep in zip(seen.calls, (64, 22, 12, 2), strict=True):
        assert list(call) == list(network())
        for name, array in network().items():
            assert call[name].dtype == array.dtype
            assert call[name].tobytes() == truncated(array, keep).tobytes(), (name, keep)
    assert report.measured == 4
    top = report.curve("A")[0]
    assert (top.setting, top.scores, top.seconds) == (32, {"score": 100.0}, 0.0)


def test_bits_are_the_canonical_decode_of_a_file(tmp_path: Path) -> None:
    seen = Seen()
    mcodec.evaluate.sweep(network(), seen, bits=[9, 4], scope="axis:0", rounding="truncate")
    plan = tmp_path / "plan.toml"
    for call, bits in zip(seen.calls[1:], (9, 4), strict=True):
        codec = f"bfp(bits={bits},scope=axis:0,rounding=truncate)"
        plan.write_text(f'[[tensor]]\nmatch = "*.weight"\ncodec = "{codec}"\n')
        mcodec.pack({"A": network()}, tmp_path / "a.mc", plan=plan)
        with mcodec.open(tmp_path / "a.mc") as file:
            for name, array in file.task().items():
                assert call[name].tobytes() == array.tobytes(), (name, bits)


def test_errors_are_those_of_the_values_that_may_change() -> None:
    report = mcodec.evaluate.sweep(network(), Seen(), keep=12, include=["conv.*"])
    before = np.concatenate(
        [a.ravel() for n, a in network().items() if "conv.w" in n or "var" in n]
    )
    error = before.astype(np.float64) - truncated(before, 12).astype(np.float64)
    (cell,) = report.curve("A")
    assert cell.max_error == np.abs(error).max()
    signal = float((before.astype(np.float64) ** 2).sum())
    assert cell.sqnr_db == pytest.approx(10 * np.log10(signal / (error**2).sum()))
    assert report.baseline("A").max_error == 0
    assert report.baseline("A").sqnr_db is None


def test_one_layer_at_a_time() -> None:
    seen = Seen()
    report = mcodec.evaluate.sweep(network(), seen, keep=[12, 16], per_layer=True)
    assert report.layers == {"A": {"conv": 1900, "head": 2100}}
    # The exact one, two of all, and two each for the layers.
    assert report.measured == len(seen.calls) == 7
    found = {
        (cell.layer, cell.setting): call
        for cell, call in zip(report.cells, seen.calls, strict=True)
    }
    for (layer, setting), call in found.items():
        for name, array in network().items():
            alone = layer is None or name.startswith(layer)
            expected = truncated(array, setting or 64) if alone else array
            assert call[name].tobytes() == expected.tobytes(), (layer, setting, name)
    head = report.curve("A", "head")
    assert [report.drop(cell) for cell in head] == [0.0, 0.0]
    assert report.last_without_loss("A", "head") == 12
    with pytest.raises(UsageError, match="layer 'tail'"):
        report.curve("A", "tail")


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("conv/kernel:0", "conv"),
        ("a.b.weight", "a.b"),
        ("vars/0", "vars"),
        ("a/b.c/w", "a/b.c"),
        ("w", "w"),
        (".w", ".w"),
    ],
)
def test_layers_by_name(name: str, layer: str) -> None:
    assert layer_of(name) == layer


def test_the_last_setting_without_loss() -> None:
    scores = iter([5.0, 5.0, 6.0, 4.9, 5.0])
    report = mcodec.evaluate.sweep(network(), lambda weights, task: next(scores), keep="20:14:-2")
    assert report.last_without_loss("A") == 18  # 14 is as good, but 16 is not
    assert [report.drop(cell) for cell in report.curve("A")] == pytest.approx([0, -1, 0.1, 0])
    worse = iter([5.0, 4.0])
    report = mcodec.evaluate.sweep(network(), lambda weights, task: next(worse), keep=20)
    assert report.last_without_loss("A") is None


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("32:2:-2", tuple(range(32, 1, -2))),
        ("2:32:2", tuple(range(32, 1, -2))),
        ("24:1:-1", tuple(range(24, 0, -1))),
        ("10:8", (10, 9, 8)),
        ("10:7:-2", (10, 8)),
        ("8:8:-1", (8,)),
        ("16", (16,)),
        (" 12,16,12 ", (16, 12)),
        (range(3, 6), (5, 4, 3)),
        (np.int64(7), (7,)),
    ],
)
def test_grids(text: Any, numbers: tuple[int, ...]) -> None:
    assert parse_grid("keep", text) == numbers


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("", "not of the form"),
        ("32:2:-2:1", "not of the form"),
        ("32:2:2", "never comes from 32 to 2"),
        ("2:32:-1", "never comes from 2 to 32"),
        ("32:2:0", "never comes"),
        ("a", "not of the form"),
        ("16,", "not of the form"),
        ("16.5", "not of the form"),
        ("-3", "not of the form"),
        ("0", "from 1 to 64, and there is a 0"),
        ("65", "from 1 to 64, and there is a 65"),
        ("9:0:-1", "there is a 0"),
        ("٣", "not of the form"),
        ([], "no setting"),
        ([True], "whole numbers"),
        ([3.5], "whole numbers"),
        (None, "whole numbers"),
    ],
)
def test_malformed_grids(given: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_grid("keep", given)


def test_bits_end_at_24() -> None:
    with pytest.raises(UsageError, match="from 1 to 24, and there is a 25"):
        parse_grid("bits", "25:1:-1")


def test_arguments_that_cannot_be() -> None:
    seen = Seen()
    with pytest.raises(UsageError, match="give either keep"):
        mcodec.evaluate.sweep(network(), seen)
    with pytest.raises(UsageError, match="give either keep"):
        mcodec.evaluate.sweep(network(), seen, keep=3, bits=3)
    with pytest.raises(UsageError, match="block floating point"):
        mcodec.evaluate.sweep(network(), seen, keep=3, rounding="truncate")
    with pytest.raises(CodecConfigError, match="rounding"):
        mcodec.evaluate.sweep(network(), seen, bits=3, rounding="up")
    with pytest.raises(CodecConfigError, match="scope"):
        mcodec.evaluate.sweep(network(), seen, bits=3, scope="all")
    with pytest.raises(UsageError, match="jobs"):
        mcodec.evaluate.sweep(network(), seen, keep=3, jobs=0)
    with pytest.raises(UsageError, match="a key for 'B'"):
        mcodec.evaluate.sweep({"A": network()}, seen, keep=3, key={"B": "x"})
    with pytest.raises(UsageError, match="task 'A' has no tensor"):
        mcodec.evaluate.sweep({"n": np.arange(3)}, seen, keep=3)
    with pytest.raises(UsageError, match="worker processes cannot be given"):
        mcodec.evaluate.sweep(network(), lambda weights, task: 1, keep=3, jobs=2)
    assert not seen.calls


def test_a_pattern_that_matches_nothing_is_said() -> None:
    report = mcodec.evaluate.sweep(network(), Seen(), keep=12, exclude=["tail.*"])
    assert report.notes == ("the pattern 'tail.*' matches no tensor that a sweep changes",)


def test_what_cannot_be_coded_stays_exact_and_is_said() -> None:
    arrays = network() | {"lost.weight": np.full((3, 3), np.nan, np.float32)}
    seen = Seen()
    report = mcodec.evaluate.sweep(arrays, seen, bits=[8, 4])
    assert len(report.notes) == 1
    assert "tensor 'lost.weight'" in report.notes[0]
    assert seen.calls[2]["lost.weight"].tobytes() == arrays["lost.weight"].tobytes()
    cell = report.curve("A")[0]
    assert cell.max_error is not None  # of what is changed
    assert cell.sqnr_db is None


def test_two_names_of_one_array_stay_one(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a/w"] = network()["conv.weight"]
        file["b/w"] = file["a/w"]
    tied = []

    def same(weights: Any, task: str) -> float:
        tied.append(weights["a/w"].tobytes() == weights["b/w"].tobytes())
        return float(weights["b/w"].sum())

    report = mcodec.evaluate.sweep(tmp_path / "a.h5", same, keep=10)
    assert tied == [True, True]
    assert report.drop(report.curve("A")[0]) != 0


# Resuming.


def test_finished_cells_are_not_run_again(tmp_path: Path) -> None:
    out = tmp_path / "sweep.json"
    calls = []

    def stops(weights: Any, task: str) -> float:
        calls.append(task)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return float(weights["conv.weight"].sum())

    with pytest.raises(KeyboardInterrupt):
        mcodec.evaluate.sweep(network(), stops, keep="20:14:-2", out=out)
    assert len(json.loads(out.read_text())["cells"]) == 2
    report = mcodec.evaluate.sweep(network(), stops, keep="20:14:-2", out=out)
    assert (len(calls), report.measured) == (6, 3)
    again = mcodec.evaluate.sweep(network(), stops, keep="20:14:-2", out=out)
    assert (len(calls), again.measured) == (6, 0)
    assert again.cells == report.cells
    more = mcodec.evaluate.sweep(network(), stops, keep="20:10:-2", out=out)
    assert (len(calls), more.measured) == (8, 2)
    fresh = mcodec.evaluate.sweep(network(), stops, keep=20, out=out, fresh=True)
    assert (len(calls), fresh.measured) == (10, 2)


def first(weights: Any, task: str) -> float:
    return 1.0


def second(weights: Any, task: str) -> float:
    return 2.0


def test_the_file_of_something_else_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "sweep.json"
    mcodec.evaluate.sweep(network(), first, keep=20, out=out)
    before = out.read_bytes()
    other = network() | {"head.half": np.zeros(100, np.float16)}

    def refused(words: str, model: Any, evaluate: Any = first, **options: Any) -> None:
        with pytest.raises(UsageError, match=words) as caught:
            mcodec.evaluate.sweep(model, evaluate, out=out, **options)
        assert "--fresh" in str(caught.value)
        assert out.read_bytes() == before

    refused("of another model: arrays, task 'A'", other, keep=20)
    refused("measured by first, task 'A', not by second", network(), second, keep=20)
    refused("with mode 'keep', not 'bits'", network(), bits=20)
    refused("with include", network(), keep=20, include=["*"])
    refused("with as_file", network(), keep=20, as_file=True)
    refused("of the tasks A", {"B": network()}, keep=20)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"mcodec_sweep": 1}', '{"cells": []}', "\0", '{"a":' * 9000]
)
def test_a_damaged_file_is_refused_and_kept(tmp_path: Path, text: str) -> None:
    out = tmp_path / "sweep.json"
    out.write_text(text)
    with pytest.raises(UsageError, match="is no sweep, or damaged"):
        mcodec.evaluate.sweep(network(), first, keep=20, out=out)
    assert out.read_text() == text
    mcodec.evaluate.sweep(network(), first, keep=20, out=out, fresh=True)


def test_a_file_with_other_values_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "sweep.json"
    mcodec.evaluate.sweep(network(), first, keep=20, out=out)
    state = json.loads(out.read_text())
    out.write_text(json.dumps(state | {"mcodec_sweep": 2}))
    with pytest.raises(UsageError, match="of version 2"):
        mcodec.evaluate.sweep(network(), first, keep=20, out=out)
    state["cells"][0]["scores"] = {}
    out.write_text(json.dumps(state))
    with pytest.raises(UsageError, match="is empty"):
        mcodec.evaluate.sweep(network(), first, keep=20, out=out)


def test_an_evaluator_that_was_changed_is_told(tmp_path: Path) -> None:
    path = tmp_path / "score.py"
    out = tmp_path / "sweep.json"
    path.write_text("def f(weights, task):\n    return 1\n")
    mcodec.evaluate.sweep(network(), f"{path}:f", keep=20, out=out)
    path.write_text("def f(weights, task):\n    return 2\n")
    with pytest.raises(UsageError, match=r"score\.py:f has changed since"):
        mcodec.evaluate.sweep(network(), f"{path}:f", keep=20, out=out)


def test_an_output_that_cannot_be_is_said_first(tmp_path: Path) -> None:
    seen = Seen()
    with pytest.raises(InputOutputError, match="folder"):
        mcodec.evaluate.sweep(network(), seen, keep=3, out=tmp_path / "none" / "s.json")
    save_file(network(), tmp_path / "a.safetensors")
    path = tmp_path / "a.safetensors"
    with pytest.raises(UsageError, match="an input as well"):
        mcodec.evaluate.sweep(path, seen, keep=3, out=path)
    assert not seen.calls


def test_names_of_numbers_may_not_change(tmp_path: Path) -> None:
    out = tmp_path / "sweep.json"
    mcodec.evaluate.sweep(network(), first, keep=20, out=out)
    out.write_text(out.read_text().replace('"score"', '"points"'))
    with pytest.raises(EvaluatorError, match="named score, and before they were points"):
        mcodec.evaluate.sweep(network(), first, keep=18, out=out)


# Files and tasks.


def test_an_evaluator_may_get_a_file(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = "{}"
        for name, array in network().items():
            file[name.replace(".", "/")] = array
    seen = []

    def look(file: str, task: str) -> float:
        assert Path(file).name == "model.h5"
        with h5py.File(file) as model:
            assert model.attrs["model_config"] == "{}"
            seen.append({name: model[name.replace(".", "/")][()] for name in network()})
        return 1.0

    mcodec.evaluate.sweep(path, look, keep=[12, 32], as_file=True)
    for found, keep in zip(seen, (64, 12), strict=True):
        for name, array in network().items():
            assert found[name].tobytes() == truncated(array, keep).tobytes()
    assert list(tmp_path.iterdir()) == [path]


def test_arrays_as_a_file_are_safetensors() -> None:
    paths = []

    def look(file: str, task: str) -> float:
        paths.append(Path(file))
        return float(len(load_file(file)))

    assert mcodec.evaluate.sweep(network(), look, keep=9, as_file=True).baseline("A").score == 5
    assert paths[0].suffix == ".safetensors"
    assert not any(path.exists() for path in paths)


def test_tasks_of_a_container(tmp_path: Path) -> None:
    other = {name: array * 2 for name, array in network().items()}
    mcodec.pack({"one": network(), "two": other}, tmp_path / "x.mc")

    def total(weights: Any, task: str) -> float:
        return float(weights["conv.weight"].sum()) + (1000 if task == "two" else 0)

    report = mcodec.evaluate.sweep(tmp_path / "x.mc", total, keep=16)
    assert report.tasks == ("one", "two")
    expected = float(other["conv.weight"].sum()) + 1000
    assert report.baseline("two").score == expected
    one = mcodec.evaluate.sweep({"A": network()}, {"A": total}, keep=16)
    assert one.curve("A")[0].scores == report.curve("one")[0].scores


def test_csv(tmp_path: Path) -> None:
    def two(weights: Any, task: str) -> dict[str, float]:
        return {"sum": float(weights["conv.weight"].sum()), "n": 5}

    report = mcodec.evaluate.sweep(network(), two, keep=[12, 32], per_layer=True)
    report.write_csv(tmp_path / "s.csv")
    with open(tmp_path / "s.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * len(report.cells) == 2 * 7
    assert [row["measure"] for row in rows[:2]] == ["sum", "n"]
    assert (rows[0]["layer"], rows[0]["keep"]) == ("", "")
    last = rows[-2]
    assert (last["layer"], last["keep"]) == ("head", "12")
    for row, cell in zip(rows[::2], report.cells, strict=True):
        assert float(row["value"]) == cell.score
        assert float(row["drop"]) == pytest.approx(report.drop(cell), rel=1e-6)


# Worker processes.

SCORE = """
import os
import pathlib
import time

log = pathlib.Path(__file__).with_name("log")

def f(weights, task):
    print("seen")
    with open(log, "a") as file:
        file.write(f"{os.getpid()}\\n")
    return float(abs(weights["conv.weight"]).sum())

def dies(weights, task):
    os._exit(9)

def fails(weights, task):
    return float(abs(weights["conv.weight"]).sum()) / 0
"""


def workers(tmp_path: Path, name: str, **options: Any) -> SweepReport:
    (tmp_path / "score.py").write_text(SCORE)
    save_file(network(), tmp_path / "a.safetensors")
    return mcodec.evaluate.sweep(
        tmp_path / "a.safetensors",
        f"{tmp_path / 'score.py'}:{name}",
        keep="32:2:-6",
        out=tmp_path / "sweep.json",
        jobs=2,
        **options,
    )


def test_workers_measure_what_one_process_does(tmp_path: Path) -> None:
    there = workers(tmp_path, "f")
    pids = (tmp_path / "log").read_text().split()
    assert len(pids) == there.measured == 6
    here = mcodec.evaluate.sweep(
        tmp_path / "a.safetensors", f"{tmp_path / 'score.py'}:f", keep="32:2:-6"
    )
    assert [cell.scores for cell in there.cells] == [cell.scores for cell in here.cells]
    assert [cell.max_error for cell in there.cells] == [cell.max_error for cell in here.cells]


def test_a_worker_that_dies(tmp_path: Path) -> None:
    with pytest.raises(InputOutputError, match="a worker process died"):
        workers(tmp_path, "dies")
    assert json.loads((tmp_path / "sweep.json").read_text())["cells"] == []


def test_what_a_worker_raises(tmp_path: Path) -> None:
    with pytest.raises(EvaluatorError, match=r"fails raises ZeroDivisionError.*line 18"):
        workers(tmp_path, "fails")


def test_a_function_of_this_module_goes_to_workers() -> None:
    report = mcodec.evaluate.sweep(network(), first, keep=[9, 8], jobs=2)
    assert report.last_without_loss("A") == 8


def test_a_file_without_a_cell_is_nothing_to_lose(tmp_path: Path) -> None:
    def fails(weights: Any, task: str) -> None:
        return None

    out = tmp_path / "sweep.json"
    with pytest.raises(EvaluatorError, match="returns nothing"):
        mcodec.evaluate.sweep(network(), fails, keep=20, out=out)
    assert mcodec.evaluate.sweep(network(), first, bits=20, out=out).measured == 2
