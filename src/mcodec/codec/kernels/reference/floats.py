"""Floating-point numbers and block floating point: fields, integers, planes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mcodec.codec.kernels.checks import (
    FLOAT32_MAX,
    MAX_BITS,
    MIN_NORMAL,
    array_of,
    arrays_of,
    check_bfp,
    check_format,
    check_parts,
    check_planes,
    check_scopes,
    check_size,
    places_of,
    planes_of,
    require,
)
from mcodec.types import FLOATS, FloatFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
    Buffer = Bytes | memoryview
    Patterns = npt.NDArray[np.unsignedinteger[Any]]
    Exponents = npt.NDArray[np.int16]
    Wide = npt.NDArray[np.uint64]
    Doubles = npt.NDArray[np.float64]
    Scopes = tuple[int, int, int]  # inner, count, first

ZERO_SCOPE: Final = -32768
_TOP: Final = 2  # mantissa bits in a symbol
_LARGEST: Final = {"float16": 0x7BFF, "bfloat16": 0x7F7F, "float32": 0x7F7FFFFF}


# --- planes and fields ---


def _pack(values: Patterns, bit: int, out: Bytes) -> None:
    ones = (values >> values.dtype.type(bit)).astype(np.uint8) & np.uint8(1)
    out[:] = np.packbits(ones, bitorder="little")


def _unpack(plane: Bytes | None, n: int) -> Wide:
    if plane is None:
        return np.zeros(n, np.uint64)
    return np.unpackbits(plane, count=n, bitorder="little").astype(np.uint64)


def _join(planes: Sequence[Bytes | None], n: int) -> Wide:
    total = np.zeros(n, np.uint64)
    for plane in planes:
        total = (total << np.uint64(1)) | _unpack(plane, n)
    return total


def split_float(
    dtype: str, values: Patterns, sign: Bytes, exponent: Sequence[Bytes], planes: Sequence[Bytes]
) -> None:
    """See `mcodec.codec.kernels.split_float`."""
    fmt = check_format(dtype, values, "values")
    n = values.size
    check_size(sign, (n + 7) // 8, "sign")
    check_planes(planes, n, 0, fmt.mantissa)
    parts = check_parts(fmt, exponent)
    _pack(values, fmt.width - 1, sign)
    wide = values.astype(np.uint64)
    field = (wide >> np.uint64(fmt.mantissa)) & np.uint64((1 << fmt.exponent) - 1)
    for i, out in enumerate(exponent):
        check_size(out, n, "exponent")
        out[:] = (field >> np.uint64(8 * (parts - 1 - i))).astype(np.uint8)
    for i, plane in enumerate(planes):
        _pack(values, fmt.mantissa - 1 - i, plane)


def merge_float(
    dtype: str,
    out: Patterns,
    sign: Buffer | None,
    exponent: Sequence[Buffer | int],
    planes: Sequence[Buffer | None],
    mask: Buffer | None = None,
) -> None:
    """See `mcodec.codec.kernels.merge_float`."""
    fmt = check_format(dtype, out, "out")
    places = places_of(mask, out.size)
    check_parts(fmt, exponent)
    field = np.zeros(places.size, np.uint64)
    for part in exponent:
        if isinstance(part, int):
            require(0 <= part <= 255, "exponent: a fill must be 0 to 255")
            field = (field << np.uint64(8)) | np.uint64(part)
        else:
            found = array_of(part)
            check_size(found, places.size, "exponent")
            field = (field << np.uint64(8)) | found
    field &= np.uint64((1 << fmt.exponent) - 1)
    _put_fields(fmt, out, places, sign, field, planes, fmt.mantissa)


def merge_symbols(
    dtype: str,
    out: Patterns,
    sign: Buffer | None,
    symbols: Buffer,
    first: int,
    planes: Sequence[Buffer | None],
    mask: Buffer | None = None,
) -> bool:
    """See `mcodec.codec.kernels.merge_symbols`."""
    fmt = check_format(dtype, out, "out")
    require(dtype != "float64", "dtype: float64 has no symbols")
    end = 1 if dtype == "float16" else 1 << fmt.exponent
    require(0 <= first < end and first % 2 == 0, "first: must be an even exponent")
    places = places_of(mask, out.size)
    found = array_of(symbols)
    check_size(found, places.size, "symbols")
    top = np.where(found, found.astype(np.uint64) + np.uint64(first << _TOP), np.uint64(0))
    valid = not (top >> np.uint64(fmt.exponent + _TOP)).any()
    top &= np.uint64((1 << fmt.exponent + _TOP) - 1)
    _put_fields(fmt, out, places, sign, top, planes, fmt.mantissa - _TOP)
    return valid


def _put_fields(
    fmt: FloatFormat,
    out: Patterns,
    places: npt.NDArray[np.int64],
    sign: Buffer | None,
    top: Wide,
    planes: Sequence[Buffer | None],
    low: int,
) -> None:
    """Write numbers to their places: the bits above the `low` lowest, and planes below them."""
    n = places.size
    (signs,), below = arrays_of([sign]), arrays_of(planes)
    check_planes([signs], n, 1, 1)
    check_planes(below, n, 0, low)
    mantissa = _join(below, n) << np.uint64(low - len(below))
    out[:] = 0
    out[places] = _unpack(signs, n) << np.uint64(fmt.width - 1) | top << np.uint64(low) | mantissa


# --- block floating point ---


def to_float64(dtype: str, values: Patterns) -> Doubles:
    """Return the numbers of patterns, which float64 holds exactly."""
    if dtype == "bfloat16":
        return (values.astype(np.uint32) << np.uint32(16)).view(np.float32).astype(np.float64)
    return values.astype(values.dtype, copy=True).view(dtype).astype(np.float64)


def magnitudes(fmt: FloatFormat, values: Patterns) -> Patterns:
    """Return patterns without their signs."""
    return values & values.dtype.type((1 << (fmt.width - 1)) - 1)


def scope_index(n: int, scopes: Scopes) -> npt.NDArray[np.intp]:
    """Return the scope of each element."""
    inner, count, first = scopes
    return (np.arange(first, first + n, dtype=np.intp) // inner) % count


def _by_element(n: int, scopes: Scopes, exponents: Exponents | None) -> npt.NDArray[np.int64]:
    if exponents is None:
        raise ValueError("exponents: needed where there is no step")
    check_scopes(n, scopes, exponents)
    return exponents[scope_index(n, scopes)].astype(np.int64)


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
    """See `mcodec.codec.kernels.split_bfp`."""
    fmt = check_format(dtype, values, "values")
    n = values.size
    check_bfp(bits, step)
    check_size(sign, (n + 7) // 8, "sign")
    check_planes(planes, n, bits, bits)
    w = to_float64(dtype, magnitudes(fmt, values))
    with np.errstate(over="ignore", under="ignore"):
        if step is not None:
            require(not truncate, "truncate: not with a step")
            scaled = w / np.float64(step)
        else:
            e = _by_element(n, scopes, exponents)
            # One ldexp rounds at most a subnormal result, and rint makes 0 of that anyway.
            scaled = np.where(e == ZERO_SCOPE, 0.0, np.ldexp(w, bits - e))
    top = float((1 << bits) - 1)
    scaled = np.where(scaled < top, scaled, top)
    magnitude = (np.trunc(scaled) if truncate else np.rint(scaled)).astype(np.uint32)
    _pack(values, fmt.width - 1, sign)
    for i, plane in enumerate(planes):
        _pack(magnitude, bits - 1 - i, plane)


def _round_bfloat16(exact: Doubles) -> Patterns:
    """Round non-negative numbers, exact in float32 where they are normal, to patterns."""
    bits = exact.astype(np.float32).view(np.uint32)
    normal = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    small = exact < MIN_NORMAL
    # Subnormals are multiples of 2**-133; through float32 they would be rounded twice.
    subnormal = np.rint(np.ldexp(np.where(small, exact, 0.0), 133))
    return np.where(small, subnormal.astype(np.uint32), normal)


def round_into(dtype: str, exact: Doubles) -> Wide:
    """Round non-negative numbers into patterns of a dtype, at most the largest finite one."""
    if dtype == "float64":
        finite = np.minimum(exact, np.finfo(np.float64).max)
        return finite.view(np.uint64)
    if dtype == "bfloat16":
        patterns: Patterns = _round_bfloat16(exact)
    else:
        patterns = exact.astype(dtype).view(f"uint{FLOATS[dtype].width}")
    return np.minimum(patterns.astype(np.uint64), np.uint64(_LARGEST[dtype]))


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
    """See `mcodec.codec.kernels.merge_bfp`."""
    fmt = check_format(dtype, out, "out")
    n = out.size
    check_bfp(bits, step)
    above = [] if symbols is None else planes_of(symbols, n, min(8, bits))
    sign, *planes = arrays_of([sign, *above, *planes])
    check_planes([sign, *planes], n, 1, bits + 1)
    require(not (mid and len(planes) == MAX_BITS), "mid: at most 23 planes")
    magnitude = _join(planes, n)
    k = bits - len(planes) - mid
    if mid:
        magnitude = np.where(magnitude != 0, 2 * magnitude + np.uint64(1), np.uint64(0))
    with np.errstate(over="ignore", under="ignore"):
        if step is not None:
            integer = np.ldexp(magnitude.astype(np.float32), k)
            product = np.minimum(integer * np.float32(step), np.float32(FLOAT32_MAX))
            value = product.astype(np.float64)
        else:
            e = _by_element(n, scopes, exponents)
            value = np.where(
                e == ZERO_SCOPE, 0.0, np.ldexp(magnitude.astype(np.float64), k + e - bits)
            )
        patterns = round_into(dtype, value)
    out[:] = patterns | (_unpack(sign, n) << np.uint64(fmt.width - 1))


# --- small ones ---


def planes_to_bytes(planes: Sequence[Bytes | None], out: Bytes) -> None:
    """See `mcodec.codec.kernels.planes_to_bytes`."""
    check_planes(planes, out.size, 1, 8)
    out[:] = _join(planes, out.size)


def bytes_to_planes(values: Bytes, planes: Sequence[Bytes]) -> None:
    """See `mcodec.codec.kernels.bytes_to_planes`."""
    check_planes(planes, values.size, 1, 8)
    for i, plane in enumerate(planes):
        _pack(values, len(planes) - 1 - i, plane)


def scope_max(dtype: str, values: Patterns, scopes: Scopes, maxima: Wide) -> None:
    """See `mcodec.codec.kernels.scope_max`."""
    fmt = check_format(dtype, values, "values")
    check_scopes(values.size, scopes, maxima)
    index = scope_index(values.size, scopes)
    np.maximum.at(maxima, index, magnitudes(fmt, values).astype(np.uint64))


def error_stats(dtype: str, source: Patterns, decoded: Patterns) -> tuple[float, float, float]:
    """See `mcodec.codec.kernels.error_stats`."""
    check_format(dtype, source, "source")
    check_format(dtype, decoded, "decoded")
    check_size(decoded, source.size, "decoded")
    with np.errstate(over="ignore", invalid="ignore"):  # inf - inf is the NaN that it is
        s = to_float64(dtype, source)
        e = s - to_float64(dtype, decoded)
        return float(np.abs(e).max(initial=0.0)), _sum_squares(e), _sum_squares(s)


def _sum_squares(x: Doubles) -> float:
    """Sum squares in the fixed order: lane i % 8 of each element, then a tree over the lanes."""
    padded = np.zeros((x.size + 7) // 8 * 8)
    padded[: x.size] = x * x
    # cumsum adds one row after the other; sum would regroup them
    rows = padded.reshape(-1, 8)
    lanes = np.cumsum(rows, axis=0)[-1] if rows.size else np.zeros(8)
    lanes = lanes[:4] + lanes[4:]
    lanes = lanes[:2] + lanes[2:]
    return float(lanes[0] + lanes[1])
