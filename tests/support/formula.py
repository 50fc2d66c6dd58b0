"""Block floating point by whole numbers alone (spec/codecs/bfp.md): shares no code with mcodec.

Every float is an integer times a power of two, so nothing here is ever rounded by accident.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# dtype -> width, mantissa bits, exponent of the least subnormal
FORMS: Final = {
    "float16": (16, 10, -24),
    "bfloat16": (16, 7, -133),
    "float32": (32, 23, -149),
    "float64": (64, 52, -1074),
}


@dataclass(frozen=True)
class Exact:
    """A finite float: its sign bit, and a magnitude of ``integer`` · 2^``power``."""

    sign: int
    integer: int
    power: int

    @property
    def exponent(self) -> int:
        """The least E with magnitude < 2^E; the magnitude is not zero."""
        return self.integer.bit_length() + self.power

    def __float__(self) -> float:
        return math.ldexp(self.integer, self.power)


def take_apart(dtype: str, pattern: int) -> Exact:
    """Return what a pattern stands for."""
    width, mantissa, least = FORMS[dtype]
    sign = pattern >> (width - 1)
    field = (pattern >> mantissa) & ((1 << (width - 1 - mantissa)) - 1)
    fraction = pattern & ((1 << mantissa) - 1)
    if field:
        return Exact(sign, fraction | 1 << mantissa, least + field - 1)
    return Exact(sign, fraction, least)


def divide(integer: int, power: int, *, truncate: bool = False) -> int:
    """Return integer · 2^power as a whole number: cut, or rounded half to even."""
    if power >= 0:
        return integer << power
    whole, rest = divmod(integer, 1 << -power)
    half = 1 << (-power - 1)
    if truncate or rest < half:
        return whole
    return whole + (rest > half or whole & 1)


def put_together(dtype: str, sign: int, integer: int, power: int) -> int:
    """Return the pattern of integer · 2^power, rounded once; the largest number, not infinity."""
    width, mantissa, least = FORMS[dtype]
    if integer == 0:
        return sign << (width - 1)
    shift = max(0, integer.bit_length() + power - 1 - mantissa - least)
    magnitude = divide(integer, power - least - shift) + (shift << mantissa)
    infinity = ((1 << (width - 1 - mantissa)) - 1) << mantissa
    return sign << (width - 1) | min(magnitude, infinity - 1)


def scopes_of(scope: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return for each element, in C order, the number of the scope that it belongs to."""
    size = math.prod(shape)
    kind, _, argument = scope.partition(":")
    if kind == "tensor":
        return np.zeros(size, int)
    if kind == "block":
        return np.arange(size) // int(argument)
    index = np.indices(shape)[int(argument) % len(shape)]
    return np.asarray(index).reshape(-1)


@dataclass(frozen=True)
class Coded:
    """A tensor's integers: signs, magnitudes, and the exponent of each (None for a zero scope)."""

    signs: Sequence[int]
    magnitudes: Sequence[int]
    exponents: Sequence[int | None]


def encode(
    dtype: str, array: NDArray[Any], bits: int, scope: str, *, truncate: bool, step: float | None
) -> Coded:
    """Return sign, M and E of each element."""
    flat = np.ascontiguousarray(array).reshape(-1).view(f"<u{FORMS[dtype][0] // 8}")
    numbers = [take_apart(dtype, int(pattern)) for pattern in flat]
    of = scopes_of(scope, array.shape)
    largest: dict[int, int] = {}
    for number, one in zip(numbers, of, strict=True):
        if number.integer:
            largest[one] = max(largest.get(one, number.exponent), number.exponent)
    exponents = [largest.get(one) for one in of]
    top = (1 << bits) - 1
    magnitudes = []
    for number, exponent in zip(numbers, exponents, strict=True):
        if step is not None:
            found = round(min(float(number) / step, 2.0**30))
        elif exponent is None:
            found = 0
        else:
            found = divide(number.integer, number.power + bits - exponent, truncate=truncate)
        magnitudes.append(min(found, top))
    return Coded([number.sign for number in numbers], magnitudes, exponents)


def decode(
    dtype: str,
    coded: Coded,
    bits: int,
    *,
    planes: int | None = None,
    mid: bool = False,
    compact: bool = False,
    step: float | None = None,
) -> list[int]:
    """Return the patterns that the page's "Decoding" gives, with all planes or the top ones."""
    kept = bits if planes is None else planes
    patterns = []
    for sign, magnitude, exponent in zip(
        coded.signs, coded.magnitudes, coded.exponents, strict=True
    ):
        # A scope of zeros has I = 0, whatever a dither puts below (spec/codecs/bfp.md, step 2).
        integer = 0 if exponent is None and step is None else magnitude >> (bits - kept)
        power = bits - kept
        if mid and integer:
            integer, power = 2 * integer + 1, power - 1
        own = 0 if compact and magnitude == 0 else sign
        if step is not None:
            single = Exact(0, *_ratio(step))
            patterns.append(_step(dtype, own, integer * single.integer, power + single.power))
        else:
            unit = 0 if exponent is None else exponent - bits
            patterns.append(put_together(dtype, own, integer, power + unit))
    return patterns


def _ratio(step: float) -> tuple[int, int]:
    number = take_apart("float32", struct.unpack("<I", struct.pack("<f", step))[0])
    return number.integer, number.power


def _step(dtype: str, sign: int, integer: int, power: int) -> int:
    """Round to float32 first, then into the dtype."""
    single = take_apart("float32", put_together("float32", 0, integer, power))
    return put_together(dtype, sign, single.integer, single.power)
