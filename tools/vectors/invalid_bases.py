"""Invalid vectors: runs that stand on other runs (container.md 2, rules 6, 9 and 12, section 8)."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from vectors.cases import Invalid
from vectors.crafted import crafted, pinned
from vectors.family import Family
from vectors.models import Run, float_, pattern_of, raw, spread, to_bytes
from vectors.writer import PROGRESSIVE, Draft, Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHAPES = [[2, 2], [3]]
OWNERS = [bytes([1, 2, 0, 1]), bytes([2, 1, 1])]
WEIGHTS = [[1.0, -2.0, 3.0, -4.0], [0.5, -0.25, 0.125]]
LOWER, OWNER, UPPER, OTHER = 0, 1, 2, 3  # the runs of `stack`


def members(dtype: str) -> list[tuple[list[int], list[int]]]:
    """Give the weights as members."""
    return [
        (shape, [pattern_of(dtype, w) for w in weights])
        for shape, weights in zip(SHAPES, WEIGHTS, strict=True)
    ]


def owned() -> Run:
    """Make a run of what task 1 owns of run 0, the owners in run 1."""
    base, owners = spread(members("float32")), bytearray(11)
    owners[0:4], owners[8:11] = OWNERS
    kept = [p if owner == 1 else 0 for p, owner in zip(base, owners, strict=True)]
    roles = [[(LOWER, 0), (LOWER, 1)], [(OWNER, 0), (OWNER, 1)]]
    config = {"id": "mask", "owner": 1}
    return crafted(config, "float32", SHAPES, [], roles=roles, decoded=to_bytes(kept, 32))


def stack(layout: int = 0) -> Draft:
    """Make a base, its owners, what one of them owns, and the base in another dtype."""
    family = Family(layout=layout, coding="raw")
    family.add(float_("float32", members("float32")))
    family.add(raw("uint8", 1, list(zip(SHAPES, OWNERS, strict=True))))
    family.add(owned())
    family.add(float_("bfloat16", members("bfloat16")))
    return family.task("A", {"w": (UPPER, 0), "b": (UPPER, 1)}).draft()


def changed(change: Callable[[list[Any]], object], *, pin: bool = True) -> bytes:
    """Build `stack` with the runs of its manifest changed, and the pin right again."""
    draft = stack()
    draft.manifest = copy.deepcopy(draft.manifest)
    change(draft.manifest["runs"])
    return (pinned(draft, UPPER) if pin else draft).build()


def bases(value: object) -> bytes:
    """Build `stack` with another seventh item."""

    def change(runs: list[Any]) -> None:
        runs[UPPER][6] = value

    return changed(change, pin=False)


def places(role: int, index: int, *place: Any, pin: bool = True) -> bytes:
    """Build `stack` with another place in a role."""

    def change(runs: list[Any]) -> None:
        runs[UPPER][6][1][role][index] = place

    return changed(change, pin=pin)


def type_cases() -> Iterator[Invalid]:
    """Break the form of the seventh item (rule 6), and its fit to the codec (rule 9)."""
    bad = "manifest_invalid"
    good = stack().manifest["runs"][UPPER][6]
    forms: list[tuple[str, str, object]] = [
        ("null", "bases are null", None),
        ("object", "bases are an object", {"pin": good[0], "roles": good[1]}),
        ("pin-null", "a pin is null", [None, good[1]]),
        ("pin-short", "a pin of 63 digits", [good[0][1:], good[1]]),
        ("pin-upper", "a pin in upper case", [good[0].upper(), good[1]]),
        ("three", "bases of three items", [*good, 0]),
        ("one", "a pin alone", good[:1]),
        ("place-three", "a place of three items", [good[0], [[[0, 0, 0], [0, 1]], good[1][1]]]),
        ("place-true", "true is no integer", [good[0], [[[0, 0], [0, True]], good[1][1]]]),
        ("place-run", "a place is a run alone", [good[0], [[0, 0], good[1][1]]]),
        ("no-roles", "no roles", [good[0], []]),
    ]
    for name, text, value in forms:
        yield Invalid(f"bases-{name}", bad, text, bases(value))
    yield Invalid("bases-missing", bad, "no bases", changed(lambda r: r[UPPER].pop(), pin=False))
    text = "an eighth item"
    yield Invalid("bases-eight", bad, text, changed(lambda r: r[UPPER].append(None), pin=False))
    text = "bases of a codec that stands on nothing"
    roles = [list(good[1][0])]
    value = [good[0], roles]
    yield Invalid("bases-of-float", bad, text, changed(lambda r: r[OTHER].append(value)))
    text = "the same without roles"
    yield Invalid(
        "bases-of-float-none", bad, text, changed(lambda r: r[LOWER].append(["0" * 64, []]))
    )
    for name, text, count in (("role-less", "a role less", 1), ("role-more", "a role more", 3)):
        roles = [*good[1], good[1][0]][:count]

        def with_roles(runs: list[Any], roles: list[Any] = roles) -> None:
            runs[UPPER][6][1] = roles

        yield Invalid(f"bases-{name}", bad, text, changed(with_roles))
    text = "a place less than members"
    yield Invalid("bases-place-less", bad, text, changed(lambda r: r[UPPER][6][1][1].pop()))
    text = "a place more than members"
    more = changed(lambda r: r[UPPER][6][1][0].append((LOWER, 1)))
    yield Invalid("bases-place-more", bad, text, more)


def place_cases() -> Iterator[Invalid]:
    """Break what the places name, and the pin (rule 9)."""
    bad = "manifest_reference"
    for name, text, place in (
        ("run", "a run that is not there", (4, 0)),
        ("run-negative", "run -4", (-4, 0)),
        ("run-huge", "run 2^63", (2**63, 0)),
        ("member", "a member that is not there", (LOWER, 2)),
        ("member-negative", "member -2", (LOWER, -2)),
    ):
        yield Invalid(f"bases-{name}", bad, text, places(0, 0, *place, pin=False))
    text = "a base of another dtype"
    yield Invalid("bases-dtype", bad, text, places(0, 0, OTHER, 0))
    yield Invalid("bases-shape", bad, "a base of another shape", places(0, 0, LOWER, 1))
    text = "owners of another shape, with as many elements"
    yield Invalid(
        "bases-shape-owners", bad, text, changed(lambda r: r[OWNER].__setitem__(2, [[4], [3]]))
    )
    text = "owners that are int8"
    yield Invalid(
        "bases-dtype-owners", bad, text, changed(lambda r: r[OWNER].__setitem__(1, "int8"))
    )
    yield Invalid("bases-itself", bad, "a run on itself", places(0, 0, UPPER, 0))
    draft = stack()
    upper = copy.deepcopy(draft.manifest["runs"][UPPER])
    upper[6][1][0] = [(UPPER, 0), (UPPER, 1)]
    draft.manifest["runs"].append(upper)
    text = "a run on a run with bases"
    yield Invalid("bases-chain", bad, text, pinned(draft, 4).build())
    good = stack().manifest["runs"][UPPER][6]
    yield Invalid("bases-pin", bad, "another pin", bases(["0" * 64, good[1]]))
    text = "the pin of another order of roles"
    draft = stack()
    draft.manifest["runs"][UPPER][6][1].reverse()
    wrong = pinned(draft, UPPER).manifest["runs"][UPPER][6][0]
    yield Invalid("bases-pin-order", bad, text, bases([wrong, good[1]]))
    text = "the base was made again, and has another digest"
    yield Invalid(
        "bases-pin-stale",
        bad,
        text,
        changed(lambda r: r[LOWER].__setitem__(3, "0" * 64), pin=False),
    )


def decoded_cases() -> Iterator[Invalid]:
    """Break the budget (rule 12), claim much without rows, and cut a file off (section 8)."""
    family, count, block = Family(), 520, 2**18
    shapes = [[1], [2 * block - 16], [1]]  # the last one lies in the second block
    family.add(raw("float64", 8, [(shape, bytes(8 * shape[0])) for shape in shapes]))
    roles = [[(0, 2 * (i % 2)) for i in range(count)]]
    streams = [Stream("mask", bytes(count))]
    run = crafted({"id": "mask"}, "float64", [[1]] * count, streams, roles=roles)
    draft = family.task("A", {"w": run}).draft()
    text = "a few elements on 520 blocks of 2 MiB: two blocks in turn count each time"
    yield Invalid("bases-decoded", "decoded_too_large", text, draft.build())
    config = {"id": "mask", "owner": 1}
    run = crafted(config, "float32", [[0]], [], roles=[[(1, 0)], [(2, 0)]])
    below = [raw("float32", 4, [([0], b"")]), raw("uint8", 1, [([0], b"")])]
    family = Family()
    for other in (run, *below):
        family.add(other)
    draft = family.task("A", {"w": (0, 0)}).draft()
    for item in draft.manifest["runs"]:
        item[2] = [[2**40]]
    text = "2^22 blocks without rows, whose base comes later and has none"
    yield Invalid("bases-claimed", "decoded_too_large", text, draft.build())
    text = "a run on another run that no task names"
    draft = stack()
    draft.manifest["tasks"][0]["tensors"] = []
    yield Invalid("bases-nobody", "manifest_reference", text, draft.build())
    draft = stack(PROGRESSIVE)
    whole = draft.build()
    text = "a run with bases in a progressive file that is cut off"
    yield Invalid("bases-cut-off", "file_truncated", text, whole[:-1], partial=True)


def cases() -> Iterator[Invalid]:
    """All cases of this module."""
    for group in (type_cases, place_cases, decoded_cases):
        yield from group()
