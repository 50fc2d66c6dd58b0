"""Calls the kernels of one target on arrays at any address, and watches the bytes around them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mcodec.codec import kernels
from mcodec.codec.kernels import Scopes
from mcodec.types import FLOATS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

DTYPES: Final = tuple(FLOATS)
TARGETS: Final = kernels.targets()
EVERY: Final = tuple(dict.fromkeys((*TARGETS, "reference")))
TENSOR: Final = Scopes(1 << 48, 1)
GUARD: Final = 64


class Memory:
    """Arrays that begin `shift` bytes behind an aligned address, between guard bytes."""

    def __init__(self, shift: int = 0) -> None:
        self.shift = shift
        self._whole: list[tuple[NDArray[Any], int]] = []

    def array(self, kind: str, n: int) -> NDArray[Any]:
        """Return n elements of a kind, all bits of which are a pattern that nobody expects."""
        size = np.dtype(kind).itemsize * n
        whole = np.full(size + 2 * GUARD, 0xA5, np.uint8)
        start = GUARD - whole.ctypes.data % 16 + self.shift
        self._whole.append((whole, start))
        return np.ndarray((n,), kind, whole.data, start)

    def like(self, values: NDArray[Any]) -> NDArray[Any]:
        copy = self.array(values.dtype.str, values.size)
        copy[:] = values
        return copy

    def check(self, *arrays: NDArray[Any]) -> None:
        """Fail if a byte around one of the arrays is not what it was."""
        sizes = {array.ctypes.data: array.nbytes for array in arrays}
        for whole, start in self._whole:
            size = sizes.get(whole.ctypes.data + start)
            if size is not None:
                outside = np.concatenate([whole[:start], whole[start + size :]])
                assert (outside == 0xA5).all()


def kind_of(dtype: str) -> str:
    return f"<u{FLOATS[dtype].width // 8}"


def parts_of(dtype: str) -> int:
    return (FLOATS[dtype].exponent + 7) // 8


def finite(dtype: str, patterns: NDArray[Any]) -> NDArray[Any]:
    """Clear a bit of the exponents that are all ones."""
    fmt = FLOATS[dtype]
    field = np.array(((1 << fmt.exponent) - 1) << fmt.mantissa, patterns.dtype)
    bit = np.array(1 << fmt.mantissa, patterns.dtype)
    return np.where(patterns & field == field, patterns ^ bit, patterns)


def noise(dtype: str, n: int, seed: int = 0) -> NDArray[Any]:
    return np.frombuffer(
        np.random.default_rng(seed).bytes(n * FLOATS[dtype].width // 8), kind_of(dtype)
    )


def random_planes(count: int, n: int, seed: int = 0) -> list[NDArray[Any]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (n + 7) // 8, np.uint8) for _ in range(count)]


def bits_of(plane: NDArray[Any], n: int) -> list[int]:
    """Read a plane by its definition."""
    return [int(plane[i // 8]) >> (i % 8) & 1 for i in range(n)]


def plane_of(bits: Sequence[int]) -> list[int]:
    """Write a plane by its definition."""
    plane = [0] * ((len(bits) + 7) // 8)
    for i, bit in enumerate(bits):
        plane[i // 8] |= bit << (i % 8)
    return plane


def integers_of(planes: Sequence[NDArray[Any]], n: int) -> list[int]:
    """Read the integers of planes from the top bit down."""
    rows = [bits_of(plane, n) for plane in planes]
    return [sum(row[i] << (len(rows) - 1 - k) for k, row in enumerate(rows)) for i in range(n)]


def split_float(
    target: str, dtype: str, values: NDArray[Any], count: int | None = None, shift: int = 0
) -> list[NDArray[Any]]:
    """Return sign, exponent arrays and planes."""
    n, memory = values.size, Memory(shift)
    count = FLOATS[dtype].mantissa if count is None else count
    sign = memory.array("u1", (n + 7) // 8)
    exponent = [memory.array("u1", n) for _ in range(parts_of(dtype))]
    planes = [memory.array("u1", (n + 7) // 8) for _ in range(count)]
    with kernels.forced(target):
        kernels.split_float(dtype, memory.like(values), sign, exponent, planes)
    memory.check(sign, *exponent, *planes)
    return [sign, *exponent, *planes]


def merge_float(
    target: str, dtype: str, n: int, fields: Sequence[NDArray[Any]], shift: int = 0
) -> NDArray[Any]:
    """Take what `split_float` returns; return the patterns."""
    memory, parts = Memory(shift), parts_of(dtype)
    out = memory.array(kind_of(dtype), n)
    sign, *rest = [memory.like(field) for field in fields]
    with kernels.forced(target):
        kernels.merge_float(dtype, out, sign, rest[:parts], rest[parts:])
    memory.check(out)
    return out


def split_bfp(
    target: str,
    dtype: str,
    values: NDArray[Any],
    bits: int,
    exponents: NDArray[Any] | None = None,
    *,
    truncate: bool = False,
    step: float | None = None,
    scopes: Scopes = TENSOR,
    shift: int = 0,
) -> list[NDArray[Any]]:
    """Return the sign plane and the planes of the integers."""
    n, memory = values.size, Memory(shift)
    planes = [memory.array("u1", (n + 7) // 8) for _ in range(bits + 1)]
    with kernels.forced(target):
        kernels.split_bfp(
            dtype,
            memory.like(values),
            bits,
            truncate,
            scopes,
            exponents,
            step,
            planes[0],
            planes[1:],
        )
    memory.check(*planes)
    return planes


def merge_bfp(
    target: str,
    dtype: str,
    n: int,
    planes: Sequence[NDArray[Any]],
    bits: int,
    exponents: NDArray[Any] | None = None,
    *,
    mid: bool = False,
    step: float | None = None,
    scopes: Scopes = TENSOR,
    shift: int = 0,
    symbols: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Take a sign plane and planes from the top; return the patterns."""
    memory = Memory(shift)
    out = memory.array(kind_of(dtype), n)
    sign, *rest = [memory.like(plane) for plane in planes]
    above = None if symbols is None else memory.like(symbols)
    with kernels.forced(target):
        kernels.merge_bfp(dtype, out, bits, mid, scopes, exponents, step, sign, rest, above)
    memory.check(out)
    return out


def exponent_table(*values: int) -> NDArray[Any]:
    return np.array(values, np.int16)
