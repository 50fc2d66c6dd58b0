"""Valid vectors of the codec `int8`."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from vectors.bfp import bfp
from vectors.cases import Valid, cut_off, valid
from vectors.family import Family
from vectors.int8 import craft, int8
from vectors.models import pattern_of
from vectors.valid_bfp import vector, weights
from vectors.writer import INTERLEAVED, PROGRESSIVE

if TYPE_CHECKING:
    from collections.abc import Iterator

# The published values of paper 003's equations 2 and 3, but for the one outside of the range.
PAPER = [-1.0, -0.503, -0.5, -0.00393, 0.0, 0.00394, 0.25, 0.999, 1.0]
LARGEST = float.fromhex("0x1.fffffep127")


def form_cases() -> Iterator[Valid]:
    """Modes, scopes, members."""
    run = int8("float32", vector("float32", PAPER), (1,))
    text = "the worked example of codecs/int8.md"
    yield valid("int8-paper", text, Family(coding="raw").task("A", {"w": run}))
    asks = [{"planes": k, "mid": mid} for k in (0, 1, 4, 6, 7) for mid in (None, False, True)]
    for dtype in ("float16", "bfloat16", "float32", "float64"):
        family = Family()
        for mode in (0, 1):
            members = [([5, 9], weights(dtype, 45, f"int8 {dtype}"))]
            family.add(int8(dtype, members, (mode,)))
            family.add(int8(dtype, members, (mode,), "axis:-1"))
        family.task("A", {f"w{i}": i for i in range(4)})
        yield valid(f"int8-{dtype}", "planes (mode 0) and bytes (mode 1)", family, *asks)
    patterns = weights("float32", 5 * 3 * 7, "int8 scopes")
    patterns[21:42] = [p & 0x80000000 for p in patterns[21:42]]  # channel 1 of axis 0 is zero
    family = Family()
    scopes = ["tensor", "axis:0", "axis:1", "axis:2", "axis:-1", "axis:-3"]
    for scope in scopes:
        family.add(int8("float32", [([5, 3, 7], patterns)], scope=scope))
    family.task("A", {s: i for i, s in enumerate(scopes)})
    yield valid("int8-scopes", "scopes, one of zeros only", family, {"planes": 2})
    members = [
        (shape, weights("float32", shape[0] * shape[1], str(shape))) for shape in ([3, 5], [2, 7])
    ]
    members[1:1] = [([0, 4], [])]
    for name, scope in {"tensor": "tensor", "axis": "axis:1"}.items():
        family = Family()
        for mode in (0, 1):
            family.add(int8("float32", members, (mode,), scope))
        family.task("A", {f"w{r}{m}": (r, m) for r in range(2) for m in range(3)})
        text = "scopes are counted in the member; the member of no elements has none"
        yield valid(f"int8-shared-{name}", text, family)
    yield empties()


def empties() -> Valid:
    """Code members of no elements and of one."""
    one = pattern_of("float32", -0.3)
    family = Family()
    family.add(int8("float32", [([0, 3], [])]))
    family.add(int8("float32", [([0, 3], [])], scope="axis:1"))
    family.add(int8("float32", [([], [one])]))
    family.add(int8("float32", [([1], [one])], (1,), "axis:0"))
    family.task("A", {f"w{i}": i for i in range(4)})
    return valid("int8-empty-and-scalar", "no elements: no rows; one element", family)


def edge_cases() -> Iterator[Valid]:
    """Code the smallest and the largest numbers, and zeros."""
    tiny = {
        "float16": [1, 2, 3, 0x8001, 0x03FF],
        "bfloat16": [1, 2, 0x8003, 0x0080, 0x00FF],
        "float32": [1, 2, 0x80000003, 0x00800000, 0x01000000],
        "float64": [1, 2, 1 << 63 | 3, pattern_of("float64", 2.0**-127), 897 << 52],
    }
    family = Family()
    for dtype, patterns in tiny.items():
        family.task(dtype, {"all": int8(dtype, [([5], patterns)])})
        family.tasks[-1]["tensors"].append(
            ["each", family.add(int8(dtype, [([5], patterns)], (1,), "axis:0")), 0]
        )
    text = "a scale is never below the smallest normal float32"
    yield valid("int8-underflow", text, family)
    zeros = [0, 0x80000000, 0]
    family = Family()
    for mode in (0, 1):
        family.add(int8("float32", [([3], zeros)], (mode,)))
    family.task("A", {"planes": 0, "bytes": 1})
    yield valid("int8-zeros", "all zero: the scale is 1, and the minus is lost", family)
    codes = [m | s << 7 for m in (1, 2, 3, 5, 63, 64, 65, 126, 127) for s in (0, 1)]
    scales = [2.0**-126, 1.25 * 2.0**-30, 515.875, 65504.0, 1.9375 * 2.0**121, LARGEST]
    for dtype in ("float16", "bfloat16", "float32", "float64"):
        family = Family()
        for s in scales:
            family.add(craft(dtype, codes, [s]))
        family.task("A", {f"w{i}": i for i in range(len(scales))})
        text = "rounded twice, ties to even: the largest number in place of infinity in both steps"
        yield valid(f"int8-edges-{dtype}", text, family, {"planes": 3}, {"planes": 3, "mid": False})


def layout_cases() -> Iterator[Valid]:
    """Code runs of several blocks, in a pair, and in a progressive file."""
    generator = random.Random("int8 blocks")
    unit = [generator.choice([0, 1, 0x81, 2, 0x82, 127, 0xFF]) for _ in range(64)]
    codes = (unit * 4097)[: 3 * 87400]
    run = craft("float16", codes, [1.0, 2.0**-9, 3.0], (0, 1), [3, 87400], "axis:0")
    text = "a channel in two blocks, of different modes"
    yield valid("int8-blocks", text, Family().task("A", {"w": run}))
    family = Family(layout=INTERLEAVED)
    for name in ("A", "B"):
        members = [([4, 5], weights("float32", 20, name)), ([3], weights("float32", 3, name))]
        family.add(int8("float32", members, scope="axis:0"))
        family.task(name, {"kernel": (len(family.runs) - 1, 0), "bias": (len(family.runs) - 1, 1)})
    family.pairs = [[0, 1]]
    yield valid("int8-pair", "a pair that dither does not change", family, {"dither": True})
    family = Family(layout=PROGRESSIVE, coding="raw")
    family.task("A", {"w": int8("float32", [([300], weights("float32", 300, "progressive"))])})
    yield valid("int8-progressive", "a progressive file", family, {"planes": 3})
    end = family.draft().level_ends()[4]
    yield cut_off("int8-partial", "the same, cut off behind level 4", family, end)
    members = [([300], weights("float32", 300, "partial"))]
    family = Family(layout=PROGRESSIVE, coding="raw")
    family.task("A", {"codes": int8("float32", members, (1,))})
    family.tasks[0]["tensors"] += [
        ["symbols", family.add(bfp("float32", members, (1,), bits=10)), 0],
        ["planes", family.add(bfp("float32", members, bits=10)), 0],
    ]
    end = family.draft().level_ends()[3]
    text = "three planes of all runs, also of those whose one stream holds more"
    yield cut_off("int8-partial-bytes", text, family, end)


def cases() -> Iterator[Valid]:
    """All cases of this module."""
    yield from form_cases()
    yield from edge_cases()
    yield from layout_cases()
