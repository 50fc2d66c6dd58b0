"""`diff`: what differs between two models, and by how much."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import save_file

import mcodec
from mcodec.api.compare import Values, compare
from mcodec.errors import UsageError
from support import cases

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def save(path: Path, **changes: Any) -> Path:
    arrays: dict[str, Any] = {
        "w": np.arange(12, dtype=np.float32).reshape(3, 4),
        "n": np.arange(5),
        **changes,
    }
    save_file({name: array for name, array in arrays.items() if array is not None}, path)
    return path


def test_equal_models_of_two_formats(tmp_path: Path) -> None:
    left = save(tmp_path / "a.safetensors")
    mcodec.convert(left, tmp_path / "a.npz")
    report = mcodec.diff(left, tmp_path / "a.npz", jobs=2)
    assert (report.same, report.equal, report.notes) == (True, 2, ())


def test_values(tmp_path: Path) -> None:
    left = save(tmp_path / "a.safetensors")
    other = np.arange(12, dtype=np.float32).reshape(3, 4)
    other[1, 2] += 3
    other[2, 0] -= 4
    right = save(tmp_path / "b.safetensors", w=other)
    report = mcodec.diff(left, right)
    (one,) = report.tensors
    assert (one.name, one.unequal, one.max_abs, report.equal) == ("w", 2, 4.0, 1)
    assert one.sqnr_db == pytest.approx(10 * np.log10(506 / 25))


def test_missing_shapes_and_dtypes(tmp_path: Path) -> None:
    left = save(tmp_path / "a.safetensors", x=np.ones(2))
    right = save(
        tmp_path / "b.safetensors",
        y=np.ones(3),
        w=np.zeros((4, 3), np.float32),
        n=np.arange(5, dtype=np.int16),
    )
    report = mcodec.diff(left, right)
    assert not report.same
    found = {one.name: (one.left and one.left.shape, one.right and one.right.shape, one.unequal)
             for one in report.tensors}  # fmt: skip
    assert found == {
        "x": ((2,), None, 0),
        "y": (None, (3,), 0),
        "w": ((3, 4), (4, 3), 0),
        "n": ((5,), (5,), 0),
    }


def test_attributes_as_the_first_files_had_them(tmp_path: Path) -> None:
    for name, note in (("a", "one"), ("b", "two")):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["g/w"] = np.ones(3)
            file["g"].attrs["note"] = note
            file["g"].attrs["same"] = 1
    mcodec.convert(tmp_path / "b.h5", tmp_path / "b.safetensors")
    assert mcodec.diff(tmp_path / "b.h5", tmp_path / "b.safetensors").same
    report = mcodec.diff(tmp_path / "a.h5", tmp_path / "b.safetensors")
    assert (report.tensors, report.equal) == ((), 1)
    assert [one.name for one in report.attributes] == ["g@note"]
    (one,) = report.attributes
    assert "one" in (one.left or "")
    assert "two" in (one.right or "")
    assert report.attributes_equal >= 1


def test_formats_without_likeness_say_so(tmp_path: Path) -> None:
    left = save(tmp_path / "a.safetensors")
    np.savez(tmp_path / "b.npz", w=np.arange(12, dtype=np.float32).reshape(3, 4), n=np.arange(5))
    report = mcodec.diff(left, tmp_path / "b.npz")
    assert report.same
    assert len(report.notes) == 1


def test_tasks_of_a_container(tmp_path: Path) -> None:
    a = save(tmp_path / "a.safetensors", w=cases.weights("float32", (50, 40)))
    b = save(tmp_path / "b.safetensors", w=cases.weights("float32", (50, 40), 1))
    mcodec.pack([a, b], tmp_path / "two.mc", bits=[20, 6])
    file = tmp_path / "two.mc"
    with mcodec.open(file) as opened:
        exact = opened.task("A")["w"]
    report = mcodec.diff(a, file, tasks=(None, "A"))
    (one,) = report.tensors
    gap = np.abs(exact.astype(np.float64) - cases.weights("float32", (50, 40)))
    assert one.max_abs == gap.max()
    assert not mcodec.diff(file, file, tasks=("A", "B")).same
    assert mcodec.diff(file, file, tasks=("B", "B")).same
    with pytest.raises(UsageError, match="several tasks"):
        mcodec.diff(a, file)


ELEMENTS = st.sampled_from([0.0, -0.0, 1.0, -1.5, 1e-45, float("inf"), float("-inf"), float("nan")])


@given(
    st.data(),
    st.sampled_from(["<f4", "<f8", "<f2", "<i4", "<u1", "<c8", "?", "V3"]),
    st.integers(0, 40),
)
def test_bits_decide(data: st.DataObject, dtype: str, count: int) -> None:
    raw = data.draw(st.binary(min_size=count * np.dtype(dtype).itemsize,
                              max_size=count * np.dtype(dtype).itemsize))  # fmt: skip
    a = np.frombuffer(raw, dtype)
    b = a.copy()
    assert compare(a, b).unequal == 0
    if count:
        place = data.draw(st.integers(0, len(raw) - 1))
        b.view("u1")[place] ^= 1 << data.draw(st.integers(0, 7))
        assert compare(a, b).unequal == 1


@given(hnp.arrays(np.float32, st.integers(1, 50), elements=ELEMENTS), st.integers(0, 10**9))
def test_errors_by_the_definition(a: NDArray[Any], seed: int) -> None:
    b = np.random.default_rng(seed).permutation(a)
    found = compare(a, b)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(all="ignore"):
        gap = np.where(same, 0, np.abs(a.astype(float) - b))
        assert found.peak == pytest.approx(gap.max(), nan_ok=True)
        assert found.error == pytest.approx((gap**2).sum(), nan_ok=True)


def test_numbers_of_two_dtypes_are_compared_as_numbers() -> None:
    a = np.array([1.0, 2.5, float("nan")], np.float32)
    assert compare(a, a.astype(ml_dtypes.bfloat16)).unequal == 0
    assert compare(a, np.array([1, 2, 3], np.int8)).unequal == 2


def test_a_nan_of_a_later_piece_stays() -> None:
    nan = Values(peak=float("nan"))
    for one in (Values(peak=1.0) + nan, nan + Values(peak=1.0)):
        assert np.isnan(one.peak)
    assert (Values(peak=1.0) + Values(peak=2.0)).peak == 2.0
