"""Many small tensors at once: runs are decoded as they lie, and the arrays are parts of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mcodec
from mcodec.api.together import parts_of
from mcodec.errors import FormatError
from mcodec.types import RunSpec, itemsize, numpy_dtype
from support import cases

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SHAPES = [(), (1,), (3,), (8,), (2, 4), (3, 5), (0,), (4, 0, 2), (1, 1, 9)]
DTYPES = ["float32", "bfloat16", "uint8", "bool", "float8_e5m2", "complex128", "V3", "float64"]


@given(
    shapes=st.lists(st.tuples(st.sampled_from(SHAPES), st.integers(1, 4)), min_size=1, max_size=6),
    dtype=st.sampled_from(DTYPES),
)
def test_parts_are_where_a_run_has_its_members(
    shapes: list[tuple[tuple[int, ...], int]], dtype: str
) -> None:
    spec = RunSpec.of(dtype, [shape for shape, count in shapes for _ in range(count)])
    item = itemsize(dtype)
    data = np.arange(spec.elements * item).astype(np.uint8)
    if dtype == "bool":
        data &= 1
    out = data.view(numpy_dtype(dtype))
    found = parts_of(spec, out)
    assert len(found) == len(spec.shapes)
    for part, shape, start in zip(found, spec.shapes, spec.starts, strict=True):
        size = math.prod(shape) * item
        assert isinstance(part, np.ndarray)
        assert (part.dtype, part.shape) == (out.dtype, shape)
        assert part.flags.c_contiguous
        assert part.flags.writeable
        assert part.tobytes() == data[start * item :][:size].tobytes()


def model(seed: int = 0) -> dict[str, NDArray[Any]]:
    """Return small tensors of several kinds, in turn, with equal ones among them."""
    rng = np.random.default_rng(seed)
    found: dict[str, NDArray[Any]] = {}
    for i in range(150):
        found[f"{i}.kernel"] = cases.weights("float32", (5, 7), seed + i)
        found[f"{i}.bias"] = rng.integers(0, 9, 3).astype(np.int16)
        found[f"{i}.scale"] = np.array(i + 0.5, np.float64)
        found[f"{i}.none"] = np.zeros((0, 2), np.float32)
    found["large"] = cases.weights("float32", (200, 150), seed)
    found["again"] = found["7.kernel"].copy()
    found["large again"] = found["large"].copy()
    return found


@pytest.mark.parametrize("way", [{}, {"bits": 12}, {"codec": "raw"}, {"optimize": "file"}])
@pytest.mark.parametrize("jobs", [1, 3])
def test_it_is_what_get_tensor_gives(tmp_path: Path, way: dict[str, Any], jobs: int) -> None:
    models = {"A": model(), "B": model(1) | {"again": model()["3.kernel"]}}
    mcodec.pack(models, tmp_path / "x.mc", **way)
    with mcodec.open(tmp_path / "x.mc", jobs=jobs) as file:
        for name in "AB":
            task = file.task(name)
            found = task.load()
            cases.assert_same_model(found, dict(task))
            assert list(found) == list(models[name])
            some = list(models[name])[::-3]
            assert list(task.load([*some, *some[:5]])) == some
            cases.assert_same_model(task.load(some), {one: task[one] for one in some})


def test_no_two_arrays_share_memory(tmp_path: Path) -> None:
    mcodec.pack({"A": model()}, tmp_path / "x.mc")
    with mcodec.open(tmp_path / "x.mc") as file:
        found = file.task().load()
        for index, array in enumerate(found.values()):
            array.view("u1" if array.ndim else array.dtype)[...] = index % 251
    for index, array in enumerate(found.values()):
        assert np.all(array.view("u1" if array.ndim else array.dtype) == index % 251)


@pytest.mark.parametrize("jobs", [1, 2])
def test_damage_is_told(tmp_path: Path, jobs: int) -> None:
    path = tmp_path / "x.mc"
    mcodec.pack({"A": model()}, path)
    data = bytearray(path.read_bytes())
    with mcodec.open(path) as file:
        row = file.reader.rows(*file.task().place("9.kernel")[:1], 0)[-1]
    data[row.offset] ^= 1
    path.write_bytes(data)
    with mcodec.open(path, jobs=jobs) as file, pytest.raises(FormatError, match="kernel") as caught:
        file.task().load()
    assert caught.value.code == "chunk_checksum"
