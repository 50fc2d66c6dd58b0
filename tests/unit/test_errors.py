"""The tree of errors: codes, places, and what they are to `except` clauses."""

from __future__ import annotations

import copy
import copyreg
import pickle
from typing import Any

import pytest

from mcodec import errors
from mcodec.errors import (
    REASONS,
    CodecConfigError,
    EvaluatorError,
    FormatError,
    InputOutputError,
    McodecError,
    MissingDependencyError,
    UnknownTaskError,
    UsageError,
)

KINDS: list[tuple[type[McodecError], type[Exception], str]] = [
    (FormatError, ValueError, "manifest_invalid"),
    (CodecConfigError, ValueError, "codec_config"),
    (UsageError, ValueError, "usage"),
    (UnknownTaskError, KeyError, "task_unknown"),
    (EvaluatorError, ValueError, "evaluator"),
    (MissingDependencyError, ImportError, "dependency_missing"),
    (InputOutputError, OSError, "io"),
]


@pytest.mark.parametrize(("kind", "builtin", "code"), KINDS)
def test_every_error(kind: type[McodecError], builtin: type[Exception], code: str) -> None:
    error = kind("what is wrong", where="a.mc")
    assert isinstance(error, builtin)
    assert isinstance(error, McodecError)
    assert error.code == code
    assert code in REASONS
    assert str(error) == "a.mc: what is wrong"
    assert str(kind("what is wrong")) == "what is wrong"
    assert error.at("tensor 'w'") is error
    assert str(error) == "tensor 'w': a.mc: what is wrong"


@pytest.mark.parametrize("kind", [kind for kind, _, _ in KINDS])
def test_an_error_survives_another_process(kind: type[McodecError]) -> None:
    error: Any = pickle.loads(pickle.dumps(kind("wrong", code="io", where="a.mc")))
    assert type(error) is kind
    assert (error.message, error.code, error.where) == ("wrong", "io", "a.mc")
    assert str(error) == "a.mc: wrong"


@pytest.mark.parametrize("kind", [kind for kind, _, _ in KINDS])
def test_a_copy_has_attributes_of_its_own(
    kind: type[McodecError], monkeypatch: pytest.MonkeyPatch
) -> None:
    def remake(state: dict[str, Any]) -> McodecError:  # as tblib does, with distributed imported
        made = kind("")
        made.__dict__ = state
        return made

    monkeypatch.setitem(copyreg.dispatch_table, kind, lambda error: (remake, (vars(error),)))
    error = kind("wrong", code="io", where="a.mc")
    error.__cause__ = KeyError("k")
    error.add_note("a note")
    made = copy.copy(error)
    assert type(made) is kind
    assert made.__cause__ is error.__cause__
    assert made.__suppress_context__
    assert made.args == error.args
    assert vars(made) == vars(error)
    assert str(made.at("here")) == "here: a.mc: wrong"
    assert str(error) == "a.mc: wrong"


def test_reasons_are_words_with_a_meaning() -> None:
    for code, meaning in REASONS.items():
        assert code == code.lower().replace(" ", "_")
        assert meaning
        assert not meaning.endswith(".")


def test_the_tree_is_what_the_module_says() -> None:
    kinds = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, McodecError)
    }
    assert kinds == {kind.__name__ for kind, _, _ in KINDS} | {"McodecError"}
    assert all(f"{name}(" in (errors.__doc__ or "") for name in kinds)
