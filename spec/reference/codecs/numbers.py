"""Numbers of the floating-point dtypes as patterns, by integer arithmetic alone."""

from __future__ import annotations

import struct

from reference.runs import ITEMSIZE

WIDTHS = {"float16": (16, 5), "bfloat16": (16, 8), "float32": (32, 8), "float64": (64, 11)}


def nearest(dtype: str, number: int, exponent: int) -> int:
    """The pattern of number * 2^exponent, rounded once to nearest even, largest finite at most."""
    if number == 0:
        return 0
    width, x = WIDTHS[dtype]
    y = width - 1 - x
    least = 2 - (1 << (x - 1)) - y  # exponent of the smallest subnormal
    unit = max(least, number.bit_length() + exponent - y - 1)
    if unit <= exponent:
        m = number << (exponent - unit)
    else:
        m, rest = divmod(number, 1 << (unit - exponent))
        half = 1 << (unit - exponent - 1)
        m += rest > half or (rest == half and m & 1)
    # A carry out of the mantissa runs into the exponent field, which is what it means.
    pattern = m + (unit - least << y)
    return min(pattern, ((1 << x) - 1 << y) - 1)


def magnitude(pattern: int, dtype: str = "float32") -> tuple[int, int]:
    """(number, exponent) of a positive finite pattern."""
    width, x = WIDTHS[dtype]
    y = width - 1 - x
    least = 2 - (1 << (x - 1)) - y
    e, m = pattern >> y, pattern & ((1 << y) - 1)
    return (m | 1 << y, least + e - 1) if e else (m, least)


LETTERS = {2: "H", 4: "I", 8: "Q"}


def pack(dtype: str, patterns: list[int]) -> bytes:
    return struct.pack(f"<{len(patterns)}{LETTERS[ITEMSIZE[dtype]]}", *patterns)


def unpack(dtype: str, data: bytes) -> list[int]:
    size = ITEMSIZE[dtype]
    return list(struct.unpack(f"<{len(data) // size}{LETTERS[size]}", data))
