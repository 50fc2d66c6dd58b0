"""Two tasks in one file: neither disturbs the other, and dither stays below A's unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mcodec
from mcodec.errors import UsageError
from mcodec.types import FLOATS
from support import cases, formula, strategies

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Model = Mapping[str, NDArray[Any]]


def pair(folder: Path, first: Model, second: Model, **options: Any) -> Path:
    """Pack two models as A and B."""
    path = folder / "fused.mc"
    mcodec.pack({"A": first, "B": second}, path, jobs=1, **options)
    return path


def decoded(path: Path, task: str, **view: Any) -> dict[str, NDArray[Any]]:
    """Return a task's arrays."""
    with mcodec.open(path, jobs=1) as file:
        return dict(file.task(task, **view))


@given(data=st.data(), dtype=strategies.float_dtypes, bits=st.tuples(*[st.integers(1, 24)] * 2))
def test_each_task_decodes_as_if_it_were_alone(
    tmp_path: Path, data: st.DataObject, dtype: str, bits: tuple[int, int]
) -> None:
    shapes = data.draw(st.lists(strategies.shapes(100), min_size=1, max_size=3))
    models = [
        {f"t{i}": data.draw(strategies.finite(dtype, shape)) for i, shape in enumerate(shapes)}
        for _ in "AB"
    ]
    path = pair(tmp_path, *models, bits=list(bits))
    for task, model, own in zip("AB", models, bits, strict=True):
        mcodec.pack({task: model}, tmp_path / "alone.mc", bits=own, jobs=1)
        cases.assert_same_model(decoded(path, task), decoded(tmp_path / "alone.mc", task))


@given(data=st.data(), dtype=strategies.float_dtypes, bits=st.integers(1, 24))
def test_changing_b_changes_no_bit_of_a(
    tmp_path: Path, data: st.DataObject, dtype: str, bits: int
) -> None:
    shape = data.draw(strategies.shapes(150, least_dims=2))
    first, second, other = (data.draw(strategies.finite(dtype, shape)) for _ in range(3))
    before = decoded(pair(tmp_path, {"w": first}, {"w": second}, bits=bits), "A")
    after = decoded(pair(tmp_path, {"w": first}, {"w": other}, bits=bits), "A")
    cases.assert_same_model(after, before)


@given(data=st.data(), bits=st.tuples(*[st.integers(1, 24)] * 2), dtype=strategies.float_dtypes)
def test_dither_is_the_field_of_the_papers(
    tmp_path: Path, data: st.DataObject, bits: tuple[int, int], dtype: str
) -> None:
    shape = data.draw(strategies.shapes(100, least_dims=2))
    arrays = [data.draw(strategies.finite(dtype, shape)) for _ in "AB"]
    path = pair(tmp_path, {"w": arrays[0]}, {"w": arrays[1]}, bits=list(bits))
    own, other = bits
    if max(bits) + 1 >= FLOATS[dtype].width:  # a task that stays lossless has no partner
        with pytest.raises(UsageError, match="no fused partner"):
            decoded(path, "A", dither=True)
        return
    coded = [
        formula.encode(dtype, array, n, "tensor", truncate=False, step=None)
        for array, n in zip(arrays, bits, strict=True)
    ]
    top = min(other, 24 - own)
    field = [
        a << top | b >> (other - top)
        for a, b in zip(coded[0].magnitudes, coded[1].magnitudes, strict=True)
    ]
    expected = formula.decode(
        dtype, formula.Coded(coded[0].signs, field, coded[0].exponents), own + top
    )
    found = decoded(path, "A", dither=True)["w"]
    assert found.reshape(-1).view(f"<u{FLOATS[dtype].width // 8}").tolist() == expected


def test_dither_stays_below_one_unit_and_keeps_the_sign(tmp_path: Path) -> None:
    first, second = cases.network(1), cases.network(2)
    path = pair(tmp_path, first, second, bits=[12, 11])
    masked, dithered = decoded(path, "A"), decoded(path, "A", dither=True)
    for name in ("stem/kernel", "body/kernel", "tall/kernel"):
        unit = 2.0 ** (np.frexp(np.abs(first[name]).max())[1] - 12.0)
        gap = np.abs(dithered[name]) - np.abs(masked[name])
        assert (gap >= 0).all()
        assert (gap < unit).all()
        assert gap.any()
        assert np.array_equal(np.signbit(dithered[name]), np.signbit(first[name]))
    cases.assert_same_model(
        {name: dithered[name] for name in first if "bias" in name},
        {name: array for name, array in first.items() if "bias" in name},
    )
    with pytest.raises(UsageError, match="no fused partner"):
        decoded(path, "B", dither=True)


def test_dither_of_three_tasks_takes_the_next_one(tmp_path: Path) -> None:
    models = [{"w": cases.weights("float32", (30, 40), seed)} for seed in range(3)]
    path = tmp_path / "three.mc"
    mcodec.pack(dict(zip("ABC", models, strict=True)), path, bits=8, jobs=1)
    with mcodec.open(path) as file:
        assert file.reader.manifest.pairs == [[0, 1, 2]]
    two = tmp_path / "two.mc"
    for task, follower in (("A", 1), ("B", 2)):
        chosen = {"A": models["ABC".index(task)], "B": models[follower]}
        mcodec.pack(chosen, two, bits=8, jobs=1)
        cases.assert_same_model(decoded(path, task, dither=True), decoded(two, "A", dither=True))
    with pytest.raises(UsageError, match="no fused partner"):
        decoded(path, "C", dither=True)


@pytest.mark.parametrize("odd", ["signs=compact", "step=0.0009765625"])
@pytest.mark.parametrize("place", ["A", "B"])
def test_tasks_that_cannot_dither_are_refused(tmp_path: Path, odd: str, place: str) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(
        '[[tensor]]\nmatch = "*"\ncodec = "bfp(bits=8)"\n'
        f'[[tensor]]\nmatch = "{place}:*"\ncodec = "bfp(bits=8,{odd})"\n'
    )
    models = ({"w": cases.weights("float32", (9, 9), seed)} for seed in range(2))
    path = pair(tmp_path, *models, plan=plan, layout="interleaved")
    with pytest.raises(UsageError, match="no fused partner"):
        decoded(path, "A", dither=True)


def test_lossless_fusion_has_nothing_to_dither(tmp_path: Path) -> None:
    models = [{"w": cases.weights("float32", (9, 9), seed)} for seed in range(2)]
    path = pair(tmp_path, *models, layout="interleaved")
    with mcodec.open(path) as file:
        assert file.reader.manifest.pairs == [[0, 1]]
    with pytest.raises(UsageError, match="no fused partner"):
        decoded(path, "A", dither=True)


@pytest.mark.parametrize("view", [{"planes": 3}, {"midpoint": True}])
def test_dither_takes_no_other_view(tmp_path: Path, view: dict[str, Any]) -> None:
    models = ({"w": cases.weights("float32", (9, 9), seed)} for seed in range(2))
    path = pair(tmp_path, *models, bits=8)
    with pytest.raises(UsageError, match="dither takes all planes"):
        decoded(path, "A", dither=True, **view)


def test_damage_to_b_is_not_read_by_a(tmp_path: Path) -> None:
    path = pair(tmp_path, cases.network(1), cases.network(2), bits=12)
    expected = decoded(path, "A")
    data = bytearray(path.read_bytes())
    with mcodec.open(path) as file:
        entry = file.entry("B")
        for run in {tensor.run for tensor in entry.tensors}:
            for block in range(-1, file.reader.runs[run].blocks):
                for row in file.reader.rows(run, block):
                    for place in range(row.offset, row.offset + row.stored):
                        data[place] ^= 0xFF
    path.write_bytes(data)
    cases.assert_same_model(decoded(path, "A"), expected)
    with pytest.raises(mcodec.errors.FormatError):
        decoded(path, "B")
