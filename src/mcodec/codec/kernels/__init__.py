"""The kernels: numbers to bit-planes and back, the only code here that is compiled.

Two backends have the same functions: the compiled one (``native``), with one *target* for each
instruction set, and NumPy (``reference``). All give the same bits. Environment:

``MCODEC_BACKEND``
    ``native`` (the default) or ``reference``.
``MCODEC_SIMD``
    Forces a target of the native backend: ``avx512_gfni``, ``avx512``, ``avx2``, ``neon`` or
    ``portable``.

A value that cannot be had is an error; nothing falls back.

Words (design, section 2). Values are *patterns*: the bits of n numbers as a contiguous uint16,
uint32 or uint64 array, at any address. A *plane* holds one bit of every number in
L = ceil(n / 8) bytes, element 8j+i in bit i of byte j; bits past the last element are written as
zero and ignored when read. ``planes`` go from the most significant down. Planes whose distance in
memory is a power of two of 4,096 or more evict each other from the caches: put 64 bytes between
them.

Wrong sizes, dtypes or ranges are the caller's mistakes and raise ValueError; nothing here looks at
a file. Outputs must not overlap inputs. The compiled functions drop the GIL, allocate nothing, and
round to nearest with subnormals whatever floating-point mode the caller is in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mcodec.codec.kernels import reference
from mcodec.codec.kernels.delta import (
    count_above,
    count_classes,
    delta_lengths,
    max_exponent,
    merge_classes,
    merge_delta,
    pack_delta,
    split_classes,
)
from mcodec.codec.kernels.int8 import dequantize_int8, merge_int8, quantize_int8
from mcodec.codec.kernels.residual import add_residual, subtract_base
from mcodec.codec.kernels.scopes import Scopes
from mcodec.codec.kernels.sparse import (
    count_bits,
    gaps_to_plane,
    gather_bits,
    gather_elements,
    mask_elements,
    nonzero_plane,
    plane_to_gaps,
    spread_bits,
    spread_elements,
)
from mcodec.codec.kernels.switch import backend, forced, impl, target, targets

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
    Buffer = Bytes | memoryview  # of bytes: to read alone
    Patterns = npt.NDArray[np.unsignedinteger[Any]]
    Call = tuple[str, tuple[Any, ...]]
    Exponents = npt.NDArray[np.int16]

__all__ = [
    "ZERO_SCOPE",
    "Scopes",
    "add_residual",
    "backend",
    "bytes_to_planes",
    "count_above",
    "count_bits",
    "count_classes",
    "delta_lengths",
    "dequantize_int8",
    "error_stats",
    "forced",
    "gaps_to_plane",
    "gather_bits",
    "gather_elements",
    "mask_elements",
    "max_exponent",
    "merge_all",
    "merge_bfp",
    "merge_classes",
    "merge_delta",
    "merge_float",
    "merge_int8",
    "merge_symbols",
    "nonzero_plane",
    "pack_delta",
    "plane_to_gaps",
    "planes_to_bytes",
    "quantize_int8",
    "scope_max",
    "split_bfp",
    "split_classes",
    "split_float",
    "spread_bits",
    "spread_elements",
    "subtract_base",
    "target",
    "targets",
]

ZERO_SCOPE: Final = reference.ZERO_SCOPE
"""The exponent that marks a scope in which every number is zero."""


def split_float(
    dtype: str, values: Patterns, sign: Bytes, exponent: Sequence[Bytes], planes: Sequence[Bytes]
) -> None:
    """Take IEEE numbers apart into sign plane, exponent bytes and mantissa planes.

    Parameters
    ----------
    dtype
        ``float16``, ``bfloat16``, ``float32`` or ``float64``.
    values
        Patterns, shape (n,).
    sign
        Written: a plane, shape (L,).
    exponent
        Written: one array of shape (n,); for float64 two, the top three bits first.
    planes
        Written: mantissa planes of shape (L,) from the top bit down; may be fewer than all.
    """
    impl().split_float(dtype, values, sign, exponent, planes)


def merge_float(
    dtype: str,
    out: Patterns,
    sign: Buffer | None,
    exponent: Sequence[Buffer | int],
    planes: Sequence[Buffer | None],
    mask: Buffer | None = None,
) -> None:
    """Put IEEE numbers together: the inverse of `split_float`.

    Parameters
    ----------
    dtype, planes
        As in `split_float`. None is a plane of zeros; planes that are missing at the end are zeros.
    out
        Written: patterns, shape (n,).
    sign
        A plane, or None for zeros.
    exponent
        As in `split_float`; an int from 0 to 255 stands for n equal bytes. Bits that do not fit the
        exponent field are ignored.
    mask
        A plane of n elements whose bits past them are zero: the numbers are as many as it has ones,
        go to these places, and leave zero bits elsewhere. None where every place has a number.
    """
    impl().merge_float(dtype, out, sign, exponent, planes, mask)


def merge_symbols(
    dtype: str,
    out: Patterns,
    sign: Buffer | None,
    symbols: Buffer,
    first: int,
    planes: Sequence[Buffer | None],
    mask: Buffer | None = None,
) -> bool:
    """Put IEEE numbers together whose exponents are in symbols (design, float).

    Parameters
    ----------
    dtype
        ``float16``, ``bfloat16`` or ``float32``.
    out, sign, mask
        As in `merge_float`.
    symbols
        A byte a number: 0 for an exponent and mantissa bits of zero; else the exponent less
        ``first``, times four, plus the first two mantissa bits.
    first
        An even exponent of the dtype; 0 for float16.
    planes
        As in `merge_float`, from the third mantissa bit on.

    Returns
    -------
    bool
        False, and ``out`` then holds anything, if an exponent is wider than its field.
    """
    return bool(impl().merge_symbols(dtype, out, sign, symbols, first, planes, mask))


def split_bfp(
    dtype: str,
    values: Patterns,
    bits: int,
    truncate: bool,
    scopes: Scopes,
    exponents: Exponents | None,
    step: float | None,
    sign: Bytes,
    planes: Sequence[Bytes],
) -> None:
    """Round numbers to integers of ``bits`` bits under shared exponents (design, bfp).

    M = abs(w) 2^(bits - E), an exact product, rounded to nearest (ties to even) or truncated, at
    most 2^bits - 1. With a step, M = rint(float64(abs(w)) / float64(step)), and no truncation.

    Parameters
    ----------
    dtype, values, sign
        As in `split_float`. The numbers are finite.
    bits
        1 to 24.
    truncate
        Cut the product instead of rounding it.
    scopes
        Which of the exponents an element has; without use if there is a step.
    exponents
        E of each scope, `ZERO_SCOPE` for M = 0; None if there is a step.
    step
        A positive normal float32, or None.
    planes
        Written: ``bits`` planes of M, from bit ``bits`` - 1 down.
    """
    impl().split_bfp(dtype, values, bits, truncate, scopes.flat, exponents, step, sign, planes)


def merge_bfp(
    dtype: str,
    out: Patterns,
    bits: int,
    mid: bool,
    scopes: Scopes,
    exponents: Exponents | None,
    step: float | None,
    sign: Buffer | None,
    planes: Sequence[Buffer | None],
    symbols: Buffer | None = None,
) -> None:
    """Decode block floating point: (-1)^s I 2^(E - bits), rounded once into the dtype.

    With K of ``bits`` planes, M' their integer and d = bits - K: I = M' 2^d; with ``mid``, for
    M' other than 0, I = (2M' + 1) 2^(d-1). With a step the value is fl32(I step), rounded into the
    dtype. What would become infinite in either becomes the largest finite number; a zero keeps its
    sign.

    Parameters
    ----------
    dtype, bits, scopes, exponents, step
        As in `split_bfp`; any int16 is an exponent.
    out
        Written: patterns, shape (n,).
    mid
        Decode to the middle of what the planes leave open; K is at most 23 then.
    sign
        A plane, or None for zeros.
    planes
        K planes, 0 to ``bits``, from bit ``bits`` - 1 down; None is a plane of zeros.
    symbols
        Bytes of the top 8 bits, or of all if there are fewer: planes begin below, K counts both.
    """
    impl().merge_bfp(dtype, out, bits, mid, scopes.flat, exponents, step, sign, planes, symbols)


def merge_all(calls: Sequence[Call], near: Sequence[bool] = ()) -> list[bool]:
    """Make several merges, in one call that drops the GIL once.

    Parameters
    ----------
    calls
        ``merge_bfp``, ``merge_float``, ``merge_symbols``, and all arguments of the function; scopes
        as `Scopes.flat`. ``placed_…`` take a memory and offsets for streams (`reference.merges`).
    near
        Of each output whether it is in the caches or is to be, and is not written past them.

    Returns
    -------
    list
        False where `merge_symbols` would return it.
    """
    return list(impl().merge_all(calls, near or [False] * len(calls)))


def planes_to_bytes(planes: Sequence[Bytes | None], out: Bytes) -> None:
    """Join one to eight planes, from the top down, to n small integers in ``out``, shape (n,)."""
    impl().planes_to_bytes(planes, out)


def bytes_to_planes(values: Bytes, planes: Sequence[Bytes]) -> None:
    """Cut the lowest bits of n bytes into one to eight planes: the inverse of `planes_to_bytes`."""
    impl().bytes_to_planes(values, planes)


def scope_max(dtype: str, values: Patterns, scopes: Scopes, maxima: npt.NDArray[np.uint64]) -> None:
    """Raise the maximum of each scope to the largest pattern without its sign bit.

    Parameters
    ----------
    dtype, values, scopes
        As in `split_bfp`, of any numbers: the patterns order infinities and NaN above the rest.
    maxima
        Updated: one for each scope.
    """
    impl().scope_max(dtype, values, scopes.flat, maxima)


def error_stats(dtype: str, source: Patterns, decoded: Patterns) -> tuple[float, float, float]:
    """Compare finite numbers, in float64 and in one order of additions on every machine.

    Returns
    -------
    tuple of float
        The largest abs(s - d), the sum of (s - d)^2, and the sum of s^2.
    """
    result: tuple[float, float, float] = impl().error_stats(dtype, source, decoded)
    return result
