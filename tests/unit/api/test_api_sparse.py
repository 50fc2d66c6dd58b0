"""`get_csr`: tensors of the codec csr as compressed sparse rows, for scipy and torch."""

from __future__ import annotations

import sys
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mcodec
from mcodec.errors import FormatError, MissingDependencyError, UnknownTaskError, UsageError
from mcodec.types import BLOCK, FLOATS, numpy_dtype
from support import formula_csr
from support.cases import same_bits
from support.forge import Forged

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mcodec.api.sparse import CsrMatrix

SHAPES = ((), (0,), (9,), (6, 7), (0, 5), (5, 0), (4, 3, 5), (3, 3, 2, 6), (130, 140))


def pack(folder: Path, arrays: dict[str, NDArray[Any]], codec: str = "csr", **keys: Any) -> Path:
    plan, path = folder / "plan.toml", folder / "sparse.mc"
    plan.write_text(f'[[tensor]]\nmatch = "*"\ncodec = "{codec}"\n')
    mcodec.pack({"A": arrays}, path, plan=plan, force=True, jobs=1, **keys)
    return path


def check(found: CsrMatrix, array: NDArray[Any], split: int) -> None:
    """Compare a matrix with the rows of a dense array."""
    rows = list(formula_csr.rows_of(array, split))
    assert found.shape[0] == len(rows)
    assert found.indptr.dtype == np.int64
    assert found.indices.dtype == np.int32
    assert found.data.dtype == array.dtype
    assert found.indptr[0] == 0
    assert np.diff(found.indptr).tolist() == [len(row) for row in rows]
    assert found.indices.tolist() == [column for row in rows for column, _ in row]
    values = np.array([value for row in rows for _, value in row], array.dtype)
    assert same_bits(found.data, values)


@pytest.mark.parametrize("dtype", FLOATS)
def test_every_shape_and_split(tmp_path: Path, dtype: str) -> None:
    arrays = {
        str(shape): formula_csr.sparse(dtype, shape, 0.8, index)
        for index, shape in enumerate(SHAPES)
    }
    path = pack(tmp_path, arrays)
    with mcodec.open(path, jobs=1) as file:
        task = file.task()
        for name, array in arrays.items():
            check(task.get_csr(name), array, 1)
            for split in range(-array.ndim, array.ndim + 1):
                check(task.get_csr(name, split), array, split)


@pytest.mark.parametrize("jobs", [1, 3])
def test_rows_that_lie_in_several_blocks(tmp_path: Path, jobs: int) -> None:
    array = formula_csr.sparse("float32", (7, 100_003), 0.99, 9)
    with mcodec.open(pack(tmp_path, {"w": array}), jobs=jobs) as file:
        check(file.task().get_csr("w"), array, 1)
        check(file.task().get_csr("w", 0), array, 0)


def test_the_file_says_where_rows_end(tmp_path: Path) -> None:
    array = formula_csr.sparse("float32", (3, 4, 5), 0.5, 1)
    with mcodec.open(pack(tmp_path, {"w": array}, "csr(split=-1)")) as file:
        check(file.task().get_csr("w"), array, -1)
        assert file.task().get_csr("w").shape == (12, 5)
        assert file.task().get_csr("w", 1).shape == (3, 20)


@pytest.mark.parametrize("values", ["bfp(bits=6,scope=axis:0)", "int8", "int8(scope=axis:-1)"])
def test_lossy_values_are_what_the_tensor_decodes_to(tmp_path: Path, values: str) -> None:
    array = formula_csr.sparse("float32", (40, 30), 0.7, 2, finite=True)
    array = np.where(np.abs(array) < 1e3, array, 0)
    with mcodec.open(pack(tmp_path, {"w": array}, f"csr(values={values})")) as file:
        task = file.task()
        found, dense = task.get_csr("w"), task["w"]
        assert found.data.size == np.count_nonzero(array.view(np.uint32))
        spread = np.zeros(dense.shape, np.float32)
        spread[np.repeat(np.arange(40), np.diff(found.indptr)), found.indices] = found.data
        assert same_bits(spread, dense)
        if "int8" in values:
            integers, scales = task.get_quantized("w")
            assert np.array_equal(integers * scales.astype(np.float32), dense)
        derived = file.task(planes=2)
        spread[:] = 0
        some = derived.get_csr("w")
        spread[np.repeat(np.arange(40), np.diff(some.indptr)), some.indices] = some.data
        assert same_bits(spread, derived["w"])


def test_scipy(tmp_path: Path) -> None:
    pytest.importorskip("scipy")
    arrays = {
        dtype: np.where(
            np.arange(63).reshape(7, 9) % 4, 0, np.linspace(-1, 1, 63).reshape(7, 9)
        ).astype(numpy_dtype(dtype))
        for dtype in FLOATS
    }
    with mcodec.open(pack(tmp_path, arrays)) as file:
        for dtype, array in arrays.items():
            found = file.task().get_csr(dtype).to_scipy()
            assert found.format == "csr"
            assert found.has_canonical_format
            wide = array.astype(np.float32) if array.itemsize == 2 else array
            assert found.dtype == wide.dtype
            assert np.array_equal(found.toarray(), wide)
            assert (found.indptr.dtype, found.indices.dtype) == (np.int32, np.int32)


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support:UserWarning")
def test_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    arrays = {dtype: formula_csr.sparse(dtype, (12, 5, 7), 0.6, 3, finite=True) for dtype in FLOATS}
    with mcodec.open(pack(tmp_path, arrays)) as file:
        for dtype, array in arrays.items():
            found = file.task().get_csr(dtype, 2).to_torch()
            assert found.layout == torch.sparse_csr
            assert found.dtype == getattr(torch, dtype)
            assert tuple(found.shape) == (60, 7)
            assert found.crow_indices().dtype == torch.int32
            dense = found.to_dense().view(getattr(torch, f"int{8 * array.itemsize}")).numpy()
            expected = array.view(f"i{array.itemsize}").reshape(60, 7)
            zero = np.iinfo(expected.dtype).min  # -0.0, which torch adds to 0.0
            assert np.array_equal(dense, np.where(expected == zero, 0, expected))


def test_libraries_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pack(tmp_path, {"w": formula_csr.sparse("float32", (3, 4), 0.5, 4)})
    with mcodec.open(path) as file:
        found = file.task().get_csr("w")
    for name, method in (("scipy", found.to_scipy), ("torch", found.to_torch)):
        for module in [one for one in sys.modules if one.split(".")[0] == name]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(MissingDependencyError, match="pip install 'mcodec"):
            method()


def test_what_cannot_be_had(tmp_path: Path) -> None:
    array = formula_csr.sparse("float32", (3, 4), 0.5, 5)
    array = np.where(np.isfinite(array), array, 0)
    plan, path = tmp_path / "plan.toml", tmp_path / "x.mc"
    plan.write_text('[[tensor]]\nmatch = "*:w"\ncodec = "csr"\n')
    arrays = {"w": array, "v": array[::-1], "n": np.arange(3)}
    mcodec.pack({"A": arrays}, path, plan=plan, codec="float", force=True, jobs=1)
    with mcodec.open(path) as file:
        task = file.task()
        with pytest.raises(UsageError, match=r"tensor 'v': stored under float, not csr"):
            task.get_csr("v")
        with pytest.raises(UsageError, match=r"tensor 'n': stored under raw"):
            task.get_csr("n")
        with pytest.raises(UsageError, match=r"tensor 'w': .*split=3 needs as many dimensions"):
            task.get_csr("w", 3)
        with pytest.raises(UnknownTaskError):
            task.get_csr("none")


def test_memory_goes_with_what_is_stored(tmp_path: Path) -> None:
    array = np.zeros((4096, 4096), np.float32)  # 64 MiB
    array[::64, ::64] = 1.5
    path = pack(tmp_path, {"w": array})
    with mcodec.open(path, jobs=1) as file:
        task = file.task()
        task.get_csr("w")
        tracemalloc.start()
        found = task.get_csr("w")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert found.data.size == 4096
    assert peak < 16 * BLOCK  # some arrays of one block, and the row pointers


def test_row_pointers_of_no_columns(tmp_path: Path) -> None:
    path = pack(tmp_path, {"w": np.zeros((3, 0), np.float32)})
    forged = Forged.of(path.read_bytes())
    forged.manifest["runs"][0][2] = [[1 << 40, 0]]
    path.write_bytes(forged.build())
    with mcodec.open(path) as file:
        task = file.task()
        assert task["w"].shape == (1 << 40, 0)
        with pytest.raises(UsageError, match="no columns"):
            task.get_csr("w")
        assert task.get_csr("w", 0).shape == (1, 0)


def test_damage_is_an_error_of_the_format(tmp_path: Path) -> None:
    path = pack(tmp_path, {"w": formula_csr.sparse("float32", (50, 60), 0.5, 6)})
    forged = Forged.of(path.read_bytes())
    first = next(index for index, row in enumerate(forged.rows) if row["stored"])
    forged.damage(first, 7, 0x10)  # a bit of the mask, so that counts no longer fit
    path.write_bytes(forged.build())
    with mcodec.open(path) as file, pytest.raises(FormatError, match=r"tensor 'w'.*block 0"):
        file.task().get_csr("w")
