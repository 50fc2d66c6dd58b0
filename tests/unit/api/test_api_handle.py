"""`open`, files and tasks: what users of safetensors know, and what errors say."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mcodec
from mcodec.errors import FormatError, InputOutputError, UnknownTaskError, UsageError
from support import cases
from support.forge import Forged

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MODELS = {name: cases.network(seed) for seed, name in enumerate(("first", "second"))}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("handle") / "family.mc"
    mcodec.pack(MODELS, path, jobs=1)
    return path


def test_a_task_is_a_mapping(path: Path) -> None:
    with mcodec.open(path) as file:
        task, model = file.task("second"), MODELS["second"]
        assert isinstance(task, Mapping)
        assert file.tasks == ("first", "second")
        assert (task.name, task.format, task.metadata()) == ("second", None, {})
        assert list(task) == list(task.keys()) == list(model)
        assert len(task) == len(model)
        assert "head/bias" in task
        assert "none" not in task
        other: object = 3
        assert other not in task
        assert task.get("none") is None
        for name, array in task.items():
            assert cases.same_bits(array, model[name])
            assert cases.same_bits(task.get_tensor(name), model[name])
            spec = task.spec(name)
            assert (spec.name, spec.dtype, spec.shape) == (name, array.dtype.name, array.shape)


def test_the_only_task_needs_no_name(path: Path, tmp_path: Path) -> None:
    mcodec.pack({"only": MODELS["first"]}, tmp_path / "one.mc", jobs=1)
    with mcodec.open(tmp_path / "one.mc") as file:
        assert file.task().name == "only"
    with (
        mcodec.open(path) as file,
        pytest.raises(UsageError, match=r"choose one: 'first', 'second'"),
    ):
        file.task()


def test_what_is_not_there_is_named(path: Path) -> None:
    with mcodec.open(path) as file:
        with pytest.raises(
            UnknownTaskError, match=r"no task 'third'.* 'first', 'second'"
        ) as caught:
            file.task("third")
        assert caught.value.code == "task_unknown"
        for call in (file.task("first").get_tensor, file.task("first").get_slice):
            with pytest.raises(KeyError, match="task 'first' has no tensor 'none'") as missing:
                call("none")
            assert getattr(missing.value, "code", "") == "tensor_unknown"


def test_arrays_outlive_the_file(path: Path) -> None:
    with mcodec.open(path) as file:
        arrays = dict(file.task("first"))
        views = [file.task("first").get_slice("tall/kernel")[3:5], arrays["stem/bias"][1:]]
    cases.assert_same_model(arrays, MODELS["first"])
    assert np.array_equal(views[0], MODELS["first"]["tall/kernel"][3:5])
    for array in arrays.values():
        assert array.flags.owndata or array.base is not None
        assert array.flags.writeable


def test_two_reads_share_no_memory(path: Path) -> None:
    with mcodec.open(path) as file:
        task = file.task("first")
        for name in task:
            one, two = task[name], task[name]
            assert not np.shares_memory(one, two)
        small = task["stem/bias"], task["head/bias"]  # of one shared run
        assert not np.shares_memory(*small)


def test_many_threads_read_one_task(path: Path) -> None:
    with mcodec.open(path, jobs=2) as file:
        task = file.task("first")
        wrong: list[str] = []

        def read() -> None:
            for name, array in MODELS["first"].items():
                if not cases.same_bits(task[name], array):
                    wrong.append(name)

        threads = [threading.Thread(target=read) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_more_shared_runs_than_are_kept(tmp_path: Path) -> None:
    # Each dtype has a shared run of its own; they are read in turn, twice.
    model: dict[str, NDArray[Any]] = {}
    for part in range(2):
        for dtype in ("float16", "float32", "float64", "int8", "int16", "bfloat16"):
            model[f"{dtype}/{part}"] = cases.noise(dtype, (5, part + 1), part)
    mcodec.pack({"A": model}, tmp_path / "x.mc", jobs=1)
    with mcodec.open(tmp_path / "x.mc") as file:
        task = file.task()
        for _ in range(2):
            cases.assert_same_model(task, model)


def test_a_closed_file(path: Path) -> None:
    file = mcodec.open(path, jobs=2)
    task = file.task("first")
    file.close()
    file.close()
    assert file.tasks == ("first", "second")
    with pytest.raises(InputOutputError):
        task["tall/kernel"]


def test_arguments_that_cannot_be(path: Path, tmp_path: Path) -> None:
    for options in ({"jobs": 0}, {"jobs": -1}, {"verify": "all"}):
        with pytest.raises(UsageError):
            mcodec.open(path, **options)
    with pytest.raises(InputOutputError, match="no such file"):
        mcodec.open(tmp_path / "none.mc")
    with pytest.raises(InputOutputError, match="is a directory"):
        mcodec.open(tmp_path)


def test_an_error_names_file_tensor_and_place(path: Path, tmp_path: Path) -> None:
    data = bytearray(path.read_bytes())
    with mcodec.open(path) as file:
        run = next(t.run for t in file.entry("first").tensors if t.name == "body/kernel")
        row = max(file.reader.rows(run, 0), key=lambda row: row.stored)
    data[row.offset + 5] ^= 1
    damaged = tmp_path / "damaged.mc"
    damaged.write_bytes(data)
    with mcodec.open(damaged) as file:
        with pytest.raises(FormatError) as caught:
            file.task("first")["body/kernel"]
        assert cases.same_bits(file.task("first")["stem/bias"], MODELS["first"]["stem/bias"])
    message = str(caught.value)
    assert message.startswith(f"tensor 'body/kernel': {damaged}: run {run}, block 0: ")
    assert caught.value.code == "chunk_checksum"


def test_the_decoded_budget(tmp_path: Path) -> None:
    path = tmp_path / "zeros.mc"
    zeros = {name: np.zeros(1 << 16, np.float32) for name in "ab"}
    mcodec.pack({"A": zeros}, path, jobs=1)
    with mcodec.open(path, max_decoded=1 << 19) as file:
        assert not file.task()["b"].any()
    for call in (mcodec.open, mcodec.verify):
        with pytest.raises(FormatError, match="--max-decoded") as caught:
            call(path, max_decoded=(1 << 19) - 1)
        assert caught.value.code == "decoded_too_large"


def test_the_default_budget_grows_with_the_file(tmp_path: Path) -> None:
    # 1 GiB and a bit: aliases count each time, and cost no memory to claim.
    path = tmp_path / "aliases.mc"
    mcodec.pack({"A": {"w": np.zeros(1 << 20, np.float32)}}, path, jobs=1)
    forged = Forged.of(path.read_bytes())
    forged.manifest["tasks"][0]["tensors"] = [[f"w{i}", 0, 0] for i in range(257)]
    path.write_bytes(forged.build())
    with pytest.raises(FormatError) as caught:
        mcodec.open(path)
    assert caught.value.code == "decoded_too_large"
    with mcodec.open(path, max_decoded=257 << 22) as file:
        assert len(file.task()) == 257
        assert not file.task().get_slice("w256")[7:9].any()


def test_the_names_of_the_package() -> None:
    assert set(mcodec.__all__) <= set(dir(mcodec))
    for name in mcodec.__all__:
        assert getattr(mcodec, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = mcodec.nothing
