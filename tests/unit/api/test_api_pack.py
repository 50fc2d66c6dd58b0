"""`pack` and `verify`: sources, names, reports, and outputs that are whole or absent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest

import mcodec
from mcodec.api.sources import ArraySource, default_name, name_sources
from mcodec.errors import FormatError, InputOutputError, McodecError, UsageError
from support import cases

if TYPE_CHECKING:
    from pathlib import Path

WEIGHT = cases.weights("float32", (30, 20))


@pytest.mark.parametrize(
    ("index", "name"), [(0, "A"), (25, "Z"), (26, "AA"), (27, "AB"), (701, "ZZ"), (702, "AAA")]
)
def test_default_names(index: int, name: str) -> None:
    assert default_name(index) == name


def test_names_of_sources(tmp_path: Path) -> None:
    assert name_sources("a.h5") == {"A": "a.h5"}
    assert name_sources(tmp_path) == {"A": tmp_path}
    assert name_sources(["a.h5", tmp_path]) == {"A": "a.h5", "B": tmp_path}
    assert name_sources({"x": "a.h5"}) == {"x": "a.h5"}


LONG = "n" * 4097


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ([], "nothing to pack"),
        ({}, "nothing to pack"),
        ({"": {}}, "a string that is not empty"),
        ({1: {}}, "a string that is not empty"),
        ({LONG: {}}, "over 4096 bytes"),
        ({"\ud800": {}}, "not Unicode text"),
        ({"A": {LONG: WEIGHT}}, "of a tensor is over 4096 bytes"),
        ({"A": {"\ud800": WEIGHT}}, "of a tensor is not Unicode text"),
        ({"A": {"1": WEIGHT, 1: WEIGHT}}, "two tensors are named '1'"),
        ({"A": {"w": np.array(["text"])}}, "'w' has dtype <U4; only numbers and bytes"),
        ({"A": {"w": np.array([object()])}}, "'w' has dtype object"),
        ({"A": {"w": np.zeros(2, "M8[s]")}}, "'w' has dtype datetime64"),
        ({"A": {"w": np.zeros(2, ml_dtypes.int4)}}, "'w' has dtype int4"),
        ({"A": {"w": np.zeros(2, [("a", "f4")])}}, "'w' has dtype"),
    ],
    ids=range(14),
)
def test_sources_that_cannot_be(tmp_path: Path, sources: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        mcodec.pack(sources, tmp_path / "x.mc")
    assert len(str(caught.value)) < 300
    assert list(tmp_path.iterdir()) == []


def test_the_longest_name(tmp_path: Path) -> None:
    name = "ü" * 2048
    mcodec.pack({name: {name: WEIGHT, "": WEIGHT}}, tmp_path / "x.mc", jobs=1)
    with mcodec.open(tmp_path / "x.mc") as file:
        assert list(file.task(name)) == [name, ""]


def test_a_bool_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="neither 0 nor 1") as caught:
        mcodec.pack({"A": {"w": np.array([7], np.uint8).view(bool)}}, tmp_path / "x.mc")
    assert caught.value.code == "source_invalid"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "options",
    [
        {"layout": "random"},
        {"rounding": "up"},
        {"bits": 25},
        {"bits": [1, 2]},
        {"codec": "zfp"},
        {"codec": "bfp(bits=99)"},
        {"jobs": 0},
        {"pair": [("A:w", "B:w")]},
    ],
    ids=str,
)
def test_options_that_cannot_be(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "x.mc"
    path.write_bytes(b"old")
    with pytest.raises(McodecError):
        mcodec.pack({"A": {"w": WEIGHT}}, path, **options)
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_plans_that_cannot_be_read(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    with pytest.raises(InputOutputError, match="no such file"):
        mcodec.pack({"A": {"w": WEIGHT}}, tmp_path / "x.mc", plan=plan)
    plan.write_bytes(b"\xff")
    with pytest.raises(UsageError, match="not UTF-8 text"):
        mcodec.pack({"A": {"w": WEIGHT}}, tmp_path / "x.mc", plan=plan)


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupt_leaves_the_old_file(tmp_path: Path, jobs: int) -> None:
    path = tmp_path / "x.mc"
    mcodec.pack({"A": {"w": WEIGHT}}, path, jobs=1)
    before = path.read_bytes()

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mcodec.pack({"A": cases.network()}, path, jobs=jobs, progress=stop)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_progress_counts_every_byte(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = tmp_path / "x.mc"

    def note(done: int, total: int) -> None:
        seen.append((done, total))

    for call in (
        lambda: mcodec.pack({"A": cases.network()}, path, progress=note),
        lambda: mcodec.verify(path, progress=note),
        lambda: mcodec.verify(path, deep=True, progress=note),
        lambda: mcodec.relayout(path, tmp_path / "y.mc", "progressive", progress=note),
    ):
        seen.clear()
        call()
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)
        assert len({total for _, total in seen}) == 1
        assert seen[-1][0] == seen[-1][1] > 0


def test_what_a_report_says(tmp_path: Path) -> None:
    path = tmp_path / "x.mc"
    model = {"w": WEIGHT, "b": WEIGHT[0], "i": np.arange(3)}
    report = mcodec.pack({"A": model, "B": model}, path, bits=[12, 11], jobs=1)
    assert report.path == str(path)
    assert report.file_bytes == path.stat().st_size
    assert (report.layout, report.fused, report.warnings) == ("interleaved", 2, ())
    # The papers' cost: n + 1 bits a weight, and all else as it came.
    rest = 32 * 20 + 64 * 3
    assert [cost.paper_bytes for cost in report.tasks] == [
        -(-(13 * 600 + rest) // 8),
        -(-(12 * 600 + rest) // 8),
    ]
    report = mcodec.pack({"A": model}, path, jobs=1)
    assert (report.layout, report.fused) == ("task", 0)
    assert report.tasks[0].paper_bytes is None


def test_a_task_over_the_budget_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcodec.api.packing.decoded_budget", lambda size: 1000)
    report = mcodec.pack({"A": {"w": WEIGHT}}, tmp_path / "x.mc", jobs=1)
    assert "task 'A' decodes to over 1,000 times" in report.warnings[0]
    assert "--max-decoded" in report.warnings[0]


def test_array_sources_read_parts() -> None:
    array = np.arange(24, dtype=">i4").reshape(4, 6)
    for view in (array, array.T, array[::-1, ::2], np.asfortranarray(array)):
        source = ArraySource({"w": view})
        assert source.tensors[0].dtype == "int32"
        assert source.tensors[0].shape == view.shape
        flat = view.reshape(-1)
        for start, stop in ((0, flat.size), (3, 7), (5, 5)):
            part = source.read(0, start, stop)
            assert part.dtype == np.dtype("<i4")
            assert part.flags.owndata or part.base is not None
            assert part.tolist() == flat[start:stop].tolist()
            assert not np.shares_memory(part, view)
    assert source.skeleton() == b""


# --- verify ---


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    path = tmp_path / "x.mc"
    mcodec.pack({"A": {"w": WEIGHT, "b": WEIGHT[0]}}, path, bits=8, jobs=1)
    return path


def differences(path: Path, against: Any) -> list[tuple[str, str]]:
    report = mcodec.verify(path, against=against, jobs=1)
    return [(found.tensor, found.what) for found in report.differences]


def test_what_verify_says(packed: Path) -> None:
    report = mcodec.verify(packed, deep=True, against={"A": {"w": WEIGHT, "b": WEIGHT[0]}})
    assert report.path == str(packed)
    assert (report.runs, report.deep, report.compared, report.differences) == (2, True, ("A",), ())
    with mcodec.open(packed) as file:
        assert report.chunks == file.reader.header.row_count


def test_what_differs_from_a_source(packed: Path) -> None:
    changed = WEIGHT.copy()
    changed[3, 3] += 1
    good: dict[str, Any] = {"w": WEIGHT, "b": WEIGHT[0]}
    (found,) = differences(packed, {"A": good | {"w": changed}})
    assert found[0] == "w"
    assert found[1].startswith("is off by 0.99")
    assert differences(packed, {"A": good | {"b": WEIGHT[1]}}) == [
        ("b", "differs from the source in 20 of 20 values")
    ]
    assert differences(packed, {"A": {"w": WEIGHT}}) == [("b", "is not in the source")]
    assert differences(packed, {"A": good | {"new": WEIGHT}}) == [
        ("new", "is missing from the file")
    ]
    assert differences(packed, {"A": good | {"b": WEIGHT[0][:5]}}) == [
        ("b", "is float32[20], the source float32[5]")
    ]
    with pytest.raises(UsageError, match="no task 'B'"):
        differences(packed, {"B": good})


def test_a_source_without_a_finite_certificate(tmp_path: Path) -> None:
    path = tmp_path / "x.mc"
    array = WEIGHT.copy()
    array[0, 0] = np.nan
    mcodec.pack({"A": {"w": array}}, path, codec="float(keep=16)", jobs=1)
    assert differences(path, {"A": {"w": array}}) == []
    other = array.copy()
    other[3, 3] += 1
    for changed in (other, np.zeros_like(array)):
        ((name, what),) = differences(path, {"A": {"w": changed}})
        assert name == "w"
        assert "no finite error" in what


def test_a_shared_run_without_a_finite_certificate(tmp_path: Path) -> None:
    path = tmp_path / "x.mc"
    bad = np.full((3, 3), np.inf, np.float32)
    model = {"w": WEIGHT, "bad": bad, "v": WEIGHT[:5]}
    mcodec.pack({"A": model}, path, codec="float(keep=16)", jobs=1)
    assert differences(path, {"A": model}) == []
    assert [name for name, _ in differences(path, {"A": model | {"bad": -bad}})] == ["bad"]
    assert ("bad", "is missing from the file") not in differences(path, {"A": {"bad": bad}})


def test_too_many_sources(packed: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="2 sources to compare, but the file holds 1 task"):
        mcodec.verify(packed, against=[tmp_path / "a.h5", tmp_path / "b.h5"])


def test_an_override_that_cannot_be_fused_is_named(tmp_path: Path) -> None:
    good, bad = np.ones((4, 4), np.float32), np.full((4, 4), np.nan, np.float32)
    sources = {"A": {"w": good}, "B": {"v": bad}}
    report = mcodec.pack(sources, tmp_path / "x.mc", bits=8, pair=[("A:w", "B:v")])
    assert any("--pair 'w', 'v': not fused" in warning for warning in report.warnings)
    report = mcodec.pack({"A": {"w": good}, "B": {"v": good}}, tmp_path / "x.mc", bits=8)
    assert not report.warnings


@pytest.mark.parametrize("shape", [(7, 300), (300, 7), (3, 400_000), (1000, 20, 30)])
def test_turned_arrays(shape: tuple[int, ...], tmp_path: Path) -> None:
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    turned = {"t": array.T, "every": array[::2, ::3], "back": array[::-1]}
    mcodec.pack({"A": turned}, tmp_path / "x.mc")
    with mcodec.open(tmp_path / "x.mc") as file:
        for name, expected in turned.items():
            assert file.task("A")[name].tobytes() == expected.tobytes()
