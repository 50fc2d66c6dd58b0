"""What a vector is: bytes, and what a reader must make of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vectors.family import Family
    from vectors.writer import Draft


@dataclass
class Valid:
    """A file that every reader decodes; `derived` lists decodes other than the canonical one."""

    name: str
    shows: str
    data: bytes
    tasks: dict[str, Any]
    derived: list[dict[str, Any]] = field(default_factory=list)
    partial: bool = False

    def entry(self) -> dict[str, Any]:
        """Give what the manifest of the vectors says of the file, but for its hash."""
        entry: dict[str, Any] = {"shows": self.shows}
        entry |= {"partial": True} if self.partial else {}
        entry["tasks"] = self.tasks
        return entry | ({"derived": self.derived} if self.derived else {})


@dataclass
class Invalid:
    """A file that every reader refuses, with this reason code."""

    name: str
    code: str
    shows: str
    data: bytes
    partial: bool = False

    def entry(self) -> dict[str, Any]:
        """Give what the manifest of the vectors says of the file, but for its hash."""
        entry: dict[str, Any] = {"shows": self.shows}
        return entry | ({"partial": True} if self.partial else {}) | {"code": self.code}


def valid(
    name: str,
    shows: str,
    family: Family,
    *asks: dict[str, Any],
    draft: Draft | None = None,
) -> Valid:
    """Make a vector of a family; `asks` are the derived decodes that are pinned."""
    derived = []
    for ask in asks:
        planes, mid, dither = ask.get("planes"), ask.get("mid"), ask.get("dither", False)
        tasks = family.expected(planes, mid, dither)
        derived.append({"planes": planes, "midpoint": mid, "dither": dither, "tasks": tasks})
    data = (draft or family.draft()).build()
    return Valid(name, shows, data, family.expected(), derived)


def cut_off(name: str, shows: str, family: Family, size: int) -> Valid:
    """Make a progressive file that is cut off after `size` bytes."""
    ends = family.draft().level_ends()
    level = min(number for number, end in ends.items() if end > size) - 1
    data = family.draft().build()[:size]
    return Valid(name, shows, data, family.expected(planes=level, held=True), partial=True)
