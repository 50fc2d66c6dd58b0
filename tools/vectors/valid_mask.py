"""Valid vectors of the codec `mask`."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from vectors.bfp import BLOCK, bfp
from vectors.cases import Valid, valid
from vectors.family import Family
from vectors.models import Run, float_, pattern_of, plane, raw, starts, to_bytes
from vectors.valid_bfp import weights
from vectors.writer import Stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vectors.delta import Places

SIZES = {
    **dict.fromkeys(["bool", "int8", "float8_e5m2", "V1"], 1),
    **dict.fromkeys(["float16", "bfloat16", "uint16", "V2"], 2),
    **dict.fromkeys(["float32", "int32", "V4"], 4),
    **dict.fromkeys(["float64", "complex64", "uint64", "V8"], 8),
}
SIGNED = ("float16", "bfloat16", "float32", "float64")


def under(
    family: Family,
    dtype: str,
    shapes: list[list[int]],
    bits: list[int],
    roles: list[Places],
    **config: Any,
) -> Run:
    """Make a run of a base under a mask, of one bit for each element of the run."""
    size = SIZES[dtype]
    places = starts(shapes)
    out = bytearray(places[-1] * size)
    for i, (run, member) in enumerate(roles[0]):
        below = family.runs[run].member(member, family.runs[run].decode())
        for j in range(len(below) // size):
            item = below[j * size : (j + 1) * size]
            if not bits[places[i] + j]:
                item = bytes(size - 1) + bytes([item[-1] & 0x80 if "zero" in config else 0])
            out[(places[i] + j) * size : (places[i] + j + 1) * size] = item
    blocks = [
        (0, [] if "owner" in config else [Stream("mask", plane(bits[at : at + BLOCK], 0))])
        for at in range(0, places[-1], BLOCK)
    ]
    whole = bytes(out)
    decode = lambda *_, **__: whole  # noqa: E731 - one bytes, whatever is asked
    config = {"id": "mask", **config}
    return Run(config, dtype, size, shapes, [], blocks, decode, roles=roles)


def owned(
    family: Family, dtype: str, shapes: list[list[int]], roles: list[Places], **config: Any
) -> Run:
    """Make a run of a base and of owners."""
    places = starts(shapes)
    bits = [0] * places[-1]
    for i, (run, member) in enumerate(roles[1]):
        owners = family.runs[run].member(member, family.runs[run].decode())
        for j, owner in enumerate(owners):
            bits[places[i] + j] = int(1 <= owner <= config["owner"])
    return under(family, dtype, shapes, bits, roles, **config)


def bytes_of(dtype: str, count: int, seed: str) -> bytes:
    """Give any elements of a dtype."""
    generator = random.Random(seed)
    if dtype == "bool":
        return bytes(generator.getrandbits(1) for _ in range(count))
    return generator.randbytes(count * SIZES[dtype])


def bits_of(count: int, seed: str) -> list[int]:
    """Give bits of a mask."""
    generator = random.Random(seed)
    return [generator.getrandbits(1) for _ in range(count)]


def worked() -> Valid:
    """Code the example of the page."""
    family = Family(coding="raw")
    base = [pattern_of("float32", v) for v in (1.0, -0.5, 0.25)]
    family.task("A", {"w": float_("float32", [([3], base)])})
    family.task("B", {"w": under(family, "float32", [[3]], [1, 0, 1], [[(0, 0)]])})
    return valid("mask-float32", "the worked example of codecs/mask.md", family)


def dtype_cases() -> Iterator[Valid]:
    """All sizes, and signed zeros."""
    family = Family()
    tensors, masked = {}, {}
    for dtype, size in SIZES.items():
        base = raw(dtype, size, [([5, 7], bytes_of(dtype, 35, f"mask {dtype}"))])
        tensors[dtype] = family.add(base)
        roles = [[(tensors[dtype], 0)]]
        kinds: list[dict[str, Any]] = [{}, {"zero": "signed"}] if dtype in SIGNED else [{}]
        for keys in kinds:
            run = under(family, dtype, [[5, 7]], bits_of(35, dtype), roles, **keys)
            masked[" ".join([dtype, *keys.values()])] = family.add(run)
    family.task("A", tensors).task("B", masked)
    text = "elements of any bits and of 1, 2, 4 and 8 bytes; signed zeros keep the base's sign"
    yield valid("mask-dtypes", text, family, {"planes": 1})


def shared_cases() -> Iterator[Valid]:
    """Several members, other places, owners, a lossy base, no elements and one."""
    shapes = [[3, 5], [0, 4], [], [2, 7]]
    values = [weights("float32", max(n, 2), f"mask base {n}")[:n] for n in (15, 0, 1, 14)]
    members = list(zip(shapes, values, strict=True))
    owners = [([*shape], bytes(i % 5 for i in range(len(v)))) for shape, v in members]
    family = Family()
    family.add(float_("float32", [members[3], members[0]]))
    family.add(float_("float32", [members[2], members[1]]))
    family.add(raw("uint8", 1, owners))
    base = [(0, 1), (1, 1), (1, 0), (0, 0)]
    count = starts(shapes)[-1]
    bits = bits_of(count, "mask shared")
    family.add(under(family, "float32", shapes, bits, [base]))
    roles = [base, [(2, m) for m in range(4)]]
    for t in (1, 2, 4, 255):
        family.add(owned(family, "float32", shapes, roles, owner=t))
    family.add(owned(family, "float32", shapes, roles, owner=2, zero="signed"))
    family.task("A", {f"w{i}": place for i, place in enumerate(base)})
    for i, name in enumerate("BCDEFG"):
        family.task(name, {f"w{m}": (3 + i, m) for m in range(4)})
    text = "members whose bases lie elsewhere, gaps that the mask says are set, and owners 0 to 4"
    yield valid("mask-shared", text, family, {"planes": 3})
    family = Family()
    run = bfp("float32", [([45], weights("float32", 45, "mask lossy"))], bits=4)
    family.task("A", {"w": run})
    mask = under(family, "float32", [[45]], bits_of(45, "lossy"), [[(0, 0)]], zero="signed")
    family.task("B", {"w": mask})
    text = "the base is a lossy run: its canonical decode counts, also with fewer planes"
    yield valid("mask-lossy-base", text, family, {"planes": 2})


def block_cases() -> Iterator[Valid]:
    """Code several blocks, with a mask and with owners."""
    size = 2**18 + 777
    unit = weights("float16", 64, "mask blocks")
    base = (unit * 4200)[:size]
    family = Family()
    family.add(raw("float16", 2, [([9], to_bytes(unit[:9], 16)), ([size], to_bytes(base, 16))]))
    family.add(raw("uint8", 1, [([size], bytes((0, 1, 2, 3, 200) * 53000)[:size])]))
    bits = (bits_of(96, "mask blocks") * 2740)[:size]
    roles = [[(0, 1)], [(1, 0)]]
    family.task("A", {"w": (0, 1)})
    family.task("B", {"w": under(family, "float16", [[size]], bits, roles[:1])})
    family.task("C", {"w": owned(family, "float16", [[size]], roles, owner=2)})
    text = "two blocks, whose base starts elsewhere in its run; owners need no rows"
    yield valid("mask-blocks", text, family)


def cases() -> Iterator[Valid]:
    """All cases of this module."""
    yield worked()
    yield from dtype_cases()
    yield from shared_cases()
    yield from block_cases()
