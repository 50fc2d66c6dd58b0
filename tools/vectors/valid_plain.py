"""Valid vectors of the codecs `raw` and `float`."""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING

from vectors.cases import Valid, valid
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


def cases() -> Iterator[Valid]:
    """All cases of this module."""
    yield from raw_cases()
    yield from float_cases()
