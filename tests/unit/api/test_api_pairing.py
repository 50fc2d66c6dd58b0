"""Which tensors of several tasks belong together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mcodec
from mcodec.api import pairing
from mcodec.api.listing import list_pairs
from mcodec.api.pairing import pair_tensors
from mcodec.errors import UsageError
from mcodec.types import TensorSpec
from support import cases

if TYPE_CHECKING:
    from pathlib import Path


def model(*rows: str) -> list[TensorSpec]:
    """Make tensors of ``name 3x4`` rows."""
    found = []
    for row in rows:
        name, _, shape = row.rpartition(" ")
        found.append(TensorSpec(name, "float32", tuple(map(int, shape.split("x")))))
    return found


def names(models: list[list[TensorSpec]], groups: list[dict[int, int]]) -> list[list[str]]:
    return [[models[task][index].name for task, index in group.items()] for group in groups]


def test_by_position_where_the_shapes_are_alike() -> None:
    models = [model("a 3x3", "b 3", "c 3x3"), model("x 3x3", "y 3", "z 3x3")]
    assert pair_tensors(models) == [{0: 0, 1: 0}, {0: 1, 1: 1}, {0: 2, 1: 2}]


def test_keras_numbers_its_layers_anew() -> None:
    first = model("conv2d/kernel 3x3", "conv2d_1/kernel 3x3", "dense/kernel 3x9", "out 9x2")
    other = model("conv2d_7/kernel 3x3", "conv2d_8/kernel 3x3", "dense_4/kernel 3x9", "out 9x5")
    groups = pair_tensors([first, other])
    assert names([first, other], groups) == [
        ["conv2d/kernel", "conv2d_7/kernel"],
        ["conv2d_1/kernel", "conv2d_8/kernel"],
        ["dense/kernel", "dense_4/kernel"],
    ]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("conv2d_1/kernel", "conv2d/kernel"),
        ("conv2d_1/kernel:0", "conv2d_12/kernel:0"),
        ("lstm/lstm_cell_3/bias", "lstm_2/lstm_cell/bias"),
        ("layers.3.attention.q", "layers.11.attention.q"),
        ("layer/0/w", "layer/1/w"),
        ("0", "17"),
    ],
)
def test_numbers_do_not_count(one: str, two: str) -> None:
    models = [model(f"{one} 4x4", "only 9x9"), model(f"{two} 4x4")]
    assert pair_tensors(models) == [{0: 0, 1: 0}]


@pytest.mark.parametrize(("one", "two"), [("conv2d/w", "conv3d/w"), ("fc1/w", "fc2/w")])
def test_numbers_that_are_part_of_a_word_do(one: str, two: str) -> None:
    assert pair_tensors([model(f"{one} 4x4", "only 9x9"), model(f"{two} 4x4")]) == []


def test_the_longest_common_subsequence() -> None:
    first = model("a 1", "b 2", "c 3", "d 4", "e 5")
    other = model("a 1", "d 4", "b 2", "c 3", "new 7", "e 5")
    assert pair_tensors([first, other]) == [{0: 0, 1: 0}, {0: 1, 1: 2}, {0: 2, 1: 3}, {0: 4, 1: 5}]


def test_dtypes_are_never_mixed() -> None:
    one = [TensorSpec("w", "float32", (4, 4))]
    two = [TensorSpec("w", "float16", (4, 4))]
    assert pair_tensors([one, two]) == []


def test_three_tasks() -> None:
    first, second, third = model("a 1", "b 2", "c 3"), model("b 2", "c 3"), model("a 1", "c 3")
    groups = pair_tensors([first, second, third])
    assert groups == [{0: 0, 2: 0}, {0: 1, 1: 0}, {0: 2, 1: 1, 2: 1}]


def test_one_task_or_none() -> None:
    assert pair_tensors([]) == []
    assert pair_tensors([model("a 1")]) == []
    assert pair_tensors([model("a 1"), []]) == []


def test_a_pair_by_hand_goes_first() -> None:
    models = [model("a 3x3", "b 3x3"), model("x 3x3", "y 3x3")]
    for override in ((0, "a", 1, "y"), (1, "y", 0, "a")):
        # What is left is paired by position still: both have one 3x3.
        assert pair_tensors(models, [override]) == [{0: 0, 1: 1}, {0: 1, 1: 0}]


def test_a_pair_by_hand_of_other_names() -> None:
    models = [model("a 3x3", "head 2"), model("tail 2", "b 3x3", "more 7")]
    assert pair_tensors(models) == []
    assert pair_tensors(models, [(0, "a", 1, "b")]) == [{0: 0, 1: 1}]


def test_a_pair_by_hand_of_a_third_task() -> None:
    models = [model("a 3x3", "h 9"), model("a 3x3"), model("z 3x3")]
    assert pair_tensors(models, [(0, "a", 2, "z")]) == [{0: 0, 1: 0, 2: 0}]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([(0, "a", 1, "y")], "'a' and 'y' differ in dtype or shape"),
        ([(0, "none", 1, "x")], "no tensor 'none'"),
        ([(0, "a", 1, "none")], "no tensor 'none'"),
        ([(1, "x", 1, "y")], "a tensor of the first task"),
        ([(0, "a", 0, "b")], "a tensor of the first task"),
        ([(0, "a", 1, "x"), (0, "a", 1, "z")], "names 'a' or 'z' twice"),
        ([(0, "a", 1, "x"), (0, "c", 1, "x")], "names 'c' or 'x' twice"),
    ],
)
def test_pairs_that_cannot_be(overrides: list[tuple[int, str, int, str]], message: str) -> None:
    models = [model("a 3x3", "b 2", "c 3x3"), model("x 3x3", "y 2", "z 3x3")]
    with pytest.raises(UsageError, match=message):
        pair_tensors(models, overrides)


@given(
    one=st.lists(st.sampled_from("abcd"), max_size=12),
    two=st.lists(st.sampled_from("abcd"), max_size=12),
    table=st.sampled_from((0, 4_000_000)),
)
def test_a_pairing_is_in_order_and_alike(one: list[str], two: list[str], table: int) -> None:
    models = [model(*(f"{name} 2" for name in names)) for names in (one, two)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairing, "_TABLE", table)  # 0: as for very long models
        groups = pair_tensors(models)
    pairs = [(group[0], group[1]) for group in groups]
    assert pairs == sorted(pairs)
    assert [right for _, right in pairs] == sorted({right for _, right in pairs})
    if len(one) != len(two):
        assert all(one[left] == two[right] for left, right in pairs)
        if table:
            assert len(pairs) == longest(one, two)


def longest(one: list[str], two: list[str]) -> int:
    """Return the length of a longest common subsequence."""
    row = [0] * (len(two) + 1)
    for a in one:
        above = row[:]
        for j, b in enumerate(two):
            row[j + 1] = above[j] + 1 if a == b else max(above[j + 1], row[j])
    return row[-1]


def test_pairs_of_a_packed_file(tmp_path: Path) -> None:
    models = {
        "A": {"c_1/k": cases.weights("float32", (9, 9)), "bias": cases.weights("float32", (9,))},
        "B": {"bias": cases.weights("float32", (9,)), "c_2/k": cases.weights("float32", (9, 9))},
    }
    path = tmp_path / "x.mc"
    mcodec.pack(models, path, bits=8, pair=[("A:c_1/k", "B:c_2/k")], jobs=1)
    with mcodec.open(path) as file:
        assert len(file.reader.manifest.pairs) == 2
        assert list_pairs(file.reader) == [
            {"A": "c_1/k", "B": "c_2/k"},
            {"A": "bias", "B": "bias"},
        ]
    for pair, message in (
        (("A:none", "B:bias"), "no tensor 'none'"),
        (("c_1/k", "B:bias"), "names no task"),
        (("X:c_1/k", "B:bias"), "names no task"),
    ):
        with pytest.raises(UsageError, match=message):
            mcodec.pack(models, tmp_path / "y.mc", bits=8, pair=[pair])
    assert [file.name for file in tmp_path.iterdir()] == ["x.mc"]
