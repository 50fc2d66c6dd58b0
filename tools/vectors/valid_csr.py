"""Valid vectors of the codec `csr`."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any

from vectors.bfp import bfp
from vectors.cases import Valid, cut_off, valid
from vectors.csr import MASK, csr, gaps
from vectors.family import Family
from vectors.int8 import int8
from vectors.models import FLOATS, Members, float_, pattern_of
from vectors.valid_bfp import weights
from vectors.writer import INTERLEAVED, PROGRESSIVE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vectors.models import Run

EXAMPLE = {1: 1.5, 6: -0.0, 15: -1.5}


def sparse(dtype: str, shape: list[int], share: float, seed: str) -> tuple[list[int], list[int]]:
    """Give one member of Gaussian weights of which a share is zero."""
    count = math.prod(shape)
    generator = random.Random(f"zeros {seed}")
    kept = [generator.random() >= share for _ in range(count)]
    values = weights(dtype, count, seed) if count else []
    return shape, [p if keep else 0 for p, keep in zip(values, kept, strict=True)]


def any_patterns(dtype: str, count: int, seed: str) -> Members:
    """Give one member of random patterns, half of them zero, -0.0 and a NaN and more among them."""
    width, x = FLOATS[dtype]
    generator = random.Random(seed)
    values = [generator.getrandbits(width) * generator.getrandbits(1) for _ in range(count)]
    ones = (1 << x) - 1 << (width - 1 - x)
    values[3:9] = [1 << (width - 1), ones | 1, ones, 1, 0, 1 << (width - 1) | ones | 2]
    return [([count], values)]


def example(form: int) -> Run:
    """Give the worked example in a form."""
    patterns = [pattern_of("float32", EXAMPLE.get(i, 0.0)) for i in range(16)]
    members: Members = [([2, 8], patterns)]
    return csr(float_("float32", members), members, (form,))


def form_cases() -> Iterator[Valid]:
    """Forms of positions."""
    text = "the worked example of codecs/csr.md"
    yield valid("csr-float32-gaps", text, Family(coding="raw").task("A", {"w": example(gaps(1))}))
    family = Family(coding="raw").task("A", {"w": example(MASK), "v": example(gaps(0))})
    yield valid("csr-float32-forms", "the same as a mask, and with k = 0", family)
    places = [0, 1, 255, 511, 766, 1021, 1276, 2100, 2990, 2999]  # gaps of 253 to 255, and more
    patterns = [pattern_of("float16", 1.0) * (i in places) for i in range(3000)]
    members: Members = [([3000], patterns)]
    family = Family()
    for form in range(10):
        family.add(csr(float_("float16", members), members, (form,)))
    family.task("A", {f"w{i}": i for i in range(10)})
    yield valid("csr-gaps", "all forms; high parts of 255 and more", family)
    family = Family(coding="zstd")
    family.add(csr(float_("float16", members), members, (gaps(3),)))
    family.add(csr(float_("float16", members), members, (MASK,)))
    yield valid("csr-zstd", "a frame a stream", family.task("A", {"w": 0, "v": 1}))
    members = [sparse("float32", [2**18 + 4099], 0.9999, "blocks")]
    family = Family()
    for forms in ((gaps(8), MASK), (MASK, gaps(0))):
        family.add(csr(bfp("float32", members, (1, 0), bits=5), members, forms))
    family.task("A", {"w": 0, "v": 1})
    yield valid("csr-blocks", "a block restarts its positions, and has a mode of its own", family)
    members = [([35000], [pattern_of("float16", 1 - i % 5 % 2 * 2) for i in range(35000)])]
    for i in range(0, 35000, 15):
        members[0][1][i] = 0
    stored = sum(map(bool, members[0][1]))
    for i in range(1, 15 * (stored - 32768), 15):
        members[0][1][i] = 0
    run = csr(bfp("float16", members, bits=6), members)
    text = "32,768 stored elements: the mask and the planes in one chunk, with a stagger"
    yield valid("csr-stagger", text, Family(coding="raw").task("A", {"w": run}))


def value_cases() -> Iterator[Valid]:
    """Codecs of values."""
    asks: list[dict[str, Any]] = [{"planes": 2}, {"planes": 3, "mid": True}, {"planes": 0}]
    for dtype in FLOATS:
        members = any_patterns(dtype, 45, f"csr {dtype}")
        family = Family()
        for form in (MASK, gaps(0), gaps(2)):
            family.add(csr(float_(dtype, members), members, (form,)))
        family.add(csr(float_(dtype, members, keep=FLOATS[dtype][1] + 3), members))
        family.task("A", {f"w{i}": i for i in range(4)})
        yield valid(f"csr-{dtype}", "any pattern that is not zero is stored", family, *asks)
    kinds: list[dict[str, Any]] = [
        {},
        {"scope": "axis:0"},
        {"scope": "axis:-1"},
        {"signs": "compact", "scope": "axis:1"},
        {"signs": "compact", "reconstruct": "mid"},
        {"step": 0.0078125},
    ]
    for name, shapes in {"one": [[5, 3, 7]], "shared": [[3, 5], [0, 4], [2, 7], [3, 3]]}.items():
        members = [sparse("float32", shape, 0.6, f"csr {shape}") for shape in shapes]
        family = Family()
        for keys in kinds:
            for mode in (0, 1):
                run = bfp("float32", members, (mode,), bits=6, **keys)
                family.add(csr(run, members, (gaps(mode),)))
        for scope in ("tensor", "axis:0", "axis:-1"):
            for mode in (0, 1):
                family.add(csr(int8("float32", members, (mode,), scope), members, (mode,)))
        runs = range(len(family.runs))
        family.task("A", {f"w{r}.{m}": (r, m) for r in runs for m in range(len(shapes))})
        text = "bfp and int8: each element in the scope of its place"
        yield valid(f"csr-values-{name}", text, family, *asks)


def edge_cases() -> Iterator[Valid]:
    """Nothing stored, everything stored, zeros stored, and shapes."""
    one = pattern_of("float32", -0.3)
    empty: list[Members] = [
        [([0, 3], [])],
        [([], [0])],
        [([], [one])],
        [([17], [0] * 17)],
        [([17], [one] * 17)],
    ]
    family = Family()
    for members in empty:
        for form in (MASK, gaps(0), gaps(1)):
            family.add(csr(float_("float32", members), members, (form,)))
        family.add(csr(bfp("float32", members, bits=3, signs="compact"), members, (gaps(2),)))
        family.add(csr(int8("float32", members, (1,)), members))
    family.task("A", {f"w{i}": i for i in range(len(family.runs))})
    yield valid("csr-none-and-all", "no element, none stored, all stored", family, {"planes": 1})
    members = [sparse("float32", [4, 9], 0.5, "csr stored zeros")]
    family = Family()
    for form in (MASK, gaps(1)):
        family.add(csr(float_("float32", members), members, (form,), also=tuple(range(0, 36, 2))))
        family.add(csr(int8("float32", members), members, (form,), also=(0, 35)))
    family.task("A", {f"w{i}": i for i in range(4)})
    yield valid("csr-stored-zeros", "what decodes to zero may be stored", family)
    members = [sparse("float32", [2, 3, 4], 0.5, "csr split")]
    family = Family()
    for split in (0, 1, 2, 3, -1, -2, -3):
        family.add(csr(float_("float32", members), members, split=split))
    flat = [([24], members[0][1])]
    family.add(csr(float_("float32", flat), flat, split=-64))
    family.task("A", {f"w{i}": i for i in range(8)})
    yield valid("csr-split", "split changes no decode", family)


def layout_cases() -> Iterator[Valid]:
    """Layouts and pairs."""
    family = Family(layout=PROGRESSIVE)
    members = [sparse("float32", [6, 40], 0.7, "csr progressive")]
    family.add(csr(bfp("float32", members, bits=9, scope="axis:0"), members, (gaps(0),)))
    family.add(csr(int8("float32", members), members))
    family.add(csr(float_("float32", members), members))
    family.task("A", {"w": 0, "v": 1, "u": 2})
    yield valid("csr-progressive", "levels as those of the values", family, {"planes": 3})
    end = family.draft().level_ends()[4]
    yield cut_off("csr-cut-off", "cut off behind level 4", family, end)
    family = Family(layout=INTERLEAVED)
    for name, bits in {"A": 7, "B": 5}.items():
        members = [sparse("float32", [5, 8], 0.5, f"csr {name}")]
        family.add(csr(bfp("float32", members, bits=bits), members))
        family.task(name, {"w": len(family.runs) - 1})
    family.pairs = [[0, 1]]
    yield valid("csr-pair", "a pair, which dither does not change", family, {"dither": True})


def cases() -> Iterator[Valid]:
    """Give all vectors of this file."""
    yield from form_cases()
    yield from value_cases()
    yield from edge_cases()
    yield from layout_cases()
