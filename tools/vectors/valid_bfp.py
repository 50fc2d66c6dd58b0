"""Valid vectors of the codec `bfp`."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from vectors.bfp import ZEROS, bfp, craft
from vectors.cases import Valid, valid
from vectors.family import Family
from vectors.models import Members, number, pattern_of
from vectors.writer import FILL, ZSTD, compress

if TYPE_CHECKING:
    from collections.abc import Iterator

# The weights of the published examples of papers 001 and 000, as float32.
PAPER = [0.75, -0.3, 0.05, -0.001, 0.0, 1e-9, -0.9990234375]
FUSED = ([0.75, -0.3, 0.05], [-0.02, 0.011, 0.03])


def weights(dtype: str, count: int, seed: str, scale: float = 0.1) -> list[int]:
    """Give Gaussian weights, two of them zero, as patterns."""
    generator = random.Random(seed)
    values = [generator.gauss(0, scale) for _ in range(count)]
    values[count // 3], values[count // 2] = 0.0, -0.0
    return [pattern_of(dtype, v) for v in values]


def vector(dtype: str, values: list[float]) -> Members:
    """Give one member of one dimension."""
    return [([len(values)], [pattern_of(dtype, v) for v in values])]


def paper_cases() -> Iterator[Valid]:
    """Code the examples of the papers."""
    run = bfp("float32", vector("float32", PAPER[:3]), bits=12, rounding="truncate")
    text = "the worked example of codecs/bfp.md"
    yield valid("bfp-paper-12-truncate", text, Family(coding="raw").task("A", {"w": run}))
    family = Family()
    tensors = {}
    for bits in (4, 8, 11, 12, 24):
        for rounding in ("truncate", "nearest"):
            run = bfp("float32", vector("float32", PAPER), bits=bits, rounding=rounding)
            tensors[f"{bits} {rounding}"] = family.add(run)
    family.task("A", tensors)
    yield valid(
        "bfp-paper", "the seven weights of the published example, bits and roundings", family
    )
    family = Family(layout=1)
    for bits, values in zip((12, 11), FUSED, strict=True):
        family.add(bfp("float32", vector("float32", values), bits=bits, rounding="truncate"))
    family.task("A", {"w": 0}).task("B", {"w": 1}).pairs = [[0, 1]]
    text = "the fused pair of paper 001: A has 12 bits, B has 11"
    yield valid("bfp-paper-fused", text, family, {"dither": True})


def width_cases() -> Iterator[Valid]:
    """Bits, scopes and forms."""
    for bits in (1, 4, 12, 24):
        run = bfp("float32", [([5, 9], weights("float32", 45, "widths"))], bits=bits)
        asks = [
            {"planes": k, "mid": mid}
            for k in sorted({1, bits // 2, bits} - {0})
            for mid in (None, False, True)
        ]
        yield valid(f"bfp-bits-{bits}", "magnitude bits", Family().task("A", {"w": run}), *asks)
    scopes = ["axis:0", "axis:-1", "axis:1", "block:1", "block:8", "block:64", "block:262144"]
    patterns = weights("float32", 5 * 3 * 7, "scopes")
    patterns[21:42] = [p & 0x80000000 for p in patterns[21:42]]  # channel 1 of axis 0 is zero
    family = Family()
    for scope in scopes:
        family.add(bfp("float32", [([5, 3, 7], patterns)], bits=6, scope=scope))
    family.task("A", {s: i for i, s in enumerate(scopes)})
    yield valid("bfp-scopes", "scopes, some of zeros only", family, {"planes": 2})
    members = [
        (shape, weights("float32", shape[0] * shape[1], str(shape))) for shape in ([3, 5], [2, 7])
    ]
    members[1:1] = [([0, 4], [])]
    for name, scope in {"tensor": "tensor", "axis": "axis:1", "block": "block:4"}.items():
        run = bfp("float32", members, bits=7, scope=scope)
        family = Family()
        family.task("A", {f"w{i}": (0, i) for i in range(3)}).add(run)
        text = "scopes are counted in the member; the member of no elements has none"
        yield valid(f"bfp-shared-{name}", text, family)
    for signs in ("full", "compact"):
        family = Family()
        for mode in (0, 1):
            for bits in (3, 8, 11):
                run = bfp(
                    "float32",
                    [([45], weights("float32", 45, "modes"))],
                    (mode,),
                    bits=bits,
                    signs=signs,
                )
                family.add(run)
        family.task("A", {f"w{i}": i for i in range(6)})
        text = "planes (mode 0) and symbols (mode 1)"
        yield valid(f"bfp-modes-{signs}", text, family, {"planes": 2}, {"planes": 9, "mid": False})
    run = bfp("float32", [([45], weights("float32", 45, "mid"))], bits=5, reconstruct="mid")
    family = Family().task("A", {"w": run})
    asks = [{"planes": 3}, {"planes": 3, "mid": False}, {"planes": 5, "mid": False}]
    yield valid("bfp-mid", "reconstruct mid", family, *asks)


def form_cases() -> Iterator[Valid]:
    """Code with steps, and zeros."""
    family = Family()
    steps = {
        "float32": 2.0**-7,
        "float16": 0.0009765625,
        "bfloat16": 0.100000001490116,
        "float64": 3,
    }
    for dtype, step in steps.items():
        exact = number("float32", pattern_of("float32", step)) if dtype != "float64" else step
        for form in ("low", "mid"):
            run = bfp(
                dtype,
                [([33], weights(dtype, 33, dtype, 5.0))],
                bits=9,
                step=exact,
                reconstruct=form,
            )
            family.add(run)
    family.task("A", {f"w{i}": i for i in range(8)})
    yield valid("bfp-step", "a step in place of exponents", family, {"planes": 4})
    zeros = [0, 0x80000000, 0]
    family = Family()
    for signs in ("full", "compact"):
        family.add(bfp("float32", [([3], zeros)], bits=4, signs=signs))
        family.add(bfp("float32", [([3], zeros)], (1,), bits=4, signs=signs, scope="block:2"))
    family.task("A", {f"w{i}": i for i in range(4)})
    yield valid(
        "bfp-zeros", "scopes of zeros only: full signs keep the minus, compact ones lose it", family
    )
    yield compact_none()
    yield empties()
    elements = [(0, 5), (1, 5), (0, 0), (1, 0), (1, 15)]
    family = Family()
    for signs in ("full", "compact"):
        family.add(craft("float32", elements, [ZEROS], bits=4, signs=signs))
    family.task("A", {"full": 0, "compact": 1})
    yield valid("bfp-zero-scope-with-bits", "M is not looked at in a scope of zeros", family)
    largest = pattern_of("float32", 3.0e38)
    run = craft("float16", [(0, 511), (1, 511)], [], bits=9, step=number("float32", largest))
    family = Family().task("A", {"w": run})
    yield valid("bfp-step-overflow", "the largest finite number in both steps", family)


def edge_cases() -> Iterator[Valid]:
    """Code integers at the edges of the dtypes."""
    some = [
        (s, m)
        for m in (1, 2, 3, 5, 255, 256, 257, 511, 512, 1023, 2047, 2048, 4095)
        for s in (0, 1)
    ]
    for dtype, (low, high) in {
        "float16": (-23, 16),
        "bfloat16": (-132, 128),
        "float32": (-148, 128),
        "float64": (-1073, 1024),
    }.items():
        family = Family()
        tensors = {}
        for e in (low, low + 1, low + 5, low + 9, high - 1, high):
            for form in ("low", "mid"):
                run = craft(dtype, some, [e], bits=12, reconstruct=form)
                tensors[f"{e} {form}"] = family.add(run)
            high_bits = [(s, (m << 12) + m) for s, m in some]
            tensors[f"{e} 24"] = family.add(craft(dtype, high_bits, [e], bits=24))
        text = "rounded once, ties to even: subnormals, and the largest number in place of infinity"
        yield valid(f"bfp-edges-{dtype}", text, family.task("A", tensors), {"planes": 5})


def compact_none() -> Valid:
    """Store a stream of no bytes in all ways."""
    family = Family(coding="raw", share=False)
    for _ in range(3):
        family.add(bfp("float32", [([9], [0x80000000] * 9)], bits=2, signs="compact"))
    draft = family.task("A", {f"w{i}": i for i in range(3)}).draft()
    signs = [i for i, chunk in enumerate(draft.chunks) if chunk.raw == 0]
    draft.chunks[signs[1]].coder, draft.chunks[signs[1]].fill = FILL, 0xFF
    draft.chunks[signs[2]].coder, draft.chunks[signs[2]].stored = ZSTD, compress(b"")
    text = "compact signs of no elements: a chunk of no bytes as raw, fill and zstd"
    return valid("bfp-compact-none", text, family, draft=draft)


def empties() -> Valid:
    """Code members of no elements and of one."""
    one = pattern_of("float32", -0.3)
    family = Family()
    for scope in ("tensor", "axis:-2", "block:4"):
        family.add(bfp("float32", [([0, 3], [])], bits=5, scope=scope))
    one_each: list[dict[str, Any]] = [{}, {"scope": "block:1"}, {"step": 0.25}]
    for keys in one_each:
        family.add(bfp("float32", [([], [one])], bits=5, **keys))
    family.task("A", {f"w{i}": i for i in range(6)})
    return valid("bfp-empty-and-scalar", "no elements: no rows; one element", family)


def dither_cases() -> Iterator[Valid]:
    """Code runs in pairs."""
    family = Family(layout=1)
    widths = {"A": 10, "B": 20, "C": 3}
    for name, bits in widths.items():
        members = [([4, 5], weights("float32", 20, name)), ([3], weights("float32", 3, name))]
        family.add(bfp("float32", members, bits=bits, scope="axis:0"))
        family.task(name, {"kernel": (len(family.runs) - 1, 0), "bias": (len(family.runs) - 1, 1)})
    family.pairs = [[0, 1, 2]]
    text = "three tasks in one group; with dither t is 14, then 3, and the last run is as it was"
    yield valid("bfp-dither-three", text, family, {"dither": True}, {"planes": 4})
    family = Family(layout=1)
    kinds: list[tuple[int, dict[str, Any]]]
    kinds = [(8, {}), (8, {"signs": "compact"}), (24, {}), (9, {})]
    for bits, keys in kinds:
        run = bfp("float16", [([19], weights("float16", 19, f"no {bits}"))], bits=bits, **keys)
        family.add(run)
    family.task("A", {"w": 0, "v": 2}).task("B", {"w": 1, "v": 3}).pairs = [[0, 1], [2, 3]]
    text = "pairs that dither cannot help: compact signs; 24 bits"
    yield valid("bfp-dither-none", text, family, {"dither": True})
    family = Family(layout=1)
    for bits, form in ((6, "mid"), (7, "mid")):
        values = weights("bfloat16", 24, f"mid {bits}")
        values[8:16] = [0] * 8 if bits == 6 else values[8:16]
        family.add(bfp("bfloat16", [([24], values)], bits=bits, scope="block:8", reconstruct=form))
    family.task("A", {"w": 0}).task("B", {"w": 1}).pairs = [[0, 1]]
    text = "dither adds no half unit, and a scope of zeros stays zero"
    yield valid("bfp-dither-mid", text, family, {"dither": True})


def block_cases() -> Iterator[Valid]:
    """Code runs of several blocks."""
    generator = random.Random("blocks")
    unit = [(generator.getrandbits(1), generator.choice([0, 1, 1, 2, 3])) for _ in range(64)]
    elements = (unit * 4097)[: 3 * 87400]
    axis = craft("float16", elements, [0, -2, ZEROS], (0, 1), [3, 87400], bits=2, scope="axis:0")
    yield valid(
        "bfp-blocks-axis",
        "a channel in two blocks, of different modes",
        Family().task("A", {"w": axis}),
    )
    block = craft("float16", elements, [0, -2, 3], bits=2, scope="block:131072", signs="compact")
    yield valid(
        "bfp-blocks-block",
        "each block has the exponents of the scopes that start in it",
        Family().task("A", {"w": block}),
    )


def cases() -> Iterator[Valid]:
    """All cases of this module."""
    yield from paper_cases()
    yield from width_cases()
    yield from form_cases()
    yield from edge_cases()
    yield from dither_cases()
    yield from block_cases()
