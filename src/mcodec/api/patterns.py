"""Tensors chosen by shell patterns of their names."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


def choose_by_name(
    names: Mapping[int, Sequence[str]],
    include: Sequence[str],
    exclude: Sequence[str],
    warn: Callable[[str], None],
    what: str,
) -> list[int]:
    """Return those that one of `include` matches, if there are any, and none of `exclude`.

    Parameters
    ----------
    names
        By tensor all its names; with several, one that matches is enough.
    include, exclude
        Shell patterns.
    warn
        Called with a line for each pattern that matches nothing.
    what
        What a pattern should have matched: ``weight``.
    """
    for pattern in dict.fromkeys([*include, *exclude]):
        if not any(_matches(own, [pattern]) for own in names.values()):
            warn(f"the pattern {pattern!r} matches no {what}")
    return [
        index
        for index, own in names.items()
        if (not include or _matches(own, include)) and not _matches(own, exclude)
    ]


def _matches(names: Iterable[str], patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)
