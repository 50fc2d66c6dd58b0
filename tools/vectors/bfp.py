"""Block floating point runs (spec/codecs/bfp.md), from values or from made integers."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from vectors.models import (
    FLOATS,
    GAP,
    Members,
    Patterns,
    Run,
    certify,
    number,
    plane,
    search,
    spread,
    starts,
    to_bytes,
)
from vectors.writer import Stream

ZEROS = -32768
BLOCK = 2**18


@dataclass
class Coded:
    """The integers of a run: sign and M an element, the scope of each (None in gaps), and the Es.

    `owners` is the number of scopes of each member.
    """

    signs: list[int]
    integers: list[int]
    scopes: list[int | None]
    exponents: list[int]
    owners: list[int]


def scope_map(shapes: list[list[int]], scope: str) -> tuple[list[int | None], list[int]]:
    """Give the scope of each element of the run, and the number of scopes of each member."""
    kind, _, digits = scope.partition(":")
    places = starts(shapes)
    result: list[int | None] = [GAP] * places[-1]
    owners: list[int] = []
    for shape, place in zip(shapes, places, strict=False):
        size, done = math.prod(shape), sum(owners)
        if kind == "axis":
            inner = math.prod(shape[int(digits) :]) // shape[int(digits)] if size else 1
            local = [i // inner % shape[int(digits)] for i in range(size)]
        else:
            local = [i // int(digits) if kind == "block" else 0 for i in range(size)]
        result[place : place + size] = [done + s for s in local]
        owners.append(1 + max(local, default=-1))
    return result, owners


def scaled(weight: Fraction, e: int, config: dict[str, Any]) -> int:
    """M of one weight."""
    most = 2 ** config["bits"] - 1
    if "step" in config:
        exact = Fraction(float(weight) / config["step"])
    else:
        exact = weight * Fraction(2) ** (config["bits"] - e)
    truncated = config.get("rounding") == "truncate"
    return math.floor(exact) if truncated else min(round(exact), most)


def encode(dtype: str, members: Members, config: dict[str, Any]) -> Coded:
    """Find E and M of all weights ("Encoded form")."""
    width = FLOATS[dtype][0]
    u = spread(members)
    scopes, owners = scope_map([s for s, _ in members], config.get("scope", "tensor"))
    weights = [Fraction(number(dtype, p & ~(1 << (width - 1)))) for p in u]
    largest = [Fraction(0)] * sum(owners)
    for w, s in zip(weights, scopes, strict=True):
        if s is not GAP:
            largest[s] = max(largest[s], w)
    exponents = [math.frexp(float(w))[1] if w else ZEROS for w in largest]
    integers = [
        scaled(w, exponents[s], config) if s is not GAP and w else 0
        for w, s in zip(weights, scopes, strict=True)
    ]
    return Coded([p >> (width - 1) for p in u], integers, scopes, exponents, owners)


def block_streams(c: Coded, config: dict[str, Any], mode: int, start: int) -> list[Stream]:
    """Give the streams of one block."""
    bits, kind = config["bits"], config.get("scope", "tensor").partition(":")[0]
    m, signs = c.integers[start : start + BLOCK], c.signs[start : start + BLOCK]
    streams = []
    if kind == "block":
        here = sorted({s for s in c.scopes[start : start + BLOCK] if s is not GAP})
        values = [c.exponents[s] for s in here]
        streams.append(Stream("exponent", struct.pack(f"<{len(values)}h", *values)))
    if config.get("signs") == "compact":
        kept = [s for s, v in zip(signs, m, strict=True) if v]
        streams.append(Stream("sign", plane(kept, 0), variable=True))
    else:
        streams.append(Stream("sign", plane(signs, 0)))
    top = bits - 1
    if mode == 1:
        streams.append(Stream("symbols", bytes(v >> max(0, bits - 8) for v in m)))
        top = bits - 9
    return streams + [Stream(f"mantissa.{k}", plane(m, k), bits - k) for k in range(top, -1, -1)]


class Decoder:
    """The decodes of a run: a search for the nearest number, an element at a time."""

    def __init__(self, dtype: str, c: Coded, config: dict[str, Any]) -> None:
        self.dtype, self.c, self.config = dtype, c, config

    def integer(self, m: int, planes: int | None, mid: bool | None) -> Fraction:
        """I of an element."""
        bits = self.config["bits"]
        d = 0 if planes is None else max(0, bits - planes)
        half = (d > 0 or self.config.get("reconstruct") == "mid") if mid is None else mid
        half = half and bits - d <= 23 and m >> d > 0
        return Fraction((2 * (m >> d) + half) << d, 2)

    def value(self, i: Fraction, s: int | None, extra: int) -> int:
        """Pattern of I times the unit of scope `s`; `extra` bits stand below the unit."""
        if not i or s is GAP or (self.c.exponents and self.c.exponents[s] == ZEROS):
            return 0
        if "step" in self.config:
            single = search("float32", i * Fraction(self.config["step"]))
            return search(self.dtype, Fraction(number("float32", single)))
        return search(
            self.dtype, i * Fraction(2) ** (self.c.exponents[s] - self.config["bits"] - extra)
        )

    def __call__(
        self,
        planes: int | None = None,
        mid: bool | None = None,
        below: tuple[list[int], int] | None = None,
        held: bool = False,
    ) -> bytes:
        """Decode the run; `held` changes nothing here."""
        width = FLOATS[self.dtype][0]
        compact = self.config.get("signs") == "compact"
        extra = min(below[1], 24 - self.config["bits"]) if below else 0
        out: Patterns = []
        for k, (m, s) in enumerate(zip(self.c.integers, self.c.scopes, strict=True)):
            i = self.integer(m, planes, mid)
            if below:
                i = Fraction(m * 2**extra + (below[0][k] >> (below[1] - extra)))
            pattern = self.value(i, s, extra)
            sign = 0 if compact and not m else self.c.signs[k]
            out.append(sign << (width - 1) | pattern)
        return to_bytes(out, width)


def made(
    dtype: str, shapes: list[list[int]], c: Coded, config: dict[str, Any], modes: tuple[int, ...]
) -> Run:
    """Make a run of given integers; block i has the mode `modes[i]`, or the last of them."""
    full = {"id": "bfp", **config}
    if "step" in config:
        c.exponents = []
    head = []
    if "step" not in config and not config.get("scope", "").startswith("block") and c.exponents:
        head = [Stream("exponent", struct.pack(f"<{len(c.exponents)}h", *c.exponents))]
    blocks = []
    for j, start in enumerate(range(0, len(c.integers), BLOCK)):
        mode = modes[min(j, len(modes) - 1)]
        blocks.append((mode, block_streams(c, config, mode, start)))
    width = FLOATS[dtype][0]
    decode = Decoder(dtype, c, config)
    run = Run(full, dtype, width // 8, shapes, head, blocks, decode)
    run.integers = (c.integers, config["bits"])
    return run


def bfp(dtype: str, members: Members, modes: tuple[int, ...] = (0,), **config: Any) -> Run:
    """Code weights; keyword arguments are keys of the configuration."""
    c = encode(dtype, members, config)
    return certify(made(dtype, [s for s, _ in members], c, config, modes), members)


def craft(
    dtype: str,
    elements: list[tuple[int, int]],
    exponents: list[int],
    modes: tuple[int, ...] = (0,),
    shape: list[int] | None = None,
    **config: Any,
) -> Run:
    """Make a run of one member from (sign, M) and Es that no weights need to have given."""
    shapes = [shape or [len(elements)]]
    scopes, owners = scope_map(shapes, config.get("scope", "tensor"))
    c = Coded([s for s, _ in elements], [m for _, m in elements], scopes, exponents, owners)
    return made(dtype, shapes, c, config, modes)
