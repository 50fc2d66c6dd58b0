"""Functions that measure models: how they are named, and what they may not do."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mcodec.api.evaluators import Evaluator, as_evaluators, load_evaluators
from mcodec.errors import (
    EvaluatorError,
    InputOutputError,
    MissingDependencyError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WEIGHTS = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array(3)}

FILE = """
import helper
from os.path import join

LEVEL = 3


def accuracy(weights, task):
    return helper.total(weights) + len(task)


def broken(weights, task):
    wrong = weights["w"].shape[0] - 2
    return 1 / wrong


def missing(weights, task):
    import no_such_library
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "helper.py").write_text(
        "def total(weights):\n    return sum(float(a.sum()) for a in weights.values())\n"
    )
    path = tmp_path / "measure.py"
    path.write_text(FILE)
    return path


def test_a_function_of_a_file(file: Path) -> None:
    path_before = list(sys.path)
    found = load_evaluators(f"{file}:accuracy", ["A", "BB"])
    assert list(found) == ["A", "BB"]
    assert found["A"](WEIGHTS, "A") == {"score": 19.0}
    assert found["BB"](WEIGHTS, "BB") == {"score": 20.0}
    assert (found["A"].main, found["A"].label) == ("score", "measure.py:accuracy")
    assert sys.path == path_before
    assert not (file.parent / "__pycache__" / "measure.cpython-311.pyc").exists()


def test_a_file_is_run_once_unless_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "count.py"
    path.write_text(
        "import pathlib\nlog = pathlib.Path(__file__).with_name('log')\n"
        "log.write_text(log.read_text() + 'x' if log.exists() else 'x')\n"
        "def f(weights, task):\n    return 1\ndef g(weights, task):\n    return 2\n"
    )
    load_evaluators(f"A={path}:f,B={path}:g", ["A", "B"])
    load_evaluators(f"{path}:f", ["A"])
    assert (tmp_path / "log").read_text() == "x"
    path.write_text(path.read_text().replace("return 1", "return 3"))
    assert load_evaluators(f"{path}:f", ["A"])["A"]({}, "A") == {"score": 3.0}


def test_one_a_task(file: Path) -> None:
    other = file.with_name("a=b,c.py")
    other.write_text("def g(weights, task):\n    return {'top 1': 2, 'loss': -1.5}\n")
    found = load_evaluators(f"A={file}:accuracy, B = {file}:broken", ["B", "A"])
    assert list(found) == ["B", "A"]
    assert found["B"].label == "measure.py:broken"
    odd = load_evaluators(f"{other}:g", ["A"])["A"]
    assert list(odd(WEIGHTS, "A").items()) == [("top 1", 2.0), ("loss", -1.5)]
    assert odd.main == "top 1"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{file}", "is not of the form"),
        (":accuracy", "is not of the form"),
        ("{file}:", "is not of the form"),
        ("A={file}:accuracy", "task 'B' has no evaluator"),
        ("A={file}:accuracy,C={file}:accuracy", "for task 'C', and the tasks are A, B"),
        ("A={file}:accuracy,A={file}:accuracy", "twice"),
        ("A={file}:accuracy,{file}:accuracy", "is not of the form"),
        ("{file}:accurate", "functions of the file: accuracy, broken, missing"),
        ("{file}:LEVEL", "'LEVEL': it is no function"),
    ],
)
def test_malformed(file: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        load_evaluators(text.replace("{file}", str(file)), ["A", "B"])


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputOutputError, match=r"nowhere\.py: no such file"):
        load_evaluators(f"{tmp_path}/nowhere.py:f", ["A"])
    with pytest.raises(InputOutputError, match="directory"):
        load_evaluators(f"{tmp_path}:f", ["A"])


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("x = 1\ndef f(:\n", EvaluatorError, "line 2: it cannot be loaded: SyntaxError"),
        ("import math\nmath.sqrt(-1)\n", EvaluatorError, "line 2: it cannot be loaded: ValueError"),
        ("import sys\nsys.exit(3)\n", EvaluatorError, "line 2: it cannot be loaded: SystemExit: 3"),
        ("import no_such_one\n", MissingDependencyError, "line 1: it needs the module 'no_such"),
        ("x = '\0'\n", EvaluatorError, "cannot be loaded"),
        ("\xff\n".encode("latin-1"), EvaluatorError, "cannot be loaded"),
    ],
)
def test_a_file_that_cannot_be_loaded(
    tmp_path: Path, text: str | bytes, kind: type[Exception], words: str
) -> None:
    path = tmp_path / "bad.py"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(kind, match=words):
        load_evaluators(f"{path}:f", ["A"])


def test_what_raises_names_its_line(file: Path) -> None:
    broken = load_evaluators(f"{file}:broken", ["A"])["A"]
    with pytest.raises(EvaluatorError) as caught:
        broken(WEIGHTS, "A")
    assert str(caught.value) == (
        "evaluator measure.py:broken raises ZeroDivisionError: division by zero "
        "(measure.py, line 14)"
    )
    assert caught.value.code == "evaluator"
    missing = load_evaluators(f"{file}:missing", ["A"])["A"]
    with pytest.raises(MissingDependencyError, match=r"no_such_library.*line 18"):
        missing(WEIGHTS, "A")


def exits(weights: Any, task: str) -> None:
    sys.exit(0)


def stopped(weights: Any, task: str) -> None:
    raise SystemExit(143)


def interrupted(weights: Any, task: str) -> None:
    raise KeyboardInterrupt


def test_what_leaves() -> None:
    with pytest.raises(EvaluatorError, match="exits raises SystemExit: 0"):
        Evaluator(exits)(WEIGHTS, "A")
    with pytest.raises(SystemExit):
        Evaluator(stopped)(WEIGHTS, "A")
    with pytest.raises(KeyboardInterrupt):
        Evaluator(interrupted)(WEIGHTS, "A")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "returns nothing"),
        ({}, "without a number"),
        ("0.5", "returns a str, not a number"),
        (True, "returns a bool"),
        (np.bool_(True), "returns a bool"),
        (1j, "returns a complex"),
        ([1.0], "returns a list"),
        (np.zeros(2), "returns a ndarray"),
        (math.nan, "returns nan; let it return a finite number"),
        (-math.inf, "returns -inf"),
        (10**400, "returns inf"),
        ({"top": 1.0, "loss": math.nan}, "returns nan for 'loss'"),
        ({"top": None}, "returns a NoneType for 'top'"),
        ({1: 2.0}, "the key 1"),
        ({"": 2.0}, "the key ''"),
    ],
)
def test_what_is_no_number(value: Any, words: str) -> None:
    with pytest.raises(EvaluatorError, match=words):
        Evaluator(lambda weights, task: value)(WEIGHTS, "A")


@pytest.mark.parametrize("value", [2, 2.0, np.float32(2), np.array(2), np.int64(2)])
def test_what_is_a_number(value: Any) -> None:
    found = Evaluator(lambda weights, task: value)(WEIGHTS, "A")
    assert found == {"score": 2.0}
    assert type(found["score"]) is float


def test_names_stay() -> None:
    given = iter([{"a": 1, "b": 2}, {"a": 3, "b": 4}, {"b": 3, "a": 4}])
    evaluator = Evaluator(lambda weights, task: next(given))
    with pytest.raises(UsageError, match="was not called yet"):
        _ = evaluator.main
    evaluator(WEIGHTS, "A")
    assert evaluator(WEIGHTS, "A") == {"a": 3.0, "b": 4.0}
    with pytest.raises(EvaluatorError, match="named b, a, and before they were a, b"):
        evaluator(WEIGHTS, "A")


def in_place(weights: Any, task: str) -> float:
    weights["w"] += 1
    return 1.0


def by_index(weights: Any, task: str) -> float:
    weights["w"][0, 0] = 1
    return 1.0


def by_force(weights: Any, task: str) -> float:
    array = np.lib.stride_tricks.as_strided(weights["w"])
    while array.base is not None and isinstance(array.base, np.ndarray):
        array = array.base
    array[...] = 7
    return 1.0


@pytest.mark.parametrize("function", [in_place, by_index, by_force])
def test_arrays_may_not_be_changed(function: Callable[[Any, str], float]) -> None:
    weights = {"w": np.zeros((2, 3), np.float32)}
    with pytest.raises(EvaluatorError, match=r"changes .*may only read"):
        Evaluator(function)(weights, "A")


def test_the_mapping_is_the_functions_own() -> None:
    def empties(weights: Any, task: str) -> float:
        weights.clear()
        return 1.0

    assert Evaluator(empties)(WEIGHTS, "A") == {"score": 1.0}
    assert list(WEIGHTS) == ["w", "n"]
    assert WEIGHTS["w"].flags.writeable


def test_functions_of_this_process() -> None:
    def first(weights: Any, task: str) -> float:
        return 1.0

    found = as_evaluators(first, ["A", "B"])
    assert found["A"].label.endswith("first")
    assert found["A"] is not found["B"]
    same = as_evaluators(found, ["A", "B"])
    assert same["B"] is found["B"]
    with pytest.raises(UsageError, match="task 'B' has no evaluator"):
        as_evaluators({"A": first}, ["A", "B"])
    with pytest.raises(UsageError, match="task 'C'"):
        as_evaluators({"A": first, "C": first}, ["A"])
    with pytest.raises(UsageError, match="is no function"):
        as_evaluators(3, ["A"])  # type: ignore[arg-type]


def test_torch_may_look_without_a_warning() -> None:
    torch = pytest.importorskip("torch")

    def look(weights: Any, task: str) -> float:
        return float(torch.from_numpy(weights["w"]).sum())

    def write(weights: Any, task: str) -> float:
        torch.from_numpy(weights["w"]).add_(1)
        return 1.0

    assert Evaluator(look)(WEIGHTS, "A") == {"score": 15.0}
    with pytest.raises(EvaluatorError, match="changes the array 'w'"):
        Evaluator(write)({"w": np.zeros(3, np.float32)}, "A")
