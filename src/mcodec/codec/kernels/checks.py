"""What the compiled kernels check of their arguments, for the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mcodec.types import FLOATS, FloatFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
    Buffer = Bytes | memoryview
    Patterns = npt.NDArray[np.unsignedinteger[Any]]
    Scopes = tuple[int, int, int]  # inner, count, first

MAX_BITS: Final = 24
MIN_NORMAL: Final = 2.0**-126  # of float32 and bfloat16
FLOAT32_MAX: Final = float(np.finfo(np.float32).max)


def require(condition: bool, message: str) -> None:
    """Raise ValueError unless the condition holds."""
    if not condition:
        raise ValueError(message)


def array_of(data: Buffer) -> Bytes:
    """Return bytes to read as an array."""
    return np.frombuffer(data, np.uint8) if isinstance(data, memoryview) else data


def arrays_of(planes: Sequence[Buffer | None]) -> list[Bytes | None]:
    """Return planes to read as arrays."""
    return [None if plane is None else array_of(plane) for plane in planes]


def planes_of(symbols: Buffer, n: int, count: int) -> list[Bytes]:
    """Return the lowest bits of n bytes as planes, from the top down."""
    values = array_of(symbols)
    check_size(values, n, "symbols")
    return [np.packbits(values >> k & 1, bitorder="little") for k in range(count - 1, -1, -1)]


def check_format(dtype: str, values: Patterns, name: str) -> FloatFormat:
    """Return the format of a dtype whose patterns `values` are."""
    require(dtype in FLOATS, f"dtype: no float format {dtype!r}")
    require(
        values.ndim == 1 and values.itemsize == FLOATS[dtype].width // 8,
        f"{name}: must be one-dimensional patterns of {dtype}",
    )
    return FLOATS[dtype]


def check_size(array: npt.NDArray[Any], size: int, name: str) -> None:
    """Check the shape of an array."""
    require(array.ndim == 1 and array.size == size, f"{name}: must have {size} elements")


def check_planes(planes: Sequence[Bytes | None], n: int, low: int, high: int) -> None:
    """Check the number of planes and the size of each."""
    require(low <= len(planes) <= high, f"planes: there must be {low} to {high}")
    for plane in planes:
        if plane is not None:
            check_size(plane, (n + 7) // 8, "planes")


def check_scopes(n: int, scopes: Scopes, table: npt.NDArray[Any]) -> None:
    """Check scopes and the size of the table that they index."""
    inner, count, first = scopes
    require(inner >= 1 and count >= 1 and first >= 0, "scopes: must be positive")
    used = min(count, (first + n - 1) // inner + 1) if n else 0
    require(table.ndim == 1 and table.size >= used, f"scopes: the table must have {used} entries")


def check_bfp(bits: int, step: float | None) -> None:
    """Check the numbers of block floating point."""
    require(1 <= bits <= MAX_BITS, f"bits: must be 1 to {MAX_BITS}")
    if step is not None:
        normal = MIN_NORMAL <= step <= FLOAT32_MAX and float(np.float32(step)) == step
        require(normal, "step: must be a positive normal float32")


def check_parts(fmt: FloatFormat, exponent: Sequence[Any]) -> int:
    """Return how many exponent bytes a format has; there must be as many arrays."""
    parts = (fmt.exponent + 7) // 8
    require(len(exponent) == parts, f"exponent: there must be {parts}")
    return parts


def check_elements(values: npt.NDArray[Any], name: str, itemsize: int | None = None) -> None:
    """Check that an array is one-dimensional, with items of 1, 2, 4 or 8 bytes, or of so many."""
    sizes = (1, 2, 4, 8) if itemsize is None else (itemsize,)
    require(
        values.ndim == 1 and values.itemsize in sizes,
        f"{name}: must be one-dimensional, with items of {' or '.join(map(str, sizes))} bytes",
    )


def check_mask(mask: Bytes, n: int) -> Bytes:
    """Return the mask of n elements; its bits past them must be zero."""
    check_size(mask, (n + 7) // 8, "mask")
    require(n % 8 == 0 or mask[-1] >> (n % 8) == 0, "mask: has bits past the last element")
    return mask


def places_of(mask: Buffer | None, n: int) -> npt.NDArray[np.int64]:
    """Return where a merge puts its elements in an output of n: all places if there is no mask."""
    if mask is None:
        return np.arange(n)
    plane = check_mask(array_of(mask), n)
    return np.flatnonzero(np.unpackbits(plane, count=n, bitorder="little"))
