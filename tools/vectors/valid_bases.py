"""Valid vectors of runs on other runs: how the decoded budget counts what is below."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectors.cases import Valid, valid
from vectors.crafted import crafted
from vectors.family import Family
from vectors.models import raw
from vectors.writer import Stream

if TYPE_CHECKING:
    from collections.abc import Iterator


def cases() -> Iterator[Valid]:
    """All cases of this module."""
    family, count, block = Family(), 520, 2**18
    shapes = [[1], [0], [block - 16]]
    family.add(raw("float64", 8, [(shape, bytes(8 * shape[0])) for shape in shapes]))
    members = [[1], [0]] * count
    roles = [[(0, i % 2) for i in range(2 * count)]]
    streams = [Stream("mask", bytes(count))]
    index = family.add(crafted({"id": "mask"}, "float64", members, streams, roles=roles))
    family.task("A", {f"w{i}": (index, i) for i in range(2 * count)})
    text = "520 members on one block of 2 MiB, which counts once; members of no elements between"
    yield valid("bases-budget", text, family)
