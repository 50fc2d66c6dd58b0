"""The kernels: numbers to bit-planes and back, the only code here that is compiled.

Two backends have the same functions: the compiled one (``native``), with one *target* for each
instruction set, and NumPy (``reference``). All give the same bits. Environment:

``MCODEC_BACKEND``
    ``native`` (the default) or ``reference``.
``MCODEC_SIMD``
    Forces a target of the native backend: ``avx512``, ``avx2`` or ``portable``.

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

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mcodec.codec.kernels import reference
from mcodec.errors import MissingDependencyError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
    Patterns = npt.NDArray[np.unsignedinteger[Any]]
    Exponents = npt.NDArray[np.int16]

__all__ = [
    "ZERO_SCOPE",
    "Scopes",
    "backend",
    "bytes_to_planes",
    "error_stats",
    "forced",
    "merge_bfp",
    "merge_float",
    "planes_to_bytes",
    "scope_max",
    "split_bfp",
    "split_float",
    "target",
    "targets",
]

ZERO_SCOPE: Final = reference.ZERO_SCOPE
"""The exponent that marks a scope in which every number is zero."""


@dataclass(frozen=True, slots=True)
class Scopes:
    """Which exponent belongs to which element: element i has ``((i + first) // inner) % count``.

    Parameters
    ----------
    inner
        Elements that follow each other with one exponent: all of them for a tensor, the product of
        the later dimensions for an axis, k for blocks of k.
    count
        Exponents until they start again: 1 for a tensor, the dimension for an axis, any number that
        is not reached for blocks.
    first
        The place of element 0 in the tensor.
    """

    inner: int
    count: int
    first: int = 0


def _flat(scopes: Scopes) -> tuple[int, int, int]:
    return scopes.inner, scopes.count, scopes.first


def _load() -> Any:
    name = os.environ.get("MCODEC_BACKEND", "native")
    if name == "reference":
        return reference
    if name != "native":
        raise UsageError(f"MCODEC_BACKEND={name!r}: must be native or reference")
    try:
        from mcodec.codec.kernels import _native
    except ImportError as error:
        raise MissingDependencyError(
            f"the compiled kernels cannot be loaded ({error}): "
            "install mcodec again, or set MCODEC_BACKEND=reference"
        ) from error
    wanted = os.environ.get("MCODEC_SIMD")
    if wanted is not None and not _native.use(wanted):
        usable = ", ".join(_native.targets())
        raise UsageError(f"MCODEC_SIMD={wanted!r}: this machine has {usable}")
    return _native


_impl: Any = _load()  # two modules with one interface, `_native.pyi`


def backend() -> str:
    """Return ``native`` or ``reference``."""
    return "reference" if _impl is reference else "native"


def target() -> str:
    """Return the target in use: ``avx512``, ``avx2``, ``portable``, or ``reference``."""
    return "reference" if _impl is reference else str(_impl.target())


def targets() -> tuple[str, ...]:
    """Return the targets of the backend that this machine can run, the best first."""
    return ("reference",) if _impl is reference else tuple(_impl.targets())


@contextmanager
def forced(name: str) -> Iterator[None]:
    """Use one of `targets`, or ``reference``, for a while and in all threads: for tests.

    Raises
    ------
    ValueError
        If there is no such target here.
    """
    global _impl  # noqa: PLW0603 - the one switch
    before, chosen = _impl, target()
    if name == "reference":
        _impl = reference
    elif before is reference or not before.use(name):
        raise ValueError(f"no target {name!r} here")
    try:
        yield
    finally:
        _impl = before
        if before is not reference:
            before.use(chosen)


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
    _impl.split_float(dtype, values, sign, exponent, planes)


def merge_float(
    dtype: str,
    out: Patterns,
    sign: Bytes | None,
    exponent: Sequence[Bytes | int],
    planes: Sequence[Bytes | None],
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
    """
    _impl.merge_float(dtype, out, sign, exponent, planes)


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
    _impl.split_bfp(dtype, values, bits, truncate, _flat(scopes), exponents, step, sign, planes)


def merge_bfp(
    dtype: str,
    out: Patterns,
    bits: int,
    mid: bool,
    scopes: Scopes,
    exponents: Exponents | None,
    step: float | None,
    sign: Bytes | None,
    planes: Sequence[Bytes | None],
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
    """
    _impl.merge_bfp(dtype, out, bits, mid, _flat(scopes), exponents, step, sign, planes)


def planes_to_bytes(planes: Sequence[Bytes | None], out: Bytes) -> None:
    """Join one to eight planes, from the top down, to n small integers in ``out``, shape (n,)."""
    _impl.planes_to_bytes(planes, out)


def bytes_to_planes(values: Bytes, planes: Sequence[Bytes]) -> None:
    """Cut the lowest bits of n bytes into one to eight planes: the inverse of `planes_to_bytes`."""
    _impl.bytes_to_planes(values, planes)


def scope_max(dtype: str, values: Patterns, scopes: Scopes, maxima: npt.NDArray[np.uint64]) -> None:
    """Raise the maximum of each scope to the largest pattern without its sign bit.

    Parameters
    ----------
    dtype, values, scopes
        As in `split_bfp`, of any numbers: the patterns order infinities and NaN above the rest.
    maxima
        Updated: one for each scope.
    """
    _impl.scope_max(dtype, values, _flat(scopes), maxima)


def error_stats(dtype: str, source: Patterns, decoded: Patterns) -> tuple[float, float, float]:
    """Compare finite numbers, in float64 and in one order of additions on every machine.

    Returns
    -------
    tuple of float
        The largest abs(s - d), the sum of (s - d)^2, and the sum of s^2.
    """
    result: tuple[float, float, float] = _impl.error_stats(dtype, source, decoded)
    return result
