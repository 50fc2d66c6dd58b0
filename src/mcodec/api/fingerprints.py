"""What tells the part files of one packing from those of another: what they are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from blake3 import blake3

from mcodec.api.owners import OwnerSource
from mcodec.api.reopening import PathSource
from mcodec.api.scaleout import versions
from mcodec.api.sources import ArraySource
from mcodec.types import run_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mcodec.api.encode import RunEncoder
    from mcodec.api.planning import Coding, Place
    from mcodec.api.values import Values
    from mcodec.types import CodedStream


class Fingerprints:
    """Tells parts of the same bytes by what they are made of: sources, codecs, versions, layout.

    Parameters
    ----------
    values, codings, layout
        As in `Packing`.
    """

    def __init__(
        self, values: Values, codings: Sequence[Mapping[int, Coding]], layout: str
    ) -> None:
        self._values = values
        self._codings = codings
        self._begin = ["part 1", *versions(), layout]
        self._models: dict[int, str] = {}

    def of(self, groups: Sequence[Sequence[RunEncoder]]) -> str:
        """Return the fingerprint of a part."""
        return _digest([self._begin, [[self._run(one) for one in group] for group in groups]])

    def _run(self, encoder: RunEncoder) -> list[object]:
        plan = encoder.plan
        members = [self._place((plan.task, index)) for index in plan.members]
        bases = [[self._stood_on(place) for place in role] for role in plan.bases]
        geometry = [plan.dtype, plan.shapes, encoder.planes_only]
        return [plan.codec.config(), geometry, _streams(encoder.head_streams), members, bases]

    def _place(self, place: Place) -> list[object]:
        return [self._model(place[0]), place[1]]

    def _stood_on(self, place: Place) -> list[object]:
        """Say how a tensor decodes that others stand on."""
        tensor = self._values.spec(place)
        coding = self._codings[place[0]].get(place[1])
        if coding is None:
            return self._place(place)
        run = run_of(tensor.dtype, tensor.shape)
        _, head = coding.codec.encode_head(run, [coding.survey])
        below = [self._stood_on(base) for base in coding.bases]
        return [*self._place(place), coding.codec.config(), _streams(head), below]

    def _model(self, task: int) -> str:
        """Return what tells a source from another one."""
        if task not in self._models:
            self._models[task] = _digest(self._identity(self._values.models[task]))
        return self._models[task]

    def _identity(self, model: object) -> list[object]:
        if isinstance(model, PathSource):
            return model.identity()
        if isinstance(model, OwnerSource):
            return ["owners", [self._place(place) for place in model.masked]]
        assert isinstance(model, ArraySource)
        return ["arrays", *model.identity()]


def _streams(streams: Sequence[CodedStream]) -> list[object]:
    return [[one.coder, one.fill, one.raw, bytes(one.data)] for one in streams]


def _digest(what: object) -> str:
    return blake3(msgspec.msgpack.encode(what)).hexdigest()
