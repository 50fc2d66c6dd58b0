"""Runs of 8-bit integers (spec/codecs/int8.md), from values or from made codes."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction

from vectors.bfp import BLOCK, scope_map
from vectors.models import (
    FLOATS,
    GAP,
    Members,
    Run,
    certify,
    number,
    plane,
    search,
    spread,
    to_bytes,
)
from vectors.writer import Stream

LEAST = Fraction(2) ** -126


@dataclass
class Coded:
    """The codes of a run, the scope of each (None in gaps), and the scales as numbers."""

    codes: list[int]
    scopes: list[int | None]
    scales: list[Fraction]


def scale(largest: Fraction) -> Fraction:
    """Give the scale of a scope by its largest magnitude."""
    if not largest:
        return Fraction(1)
    return max(
        LEAST, Fraction(number("float32", search("float32", Fraction(float(largest) / 127))))
    )


def code(weight: Fraction, unit: Fraction, sign: int) -> int:
    """Give the code of one weight."""
    m = min(127, round(Fraction(float(weight) / float(unit))))
    return m | sign << 7 if m else 0


def encode(dtype: str, members: Members, scope: str) -> Coded:
    """Find scales and codes of all weights ("Encoded form")."""
    top = FLOATS[dtype][0] - 1
    u = spread(members)
    scopes, owners = scope_map([shape for shape, _ in members], scope)
    weights = [Fraction(number(dtype, p & ~(1 << top))) for p in u]
    largest = [Fraction(0)] * sum(owners)
    for w, s in zip(weights, scopes, strict=True):
        if s is not GAP:
            largest[s] = max(largest[s], w)
    scales = [scale(w) for w in largest]
    codes = [
        0 if s is GAP else code(w, scales[s], p >> top)
        for w, s, p in zip(weights, scopes, u, strict=True)
    ]
    return Coded(codes, scopes, scales)


class Decoder:
    """The decodes of a run: a search for the nearest number, an element at a time."""

    def __init__(self, dtype: str, c: Coded) -> None:
        self.dtype, self.c = dtype, c

    def __call__(
        self,
        planes: int | None = None,
        mid: bool | None = None,
        below: object = None,
        held: bool = False,
    ) -> bytes:
        """Decode the run; `below` and `held` change nothing here."""
        width = FLOATS[self.dtype][0]
        d = 0 if planes is None else max(0, 7 - planes)
        out = []
        for byte, s in zip(self.c.codes, self.c.scopes, strict=True):
            top = (byte & 127) >> d
            i = Fraction(2 * top + (d > 0 and mid is not False and top > 0), 2) * 2**d
            pattern = 0 if s is GAP or not i else self.value(i * self.c.scales[s])
            out.append(pattern if s is GAP else byte >> 7 << (width - 1) | pattern)
        return to_bytes(out, width)

    def value(self, exact: Fraction) -> int:
        """Round to float32, then into the dtype."""
        return search(self.dtype, Fraction(number("float32", search("float32", exact))))


def made(dtype: str, shapes: list[list[int]], c: Coded, scope: str, modes: tuple[int, ...]) -> Run:
    """Make a run of given codes; block i has the mode `modes[i]`, or the last of them."""
    head = []
    if c.scales:
        head = [Stream("scale", struct.pack(f"<{len(c.scales)}f", *map(float, c.scales)))]
    blocks = []
    for j, start in enumerate(range(0, len(c.codes), BLOCK)):
        part = c.codes[start : start + BLOCK]
        streams = [Stream("sign", plane(part, 7))]
        streams += [Stream(f"magnitude.{k}", plane(part, k), 7 - k) for k in range(6, -1, -1)]
        mode = modes[min(j, len(modes) - 1)]
        blocks.append((mode, [Stream("codes", bytes(part))] if mode else streams))
    config = {"id": "int8", "scope": scope}
    return Run(config, dtype, FLOATS[dtype][0] // 8, shapes, head, blocks, Decoder(dtype, c))


def int8(dtype: str, members: Members, modes: tuple[int, ...] = (0,), scope: str = "tensor") -> Run:
    """Code weights."""
    c = encode(dtype, members, scope)
    return certify(made(dtype, [shape for shape, _ in members], c, scope, modes), members)


def craft(
    dtype: str,
    codes: list[int],
    scales: list[float],
    modes: tuple[int, ...] = (0,),
    shape: list[int] | None = None,
    scope: str = "tensor",
) -> Run:
    """Make a run of one member from codes and scales that no weights need to have given."""
    shapes = [shape or [len(codes)]]
    scopes, _ = scope_map(shapes, scope)
    return made(dtype, shapes, Coded(codes, scopes, [Fraction(s) for s in scales]), scope, modes)
