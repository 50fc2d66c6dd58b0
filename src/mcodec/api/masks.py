"""Which tensors are another one times a mask (Piggyback, PackNet; paper 001)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from mcodec.api.owners import OwnerSource, chain
from mcodec.api.runs import OWN_RUN
from mcodec.api.trial import sample
from mcodec.codec.mask import MaskCodec, zeros
from mcodec.codec.raw import RawCodec
from mcodec.engine import map_ordered

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from concurrent.futures import Executor

    from mcodec.api.planning import Place
    from mcodec.api.values import Values


@dataclass(frozen=True, slots=True)
class Masked:
    """How a tensor follows from its base.

    Attributes
    ----------
    base
        What it is the masked version of.
    zero
        ``plain`` or ``signed``: what stands where the mask is clear.
    owner, number, sharing
        The owner map that it shares with others, its number there, and how many share it.
    """

    base: Place
    zero: str
    owner: Place | None = None
    number: int = 0
    sharing: int = 1


def find_masked(
    values: Values,
    first: dict[Place, Place],
    free: Collection[Place],
    executor: Executor | None,
) -> dict[Place, Masked]:
    """Return the tensors that are their family's first one times a mask.

    Where the first one is itself a masked version of a later one, that one becomes the base of the
    family, and `first` is changed so. Three or more tensors of nested masks over one base share an
    owner map, which is added to the models of `values`.

    Parameters
    ----------
    values
        Of all tasks.
    first
        What `find_families` gave.
    free
        The tensors that may become masked ones.
    executor
        Who compares.
    """
    families: dict[Place, list[Place]] = {}
    for place, base in first.items():
        if values.spec(place).size >= OWN_RUN:
            families.setdefault(base, []).append(place)
    found: dict[Place, Masked] = {}
    for base, places in families.items():
        root = _root(values, base, places) if base in free else base
        if root != base:
            del first[root]
            first.update(dict.fromkeys([base, *(place for place in places if place != root)], root))
        others = [place for place in [base, *places] if place != root]
        kinds = map_ordered(executor, partial(_fits, values, root), others)
        masked = {
            place: Masked(root, zero) for place, zero in zip(others, kinds, strict=True) if zero
        }
        found |= _share(values, masked)
    return found


def _root(values: Values, base: Place, places: list[Place]) -> Place:
    """Return the member of a family that the first one is a masked version of, if there is one."""
    for place in places:
        if _fits(values, place, base):
            base = place
    return base


def _fits(values: Values, base: Place, place: Place) -> str | None:
    """Tell whether a tensor is its base times a mask, and what its zeros are."""
    kinds: tuple[str, ...] | None = None
    for own, below in zip(values.blocks(place), values.blocks(base), strict=True):
        found = zeros(own, below)
        kinds = found if kinds is None else tuple(set(kinds).intersection(found))
        if not kinds:
            return None
    return min(kinds) if kinds else None


def _share(values: Values, masked: Mapping[Place, Masked]) -> dict[Place, Masked]:
    """Give tensors of nested masks one owner map instead of a mask each, where that is smaller."""
    ordered = chain(values, list(masked)) if 2 <= len(masked) < 255 else None
    if ordered is None or len({one.zero for one in masked.values()}) > 1:
        return dict(masked)
    owner = (len(values.models), 0)
    values.models.append(OwnerSource(values, ordered))
    alone = sum(
        sample(values, [place]).cost(MaskCodec(None, one.zero), [[one.base]])
        for place, one in masked.items()
    )
    if sample(values, [owner]).cost(RawCodec()) >= alone:
        values.models.pop()
        return dict(masked)
    return {
        place: replace(masked[place], owner=owner, number=number, sharing=len(ordered))
        for number, place in enumerate(ordered, 1)
    }
