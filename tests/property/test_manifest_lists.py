"""Manifests that are taken at a glance are those that the rules take, one by one."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING, Any
from unittest import mock

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcodec import stored
from mcodec.codec.registry import from_config
from mcodec.container.checked import Checked
from mcodec.container.listed import Listed, places_of
from mcodec.container.manifest import decode
from mcodec.errors import FormatError
from mcodec.stored import reference

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcodec.types import RunSpec

DIGEST = "0" * 64
SIDES = st.one_of(st.integers(0, 9), st.sampled_from([-1, 4096, 2**24, 2**47, 2**48, 2**64, 1.0]))
SHAPES = st.lists(st.lists(SIDES, max_size=4), min_size=1, max_size=6)
NAMES = st.one_of(
    st.sampled_from(["", "w", "b", "é", "\U0001f600", '"', "\\", "\n", "n" * 4096, "é" * 2049]),
    st.integers(0, 40).map("t{}".format),
)
PLACES = st.tuples(NAMES, st.integers(-1, 3), st.integers(-1, 6))
SPOILED = (b"[", b"]", b'"', b",", b" ", b"0", b"-", b"\\", b"\x01", b"\xff", b"null", b"1e3")


@st.composite
def manifests(draw: st.DrawFn) -> bytes:
    """Draw the JSON of a manifest; sometimes it is spoiled, or written with spaces."""
    dtypes = st.sampled_from(["float32", "uint8", "V65536", "none"])
    codecs = st.sampled_from([0, 0, 0, 1])
    runs = draw(st.lists(st.tuples(codecs, dtypes, SHAPES), max_size=4))
    tasks = [{"name": f"T{i}", "tensors": draw(st.lists(PLACES, max_size=8))} for i in range(2)]
    value = {
        "codecs": [{"id": "raw"}],
        "runs": [[*run, DIGEST, None, None] for run in runs],
        "tasks": tasks,
    }
    text = msgspec.json.encode(value)
    if draw(st.booleans()):
        text = msgspec.json.format(text, indent=draw(st.sampled_from([0, 2])))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.sampled_from(SPOILED)) + text[at + draw(st.integers(0, 2)) :]
    return text


def outcome(text: bytes, budget: int) -> Any:
    """Return what a manifest says, or the reason why it is refused."""
    try:
        checked = Checked(decode(text), from_config, budget)
    except FormatError as error:
        return error.code
    runs = [
        (run.dtype, run.shapes, run.starts, run.sizes, run.elements, run.block)
        for run in checked.runs
    ]
    tasks = [(list(task.tensors), dict(places_of(task.tensors))) for task in checked.manifest.tasks]
    return runs, [list(run.members) for run in checked.manifest.runs], tasks


@given(text=manifests(), budget=st.sampled_from([100, 1 << 40, 1 << 90]))
def test_a_glance_and_the_rules_agree(text: bytes, budget: int) -> None:
    found = outcome(text, budget)
    with mock.patch.multiple(
        stored, depth=reference.depth, shapes=reference.shapes, tensors=reference.tensors
    ):
        assert outcome(text, budget) == found


def plain(count: int) -> bytes:
    tensors = [(f"t{i}", 0, i) for i in range(count)]
    runs = [[0, "float32", [(i, 2) for i in range(count)], DIGEST, None, None]]
    value = {"codecs": [{"id": "raw"}], "runs": runs, "tasks": [{"name": "A", "tensors": tensors}]}
    return msgspec.json.encode(value)


@pytest.mark.skipif(stored.depth(b"") < 0, reason="needs compiled code")
def test_nothing_is_made_until_it_is_asked_for() -> None:
    checked = Checked(decode(plain(1000)), from_config, 1 << 30)
    (run,), (task,) = checked.runs, checked.manifest.tasks
    assert isinstance(task.tensors, Listed)
    places = places_of(task.tensors)
    assert len(task.tensors) == len(places) == 1000
    assert places["t7"] == (0, 7)
    assert "u7" not in places
    assert "\ud800" not in places
    number: Any = 7
    assert number not in places
    assert run.laid is not None
    assert run.blocks_of(999) == range(3, 4)
    assert task.tensors[7].member == 7
    assert [one.name for one in task.tensors[1:3]] == ["t1", "t2"]


def test_a_run_whose_shapes_are_not_made_yet_is_copied_whole() -> None:
    pickled: Callable[[RunSpec], RunSpec] = lambda run: pickle.loads(pickle.dumps(run))  # noqa: E731
    for make in (copy.copy, copy.deepcopy, pickled):
        run, other = (Checked(decode(plain(9)), from_config, 1 << 30).runs[0] for _ in range(2))
        made = make(run)
        assert made == run == other
        assert hash(made) == hash(other)
        assert made.shapes[3] == (3, 2)
        assert made.starts[:4] == (0, 0, 8, 16)


def test_names_that_fall_together_are_looked_at_one_by_one() -> None:
    """As whoever made them would want it: no time that grows with the square of their number."""
    same = ",".join(f'["t{i % 999}",0,0]' for i in range(1000))
    assert stored.tensors(f"[{same}]".encode()) is None


@pytest.mark.parametrize("text", [b"", b"[", b"]", b"[]x", b"[[]", b'[["', b'[["a', b'[["a",0,0]'])
def test_a_text_that_ends_early_is_for_the_caller(text: bytes) -> None:
    assert stored.tensors(text) is None
    assert stored.shapes(text) is None


@pytest.mark.skipif(stored.depth(b"") < 0, reason="needs compiled code")
def test_depth() -> None:
    assert stored.depth(b'{"[[[":["]\\"[",[{}]]}') == 4
    assert stored.depth(b'["') == stored.depth(b'["\\') == -1
    assert stored.depth(b"]]][") == 0
