"""Which tensors are equal, bit for bit, and are stored once (design, section 4: alias)."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Final

from blake3 import blake3

from mcodec.api.planning import numbered
from mcodec.api.runs import OWN_RUN
from mcodec.engine import map_ordered

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence
    from concurrent.futures import Executor

    from mcodec.api.planning import Place
    from mcodec.api.values import Values
    from mcodec.codec.base import Codec

# Elements at the start that tell most tensors apart; what lies further behind costs a whole tensor
# to read where it is deflated.
_PROBE: Final = 512
_GLANCE: Final = 64  # the same of small ones, which are soon read to their end
# Bytes of small tensors from which it pays to part them from those of one task only: a shared run
# of their own costs some rows, and a place in the manifest.
_WORTH: Final = 1024


def find_equal(
    values: Values, codecs: Mapping[Place, Codec], executor: Executor | None
) -> dict[Place, Place]:
    """Return the tensors that equal an earlier one: place to the place of the first.

    Parameters
    ----------
    values
        Of all tasks.
    codecs
        The places in question, in order, with their codecs: those of equal tensors are the same.
    executor
        Who reads and hashes.
    """
    numbers = numbered(codecs.values())
    places = list(codecs)
    keys = [
        (numbers[id(codec)], tensor.dtype, tensor.shape) if tensor.size else place
        for (place, codec), tensor in zip(codecs.items(), values.specs(places), strict=True)
    ]
    same = _grouped(places, keys)
    for look in (_probed, _hashed):
        # Model after model: thousands of them are not open at once.
        found = look(values, sorted(chain.from_iterable(same)), executor)
        parted = [_grouped(group, map(found.__getitem__, group)) for group in same]
        same = list(chain.from_iterable(parted))
    equal = {place: group[0] for group in same for place in group[1:]}
    return _without_trifles(values, equal)


def _grouped(places: Sequence[Place], keys: Iterable[Hashable]) -> list[list[Place]]:
    """Return the places that share a key with another, in order."""
    groups: defaultdict[Hashable, list[Place]] = defaultdict(list)
    for place, key in zip(places, keys, strict=True):
        groups[key].append(place)
    return [group for group in groups.values() if len(group) > 1]


def _probed(
    values: Values, places: Sequence[Place], executor: Executor | None
) -> dict[Place, bytes]:
    """Return what tensors begin with; where files are here, before a worker could be asked."""
    here = {task: values.are_here(task) for task in {task for task, _ in places}}
    far = [place for place in places if not here[place[0]]]
    small, others = values.parted([place for place in places if here[place[0]]])
    found = {place: _probe(values, place) for place in others}
    for some, arrays in values.read_smalls(small):
        found.update(zip(some, [array[:_GLANCE].tobytes() for array in arrays], strict=True))
    found.update(zip(far, map_ordered(executor, partial(_probe, values), far), strict=True))
    return found


def _hashed(
    values: Values, places: Sequence[Place], executor: Executor | None
) -> dict[Place, bytes]:
    found = map_ordered(executor, partial(hash_values, values), places, small=values.is_small)
    return dict(zip(places, found, strict=True))


def _probe(values: Values, place: Place) -> bytes:
    """Return a tensor's first elements."""
    return values.read(place, 0, min(values.spec(place).size, _PROBE)).tobytes()


def hash_values(values: Values, place: Place) -> bytes:
    """Return the BLAKE3 digest of a tensor's bytes."""
    hasher = blake3()
    for block in values.blocks(place):
        hasher.update(block.view("u1").data)
    return hasher.digest()


def _without_trifles(values: Values, equal: Mapping[Place, Place]) -> dict[Place, Place]:
    """Leave small tensors of several tasks apart where sharing them costs more than it saves."""
    users = users_of(equal)
    saved: dict[Hashable, int] = {}
    for place, first in equal.items():
        tensor = values.spec(place)
        key = (tensor.dtype, users[first])
        saved[key] = saved.get(key, 0) + tensor.nbytes
    return {
        place: first
        for place, first in equal.items()
        if values.spec(place).size >= OWN_RUN
        or len(users[first]) == 1
        or saved[values.spec(place).dtype, users[first]] >= _WORTH
    }


def users_of(equal: Mapping[Place, Place]) -> dict[Place, tuple[int, ...]]:
    """Return the tasks that name each tensor that others equal."""
    users: dict[Place, set[int]] = {}
    for place, first in equal.items():
        users.setdefault(first, {first[0]}).add(place[0])
    return {first: tuple(sorted(tasks)) for first, tasks in users.items()}


def chosen_first(
    equal: Mapping[Place, Place], ties: Sequence[Mapping[int, int]]
) -> dict[Place, Place]:
    """Return where every tensor is stored that is not stored itself.

    Parameters
    ----------
    equal
        What `find_equal` found among tensors that are the first of their ties.
    ties
        By task the tensors that the source has as one array with an earlier one.
    """
    stored = dict(equal)
    for task, own in enumerate(ties):
        for index, first in own.items():
            place = (task, first)
            stored[task, index] = equal.get(place, place)
    return stored
