"""One model and one set of options give one file: for any jobs, again, and through relayout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mcodec
from mcodec.errors import UsageError
from support import cases, strategies

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LAYOUTS = ("task", "interleaved", "progressive")
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"bits": 12},
    {"bits": {"A": 11, "B": 4}, "rounding": "truncate"},
    {"codec": "bfp(bits=5,scope=axis:-1)"},
    {"codec": "bfp(bits=3,signs=compact)"},
    {"codec": "float(keep=16)"},
)


def family() -> dict[str, dict[str, NDArray[Any]]]:
    """Two models of several blocks, runs and dtypes; B has another head."""
    first, second = cases.network(1), cases.network(2)
    first["wide/kernel"] = cases.weights("float32", (600, 500), 9)
    second["wide/kernel"] = cases.weights("float32", (600, 500), 10)
    second["head/kernel"] = cases.weights("float32", (130, 3), 11)
    return {"A": first, "B": second}


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_jobs_do_not_change_the_bytes(tmp_path: Path, options: dict[str, Any]) -> None:
    models = family()
    for jobs in (1, 2, 2, 5):
        mcodec.pack(models, tmp_path / f"{jobs}.mc", jobs=jobs, **options)
        assert (tmp_path / f"{jobs}.mc").read_bytes() == (tmp_path / "1.mc").read_bytes()


@given(
    models=st.lists(strategies.models(), min_size=1, max_size=3), layout=st.sampled_from(LAYOUTS)
)
@settings(max_examples=25)
def test_any_models_in_any_layout_with_two_jobs(
    tmp_path: Path, models: list[dict[str, NDArray[Any]]], layout: str
) -> None:
    tasks = dict(zip("ABC", models, strict=False))
    one, two = tmp_path / "one.mc", tmp_path / "two.mc"
    mcodec.pack(tasks, one, layout=layout, jobs=1)
    mcodec.pack(tasks, two, layout=layout, jobs=2)
    assert one.read_bytes() == two.read_bytes()


def packed(folder: Path, layout: str, options: dict[str, Any]) -> Path:
    """Pack the family in a layout."""
    path = folder / f"{layout}.mc"
    mcodec.pack(family(), path, layout=layout, jobs=1, **options)
    return path


@pytest.mark.parametrize(
    "options",
    [{"bits": 12}, {"bits": [2, 24]}, {"bits": {"A": 4}}, {"bits": 7, "codec": "raw"}],
    ids=str,
)
def test_relayout_is_pack_with_that_layout(tmp_path: Path, options: dict[str, Any]) -> None:
    files = {layout: packed(tmp_path, layout, options) for layout in LAYOUTS}
    target = tmp_path / "target.mc"
    for source in LAYOUTS:
        for layout in LAYOUTS:
            report = mcodec.relayout(files[source], target, layout)
            assert target.read_bytes() == files[layout].read_bytes(), (source, layout)
            assert report.file_bytes == target.stat().st_size
            mcodec.verify(target, deep=True, jobs=1)


@pytest.mark.parametrize("codec", ["float", "bfp(bits=4)", "bfp(bits=3,scope=block:64)", "raw"])
def test_relayout_of_tasks_that_are_not_fused(tmp_path: Path, codec: str) -> None:
    files = {
        layout: packed(tmp_path, layout, {"codec": codec}) for layout in ("task", "progressive")
    }
    target = tmp_path / "target.mc"
    for source, path in files.items():
        for layout, expected in files.items():
            mcodec.relayout(path, target, layout)
            assert target.read_bytes() == expected.read_bytes(), (source, layout)
        with pytest.raises(UsageError, match="no tasks of this file are fused"):
            mcodec.relayout(path, tmp_path / "none.mc", "interleaved")
    assert not (tmp_path / "none.mc").exists()


def test_relayout_of_one_file_onto_itself(tmp_path: Path) -> None:
    path = packed(tmp_path, "task", {"bits": 6})
    expected = packed(tmp_path, "progressive", {"bits": 6}).read_bytes()
    mcodec.relayout(path, path, "progressive")
    assert path.read_bytes() == expected


@given(data=st.data(), bits=st.integers(1, 24))
@settings(max_examples=25)
def test_relayout_of_any_fused_models(tmp_path: Path, data: st.DataObject, bits: int) -> None:
    shapes = data.draw(st.lists(strategies.shapes(200), max_size=4))
    dtype = data.draw(strategies.float_dtypes)
    tasks = {
        name: {f"t{i}": data.draw(strategies.finite(dtype, s)) for i, s in enumerate(shapes)}
        for name in "AB"
    }
    files = {layout: tmp_path / f"{layout}.mc" for layout in LAYOUTS}
    for layout, path in files.items():
        mcodec.pack(tasks, path, bits=bits, layout=layout, jobs=1)
    with mcodec.open(files["task"]) as file:
        fused = bool(file.reader.manifest.pairs)
    for source in LAYOUTS:
        for layout in LAYOUTS if fused else ("task", "progressive"):
            mcodec.relayout(files[source], tmp_path / "out.mc", layout)
            assert (tmp_path / "out.mc").read_bytes() == files[layout].read_bytes()


def test_a_compact_file_is_never_progressive(tmp_path: Path) -> None:
    path = packed(tmp_path, "task", {"codec": "bfp(bits=3,signs=compact)"})
    with pytest.raises(UsageError, match="compact"):
        mcodec.relayout(path, tmp_path / "out.mc", "progressive")
    with pytest.raises(UsageError, match="compact"):
        packed(tmp_path, "progressive", {"codec": "bfp(bits=3,signs=compact)"})


def test_symbols_are_used_and_survive_every_layout(tmp_path: Path) -> None:
    # 4 bits of Gaussian weights shrink as bytes; the progressive file holds the same integers.
    path = packed(tmp_path, "task", {"codec": "bfp(bits=4)"})
    with mcodec.open(path, jobs=1) as file:
        modes = {
            row.mode for run in range(len(file.reader.runs)) for row in file.reader.rows(run, 0)
        }
        ours = {name: file.task("A")[name] for name in file.task("A")}
        derived = {k: file.task("A", planes=k, midpoint=False) for k in range(1, 5)}
        kernel = ours["wide/kernel"]
        unit = np.abs(kernel[kernel != 0]).min()
        for planes, task in derived.items():
            cut = np.trunc(kernel / (unit * 2 ** (4 - planes))) * (unit * 2 ** (4 - planes))
            assert np.array_equal(task["wide/kernel"], cut)
    assert modes == {0, 1}
    mcodec.relayout(path, path, "progressive")
    with mcodec.open(path) as file:
        cases.assert_same_model(file.task("A"), ours)
