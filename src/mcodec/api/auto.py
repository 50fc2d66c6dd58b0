"""`--codec auto`: for each tensor the smallest lossless codec (design, section 7).

Two costs are counted for each choice: what one task has to read for the tensor, all that it stands
on included, and what it adds to the file. ``load`` takes the least of the first, ``file`` the least
of the second; where two are equal the other cost decides, then the order float, csr, mask, delta.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mcodec.allowance import BLOCKS
from mcodec.api.ceiling import largest_block
from mcodec.api.choosing import cut
from mcodec.api.runs import OWN_RUN
from mcodec.api.trial import SPARSE, Sample, Thinned, sample, sparse_of
from mcodec.codec.csr import CsrCodec
from mcodec.codec.delta import DeltaCodec
from mcodec.codec.float import FloatCodec
from mcodec.codec.mask import MaskCodec
from mcodec.codec.raw import RawCodec
from mcodec.engine import map_ordered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Executor

    from mcodec.api.masks import Masked
    from mcodec.api.planning import Place
    from mcodec.api.values import Values
    from mcodec.codec.base import Codec

# Elements of a tensor that are tried. A sparse one is easily told; what a delta saves is less sure,
# and who wants the smallest file has time.
_TRIED: Final = {"load": 1 << 14, "file": 1 << 18}
_CLEAR: Final = 0.75  # of the next best's cost, from which on pieces do not say enough
_RUN: Final = 256  # bytes of rows and manifest that parting small tensors from the others costs


@dataclass(frozen=True, slots=True)
class Cost:
    """What a codec costs for a tensor, in bytes: for one task to read, and in the file."""

    read: int
    file: int


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen for a tensor, or for small tensors of one kind together, and why.

    Attributes
    ----------
    places
        The tensors.
    codec, bases
        What codes them; what each stands on, one place a role.
    costs
        By codec id, of all that were tried, as measured on some blocks; empty where there was but
        one to take.
    """

    places: tuple[Place, ...]
    codec: Codec
    bases: tuple[tuple[Place, ...], ...]
    costs: Mapping[str, Cost]


@dataclass(frozen=True, slots=True)
class _Candidate:
    codec: Codec
    roles: tuple[tuple[Place, ...], ...] = ()  # for each role what each place stands on
    beside: Cost = Cost(0, 0)


class _Group(NamedTuple):
    """Tensors that get one codec; `plain` says that there is but one for them."""

    places: tuple[Place, ...]
    plain: bool


class Chooser:
    """Tries codecs on samples of tensors.

    Parameters
    ----------
    values
        Of all tasks.
    first
        Tensors to the earlier one that each may be told from; empty for ``load``.
    masked
        Those of them that are it times a mask.
    optimize
        ``load`` or ``file``.
    """

    def __init__(
        self,
        values: Values,
        first: Mapping[Place, Place],
        masked: Mapping[Place, Masked],
        optimize: str,
    ) -> None:
        self._values = values
        self._thin = Thinned(values, _TRIED[optimize])
        self._first = first
        self._masked = masked
        self._optimize = optimize
        self._read: dict[Place, int] = {}  # what reading a tensor costs that others stand on

    def choose(self, free: Sequence[Place], executor: Executor | None) -> list[Choice]:
        """Return what is chosen for these tensors, those that others stand on first."""
        choices: list[Choice] = []
        later = [place for place in free if place in self._first]
        before = [place for place in free if place not in self._first] if later else free
        for places in (before, later):
            groups = self._together(places)
            found = list(map_ordered(executor, self._choose, groups, cost=self._held))
            for choice in found:
                if choice.costs:
                    read = choice.costs[choice.codec.codec_id].read
                    for place in choice.places:  # of small tensors together, each its share
                        self._read[place] = read // len(choice.places)
            choices += found
        return choices

    def _together(self, places: Sequence[Place]) -> list[_Group]:
        """Put small tensors of one task and kind together, as they will lie in one run."""
        groups: dict[tuple[Any, ...], list[Place]] = {}
        specs = self._values.specs(places)
        small = [place for place, spec in zip(places, specs, strict=True) if spec.size < OWN_RUN]
        sparse = sparse_of(self._values, small)
        for place, tensor in zip(places, specs, strict=True):
            if tensor.size >= OWN_RUN:
                groups[place] = [place]
                continue
            base = self._first.get(place)
            kind = (tensor.dtype, place[0], place in sparse, None if base is None else base[0])
            groups.setdefault(kind, []).append(place)
        return [
            _Group(tuple(group), plain=kind[2:] == (False, None)) for kind, group in groups.items()
        ]

    def _held(self, group: _Group) -> int:
        """Return about how many bytes a choice holds: some blocks, and one of them in work."""
        return (4 + BLOCKS) * largest_block(self._values.specs(group.places))

    def _choose(self, group: _Group) -> Choice:
        places = group.places
        if group.plain:
            return Choice(places, FloatCodec(), ((),) * len(places), {})
        tried = sample(self._thin, places)
        candidates = self._candidates(tried)
        costs = self._costs(tried, candidates)
        if tried.weight > 1 and self._is_close(costs):
            costs = self._costs(sample(self._values, places), candidates)
        best = candidates[min(costs, key=lambda name: self._rank(costs[name]), default="float")]
        bases = tuple(zip(*best.roles, strict=True)) if best.roles else ((),) * len(places)
        return Choice(places, best.codec, bases, costs)

    def _costs(self, tried: Sample, candidates: Mapping[str, _Candidate]) -> dict[str, Cost]:
        """Return what each candidate costs; nothing where there is but one."""
        costs = {}
        for name, candidate in candidates.items() if len(candidates) > 1 else ():
            own = tried.cost(candidate.codec, candidate.roles)
            costs[name] = Cost(own + candidate.beside.read, own + candidate.beside.file)
        return costs

    def _is_close(self, costs: Mapping[str, Cost]) -> bool:
        """Tell whether pieces of a tensor may mislead: rows that repeat are not seen in them."""
        best, *others = sorted(map(self._rank, costs.values())) or [(0, 0)]
        return any(best[0] > _CLEAR * other[0] for other in others)

    def _rank(self, cost: Cost) -> tuple[int, int]:
        pair = (cost.read, cost.file)
        return pair if self._optimize == "load" else pair[::-1]

    def _candidates(self, tried: Sample) -> dict[str, _Candidate]:
        places = tried.places
        found = {"float": _Candidate(FloatCodec())}
        parting = Cost(_RUN, _RUN) if len(places) > 1 else Cost(0, 0)
        if tried.zeros >= SPARSE:
            rank = min(len(self._values.spec(place).shape) for place in places)
            codec = cut(CsrCodec(FloatCodec()), self._values.models[places[0][0]].format, rank)
            found["csr"] = _Candidate(codec, (), parting)
        if len(places) == 1 and places[0] in self._masked:
            found["mask"] = self._mask(self._masked[places[0]])
        elif all(place in self._first for place in places):
            bases = tuple(self._first[place] for place in places)
            read = sum(self._base_cost(base) for base in bases)
            beside = Cost(read + parting.read, parting.file)
            found["delta"] = _Candidate(DeltaCodec(), (bases,), beside)
        return found

    def _mask(self, masked: Masked) -> _Candidate:
        base = self._base_cost(masked.base)
        if masked.owner is None:
            return _Candidate(MaskCodec(None, masked.zero), ((masked.base,),), Cost(base, 0))
        owners = sample(self._thin, [masked.owner]).cost(RawCodec())
        share = Cost(base + owners, owners // masked.sharing)
        roles = ((masked.base,), (masked.owner,))
        return _Candidate(MaskCodec(masked.number, masked.zero), roles, share)

    def _base_cost(self, base: Place) -> int:
        """Return what reading a base costs; one that is not free to choose, as float."""
        if base not in self._read:
            self._read[base] = sample(self._thin, [base]).cost(FloatCodec())
        return self._read[base]
