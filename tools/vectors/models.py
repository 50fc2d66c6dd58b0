"""Runs: their streams, and what they decode to, by formulas that look for the answer.

Where the reference decoder rounds integers, this module searches all finite numbers of the dtype
for the nearest. Both follow spec/codecs/.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import math
import struct
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vectors.writer import Stream

if TYPE_CHECKING:
    from collections.abc import Callable

FLOATS = {"float16": (16, 5), "bfloat16": (16, 8), "float32": (32, 8), "float64": (64, 11)}
LETTERS = {"float16": "e", "float32": "f", "float64": "d"}
WIDE_LETTERS = {16: "H", 32: "I", 64: "Q"}
GAP: None = None
Patterns = list[int]
Members = list[tuple[list[int], Patterns]]  # (shape, patterns)


@dataclass
class Run:
    """A coded run.

    `decode(planes, mid, below)` gives the whole run's bytes; `source` is None where the canonical
    decode is the source; `parts` are (mode, streams) of the head, where there is one, and blocks.
    """

    config: dict[str, Any]
    dtype: str
    itemsize: int
    shapes: list[list[int]]
    head: list[Stream]
    blocks: list[tuple[int, list[Stream]]]
    decode: Callable[..., bytes]
    source: bytes | None = None
    errors: list[Any] | None = None
    integers: tuple[list[int], int] | None = None  # what it gives to a dither: M or mantissas
    roles: list[list[tuple[int, int]]] = field(default_factory=list)  # (run, member) below each

    def member(self, index: int, decoded: bytes) -> bytes:
        """Cut a member out of a decoded run."""
        start, count = starts(self.shapes)[index], math.prod(self.shapes[index])
        return decoded[start * self.itemsize : (start + count) * self.itemsize]


def starts(shapes: list[list[int]]) -> list[int]:
    """Where the members of a run start; one item more for the end."""
    places, end = [], 0
    for shape in shapes:
        places.append(-(-end // 8) * 8)
        end = places[-1] + math.prod(shape)
    return [*places, end]


def spread(members: Members) -> Patterns:
    """Lay members one after another with gaps of zeros."""
    places = starts([shape for shape, _ in members])
    run = [0] * places[-1]
    for (_, values), place in zip(members, places, strict=False):
        run[place : place + len(values)] = values
    return run


def plane(values: list[int], bit: int) -> bytes:
    """Bit `bit` of each value, element 8j + i in bit i of byte j."""
    out = bytearray(-(-len(values) // 8))
    for i, v in enumerate(values):
        out[i // 8] |= (v >> bit & 1) << i % 8
    return bytes(out)


def to_bytes(patterns: Patterns, width: int) -> bytes:
    """Little-endian elements."""
    return struct.pack(f"<{len(patterns)}{WIDE_LETTERS[width]}", *patterns)


def pattern_of(dtype: str, value: float) -> int:
    """Give the pattern of a number that the dtype can hold, or the nearest for float32."""
    if dtype == "bfloat16":
        return pattern_of("float32", value) >> 16
    width = FLOATS[dtype][0]
    packed = struct.pack("<" + LETTERS[dtype], value)
    return int(struct.unpack("<" + WIDE_LETTERS[width], packed)[0])


def number(dtype: str, pattern: int) -> float:
    """Give the number of a pattern."""
    if dtype == "bfloat16":
        return number("float32", pattern << 16)
    packed = struct.pack("<" + WIDE_LETTERS[FLOATS[dtype][0]], pattern)
    return float(struct.unpack("<" + LETTERS[dtype], packed)[0])


@functools.cache
def search(dtype: str, value: Fraction) -> int:
    """Find the finite number nearest to a positive value, the even one of two: its pattern."""
    width, x = FLOATS[dtype]
    largest = ((1 << x) - 1 << (width - 1 - x)) - 1

    def exact(pattern: int) -> Fraction:
        return Fraction(number(dtype, pattern))

    above = bisect.bisect_left(range(largest + 1), value, key=exact)
    candidates = [p for p in (above - 1, above) if 0 <= p <= largest]
    return min(candidates, key=lambda p: (abs(exact(p) - value), p & 1))


def errors_of(dtype: str, decoded: Patterns, source: Patterns) -> list[float] | None:
    """Give [max, noise, signal] of a member; None where a number is not finite."""
    pairs = [(number(dtype, a), number(dtype, b)) for a, b in zip(decoded, source, strict=True)]
    if not all(math.isfinite(v) for pair in pairs for v in pair):
        return None
    wrong = [abs(a - b) for a, b in pairs]
    signal = math.fsum(b * b for _, b in pairs)
    found = [max(wrong, default=0.0), math.fsum(e * e for e in wrong), signal]
    return found if all(map(math.isfinite, found)) else None


def certify(run: Run, members: Members) -> Run:
    """Note the source's bytes and the errors, where the decode differs from the source."""
    width = FLOATS[run.dtype][0]
    source, decoded = to_bytes(spread(members), width), run.decode()
    if source == decoded:
        return run
    run.source, run.errors = source, []
    for i, (_, values) in enumerate(members):
        part = run.member(i, decoded)
        patterns = struct.unpack(f"<{len(values)}{WIDE_LETTERS[width]}", part)
        run.errors.append(errors_of(run.dtype, list(patterns), values))
    return run


def raw(dtype: str, itemsize: int, members: list[tuple[list[int], bytes]]) -> Run:
    """Code bytes as they are; blocks as container.md 4 cuts them."""
    shapes = [shape for shape, _ in members]
    places = starts(shapes)
    data = bytearray(places[-1] * itemsize)
    for (_, values), place in zip(members, places, strict=False):
        data[place * itemsize : place * itemsize + len(values)] = values
    elements = 2**18 if itemsize <= 256 else 2 ** (26 - math.ceil(math.log2(itemsize)))
    size = elements * itemsize
    blocks = [(0, [Stream("bytes", bytes(data[i : i + size]))]) for i in range(0, len(data), size)]
    whole = bytes(data)
    return Run({"id": "raw"}, dtype, itemsize, shapes, [], blocks, lambda *_: whole)


def float_block(dtype: str, u: Patterns, kept: int, mode: int = 0) -> list[Stream]:
    """Cut the kept patterns of a block into fields, or symbols and the rest of the fields."""
    width, x = FLOATS[dtype]
    y = width - 1 - x
    sign = Stream("sign", plane(u, width - 1))
    field = [(v >> y) & ((1 << x) - 1) for v in u]
    below = range(y - 1, y - kept - 1, -1)
    if mode:
        tops = [(v >> (y - 2)) & ((4 << x) - 1) for v in u]
        exponent = [Stream("symbols", bytes(t and t - 4 * 14 * (mode - 1) for t in tops))]
        below = below[2:]
    elif dtype == "float64":
        high = Stream("exponent.1", bytes(e >> 8 for e in field))
        exponent = [high, Stream("exponent.0", bytes(e & 255 for e in field))]
    else:
        exponent = [Stream("exponent", bytes(field))]
    return [sign, *exponent, *(Stream(f"mantissa.{k}", plane(u, k), y - k) for k in below)]


def float_derived(u: int, dtype: str, planes: int, mid: bool, held: bool) -> int:
    """Decode one pattern with fewer planes; `held` for a reader that has no more than those."""
    width, x = FLOATS[dtype]
    y = width - 1 - x
    top = u >> (y - planes) << (y - planes)
    ones, zero = (u >> y) % (1 << x) == (1 << x) - 1, (u >> y) % (1 << x) == 0
    if ones and u % (1 << y) and not top % (1 << y) and not held:
        return top | 1 << (y - 1)
    return top | 1 << (y - planes - 1) if mid and not ones and not zero else top


def float_dithered(dtype: str, u: Patterns, kept: int, noise: list[int], bits: int) -> Patterns:
    """Write the bits of `noise` below those that are kept, as text, in all but special patterns."""
    width, x = FLOATS[dtype]
    patterns = []
    for pattern, low in zip(u, noise, strict=True):
        text = f"{pattern:0{width}b}"
        top, room = text[: 1 + x + kept], width - 1 - x - kept
        tail = f"{low:0{bits}b}"[:room] if bits else ""
        plain = set(text[1 : 1 + x]) != {"0", "1"}
        patterns.append(pattern if plain else int((top + tail).ljust(width, "0"), 2))
    return patterns


def float_(
    dtype: str, members: Members, keep: int | None = None, modes: tuple[int, ...] = (0,)
) -> Run:
    """Code the fields of floating-point numbers; `modes` are those of the blocks, in turn."""
    width, x = FLOATS[dtype]
    bits = width if keep is None else keep
    kept = max(0, bits - 1 - x)
    u = [v >> (width - bits) << (width - bits) for v in spread(members)]
    starting = zip(range(0, len(u), 2**18), itertools.cycle(modes))
    blocks = [(m, float_block(dtype, u[i : i + 2**18], kept, m)) for i, m in starting]

    def decode(
        planes: int | None = None,
        mid: bool | None = None,
        below: tuple[list[int], int] | None = None,
        held: bool = False,
    ) -> bytes:
        if below is not None and bits > x:
            return to_bytes(float_dithered(dtype, u, kept, *below), width)
        if planes is None or planes >= kept:
            return to_bytes(u, width)
        derived = [float_derived(v, dtype, planes, bool(mid), held) for v in u]
        return to_bytes(derived, width)

    config = {"id": "float"} | ({} if keep is None else {"keep": keep})
    shapes = [shape for shape, _ in members]
    y = width - 1 - x
    noise = [v % (1 << y) >> (y - kept) for v in u]
    run = Run(config, dtype, width // 8, shapes, [], blocks, decode, integers=(noise, kept))
    return certify(run, members)
