"""Runs that differ from others (spec/codecs/delta.md), from values or from made differences."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vectors.bfp import BLOCK, Coded, encode, made
from vectors.models import (
    FLOATS,
    WIDE_LETTERS,
    Members,
    Patterns,
    Run,
    certify,
    number,
    pattern_of,
    plane,
    search,
    spread,
    to_bytes,
)
from vectors.writer import Stream

if TYPE_CHECKING:
    from vectors.family import Family

Places = list[tuple[int, int]]  # (run, member) below each member


def from_bytes(data: bytes, width: int) -> Patterns:
    """Take little-endian patterns apart."""
    return list(struct.unpack(f"<{len(data) * 8 // width}{WIDE_LETTERS[width]}", data))


def below(family: Family, places: Places, width: int) -> list[Patterns]:
    """Give what stands below each member, in its canonical decode."""
    runs = family.runs
    return [from_bytes(runs[r].member(m, runs[r].decode()), width) for r, m in places]


def rank(pattern: int, width: int) -> int:
    """Give o: the place of a pattern among all, in the order of their numbers, 0 being +0.0."""
    return pattern if pattern < 2 ** (width - 1) else 2 ** (width - 1) - 1 - pattern


def at_rank(place: int, width: int) -> int:
    """Give the pattern of a place, which may have run around the end."""
    place = (place + 2 ** (width - 1)) % 2**width - 2 ** (width - 1)
    return place if place >= 0 else 2 ** (width - 1) - 1 - place


def difference(a: int, b: int, width: int) -> int:
    """Give d of a base pattern and a pattern."""
    d: int = (rank(b, width) - rank(a, width)) % 2**width
    return d if d < 2 ** (width - 1) else d - 2**width


def block_streams(dtype: str, base: Patterns, d: list[int], mode: int) -> list[Stream]:
    """Give the streams of one block of lossless differences."""
    width, x = FLOATS[dtype]
    fields = [a >> (width - 1 - x) & (2**x - 1) for a in base]
    largest = max(fields)
    own = [min(2**mode - 1, largest - field) for field in fields]
    streams = []
    for i in range(2**mode):
        lengths = bytes(abs(v).bit_length() for v, c in zip(d, own, strict=True) if c == i)
        streams.append(Stream(f"length.{i}", lengths, variable=True))
    for k in range(width - 2, -1, -1):
        bits = [abs(v) for v in d if abs(v) >> (k + 1)]
        streams.append(Stream(f"low.{k}", plane(bits, k), variable=True, counted=True))
    signs = plane([int(v < 0) for v in d if v], 0)
    return [*streams, Stream("sign", signs, variable=True, counted=True)]


def craft(
    family: Family, dtype: str, shapes: list[list[int]], places: Places, d: Members, modes: Any
) -> Run:
    """Make a run of differences that no values need to have given; block i has `modes[i]`."""
    width = FLOATS[dtype][0]
    base = spread(list(zip(shapes, below(family, places, width), strict=True)))
    steps = spread(d)
    blocks = []
    for j, start in enumerate(range(0, len(base), BLOCK)):
        mode = modes[min(j, len(modes) - 1)]
        here = slice(start, start + BLOCK)
        blocks.append((mode, block_streams(dtype, base[here], steps[here], mode)))
    pairs = zip(base, steps, strict=True)
    whole = to_bytes([at_rank(rank(a, width) + v, width) for a, v in pairs], width)
    decode = lambda *_, **__: whole  # noqa: E731 - one bytes, whatever is asked
    run = Run({"id": "delta"}, dtype, width // 8, shapes, [], blocks, decode)
    run.roles = [places]
    return run


def delta(
    family: Family, dtype: str, members: Members, places: Places, modes: tuple[int, ...] = (0,)
) -> Run:
    """Code the values of members as lossless differences."""
    width = FLOATS[dtype][0]
    bases = below(family, places, width)
    d = [
        (shape, [difference(a, b, width) for a, b in zip(base, values, strict=True)])
        for (shape, values), base in zip(members, bases, strict=True)
    ]
    return craft(family, dtype, [shape for shape, _ in members], places, d, modes)


def total(dtype: str, a: int, r: int) -> int:
    """Give the pattern of a number plus a residual, of its pattern and that of a float32."""
    top = FLOATS[dtype][0] - 1
    one = -number(dtype, a ^ 1 << top) if a >> top else number(dtype, a)
    exact = Fraction(one) + Fraction(number("float32", r))
    single = search("float32", abs(exact)) if exact else 0
    rounded = search(dtype, Fraction(number("float32", single))) if single else 0
    minus = exact < 0 or (not exact and a >> top and r >> 31)
    return bool(minus) << top | rounded


def over(family: Family, dtype: str, inner: Run, places: Places) -> Run:
    """Make a run of a base and a residual: a float32 run of block floating point."""
    width = FLOATS[dtype][0]
    base = spread(list(zip(inner.shapes, below(family, places, width), strict=True)))

    def decode(planes: int | None = None, mid: bool | None = None, *_: Any, **__: Any) -> bytes:
        residual = from_bytes(inner.decode(planes, mid), 32)
        sums = [total(dtype, a, r) for a, r in zip(base, residual, strict=True)]
        return to_bytes(sums, width)

    config = {"id": "delta", "values": inner.config}
    run = Run(config, dtype, width // 8, inner.shapes, inner.head, inner.blocks, decode)
    run.roles = [places]
    return run


def residual(
    family: Family,
    dtype: str,
    members: Members,
    places: Places,
    modes: tuple[int, ...] = (0,),
    **config: Any,
) -> Run:
    """Code the values of members as residuals; keyword arguments are keys of `bfp`."""
    bases = below(family, places, FLOATS[dtype][0])
    differences = []
    for (shape, values), base in zip(members, bases, strict=True):
        pairs = zip(base, values, strict=True)
        r = [number(dtype, b) - number(dtype, a) for a, b in pairs]
        differences.append((shape, [pattern_of("float64", v) for v in r]))
    c: Coded = encode("float64", differences, config)
    inner = made("float32", [shape for shape, _ in members], c, config, modes)
    return certify(over(family, dtype, inner, places), members)


def nudged(dtype: str, patterns: Patterns, steps: list[int]) -> Patterns:
    """Move finite patterns by so many places, to the next ends where that would leave them."""
    width, x = FLOATS[dtype]
    most = (2**x - 1 << (width - 1 - x)) - 1
    result = []
    for p, step in zip(patterns, steps, strict=True):
        result.append(at_rank(max(-1 - most, min(most, rank(p, width) + step)), width))
    return result
