"""Many tensors at once, into arrays that are there: `Task.load`, `Task.load_into`."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mcodec
from mcodec.errors import FormatError, InputOutputError, UnknownTaskError, UsageError
from mcodec.types import RunSpec
from support import cases, strategies

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

Arrays = dict[str, "NDArray[Any]"]

WAYS: dict[str, dict[str, Any]] = {
    "lossless": {},
    "deltas": {"optimize": "file"},
    "fused": {"bits": [12, 7]},
    "compact": {"codec": "bfp(bits=4,signs=compact)"},
    "block": {"codec": "bfp(bits=5,scope=block:32)"},
    "int8": {"codec": "int8(scope=axis:-1)"},
    "csr": {"codec": "csr(values=float)", "force": True},
    "raw": {"codec": "raw"},
}


def family() -> dict[str, Arrays]:
    one, two = cases.network(1), cases.network(2)
    two["body/kernel"] = one["body/kernel"]
    two["tall/kernel"] = (one["tall/kernel"] * np.float32(1.001)).astype(np.float32)
    one["wide"], two["wide"] = (cases.weights("float32", (1 << 18, 2), seed) for seed in (5, 6))
    one["empty"] = two["empty"] = np.zeros((0, 3), np.float32)
    one["scalar"] = two["scalar"] = np.array(2.5, np.float64)
    return {"A": one, "B": two}


def pack(path: Path, models: Any = None, **options: Any) -> Path:
    mcodec.pack(family() if models is None else models, path, jobs=1, **options)
    return path


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("way", WAYS)
def test_it_is_what_get_tensor_gives(tmp_path: Path, way: str, jobs: int) -> None:
    with mcodec.open(pack(tmp_path / "x.mc", **WAYS[way]), jobs=jobs) as file:
        for name in file.tasks:
            task = file.task(name)
            cases.assert_same_model(task.load(), dict(task))


@pytest.mark.parametrize(
    "view", [{"planes": 0}, {"planes": 3}, {"planes": 9, "midpoint": False}, {"dither": True}]
)
def test_derived_decodes(tmp_path: Path, view: dict[str, Any]) -> None:
    models = family()
    models["A"]["bias of NaN"] = np.full(9, np.nan, np.float32)
    path = pack(tmp_path / "x.mc", models, bits=[12, 7])
    with mcodec.open(path, jobs=2) as file:
        task = file.task("A", **view)
        cases.assert_same_model(task.load(), dict(task))


def test_every_dtype_and_shape(tmp_path: Path) -> None:
    model = {
        f"{dtype} {shape}": cases.noise(dtype, shape, seed)
        for seed, dtype in enumerate(cases.DTYPES)
        for shape in (*cases.SHAPES, (150, 120))
    }
    with mcodec.open(pack(tmp_path / "x.mc", {"A": model}), jobs=2) as file:
        cases.assert_same_model(file.task().load(), model)


@given(model=strategies.models(), data=st.data())
def test_any_model_and_any_choice(tmp_path: Path, model: Arrays, data: st.DataObject) -> None:
    with mcodec.open(pack(tmp_path / "x.mc", {"A": model}), jobs=1) as file:
        task = file.task()
        names = data.draw(st.lists(st.sampled_from(list(model)), unique=True)) if model else []
        found = task.load(names)
        cases.assert_same_model(found, {name: model[name] for name in names})
        out = {name: np.empty_like(array) for name, array in found.items()}
        task.load_into(out)
        cases.assert_same_model(out, found)


def test_some_tensors(tmp_path: Path) -> None:
    with mcodec.open(pack(tmp_path / "x.mc")) as file:
        task = file.task("B")
        assert list(task.load(["head/bias", "stem/kernel"])) == ["head/bias", "stem/kernel"]
        assert task.load([]) == {}
        assert list(task.load(iter(["scalar"]))) == ["scalar"]
        with pytest.raises(UnknownTaskError, match="no tensor 'nothing'"):
            task.load(["head/bias", "nothing"])


def test_arrays_are_their_own(tmp_path: Path) -> None:
    same = cases.weights("float32", (200, 100))
    with mcodec.open(pack(tmp_path / "x.mc", {"A": {"a": same, "b": same.copy()}})) as file:
        found = file.task().load()
        found["a"][:] = 0
        assert cases.same_bits(found["b"], same)
        assert cases.same_bits(file.task()["b"], same)
        assert found["b"].flags.writeable
    assert found["b"].base is None or found["b"].base.nbytes == same.nbytes


def test_in_place(tmp_path: Path) -> None:
    whole = family()["B"]
    room = {name: np.ones_like(array) for name, array in whole.items()}
    places = {name: array.ctypes.data for name, array in room.items()}
    big = np.zeros((300, 160, 130), np.float32)
    room["body/kernel"] = big[7]
    with mcodec.open(pack(tmp_path / "x.mc")) as file:
        file.task("B").load_into(room)
        file.task("B").load_into({})
    cases.assert_same_model(room, whole)
    assert all(room[n].ctypes.data == p for n, p in places.items() if n != "body/kernel")
    assert not big[:7].any()
    assert not big[8:].any()


def test_arrays_that_are_not_aligned(tmp_path: Path) -> None:
    for dtype in ("float32", "float64", "bfloat16", "int64"):
        model = {"w": cases.weights(dtype, (300, 99)), "s": cases.weights(dtype, (7,))}
        for codec in (None, "raw") if dtype == "int64" else (None, "bfp(bits=6)", "int8"):
            path = pack(tmp_path / "x.mc", {"A": model}, codec=codec)
            with mcodec.open(path, jobs=1) as file:
                expected = file.task().load()
                room = {}
                for name, array in expected.items():
                    memory = np.zeros(array.nbytes + 1, np.uint8)[1:]
                    room[name] = memory.view(array.dtype).reshape(array.shape)
                file.task().load_into(room)
                cases.assert_same_model(room, expected)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((130, 160), np.float32),
        np.zeros(160 * 130, np.float32),
        np.zeros((160, 130), np.float64),
        np.zeros((160, 130), np.int32),
        np.zeros((160, 130), ">f4"),
        np.zeros((130, 160), np.float32).T,
        np.zeros((320, 130), np.float32)[::2],
        np.zeros((0, 130), np.float32),
        np.zeros((), np.float32),
    ],
    ids=lambda array: f"{array.dtype.str}{array.shape}{array.strides}",
)
def test_arrays_that_do_not_fit(tmp_path: Path, wrong: NDArray[Any]) -> None:
    with mcodec.open(pack(tmp_path / "x.mc")) as file:
        other = np.ones(130, np.float32)
        with pytest.raises(UsageError, match="body/kernel"):
            file.task("A").load_into({"body/bias": other, "body/kernel": wrong})
        assert (other == 1).all()  # nothing was written before all was looked at
        fixed = np.zeros((160, 130), np.float32)
        fixed.flags.writeable = False
        with pytest.raises(UsageError, match="writable"):
            file.task("A").load_into({"body/kernel": fixed})
        with pytest.raises(UnknownTaskError):
            file.task("A").load_into({"nothing": other})


def test_damage_names_the_tensor(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.mc", bits=9)
    sound = path.read_bytes()
    with mcodec.open(path) as file:
        run, _ = file.task("A").place("tall/kernel")
        row = next(row for row in file.reader.rows(run, 0) if row.stored)
    data = bytearray(sound)
    data[row.offset + row.stored // 2] ^= 1
    path.write_bytes(data)
    for jobs in (1, 3):
        with mcodec.open(path, jobs=jobs) as file:
            with pytest.raises(FormatError, match="tensor 'tall/kernel'") as caught:
                file.task("A").load()
            assert caught.value.code == "chunk_checksum"
            assert str(caught.value).count("tensor ") == 1
            names = [name for name in file.task("A") if name != "tall/kernel"]
            assert len(file.task("A").load(names)) == len(names)
            file.task("B").load()


def test_a_closed_file(tmp_path: Path) -> None:
    with mcodec.open(pack(tmp_path / "x.mc"), "A") as task:
        task.load(["scalar"])
    with pytest.raises(InputOutputError, match="closed"):
        task.load()


def test_many_threads_load_at_once(tmp_path: Path) -> None:
    whole, errors = family(), []
    with mcodec.open(pack(tmp_path / "x.mc"), jobs=2) as file:

        def work(name: str) -> None:
            try:
                for _ in range(4):
                    cases.assert_same_model(file.task(name).load(), whole[name])
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(name,)) for name in "ABAB"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads)
    assert not errors


def test_an_executor_that_is_busy_holds_nothing_up(tmp_path: Path) -> None:
    with mcodec.open(pack(tmp_path / "x.mc"), jobs=2) as file:
        pool, stop = file.executor, threading.Event()
        assert isinstance(pool, ThreadPoolExecutor)
        busy = [pool.submit(stop.wait, 60) for _ in range(2)]
        try:
            cases.assert_same_model(file.task("A").load(), family()["A"])
        finally:
            stop.set()
        assert all(future.result() for future in busy)


@given(sizes=st.lists(st.integers(0, 40), min_size=1, max_size=8), block=st.sampled_from((8, 16)))
def test_the_blocks_of_a_member(sizes: list[int], block: int) -> None:
    laid = RunSpec.of("float32", [(size,) for size in sizes])
    spec = RunSpec(laid.dtype, laid.shapes, laid.starts, laid.sizes, laid.elements, block)
    for member in range(len(sizes)):
        within = [b for b in range(spec.blocks) if member in dict(spec.parts(b))]
        assert list(spec.blocks_of(member)) == within


def test_an_interrupt_waits_for_who_writes(tmp_path: Path) -> None:
    # Whoever gets the KeyboardInterrupt may put the old values back: nobody may write after it.
    import _thread

    from mcodec.api.batches import work

    inside, done = threading.Event(), threading.Event()
    main = threading.get_ident()

    class Job:
        name, cost = "w", 1 << 30

    def function(batch: Any, own: Any) -> None:
        if threading.get_ident() == main:
            assert inside.wait(60)
            return
        inside.set()
        threading.Event().wait(0.05)  # the caller waits for this thread by now
        _thread.interrupt_main()
        threading.Event().wait(0.2)
        done.set()

    # Whoever starts the tests may ignore the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with ThreadPoolExecutor(2) as pool:
            with pytest.raises(KeyboardInterrupt):
                work([Job(), Job()], function, pool)
            assert done.is_set()
    finally:
        signal.signal(signal.SIGINT, before)
