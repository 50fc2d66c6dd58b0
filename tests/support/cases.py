"""Arrays at the edges: every dtype, the sizes where runs and blocks are cut, awkward patterns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mcodec.types import FLOATS, ITEMSIZE, numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

DTYPES: Final = (*ITEMSIZE, "V1", "V3", "V17", "V300")
FLOAT_DTYPES: Final = tuple(FLOATS)

# Around whole bytes of a plane, a run of its own, a full shared run, and a block.
SIZES: Final = (7, 8, 9, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537)
BLOCK_SIZES: Final = ((1 << 18) - 1, 1 << 18, (1 << 18) + 1, (1 << 19) + 5)
SHAPES: Final = ((), (0,), (1,), (0, 3), (3, 0, 2), (1, 1, 1), (7,), (2, 3, 5), (1,) * 64)


def from_bytes(dtype: str, data: bytes, shape: tuple[int, ...]) -> NDArray[Any]:
    """Make an array of a dtype's name from its little-endian bytes."""
    if dtype == "bool":
        data = bytes(byte & 1 for byte in data)
    return np.frombuffer(data, numpy_dtype(dtype)).reshape(shape)


def noise(dtype: str, shape: tuple[int, ...], seed: int = 0) -> NDArray[Any]:
    """Make an array of random bits: NaNs, infinities and subnormals among them."""
    size = int(np.prod(shape, dtype=np.int64)) * numpy_dtype(dtype).itemsize
    return from_bytes(dtype, np.random.default_rng(seed).bytes(size), shape)


def weights(dtype: str, shape: tuple[int, ...], seed: int = 0, scale: float = 0.05) -> NDArray[Any]:
    """Make an array that looks like trained weights: Gaussian, finite."""
    values = np.random.default_rng(seed).standard_normal(shape) * scale
    array: NDArray[Any] = np.asarray(values).astype(numpy_dtype(dtype))
    return array


def network(seed: int = 0, dtype: str = "float32") -> dict[str, NDArray[Any]]:
    """Make a small model: two matrices in runs of their own, small ones, vectors, integers."""
    return {
        "stem/kernel": weights(dtype, (3, 3, 8, 16), seed),
        "stem/bias": weights(dtype, (16,), seed + 1),
        "body/kernel": weights(dtype, (160, 130), seed + 2),
        "body/bias": weights(dtype, (130,), seed + 3),
        "body/steps": np.arange(5, dtype=np.int64) + seed,
        "head/kernel": weights(dtype, (130, 10), seed + 4),
        "head/bias": np.zeros(10, numpy_dtype(dtype)),
        "tall/kernel": weights(dtype, (129, 131), seed + 5),
    }


def exponents(dtype: str) -> NDArray[Any]:
    """Return every exponent of a float dtype with both signs and three mantissas each."""
    form = FLOATS[dtype]
    fields = np.arange(1 << form.exponent, dtype=np.uint64) << np.uint64(form.mantissa)
    mantissas = np.array([0, 1, (1 << form.mantissa) - 1], np.uint64)
    positive = (fields[:, None] | mantissas).reshape(-1)
    both = np.concatenate([positive, positive | np.uint64(1 << (form.width - 1))])
    return both.astype(f"<u{form.width // 8}").view(numpy_dtype(dtype))


def same_bits(ours: NDArray[Any], theirs: NDArray[Any]) -> bool:
    """Tell whether two arrays have one shape, one dtype (but for byte order), and equal bits."""
    if ours.shape != theirs.shape or ours.dtype.newbyteorder("=") != theirs.dtype.newbyteorder("="):
        return False
    little = (
        theirs if theirs.dtype.byteorder != ">" else theirs.astype(theirs.dtype.newbyteorder("<"))
    )
    return ours.tobytes() == little.tobytes()


def assert_same_model(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """Compare two models: names in order, and every bit of every tensor."""
    assert list(ours) == list(theirs)
    for name, array in theirs.items():
        assert same_bits(ours[name], np.asarray(array)), name
