"""`truncate`: what changes, what stays, in which files, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import h5py
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import mcodec
from mcodec.errors import CodecConfigError, FormatError, InputOutputError, UsageError
from support import cases
from support.command import leftovers
from support.models import arrays, dump

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FLOATS = {"stem/kernel", "stem/bias", "bn/moving_variance", "optimizer/vars/1", "half", "double"}


def network() -> dict[str, NDArray[Any]]:
    return {
        "stem/kernel": cases.weights("float32", (600, 500), 1),  # more than a block
        "stem/bias": cases.weights("float32", (16,), 2),
        "bn/moving_variance": np.square(cases.weights("float32", (16,), 3)),
        "optimizer/vars/1": cases.weights("float32", (9, 9), 9),
        "half": cases.weights("float16", (7, 5), 4),
        "double": cases.weights("float64", (7, 5), 5),
        "steps": np.arange(12).reshape(3, 4),
    }


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.h5"
    with h5py.File(path, "w") as file:
        for name, array in network().items():
            file[name] = array
        file.attrs["layer_names"] = np.array([b"stem", b"body"])
        file["text"] = "a string is no tensor"
    return path


def cut(array: NDArray[Any], keep: int) -> NDArray[Any]:
    """Truncate as the paper says."""
    bits = array.view(f"<u{array.itemsize}")
    low = bits.dtype.type(max(0, 8 * array.itemsize - keep))
    kept: NDArray[Any] = (bits >> low) << low
    return kept.view(array.dtype)


def test_every_float_and_nothing_else(source: Path, tmp_path: Path) -> None:
    report = mcodec.truncate(source, tmp_path / "out.h5", 12, jobs=2)
    found = arrays(tmp_path / "out.h5")
    for name, array in network().items():
        assert cases.same_bits(found[name], cut(array, 12) if name in FLOATS else array), name
    assert {one.spec.name for one in report.tensors} == FLOATS
    assert (report.format, report.checked, report.untouched) == ("hdf5", True, 1)
    assert report.notes == ()
    assert report.file_bytes == (tmp_path / "out.h5").stat().st_size
    before, after = dump(source), dump(tmp_path / "out.h5")
    apart = {key for key in before if before[key] != after[key]}
    assert before.keys() == after.keys()
    assert apart == {f"/{name} data" for name in FLOATS}


def test_the_whole_pattern_is_the_identity(source: Path, tmp_path: Path) -> None:
    for operation in ("truncate", "round"):
        report = mcodec.truncate(source, tmp_path / "out.h5", 64, operation=operation)
        assert dump(tmp_path / "out.h5") == dump(source)
        assert (report.changed, report.max_abs_error, report.sqnr_db) == (0, 0.0, None)
    floats = {name: array for name, array in network().items() if array.dtype == np.float32}
    report = mcodec.truncate(floats, tmp_path / "x.npz", 32)
    cases.assert_same_model(arrays(tmp_path / "x.npz"), floats)
    assert (report.changed, report.notes) == (0, ())


def test_a_wider_keep_keeps_a_dtype_whole(source: Path, tmp_path: Path) -> None:
    report = mcodec.truncate(source, tmp_path / "x.npz", 20)
    found = arrays(tmp_path / "x.npz")
    assert cases.same_bits(found["half"], network()["half"])
    assert cases.same_bits(found["double"], cut(network()["double"], 20))
    assert report.notes == ("1 of dtype float16 kept whole: it has 16 bits",)


def test_errors_are_measured(tmp_path: Path) -> None:
    model = {"w": cases.weights("float32", (600, 500)), "v": cases.weights("float32", (9,))}
    report = mcodec.truncate(model, tmp_path / "x.npz", 14)
    signal = noise = 0.0
    for one in report.tensors:
        was = model[one.spec.name].astype(np.float64)
        gap = was - cut(model[one.spec.name], 14)
        assert one.max_abs_error == np.abs(gap).max()
        ratio = 10 * np.log10(np.square(was).sum() / np.square(gap).sum())
        assert one.sqnr_db == pytest.approx(ratio, abs=1e-9)
        signal, noise = signal + np.square(was).sum(), noise + np.square(gap).sum()
    assert report.sqnr_db == pytest.approx(10 * np.log10(signal / noise), abs=1e-9)
    assert report.max_abs_error == max(one.max_abs_error or 0 for one in report.tensors)


SPECIAL = np.array(
    [np.nan, np.inf, -np.inf, -0.0, 1e-45, np.finfo("f4").max, -np.finfo("f4").max, 1], np.float32
)


@pytest.mark.parametrize(
    ("options", "notes"),
    [
        ({"keep": 10}, ()),
        ({"keep": 9}, ("NaNs and infinities are not what they were: 1",)),  # NaN to infinity
        ({"keep": 8}, ("NaNs and infinities are not what they were: 3",)),  # to numbers
        (
            {"keep": 16, "operation": "round"},
            ("values were truncated: rounding would have made them infinite: 2",),
        ),
        (
            {"operation": "set", "mask": 0x7F800000},
            ("finite values became infinite or NaN: 5",),
        ),
        (
            {"operation": "clear", "mask": "7F800000"},
            ("NaNs and infinities are not what they were: 3",),
        ),
        (
            {"operation": "flip", "mask": "0x400000"},
            ("NaNs and infinities are not what they were: 3",),
        ),
        ({"operation": "flip", "mask": "80000000"}, ()),
    ],
    ids=str,
)
def test_nan_and_infinity(tmp_path: Path, options: dict[str, Any], notes: tuple[str]) -> None:
    report = mcodec.truncate({"w": SPECIAL}, tmp_path / "x.npz", **options)
    assert report.notes == notes
    if options.get("operation") == "round":
        found = arrays(tmp_path / "x.npz")["w"]
        assert np.array_equal(np.isfinite(found), np.isfinite(SPECIAL))
        assert cases.same_bits(found, cut(SPECIAL, 16))


def test_rounding_carries_into_the_exponent(tmp_path: Path) -> None:
    model = {"w": np.array([1.9999999, -1.9999999, 1.0009765625, 1.0029296875], np.float32)}
    mcodec.truncate(model, tmp_path / "x.npz", 18, operation="round")
    assert arrays(tmp_path / "x.npz")["w"].tolist() == [2.0, -2.0, 1.0, 1.00390625]


def test_large_numbers_do_not_overflow_a_report(tmp_path: Path) -> None:
    model = {"w": np.array([1.7e308, 1.0, 1e300])}
    report = mcodec.truncate(model, tmp_path / "x.npz", operation="flip", mask=1 << 63)
    assert (report.max_abs_error, report.sqnr_db) == (None, None)
    assert (report.tensors[0].max_abs_error, report.tensors[0].sqnr_db) == (None, None)


def test_into_a_container_and_out_of_it(source: Path, tmp_path: Path) -> None:
    report = mcodec.truncate(source, tmp_path / "x.mc", 12)
    assert (report.format, report.checked) == ("mc", False)
    assert report.file_bytes < 0.4 * report.source_bytes
    mcodec.truncate(source, tmp_path / "twin.h5", 12)
    mcodec.unpack(tmp_path / "x.mc", out=tmp_path / "back.h5")
    assert dump(tmp_path / "back.h5") == dump(tmp_path / "twin.h5")
    again = mcodec.truncate(tmp_path / "x.mc", tmp_path / "y.mc", 12, codec="float")
    assert again.changed == 0
    with pytest.raises(UsageError, match=r"codec is for a \.mc file"):
        mcodec.truncate(source, tmp_path / "x.npz", 12, codec="float")
    with pytest.raises(CodecConfigError):
        mcodec.truncate(source, tmp_path / "z.mc", 12, codec="nope")


def test_one_task_of_several(tmp_path: Path) -> None:
    mcodec.pack({"one": network(), "two": cases.network(7)}, tmp_path / "x.mc")
    with pytest.raises(UsageError, match="several tasks"):
        mcodec.truncate(tmp_path / "x.mc", tmp_path / "y.npz", 9)
    mcodec.truncate(tmp_path / "x.mc", tmp_path / "y.mc", 9, task="two")
    with mcodec.open(tmp_path / "y.mc") as file:
        kernel = file.task("two")["body/kernel"]
    assert cases.same_bits(kernel, cut(cases.network(7)["body/kernel"], 9))


def test_patterns(source: Path, tmp_path: Path) -> None:
    report = mcodec.truncate(
        source, tmp_path / "x.npz", 9, include=["stem/*", "bn/*"], exclude=["*/bias", "steps"]
    )
    assert {one.spec.name for one in report.tensors} == {"stem/kernel", "bn/moving_variance"}
    assert report.untouched == len(network()) - 2
    assert report.notes == ("the pattern 'steps' matches no tensor of floats",)
    none = mcodec.truncate({"n": np.arange(3)}, tmp_path / "x.npz", 9)
    assert (none.tensors, none.values, none.max_abs_error) == ((), 0, 0.0)
    assert "the model stays as it is" in none.notes[0]


def test_other_floats_are_left_and_said(tmp_path: Path) -> None:
    model = {
        "small": np.ones(4, ml_dtypes.float8_e5m2),
        "pair": np.ones(4, np.complex64),
        "brain": np.full(3, 1.2, ml_dtypes.bfloat16),
    }
    report = mcodec.truncate(model, tmp_path / "x.mc", 9)
    assert [note.partition(" left")[0] for note in report.notes] == [
        "1 of dtype float8_e5m2",
        "1 of dtype complex64",
    ]
    assert [one.spec.name for one in report.tensors] == ["brain"]


def test_tied_weights_stay_one_array(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "tied.h5", "w") as file:
        file["embed/kernel"] = cases.weights("float32", (30, 20))
        file["head/kernel"] = file["embed/kernel"]
    report = mcodec.truncate(tmp_path / "tied.h5", tmp_path / "out.h5", 9, include=["head/*"])
    assert (len(report.tensors), report.untouched) == (1, 0)
    with h5py.File(tmp_path / "out.h5") as file:
        assert file["embed/kernel"] == file["head/kernel"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "truncate needs to know how many bits to keep"),
        ({"keep": 0}, "keep must be an integer from 1 to 64, not 0"),
        ({"keep": 65}, "keep must be"),
        ({"keep": True}, "keep must be"),
        ({"keep": 2.5}, "keep must be"),
        ({"keep": 9, "mask": 1}, "truncate keeps the top bits: it takes no mask"),
        ({"operation": "set"}, "set needs a mask"),
        ({"operation": "set", "keep": 9, "mask": 1}, "it takes no keep"),
        ({"operation": "set", "mask": -1}, "mask must be"),
        ({"operation": "set", "mask": "xyz"}, "mask 'xyz' is no hexadecimal number"),
        ({"operation": "set", "mask": ""}, "no hexadecimal number"),
        ({"operation": "shift", "mask": 1}, "the operation is truncate, round, set, clear or flip"),
        (
            {"operation": "clear", "mask": "1ffff"},
            "mask has 17 bits, and tensor 'half' is float16, of 16",
        ),
    ],
    ids=str,
)
def test_usage(source: Path, tmp_path: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        mcodec.truncate(source, tmp_path / "x.npz", **options)
    assert not (tmp_path / "x.npz").exists()


def test_nothing_is_left_behind(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="input as well as the output"):
        mcodec.truncate(source, source, 9)
    with pytest.raises(InputOutputError):
        mcodec.truncate(source, tmp_path / "nosuch" / "x.h5", 9)
    (tmp_path / "cut.h5").write_bytes(source.read_bytes()[:-2000])
    with pytest.raises(FormatError):
        mcodec.truncate(tmp_path / "cut.h5", tmp_path / "x.h5", 9)
    assert not (tmp_path / "x.h5").exists()
    assert not leftovers(tmp_path)


def test_progress_and_threads(source: Path, tmp_path: Path) -> None:
    for name in ("x.safetensors", "x.mc"):
        seen: list[tuple[int, int]] = []
        report = mcodec.truncate(source, tmp_path / name, 9, jobs=1)
        one = (tmp_path / name).read_bytes()
        more = mcodec.truncate(
            source, tmp_path / name, 9, jobs=3, progress=lambda *p, s=seen: s.append(p)
        )
        assert (tmp_path / name).read_bytes() == one
        assert more.tensors == report.tensors
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)
        assert seen[-1][0] == seen[-1][1]


@pytest.mark.parametrize("suffix", ["h5", "safetensors"])
def test_the_papers_vectors(shared: Path, tmp_path: Path, suffix: str) -> None:
    rows = json.loads((shared / "oracles" / "vectors.json").read_text())["truncation"].values()
    start = np.array([int(row["32"]["hex"], 16) for row in rows], np.uint32).view(np.float32)
    path = tmp_path / f"in.{suffix}"
    if suffix == "h5":
        with h5py.File(path, "w") as file:
            file["w"] = start
    else:
        save_file({"w": start}, path)
    for keep in sorted({int(keep) for row in rows for keep in row}):
        out = tmp_path / f"out.{suffix}"
        mcodec.truncate(path, out, keep, jobs=1)
        if suffix == "h5":
            with h5py.File(out) as file:
                found = file["w"][()]
        else:
            found = load_file(out)["w"]
        expected = [int(row[str(keep)]["hex"], 16) for row in rows]
        assert found.view(np.uint32).tolist() == expected, keep
