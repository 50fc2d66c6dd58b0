"""Valid vectors of the codec `delta`."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from vectors.bfp import ZEROS, bfp
from vectors.bfp import craft as integers
from vectors.cases import Valid, valid
from vectors.delta import craft, delta, nudged, over, residual
from vectors.family import Family
from vectors.models import FLOATS, Patterns, float_, number, pattern_of, raw, to_bytes
from vectors.valid_bfp import weights

if TYPE_CHECKING:
    from collections.abc import Iterator

LOSSY = ("float16", "bfloat16", "float32")


def special(dtype: str) -> Patterns:
    """Give zeros, subnormals, one, the largest number, infinity and NaNs, of both signs."""
    width, x = FLOATS[dtype]
    y = width - 1 - x
    top = 2**x - 1 << y
    some = [0, 1, 2**y - 1, 2**y, (2 ** (x - 1) - 1) << y, top - 1, top, top + 1, top | 2**y - 1]
    return [s << (width - 1) | p for p in some for s in (0, 1)]


def steps(count: int, seed: str, most: int) -> list[int]:
    """Give small and large steps of both signs, some of them none."""
    generator = random.Random(seed)
    return [generator.randint(-1, 1) * generator.getrandbits(i % most) for i in range(count)]


def worked() -> Valid:
    """Code the example of the page."""
    family = Family(coding="raw")
    base = [0x3F800000, 0xBF000000, 0]
    family.task("A", {"w": float_("float32", [([3], base)])})
    values = [0x3F800003, 0xBF000000, 0x80000000]
    family.task("B", {"w": delta(family, "float32", [([3], values)], [(0, 0)])})
    return valid("delta-float32", "the worked example of codecs/delta.md", family)


def lossless_cases() -> Iterator[Valid]:
    """All dtypes, classes, and patterns that are no numbers."""
    yield worked()
    for dtype, (width, _) in FLOATS.items():
        family = Family()
        base = weights(dtype, 61, f"delta {dtype}")
        values = nudged(dtype, base, steps(61, dtype, width - 2))
        family.task("A", {"w": float_(dtype, [([61], base)])})
        runs = {m: delta(family, dtype, [([61], values)], [(0, 0)], (m,)) for m in range(5)}
        family.task("B", {f"{1 << m} classes": run for m, run in runs.items()})
        text = "1 to 16 classes; fewer planes change the base as a tensor, and no delta"
        yield valid(f"delta-classes-{dtype}", text, family, {"planes": 2}, {"planes": 0})
        edges = special(dtype)
        pairs = [(a, b) for a in edges for b in edges]
        family = Family()
        members = [[([len(pairs)], list(side))] for side in zip(*pairs, strict=True)]
        family.task(
            "A", {"w": raw(dtype, width // 8, [(s, to_bytes(p, width)) for s, p in members[0]])}
        )
        family.task("B", {"w": delta(family, dtype, members[1], [(0, 0)], (2,))})
        text = "from every edge of the dtype to every other: zeros, subnormals, infinities, NaNs"
        yield valid(f"delta-edges-{dtype}", text, family)


def shared_cases() -> Iterator[Valid]:
    """Several members, other places of the base, a lossy base, none and one element."""
    shapes = [[3, 5], [0, 4], [], [2, 7]]
    sizes = [15, 0, 1, 14]
    bases = [weights("bfloat16", max(n, 2), f"delta base {n}")[:n] for n in sizes]
    values = [nudged("bfloat16", b, steps(len(b), str(len(b)), 9)) for b in bases]
    family = Family()
    order = [3, 0, 2, 1]
    family.add(float_("bfloat16", [(shapes[i], bases[i]) for i in order[:2]]))
    family.add(float_("bfloat16", [(shapes[i], bases[i]) for i in order[2:]]))
    places = [(0, 1), (1, 1), (1, 0), (0, 0)]
    members = list(zip(shapes, values, strict=True))
    family.task("A", {f"w{i}": place for i, place in enumerate(places)})
    for modes in ((0,), (3,)):
        family.add(delta(family, "bfloat16", members, places, modes))
    family.add(residual(family, "bfloat16", members, places, bits=5))
    family.add(residual(family, "bfloat16", members, places, bits=5, scope="block:4"))
    for i, name in enumerate("BCDE"):
        family.task(name, {f"w{m}": (2 + i, m) for m in range(4)})
    text = "members whose bases lie in other runs, at other places; none and one element"
    yield valid("delta-shared", text, family, {"planes": 2})
    family = Family()
    weight = weights("float32", 45, "delta lossy base")
    base = bfp("float32", [([5, 9], weight)], bits=5)
    family.task("A", {"w": base})
    family.task("B", {"w": delta(family, "float32", [([5, 9], weight)], [(0, 0)])})
    family.task("C", {"w": residual(family, "float32", [([5, 9], weight)], [(0, 0)], bits=3)})
    text = "the base is a lossy run: its canonical decode counts, also with fewer planes"
    yield valid("delta-lossy-base", text, family, {"planes": 2}, {"planes": 2, "mid": False})
    family = Family()
    patterns = weights("float16", 19, "delta same")
    family.task("A", {"w": float_("float16", [([19], patterns)])})
    family.task("B", {"w": delta(family, "float16", [([19], patterns)], [(0, 0)], (1,))})
    yield valid("delta-same", "equal arrays: all lengths are 0", family)


def hidden() -> Valid:
    """Code differences from a run that no task names, and that leave the range."""
    family = Family()
    base = weights("float16", 40, "delta hidden")
    family.add(float_("float16", [([40], base)]))
    reach = [v for i in range(10) for v in (2**16 - 1 - i, -(2**16) + 1 + i, 2**15 + i, -(2**15))]
    run = craft(family, "float16", [[40]], [(0, 0)], [([40], reach)], (1,))
    text = "a hidden base; |d| of W bits with all below: the sum runs around"
    return valid("delta-hidden-around", text, family.task("B", {"w": run}))


def block_cases() -> Iterator[Valid]:
    """Code several blocks, and streams that are staggered."""
    size = 2**18 + 777
    unit = weights("float16", 64, "delta blocks")
    base = (unit * 4200)[:size]
    small = [0, 0, 1, -1, 2, -3, 9, 0]
    values = nudged("float16", base, (small * 40000)[:size])
    values[2**18 :] = nudged("float16", base[2**18 :], [100] * 777)
    family = Family()
    family.add(float_("float16", [([9], unit[:9]), ([size], base)]))
    family.task("A", {"w": (0, 1)})
    family.task("B", {"w": delta(family, "float16", [([size], values)], [(0, 1)], (0, 2))})
    text = "two blocks of different modes, whose base starts elsewhere in its run"
    yield valid("delta-blocks", text, family)
    generator = random.Random("delta stagger")
    count = 2**15
    base = (unit * 512)[:count]
    far = [generator.choice((-1, 1)) * generator.randint(16, 31) for _ in range(count)]
    family = Family()
    family.task("A", {"w": float_("float16", [([count], base)])})
    values = nudged("float16", base, far)
    family.task("B", {"w": delta(family, "float16", [([count], values)], [(0, 0)])})
    yield valid(
        "delta-stagger", "counted streams of 4,096 bytes in one chunk are staggered", family
    )


def lossy_cases() -> Iterator[Valid]:
    """Residuals: dtypes, scopes, forms and sums at the edges."""
    asks = [{"planes": k, "mid": mid} for k in (0, 1, 4) for mid in (None, False, True)]
    for dtype in LOSSY:
        family = Family()
        base = weights(dtype, 45, f"residual {dtype}")
        close = weights(dtype, 45, f"residual {dtype} of B", 0.005)
        numbers = [(a, b) for a, b in zip(base, close, strict=True)]
        values = [sum_of(dtype, a, b) for a, b in numbers]
        members = [([5, 9], values)]
        family.task("A", {"w": float_(dtype, [([5, 9], base)])})
        runs = {
            "tensor": residual(family, dtype, members, [(0, 0)], bits=6),
            "axis": residual(family, dtype, members, [(0, 0)], bits=6, scope="axis:0"),
            "block": residual(family, dtype, members, [(0, 0)], bits=6, scope="block:8"),
            "symbols": residual(family, dtype, members, [(0, 0)], (1,), bits=11),
            "compact": residual(family, dtype, members, [(0, 0)], (1,), bits=3, signs="compact"),
            "mid": residual(family, dtype, members, [(0, 0)], bits=4, reconstruct="mid"),
            "truncate": residual(family, dtype, members, [(0, 0)], bits=4, rounding="truncate"),
            "step": residual(family, dtype, members, [(0, 0)], bits=5, step=2.0**-11),
        }
        family.task("B", runs)
        yield valid(f"delta-bfp-{dtype}", "a residual in bfp, in its forms", family, *asks)
        yield sums(dtype)


def sum_of(dtype: str, a: int, b: int) -> int:
    """Give the pattern of a sum of two small numbers, or the nearest below for bfloat16."""
    return pattern_of(dtype, number(dtype, a) + number(dtype, b))


def sums(dtype: str) -> Valid:
    """Add made residuals to the edges of a dtype."""
    width, x = FLOATS[dtype]
    largest = (2**x - 1 << (width - 1 - x)) - 1
    edges = [0, 1, 2, 3 << (width - 1 - x), largest - 1, largest, pattern_of(dtype, 1.0)]
    base = [s << (width - 1) | p for p in edges for s in (0, 1) for _ in range(4)]
    elements = [(0, 0), (1, 0), (0, 4095), (1, 4095)] * 14
    family = Family()
    family.task("A", {"w": float_(dtype, [([56], base)])})
    tensors = {}
    for e in (-148, -132, -126, -24, -12, 1, 16, 104, 128, ZEROS):
        inner = integers("float32", elements, [e], bits=12)
        tensors[f"E {e}"] = over(family, dtype, inner, [(0, 0)])
    text = "sums at the edges: zeros of both signs, subnormals, ties, the largest number"
    return valid(f"delta-bfp-edges-{dtype}", text, family.task("B", tensors), {"planes": 7})


def cases() -> Iterator[Valid]:
    """All cases of this module."""
    yield from lossless_cases()
    yield from shared_cases()
    yield hidden()
    yield from block_cases()
    yield from lossy_cases()
