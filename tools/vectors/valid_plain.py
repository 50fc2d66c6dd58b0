"""Valid vectors of the codecs `raw` and `float`."""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING

from vectors.cases import Valid, valid
from vectors.csr import csr, gaps
from vectors.family import Family
from vectors.models import FLOATS, float_, pattern_of, raw

if TYPE_CHECKING:
    from collections.abc import Iterator

ITEMSIZES = {
    "bool": 1,
    **{f"{kind}{8 * size}": size for size in (1, 2, 4, 8) for kind in ("int", "uint")},
    "float16": 2,
    "float32": 4,
    "float64": 8,
    "complex64": 8,
    "complex128": 16,
    "bfloat16": 2,
    **dict.fromkeys(["float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"], 1),
    "float8_e8m0fnu": 1,
    "V1": 1,
    "V3": 3,
}
KEEPS = {
    "float16": (1, 3, 6, 7, 12, 15),
    "bfloat16": (1, 8, 9, 10, 13),
    "float32": tuple(range(2, 33, 2)),
    "float64": (1, 12, 13, 33, 40, 63),
}


def edges(dtype: str) -> list[int]:
    """Patterns at the edges of a dtype: zeros, subnormals, largest, infinities, NaNs, some more."""
    width, x = FLOATS[dtype]
    y = width - 1 - x
    ones, sign = (1 << x) - 1 << y, 1 << (width - 1)
    quiet = ones | 1 << (y - 1)
    finite = [0, 1, (1 << y) - 1, 1 << y, ones - 1, pattern_of(dtype, 1.0), pattern_of(dtype, 1.5)]
    special = [ones, quiet, ones | 1, quiet | 5, ones | (1 << (y - 1)) - 1]
    both = [p | s for p in finite + special for s in (0, sign)]
    generator = random.Random(dtype)
    return both + [generator.getrandbits(width) for _ in range(13)]


def paper_values() -> list[int]:
    """Give the float32 patterns of the table of truncated values of paper 000."""
    patterns = [0x3DCCCCCD, 0xBDCCCCCD, 0x3EAAAAAB, 0x40490FDB, 0x3F800000, 0x3F7FFFFF, 0x80000000]
    return [*patterns, 1, 0x007FFFFF, 0x7F7FFFFF, 0x7F800000, 0x7FC00000, 0x7F800001]


def raw_cases() -> Iterator[Valid]:
    """Cases of the codec `raw`."""
    yield valid(
        "raw-uint8",
        "the worked example of codecs/raw.md",
        Family(coding="raw").task("A", {"w": raw("uint8", 1, [([3], b"\x01\x02\xff")])}),
    )
    yield valid(
        "raw-bool",
        "a bool is one byte, 0 or 1",
        Family().task("A", {"mask": raw("bool", 1, [([2, 3], bytes([0, 1, 1, 0, 0, 1]))])}),
    )
    values = struct.pack("<4q", 0, -1, 2**63 - 1, -(2**63))
    yield valid(
        "raw-int64",
        "little-endian elements in C order",
        Family().task("A", {"step": raw("int64", 8, [([2, 2], values)])}),
    )
    generator = random.Random("every dtype")
    family = Family()
    tensors = {}
    for dtype, size in ITEMSIZES.items():
        data = generator.randbytes(5 * size) if dtype != "bool" else bytes([1, 0, 1, 1, 0])
        tensors[dtype] = family.add(raw(dtype, size, [([5], data)]))
    yield valid("raw-every-dtype", "one tensor of each dtype", family.task("A", tensors))
    shapes: list[list[int]] = [[], [0], [3, 0, 2], [1], [1] * 64]
    family = Family()
    tensors = {}
    for shape in shapes:
        data = generator.randbytes(0 if 0 in shape else 4)
        tensors[f"shape {shape[:3]}x{len(shape)}"] = family.add(raw("int32", 4, [(shape, data)]))
    family.task("A", tensors)
    yield valid("raw-shapes", "a scalar, arrays of no elements, 64 dimensions", family)
    yield valid(
        "raw-blocks",
        "three blocks of 2^18 elements, the last one shorter, with three coders",
        Family().task("A", {"w": raw("uint8", 1, [([2**19 + 3], blocks_of_bytes())])}),
    )
    yield valid(
        "raw-void-blocks",
        "elements of 257 bytes: blocks of 2^17 elements",
        Family().task(
            "A", {"w": raw("V257", 257, [([2**17 + 1], bytes([7]) * 257 * (2**17 + 1))])}
        ),
    )


def blocks_of_bytes() -> bytes:
    """One block that repeats a byte, one that shrinks, one of 3 bytes."""
    return bytes([255]) * 2**18 + bytes(range(256)) * 1024 + b"\x00\x01\x02"


def float_cases() -> Iterator[Valid]:
    """Cases of the codec `float`."""
    yield valid(
        "float-float32-scalar",
        "the worked example of codecs/float.md: -1.5",
        Family(coding="raw").task("A", {"s": float_("float32", [([], [0xBFC00000])])}),
    )
    for dtype in FLOATS:
        patterns = edges(dtype)
        family = Family().task("A", {"w": float_(dtype, [([len(patterns)], patterns)])})
        asks = [{"planes": k, "mid": mid} for k in (0, 1, 3) for mid in (None, True)]
        text = "NaN payloads, infinities, signed zeros, subnormals, and decodes with fewer planes"
        yield valid(f"float-{dtype}", text, family, *asks)
    for dtype in ("float16", "bfloat16"):
        run = float_(dtype, [([256, 256], list(range(65536)))])
        yield valid(f"float-{dtype}-all", "every pattern", Family().task("A", {"w": run}))
    for dtype, keeps in KEEPS.items():
        patterns = paper_values() if dtype == "float32" else edges(dtype)
        family = Family()
        for keep in keeps:
            family.add(float_(dtype, [([len(patterns)], patterns)], keep))
        family.task("A", {f"keep {k}": i for i, k in enumerate(keeps)})
        text = "fewer bits kept, counted from the top of the pattern"
        asks = [{"planes": k, "mid": mid} for k in (1, 2) for mid in (None, True)]
        yield valid(f"float-{dtype}-keep", text, family, *asks)
    values = [pattern_of("float32", v) for v in (0.5, -0.25, 3.0)]
    members = [([3], values), ([], [values[1]]), ([0], []), ([2, 1], values[:2])]
    family = Family()
    index = family.add(float_("float32", members))
    family.task("A", {f"w{i}": (index, i) for i in range(4)})
    yield valid("float-empty-and-scalar", "members of 3, 1, 0 and 2 elements in one run", family)
    generator = random.Random("float blocks")
    patterns = [generator.randrange(4) << 13 for _ in range(64)] * 4100
    run = float_("float16", [([len(patterns)], patterns)])
    family = Family().task("A", {"w": run})
    yield valid("float-blocks", "a run of two blocks", family, {"planes": 1})


def window(dtype: str, mode: int) -> list[int]:
    """Patterns that a mode of symbols holds: zeros, the ends of its window, some between."""
    width, x = FLOATS[dtype]
    y, first = width - 1 - x, 14 * (mode - 1)
    last = min(4 * first + 255, (4 << x) - 1)
    generator = random.Random(f"{dtype} {mode}")
    tops = [0, 4 * first + 1, last, *(generator.randint(4 * first + 1, last) for _ in range(26))]
    low = [0, (1 << (y - 2)) - 1, *(generator.getrandbits(y - 2) for _ in range(27))]
    signs = [generator.getrandbits(1) << (width - 1) for _ in range(29)]
    return [s | t << (y - 2) | v for s, t, v in zip(signs, tops, low, strict=True)]


def symbol_cases() -> Iterator[Valid]:
    """Cases of `float` in its modes of symbols."""
    for dtype, last in (("float16", 1), ("bfloat16", 15), ("float32", 15)):
        family, tensors = Family(), {}
        for mode in range(1, last + 1):
            patterns = window(dtype, mode)
            run = float_(dtype, [([29], patterns), ([2], patterns[1:3])], modes=(mode,))
            tensors[f"mode {mode}"] = (family.add(run), 0)
        asks = [{"planes": k, "mid": mid} for k in (0, 1, 2, 3) for mid in (None, True)]
        text = "exponents and two mantissa bits as symbols: both ends of the window of each mode"
        yield valid(f"float-{dtype}-symbols", text, family.task("A", tensors), *asks)
        x = FLOATS[dtype][1]
        family, tensors = Family(), {}
        for keep in (x + 3, x + 4):
            run = float_(dtype, [([29], window(dtype, last))], keep, (last,))
            tensors[f"keep {keep}"] = (family.add(run), 0)
        text = "symbols where fewer bits are kept"
        yield valid(f"float-{dtype}-symbols-keep", text, family.task("A", tensors), {"planes": 1})
    run = float_("float16", [([65536], list(range(65536)))], modes=(1,))
    yield valid("float-float16-symbols-all", "every pattern", Family().task("A", {"w": run}))
    generator = random.Random("symbol blocks")
    patterns = [generator.randrange(100, 4 * 63) << 14 for _ in range(64)] * 4100
    run = float_("float16", [([len(patterns)], [p & 0x7FFF for p in patterns])], modes=(1, 0))
    text = "a run of two blocks, the first in symbols"
    yield valid("float-symbols-blocks", text, Family().task("A", {"w": run}), {"planes": 1})
    members = [([29], window("float32", 6)), ([9], [0] * 9)]
    run = csr(float_("float32", members, modes=(6,)), members, (gaps(0),))
    text = "the values of csr in symbols"
    yield valid("csr-float-symbols", text, Family().task("A", {"w": run}), {"planes": 1})


def pair_of(dtype: str, keeps: tuple[int, ...], modes: tuple[int, ...] = (0, 0, 0)) -> Family:
    """Make tasks of one group: awkward patterns for all but the last, any bits for the others."""
    family = Family(layout=1)
    generator = random.Random(f"dither {dtype} {keeps}")
    patterns = edges(dtype)
    for name, keep, mode in zip("ABC", keeps, modes, strict=False):
        values = window(dtype, mode) if mode else patterns
        run = float_(dtype, [([5], values[:5]), ([len(values)], values)], keep, (mode,))
        index = family.add(run)
        family.task(name, {"bias": (index, 0), "kernel": (index, 1)})
        patterns = [generator.getrandbits(FLOATS[dtype][0]) for _ in patterns]
    family.pairs = [list(range(len(family.runs)))]
    return family


def dither_cases() -> Iterator[Valid]:
    """Cases of `float` in pairs."""
    family = Family(layout=1)
    for name, keep, numbers in (("A", 21, (0.75, -0.3, 0.05)), ("B", 20, (-0.02, 0.011, 0.03))):
        values = [pattern_of("float32", number) for number in numbers]
        family.task(name, {"w": float_("float32", [([3], values)], keep)})
    family.pairs = [[0, 1]]
    text = "bit fusion as published first: 12 and 11 mantissa bits, 41 bits a pair"
    yield valid("float-dither-paper", text, family, {"dither": True})
    for dtype, (width, x) in FLOATS.items():
        family = pair_of(dtype, (1 + x + 2, 1 + x + 4, width))
        text = "three tasks in one group: all of the next one's bits, its top ones; specials stay"
        yield valid(f"float-dither-{dtype}", text, family, {"dither": True}, {"planes": 1})
    for name, dtype, keeps, text in (
        ("bare", "float32", (9, 12), "no mantissa bit of A is kept: all are B's"),
        ("full", "float16", (16, 12), "A is whole: no dither"),
        ("cut", "bfloat16", (8, 16), "bits of A's exponent are cut: no dither"),
        ("few", "float64", (30, 12), "no mantissa bit of B is kept: no dither"),
    ):
        yield valid(f"float-dither-{name}", text, pair_of(dtype, keeps), {"dither": True})
    family = pair_of("float32", (14, 13, 32), (6, 3, 15))
    text = "pairs in symbols, which a writer would not make"
    yield valid("float-dither-symbols", text, family, {"dither": True})


def cases() -> Iterator[Valid]:
    """All cases of this module."""
    yield from raw_cases()
    yield from float_cases()
    yield from symbol_cases()
    yield from dither_cases()
