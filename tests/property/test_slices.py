"""`get_slice(name)[index]` is `get_tensor(name)[index]`, whatever blocks it touches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import mcodec
from mcodec.api.handle import File
from mcodec.api.slices import TensorSlice, gather, spans
from mcodec.codec.registry import from_config
from mcodec.container.reader import ContainerReader
from mcodec.storage import LocalFile
from mcodec.types import BLOCK, TensorSpec
from support import cases, strategies

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mcodec.api.handle import Task

BIG = (1031, 777)  # four blocks, none of which ends with a row
SHAPES = (BIG, (1, 800_000), (800_000,), (2, 2, BLOCK), (3, 300_000), (5, 7, 11), (200_000, 4))
PLACES = (0, 1, 336, 337, 338, 674, 675, 1029, 1030, 1031, -1, -1031, 2000, -2000, None)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Task]:
    arrays = {"big": cases.noise("float32", BIG), "lossy": cases.weights("float32", BIG)}
    path = tmp_path_factory.mktemp("slices") / "big.mc"
    plan = path.with_suffix(".toml")
    plan.write_text('[[tensor]]\nmatch = "A:lossy"\ncodec = "bfp(bits=9,scope=axis:1)"')
    mcodec.pack({"A": arrays}, path, plan=plan, jobs=1)
    with mcodec.open(path, jobs=2) as file:
        yield file.task()


@given(
    low=st.sampled_from(PLACES),
    high=st.sampled_from(PLACES),
    step=st.sampled_from((None, 1, 2, 337, -1, -3, -2000)),
    column=st.sampled_from((slice(None), 5, slice(3, 700, 7), None, ..., [1, 0, 5])),
)
def test_rows_of_several_blocks(
    task: Task, low: int | None, high: int | None, step: int | None, column: Any
) -> None:
    for name in ("big", "lossy"):
        expected = task[name][low:high:step, column]
        assert cases.same_bits(task.get_slice(name)[low:high:step, column], expected)


@given(data=st.data(), array=strategies.arrays())
def test_any_index_of_any_array(tmp_path: Path, data: st.DataObject, array: Any) -> None:
    path = tmp_path / "one.mc"
    mcodec.pack({"A": {"w": array, "v": array[:0] if array.ndim else array}}, path, jobs=1)
    index = data.draw(
        hnp.basic_indices(array.shape, allow_newaxis=True, allow_ellipsis=True)
        | hnp.integer_array_indices(array.shape)
        if array.ndim and array.size
        else hnp.basic_indices(array.shape, allow_newaxis=True)
    )
    with mcodec.open(path, jobs=1) as file:
        found = file.task().get_slice("w")
        assert tuple(found.get_shape()) == array.shape
        assert np.asarray(found[index]).tobytes() == np.asarray(array[index]).tobytes()
        assert np.shape(found[index]) == np.shape(array[index])


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_a_scalar_of_every_dtype(tmp_path: Path, dtype: str) -> None:
    array = cases.noise(dtype, (3, 4))
    mcodec.pack({"A": {"w": array, "s": array[0, 0]}}, tmp_path / "one.mc", jobs=1)
    with mcodec.open(tmp_path / "one.mc") as file:
        task = file.task()
        assert task.get_slice("w").get_dtype() == dtype
        for found in (task.get_slice("w")[0, 0], task.get_slice("s")[()], task.get_slice("s")[...]):
            assert np.asarray(found).tobytes() == array[0, 0].tobytes()


@pytest.mark.parametrize("index", [BIG[0], -BIG[0] - 1, (0, BIG[1])])
def test_an_index_outside_is_an_index_error(task: Task, index: Any) -> None:
    with pytest.raises(IndexError):
        task.get_slice("big")[index]


@pytest.mark.parametrize("index", [(0, 0, 0), 1.5, "row", slice(0.5, 2)])
def test_an_index_of_another_kind_fails_as_in_numpy(task: Task, index: Any) -> None:
    with pytest.raises((IndexError, TypeError)):
        task.get_slice("big")[index]


@pytest.mark.parametrize("index", [np.int64(3), np.array([1, 700]), np.s_[..., 2], None, True])
def test_indices_that_are_no_plain_slices(task: Task, index: Any) -> None:
    assert cases.same_bits(task.get_slice("big")[index], task["big"][index])


def test_a_slice_reads_only_its_blocks(tmp_path: Path) -> None:
    path = tmp_path / "damaged.mc"
    mcodec.pack({"A": {"w": cases.noise("float32", BIG)}}, path, jobs=1)
    with mcodec.open(path) as file:
        last = file.reader.rows(0, 3)
    data = bytearray(path.read_bytes())
    data[next(row.offset for row in last if row.stored)] ^= 1
    path.write_bytes(data)
    with mcodec.open(path, jobs=1) as file:
        task = file.task()
        assert task.get_slice("w")[:300].shape == (300, BIG[1])
        with pytest.raises(mcodec.errors.FormatError) as caught:
            task.get_slice("w")[1030]
        assert caught.value.code == "chunk_checksum"
        assert "'w'" in str(caught.value)


def rows(length: int) -> st.SearchStrategy[Any]:
    """Indices of one axis: near and far rows, and lists of them."""
    place = st.integers(-length, length - 1)
    return (
        place
        | st.slices(length)
        | st.lists(place, min_size=1, max_size=3)
        | st.lists(place, max_size=3).map(lambda found: np.array(found, np.int32))
        | st.just(slice(None))
    )


@given(data=st.data(), shape=st.sampled_from(SHAPES))
def test_only_the_blocks_that_are_touched_are_asked_for(
    data: st.DataObject, shape: tuple[int, ...]
) -> None:
    whole = np.arange(np.prod(shape), dtype=np.uint32)
    asked: list[int] = []
    reads: list[tuple[int, int]] = []
    told: list[tuple[int, int]] = []

    def read(start: int, stop: int) -> Any:
        assert 0 <= start < stop <= whole.size
        reads.append((start, stop))
        asked.extend(range(start // BLOCK, (stop - 1) // BLOCK + 1))
        return whole[start:stop].copy()

    index = data.draw(st.tuples(*map(rows, shape[: data.draw(st.integers(0, len(shape)))])))
    if data.draw(st.booleans()):
        keep = data.draw(st.integers(0, len(index)))
        index = (*index[:keep], ..., *index[keep:])
    spec = TensorSpec("w", "uint32", shape)

    def gathered(axes: Any) -> Any:
        told.extend(spans(spec, axes))
        return gather(spec, read, axes)

    found = TensorSlice(spec, gathered)
    try:
        expected = whole.reshape(shape)[index]
    except IndexError:  # lists that do not go together, or an index past its end
        with pytest.raises(IndexError):
            found[index]
        assert not asked
        return
    array = found[index]
    assert cases.same_bits(np.asarray(array), np.asarray(expected))
    assert reads == told
    needed = set((np.asarray(expected).reshape(-1) // BLOCK).tolist())
    lists = sum(isinstance(item, list | np.ndarray) for item in index)
    assert set(asked) == needed if lists < 2 else set(asked) >= needed  # NumPy takes pairs of two
    assert len(asked) <= 3 * len(set(asked))


class Counting(LocalFile):
    """A file that remembers where it was read."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.reads: list[tuple[int, int]] = []

    def read_at(self, offset: int, length: int) -> Any:
        self.reads.append((offset, offset + length))
        return super().read_at(offset, length)


@pytest.mark.parametrize(
    ("name", "index", "blocks"),
    [
        ("tall", 5, {0}),
        ("tall", np.s_[400:500], {1}),
        ("tall", np.s_[300:400, 3], {0, 1}),
        ("tall", np.s_[::700], {0, 2}),
        ("tall", np.s_[[0, 1030]], {0, 3}),
        ("flat", np.s_[:, 300_000:300_010], {1}),
        ("flat", np.s_[0, -1], {3}),
        ("flat", np.s_[..., ::524_288], {0, 2}),
        ("planes", np.s_[:, 0, :10], {0, 2}),
        ("planes", np.s_[1, 1], {3}),
        ("planes", np.s_[2:], set()),
    ],
)
def test_only_chunks_of_touched_blocks_are_read(
    tmp_path: Path, name: str, index: Any, blocks: set[int]
) -> None:
    shapes = {"tall": BIG, "flat": (1, 800_000), "planes": (2, 2, BLOCK)}
    arrays = {key: cases.noise("float32", shape) for key, shape in shapes.items()}
    mcodec.pack({"A": arrays}, tmp_path / "big.mc", jobs=1)
    source = Counting(tmp_path / "big.mc")
    with File(ContainerReader(source, from_config)) as file:
        task = file.task()
        run = task.place(name)[0]
        source.reads.clear()
        found = task.get_slice(name)[index]
        reads = list(source.reads)
        assert cases.same_bits(found, arrays[name][index])
        for other, spec in enumerate(file.reader.runs):
            for block in range(spec.blocks):
                for row in file.reader.rows(other, block):
                    last = row.offset + row.stored
                    seen = any(low < last and row.offset < high for low, high in reads)
                    assert seen == (other == run and block in blocks and row.stored > 0)
