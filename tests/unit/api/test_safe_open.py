"""`mcodec.safe_open` beside safetensors' own, call by call, for NumPy."""

from __future__ import annotations

import importlib.util
import os
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from safetensors import SafetensorError

import mcodec
from mcodec.api import safeerrors
from mcodec.errors import McodecError
from mcodec.types import EXTENSION_DTYPES, ITEMSIZE
from support import cases, likeness

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PLAIN = [name for name in ITEMSIZE if name not in {*EXTENSION_DTYPES, "complex128"}]


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """The same tensors in a safetensors and a `.mc` file."""
    arrays = {name: cases.noise(name, (3, 5)) for name in PLAIN}
    arrays |= {
        likeness.SLICED: cases.noise("float32", (2, 3, 4)),
        "a/scalar": np.array(3, np.float32),
        "a/empty": np.zeros((0, 3), np.float16),
        "Zebra": cases.noise("float32", (300, 1100)),
        "ä": np.arange(3, dtype=np.int64),
    }
    theirs, ours = str(tmp_path / "model.safetensors"), str(tmp_path / "model.mc")
    safetensors.numpy.save_file(arrays, theirs, metadata={"format": "np", "more": "ä"})
    mcodec.pack(theirs, ours, jobs=1)
    return theirs, ours


def test_every_call_is_the_same(files: tuple[str, str]) -> None:
    theirs = list(likeness.calls(safetensors, files[0], "np"))
    ours = list(likeness.calls(mcodec, files[1], "np"))
    wider = set()
    for (name, wanted), (same, found) in zip(theirs, ours, strict=True):
        assert name == same
        if wanted.error is None:
            assert found == wanted, name
        elif found.error is None:
            wider.add(name)
        elif isinstance(wanted.error, SafetensorError):
            assert isinstance(found.error, SafetensorError | TypeError), name
            assert isinstance(found.error, McodecError | TypeError), name
        else:
            assert isinstance(found.error, TypeError | ValueError), name
    # Where theirs refuses what NumPy takes, ours does what NumPy does.
    array = safetensors.numpy.load_file(files[0])[likeness.SLICED]
    known = {f"[{index}]": index for index in likeness.FURTHER}
    empty = {f"a/empty[{index}]" for index in (..., np.s_[:], np.s_[0:1])}
    assert len(wider) > 10
    assert wider <= known.keys() | empty
    results = dict(ours)
    for name in wider & known.keys():
        assert results[name].value == likeness.plain(np.asarray(array[known[name]])), name


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e8m0fnu", "V3"])
def test_dtypes_that_safetensors_has_no_numpy_array_for(tmp_path: Path, name: str) -> None:
    array = cases.noise(name, (4, 6))
    mcodec.pack({"A": {"w": array}}, tmp_path / "x.mc", jobs=1)
    with mcodec.safe_open(tmp_path / "x.mc", "numpy") as file:
        assert cases.same_bits(file.get_tensor("w"), array)
        part = file.get_slice("w")[1:3, ::2]
        assert cases.same_bits(part, array[1:3, ::2].copy())
        code = {"bfloat16": "BF16", "float8_e4m3fn": "F8_E4M3", "float8_e8m0fnu": "F8_E8M0"}
        assert file.get_slice("w").get_dtype() == code.get(name, name)


def test_tensors_lie_in_the_order_of_offset_keys(files: tuple[str, str]) -> None:
    with mcodec.safe_open(files[1], "np") as file, mcodec.open(files[1]) as handle:
        places = [handle.task().place(name) for name in file.offset_keys()]
        assert places == sorted(places)
        assert list(file.get_tensors()) == file.offset_keys()


def test_a_task_is_chosen_and_views_are_derived(tmp_path: Path) -> None:
    mcodec.pack({"A": cases.network(1), "B": cases.network(2)}, tmp_path / "x.mc", bits=12, jobs=1)
    with mcodec.open(tmp_path / "x.mc") as handle:
        name = next(iter(handle.task("B")))
        views: list[dict[str, Any]] = [{}, {"planes": 4}, {"planes": 6, "midpoint": True}]
        for options in views:
            with mcodec.safe_open(tmp_path / "x.mc", "np", task="B", **options) as file:
                expected = handle.task("B", **options)[name]
                assert cases.same_bits(file.get_tensor(name), expected)
                assert cases.same_bits(file.get_slice(name)[...], expected)
    with pytest.raises(mcodec.errors.UsageError, match="choose one: 'A', 'B'"):
        mcodec.safe_open(tmp_path / "x.mc", "np")
    with pytest.raises(mcodec.errors.UnknownTaskError, match="no task 'C'") as caught:
        mcodec.safe_open(tmp_path / "x.mc", "np", task="C")
    assert isinstance(caught.value, SafetensorError)


def test_tensors_are_the_callers_and_stay(tmp_path: Path) -> None:
    mcodec.pack({"A": {"w": np.zeros((2, 3)), "v": np.zeros(5)}}, tmp_path / "x.mc", jobs=1)
    with mcodec.safe_open(tmp_path / "x.mc", "np") as file:
        for array in (file.get_tensor("w"), file.get_slice("w")[...], file.get_slice("w")[0]):
            array[...] = 1
        assert not file.get_tensor("w").any()
        kept = file.get_tensor("v")
    assert kept.tolist() == [0] * 5


def test_without_a_with_statement(files: tuple[str, str]) -> None:
    file = mcodec.safe_open(files[1], framework="np", device="cpu", backend="pread")
    assert file.get_tensor("a/scalar") == 3
    with file as entered:
        assert entered is file
    assert "model.mc" in repr(file)
    with mcodec.safe_open(f"file://{files[1]}", "np") as remote:
        assert remote.get_tensor("a/scalar") == 3


def test_a_safetensors_file_is_opened_by_safetensors(
    files: tuple[str, str], tmp_path: Path
) -> None:
    blob = tmp_path / "blob"  # as caches call them
    os.link(files[0], blob)
    for path in (files[0], blob):
        with mcodec.safe_open(path, "np") as file:
            assert isinstance(file, safetensors.safe_open)
            assert file.metadata() == {"format": "np", "more": "ä"}
        with pytest.raises(mcodec.errors.UsageError, match="no tasks and no planes"):
            mcodec.safe_open(path, "np", task="A")


Arguments = dict[str, Any]


@pytest.mark.parametrize(
    "wrong",
    [
        {"framework": "caffe"}, {"framework": "PT"}, {"framework": 3}, {"device": "gpu"},
        {"device": 0}, {"device": "cuda:0"}, {"backend": "read"},
    ],
    ids=str,
)  # fmt: skip
def test_wrong_arguments_fail_as_theirs(files: tuple[str, str], wrong: Arguments) -> None:
    for module, path in zip((safetensors, mcodec), files, strict=True):
        with pytest.raises((SafetensorError, TypeError)) as caught:
            module.safe_open(path, **{"framework": "np", **wrong}).get_tensor("a/scalar")
    assert isinstance(caught.value, mcodec.errors.UsageError)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for name in ("absent.mc", "absent.safetensors"):
        for module in (safetensors, mcodec):
            with pytest.raises(FileNotFoundError, match="absent"):
                module.safe_open(tmp_path / name, "np")
    for path in (tmp_path / "absent.mc", f"file://{tmp_path}/absent.mc"):
        with pytest.raises(mcodec.errors.InputOutputError) as missing:
            mcodec.safe_open(path, "np")
        assert isinstance(missing.value, FileNotFoundError)
    for data in (b"", b"junk" * 99, b"\x89MCD\r\n\x1a\n" + bytes(99)):
        (tmp_path / "junk.mc").write_bytes(data)
        with pytest.raises(mcodec.errors.FormatError) as caught:
            mcodec.safe_open(tmp_path / "junk.mc", "np")
        assert isinstance(caught.value, SafetensorError)


def test_damage_is_found_where_it_is_read(tmp_path: Path) -> None:
    arrays = {"w": cases.noise("float32", (600, 600)), "v": np.arange(4)}
    mcodec.pack({"A": arrays}, tmp_path / "x.mc", jobs=1)
    with mcodec.open(tmp_path / "x.mc") as handle:
        run = handle.task().place("w")[0]
        offset = next(row.offset for row in handle.reader.rows(run, 1) if row.stored)
    data = bytearray((tmp_path / "x.mc").read_bytes())
    data[offset] ^= 1
    (tmp_path / "x.mc").write_bytes(data)
    with mcodec.safe_open(tmp_path / "x.mc", "np") as file:
        assert cases.same_bits(file.get_tensor("v"), arrays["v"])
        assert cases.same_bits(file.get_slice("w")[:9], arrays["w"][:9])
        reads: list[Callable[[], Any]] = [
            lambda: file.get_tensor("w"),
            lambda: file.get_slice("w")[599],
        ]
        for read in reads:
            with pytest.raises(SafetensorError, match="'w'") as caught:
                read()
            assert isinstance(caught.value, mcodec.errors.FormatError)
            assert caught.value.code == "chunk_checksum"


def test_errors_survive_another_process() -> None:
    kinds = [value for value in vars(safeerrors).values() if isinstance(value, type)]
    kinds = [kind for kind in kinds if kind.__module__ == safeerrors.__name__]
    assert len(kinds) == 6
    for kind in kinds:
        error: Any = pickle.loads(pickle.dumps(kind("wrong", code="io", where="a.mc")))
        assert type(error) is kind
        assert isinstance(error, SafetensorError)
        assert str(error) == "a.mc: wrong"


def test_a_framework_that_is_not_there_is_named(files: tuple[str, str]) -> None:
    if importlib.util.find_spec("mlx"):
        pytest.skip("MLX is installed")
    with mcodec.safe_open(files[1], "mlx") as file, pytest.raises(ImportError, match="mlx"):
        file.get_tensor("a/scalar")
