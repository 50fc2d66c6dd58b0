"""Whether a model is quantised already: what is found out, and what is no false alarm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import ml_dtypes
import numpy as np
import pytest

import mcodec
from mcodec.api.grids import find_grid
from mcodec.api.opening import open_model
from mcodec.api.quantized import find_quantized
from mcodec.api.sources import ArraySource
from mcodec.types import numpy_dtype
from support import cases

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

DTYPES: Final = ("float16", "bfloat16", "float32", "float64")
SHAPES: Final = ((64, 64), (3, 3, 32, 16), (64, 3, 3, 3), (3, 3, 200, 1), (1, 2000), (300, 900))


def dequantized(
    array: NDArray[Any], axis: int | None, most: int = 127, dtype: str = "float32"
) -> NDArray[Any]:
    """Quantise by the papers' equations, plainly, and go back to floats."""
    others = tuple(i for i in range(array.ndim) if i != axis)
    largest = np.abs(array).max(axis=None if axis is None else others, keepdims=True)
    scales = np.where(largest == 0, 1, largest.astype(np.float64) / most).astype(np.float32)
    integers = np.rint(array.astype(np.float64) / scales)
    return (integers.astype(np.float32) * scales).astype(numpy_dtype(dtype))


def grid(array: NDArray[Any]) -> str | None:
    found = find_grid(ArraySource({"w": array}), 0)
    return None if found is None else str(found)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_dequantised_floats_are_found(dtype: str, shape: tuple[int, ...]) -> None:
    array = cases.weights("float32", shape)
    assert grid(dequantized(array, None, dtype=dtype)) == "tensor"
    for axis, side in enumerate(shape):
        if array.size // side >= 4:  # else a channel has too few numbers to be uneven
            found = grid(dequantized(array, axis, dtype=dtype))
            assert found == ("tensor" if side == 1 else f"axis:{axis}")


@pytest.mark.parametrize("most", [64, 100, 128])
def test_other_integers_of_8_bits_are_found(most: int) -> None:
    assert grid(dequantized(cases.weights("float32", (64, 64)), None, most)) == "tensor"


def test_channels_that_are_zero_or_nearly_so() -> None:
    array = cases.weights("float32", (64, 3, 3, 8))
    array[3] = 0
    array[5] = 1e-42
    array[6] = 0
    array[6, 0, 0, 0] = 1e-40
    assert grid(dequantized(array, 0)) == "axis:0"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [*SHAPES, (1025, 1), (1, 1025), (600, 2), (2, 600)], ids=str)
def test_trained_weights_are_no_false_alarm(dtype: str, shape: tuple[int, ...]) -> None:
    array = cases.weights(dtype, shape)
    assert grid(array) is None
    pruned = array.copy()
    pruned.reshape(-1)[
        np.argsort(np.abs(array.reshape(-1)).astype(np.float64))[: -array.size // 10]
    ] = 0
    assert grid(pruned) is None


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "array",
    [
        np.zeros((64, 64)),
        np.ones((64, 64)),
        np.eye(64),
        np.sign(cases.weights("float64", (64, 64))),
        np.arange(4096).reshape(64, 64) % 3 / 2,
        np.sin(np.arange(4096)).reshape(64, 64),
        0.5 + np.random.default_rng(1).random((64, 64)) / 2,  # of one binade
        np.full((64, 64), np.inf),
    ],
)
def test_what_is_coarse_by_nature(dtype: str, array: NDArray[Any]) -> None:
    assert grid(array.astype(numpy_dtype(dtype))) is None


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_bits(dtype: str) -> None:
    assert grid(cases.noise(dtype, (50, 50))) is None


def test_fewer_bits_of_a_float_are_not_even() -> None:
    array = cases.weights("float32", (64, 64))
    for kept in (8, 12, 16):
        low = np.uint32(32 - kept)
        assert grid((array.view(np.uint32) >> low << low).view(np.float32)) is None
    assert grid(array.astype(ml_dtypes.bfloat16).astype(np.float32)) is None


def test_small_tensors_prove_nothing() -> None:
    assert grid(dequantized(cases.weights("float32", (32, 32)), None)) is None


def found(arrays: dict[str, Any], format: str = "arrays") -> str | None:
    model = ArraySource(arrays)
    model.format = format
    return find_quantized(model, [], None)


def test_integer_kernels() -> None:
    kernel = np.zeros((4, 4), np.int8)
    assert found({"dense/kernel": kernel, "dense/kernel_scale": np.ones(4)}) == (
        "tensor 'dense/kernel' is int8"
    )
    assert found({"w": kernel.view(np.uint8), "w.scale": np.ones(4)}) == "tensor 'w' is uint8"
    assert found({"mask": kernel.view(np.uint8), "w": np.ones((4, 4))}) is None
    assert found({"table": kernel.astype(np.int32), "n": np.zeros(3, np.int8)}) is None
    blocks = np.zeros((4, 2), "V34")
    assert found({"blk.0": blocks}, "gguf") == "tensor 'blk.0' is made of blocks of integers"
    assert found({"blk.0": blocks}) is None


@pytest.mark.parametrize("codec", ["int8", "csr(values=int8)", "int8(scope=axis:0)"])
def test_a_task_under_int8(tmp_path: Path, codec: str) -> None:
    weights = cases.weights("float32", (30, 20))
    weights[2:] = 0
    mcodec.pack({"A": {"w": weights}}, tmp_path / "x.mc", codec=codec)
    from contextlib import ExitStack

    with ExitStack() as stack:
        model = open_model(stack, tmp_path / "x.mc")
        assert (
            find_quantized(model, [], None)
            == f"tensor 'w' is stored as {codec.partition('(')[0]} integers"
        )
