"""Deltas by whole numbers alone (spec/codecs/delta.md): shares no code with mcodec."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from support.formula import FORMS, put_together, take_apart

if TYPE_CHECKING:
    from collections.abc import Sequence

    Patterns = Sequence[int]


def order(dtype: str, pattern: int) -> int:
    """Return the place of a pattern among all of its width, in the order of their numbers."""
    half = 1 << (FORMS[dtype][0] - 1)
    return pattern if pattern < half else -(pattern - half) - 1


def differences(dtype: str, base: Patterns, values: Patterns) -> list[int]:
    """Return d of each element."""
    width = FORMS[dtype][0]
    half = 1 << (width - 1)
    return [
        (order(dtype, b) - order(dtype, a) + half) % (2 * half) - half
        for a, b in zip(base, values, strict=True)
    ]


def add(dtype: str, base: Patterns, steps: Sequence[int]) -> list[int]:
    """Return the patterns that so many places from the base are, around the ends."""
    half = 1 << (FORMS[dtype][0] - 1)
    places = [
        (order(dtype, a) + d + half) % (2 * half) - half for a, d in zip(base, steps, strict=True)
    ]
    return [place if place >= 0 else half - 1 - place for place in places]


def pack(bits: Sequence[int]) -> bytes:
    """Pack bits from bit 0 of byte 0 on."""
    whole = sum(bit << i for i, bit in enumerate(bits))
    return whole.to_bytes(-(-len(bits) // 8), "little")


def streams(dtype: str, base: Patterns, steps: Sequence[int], mode: int) -> dict[str, bytes]:
    """Return the streams of a block in a mode."""
    width, mantissa, _ = FORMS[dtype]
    fields = [a >> mantissa & ((1 << (width - 1 - mantissa)) - 1) for a in base]
    largest = max(fields)
    own = [min((1 << mode) - 1, largest - field) for field in fields]
    found = {
        f"length.{i}": bytes(
            abs(d).bit_length() for d, of in zip(steps, own, strict=True) if of == i
        )
        for i in range(1 << mode)
    }
    for k in range(width - 2, -1, -1):
        found[f"low.{k}"] = pack([abs(d) >> k & 1 for d in steps if abs(d).bit_length() > k + 1])
    found["sign"] = pack([int(d < 0) for d in steps if d])
    return found


def exact(dtype: str, pattern: int) -> Fraction:
    """Return the number of a finite pattern, -0.0 as 0."""
    number = take_apart(dtype, pattern)
    return Fraction(number.integer) * Fraction(2) ** number.power * (-1 if number.sign else 1)


def rounded(dtype: str, value: Fraction, *, minus: bool) -> int:
    """Return the pattern of a number, rounded once; `minus` is the sign of a zero."""
    sign = int(value < 0 or (value == 0 and minus))
    scaled = abs(value) * 2**149  # whole for sums of numbers of up to 32 bits
    assert scaled.denominator == 1
    return put_together(dtype, sign, scaled.numerator, -149)


def plus(dtype: str, base: int, residual: int) -> int:
    """Return the pattern of a base plus a residual, of a float32's pattern."""
    value = exact(dtype, base) + exact("float32", residual)
    both = take_apart(dtype, base).sign and take_apart("float32", residual).sign
    single = rounded("float32", value, minus=bool(both))
    again = take_apart("float32", single)
    return put_together(dtype, again.sign, again.integer, again.power)
