"""The links of a group, in the order in which people count."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from h5py import h5l

from mcodec.formats.hdf5_guards import invalid, link_name, over_limit
from mcodec.limits import MAX_SOURCE_OBJECTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from h5py import h5g

_DIGITS: Final = re.compile(r"([0-9]+)")


@dataclass(frozen=True, slots=True)
class Child:
    """One link of a group: the kind of the link, and where its object lies if it is a hard one."""

    name: str
    kind: int
    address: int


def children_of(gid: h5g.GroupID, path: str) -> Iterator[Child]:
    """Return the links of a group in the order in which people count."""
    found: list[tuple[bytes, int, int, int | None]] = []

    def add(raw: bytes, info: h5l.LinkInfo) -> bool | None:
        hard = info.type == h5l.TYPE_HARD
        order = info.corder if info.corder_valid else None
        found.append((raw, info.type, int(info.u) if hard else -1, order))
        return len(found) > MAX_SOURCE_OBJECTS or None  # to raise in here, h5py cannot bear

    # Not h5o.get_info: it visits the indexes of chunks, and crashes on a damaged one (HDF5 2.0.0).
    gid.links.iterate(add, info=True)
    if len(found) > MAX_SOURCE_OBJECTS:
        raise over_limit(f"the group {path!r} has more than {MAX_SOURCE_OBJECTS} links")
    if len({raw for raw, *_ in found}) != len(found):
        raise invalid(f"the group {path!r} has a name twice")
    tracked = all(order is not None for *_, order in found)
    found.sort(key=lambda link: link[3] or 0)
    children = [Child(link_name(raw), kind, at) for raw, kind, at, _ in found]
    if not tracked:
        children.sort(key=lambda child: natural_key(child.name))
    return iter(children)


def natural_key(name: str) -> tuple[object, ...]:
    """Return a key that sorts dense, dense_1, dense_2, dense_10 in this order."""
    parts = _DIGITS.split(name)
    numbers = [digits.lstrip("0") for digits in parts[1::2]]
    # The length of a number stands for its size: int() of endless digits is refused by Python.
    parts[1::2] = [f"{len(number):05d}{number}" for number in numbers]
    return (*parts, name)
