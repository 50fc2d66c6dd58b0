"""Symmetric 8-bit integers by exact fractions (spec/codecs/int8.md): shares no code with mcodec."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from support import formula

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Coded:
    """A tensor's integers with their signs, and the scale of each, as an exact number."""

    integers: Sequence[int]
    scales: Sequence[Fraction]


def _single(value: Fraction) -> Fraction:
    """Round a positive number that is a float64 to float32."""
    integer, power = _dyadic(value)
    found = formula.take_apart("float32", formula.put_together("float32", 0, integer, power))
    return Fraction(found.integer) * Fraction(2) ** found.power


def _dyadic(value: Fraction) -> tuple[int, int]:
    return value.numerator, 1 - value.denominator.bit_length()


def encode(dtype: str, array: NDArray[Any], scope: str) -> Coded:
    """Return the integer and the scale of each element."""
    flat = np.ascontiguousarray(array).reshape(-1).view(f"<u{formula.FORMS[dtype][0] // 8}")
    numbers = [formula.take_apart(dtype, int(pattern)) for pattern in flat]
    exact = [Fraction(number.integer) * Fraction(2) ** number.power for number in numbers]
    of = formula.scopes_of(scope, array.shape).tolist()
    largest: dict[int, Fraction] = {}
    for value, one in zip(exact, of, strict=True):
        largest[one] = max(largest.get(one, Fraction(0)), value)
    # float() rounds a fraction correctly, as a division of float64s does.
    scale = {
        one: max(_single(Fraction(float(value / 127))), Fraction(2) ** -126) if value else 1
        for one, value in largest.items()
    }
    scales = [Fraction(scale[one]) for one in of]
    magnitudes = [
        min(127, round(Fraction(float(value / own))))
        for value, own in zip(exact, scales, strict=True)
    ]
    signed = [-m if n.sign else m for m, n in zip(magnitudes, numbers, strict=True)]
    return Coded(signed, scales)


def decode(
    dtype: str, coded: Coded, signs: Sequence[bool], *, planes: int = 7, mid: bool = True
) -> list[int]:
    """Return the patterns that the page's "Decoding" gives, with all planes or the top ones.

    Parameters
    ----------
    signs
        Of the source: a number that only lost its low planes keeps its sign.
    """
    rest = 7 - planes
    patterns = []
    for integer, scale, sign in zip(coded.integers, coded.scales, signs, strict=True):
        top = abs(integer) >> rest << rest
        top += 1 << (rest - 1) if top and rest and mid else 0
        own = int(sign) if integer else 0
        single = formula.put_together("float32", 0, *_product(top, scale))
        found = formula.take_apart("float32", single)
        patterns.append(formula.put_together(dtype, own, found.integer, found.power))
    return patterns


def _product(integer: int, scale: Fraction) -> tuple[int, int]:
    number, power = _dyadic(scale)
    return integer * number, power
