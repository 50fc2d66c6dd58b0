"""The work of `plan`: codecs tried at steps, models decoded so, and files measured unwritten."""

from __future__ import annotations

import glob
import math
import struct
from typing import TYPE_CHECKING, Any, Final

from mcodec.api.packing import Packing
from mcodec.api.planmodes import Known, Pick, pick
from mcodec.api.planning import Coding, Options
from mcodec.api.planweights import find_weights
from mcodec.api.progress import no_progress
from mcodec.api.values import Values
from mcodec.codec.float import FloatCodec
from mcodec.codec.planfile import Plan
from mcodec.engine import map_ordered
from mcodec.types import FLOATS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    from numpy.typing import NDArray

    from mcodec.api.packreport import Measured
    from mcodec.api.planning import Place
    from mcodec.codec.base import Codec
    from mcodec.formats.base import TensorSource

_SMALLEST: Final = 2.0**-126  # positive normal float32s, as steps have to be
_LARGEST: Final = 2.0**127


class Planner:
    """One call of `plan`: what is picked for each weight, and what comes of it.

    Parameters
    ----------
    names, models
        The tasks.
    include, exclude
        Patterns of the weights that may become lossy.
    executor
        Threads, or None.
    """

    def __init__(
        self,
        names: Sequence[str],
        models: Sequence[TensorSource],
        include: Sequence[str],
        exclude: Sequence[str],
        executor: Executor | None,
    ) -> None:
        self.names = names
        self.models = list(models)
        self.warnings: list[str] = []
        self.executor = executor
        self._codings: list[dict[int, Coding]] = [{} for _ in models]
        self._values = Values(self.models, self._codings)
        self._weights = find_weights(self._values, include, exclude, executor, self.warnings.append)
        self._rest: dict[Place, Codec] | None = None
        self._below: dict[Place, float] = {}
        self._known: dict[tuple[Place, ...], Known] = {}
        self.picks: dict[Place, Pick] = {}

    def stored(self, place: Place) -> Place:
        """Return the tensor that is stored for this one: itself, or one that it equals."""
        return self._weights.stored.get(place, place)

    def weights(self, task: int) -> list[Place]:
        """Return the stored tensors that hold a task's weights, those of earlier tasks too."""
        tensors = range(len(self.models[task].tensors))
        places = dict.fromkeys(self.stored((task, index)) for index in tensors)
        return [place for place in places if place in self._weights.found]

    def elements(self, task: int) -> int:
        """Return how many weights a task has, those that it shares too."""
        return sum(self._values.spec(place).size for place in self.weights(task))

    def power(self, task: int) -> float:
        """Return the sum of squares of a task's weights."""
        return sum(self._weights.found[place].power for place in self.weights(task))

    def peak(self, task: int) -> float:
        """Return the largest magnitude of a task's weights."""
        return max((self._weights.found[place].peak for place in self.weights(task)), default=0.0)

    def rms(self, task: int) -> float:
        """Return the root mean square of a task's weights; of no weights, or zeros, 1."""
        elements, power = self.elements(task), self.power(task)
        return math.sqrt(power / elements) if power else 1.0

    def set_step(self, task: int, step: float, most: float | None = None) -> None:
        """Pick anew how a task's own weights are coded; earlier tasks go first.

        Parameters
        ----------
        task
        step
            The unit of magnitudes; it is rounded down to a float32.
        most
            The largest |error| that is allowed; None where errors count by their squares.
        """
        step = as_step(step)
        self._codings[task].clear()
        values = self._values = Values(self.models, self._codings)  # forgets what it decoded
        groups = self._weights.groups[task]

        def choose(group: tuple[Place, ...]) -> list[Pick]:
            found = [self._weights.found[place] for place in group]
            known = self._known.setdefault(group, {})
            return pick(values, found, step, most, self._below, known)

        for group, picks in zip(groups, map_ordered(self.executor, choose, groups), strict=True):
            for place, one in zip(group, picks, strict=True):
                self.picks[place] = one
                self._codings[task][place[1]] = Coding(one.codec, one.survey, one.bases)
                # Whoever stands on it sees it off by half a step, and by what its dtype rounds.
                weight = self._weights.found[place]
                rounding = weight.peak * 2.0 ** -FLOATS[self._values.spec(place).dtype].mantissa
                self._below[place] = step + rounding

    def keep(self, places: Sequence[Place]) -> None:
        """Keep weights lossless after all."""
        for place in places:
            self.picks[place] = Pick(FloatCodec(), refused=("no step keeps it within the goal",))
            self._codings[place[0]][place[1]] = Coding(FloatCodec())

    def arrays(self, task: int, *, exact: bool) -> dict[str, NDArray[Any]]:
        """Return a task's arrays as they came, or as the file will give them back."""
        arrays = {}
        for index, tensor in enumerate(self.models[task].tensors):
            place = self.stored((task, index))
            read = self._values.read if exact else self._values.decoded
            arrays[tensor.name] = read(place, 0, tensor.size).reshape(tensor.shape)
        return arrays

    def lossy(self, task: int) -> list[int]:
        """Return the tensors of a task that will not decode as they came, second names left out."""
        model = self.models[task]
        return [
            index
            for index in range(len(model.tensors))
            if index not in model.same_as and self.stored((task, index)) in self.picks
        ]

    def reader(self, task: int) -> Callable[[int, int, int], NDArray[Any]]:
        """Return a function that gives elements [start, stop) of a tensor as it will decode."""

        def read(index: int, start: int, stop: int) -> NDArray[Any]:
            return self._values.decoded(self.stored((task, index)), start, stop)

        return read

    def outcome(self) -> Measured:
        """Encode everything with what is picked now, and write nothing."""
        job = self._packing()
        job.code(fuse=False, overrides=[])
        if self._rest is None:
            self._rest = {place: _alone(codec) for place, codec in job.codecs().items()}
            job = self._packing()
            job.code(fuse=False, overrides=[])
        return job.measure()

    def codecs(self) -> dict[Place, Codec]:
        """Return the codec of every tensor of every task; known from the first outcome on."""
        found = dict(self._rest or {})
        found.update((place, one.codec) for place, one in self.picks.items())
        return {
            (task, index): found[self.stored((task, index))]
            for task, model in enumerate(self.models)
            for index in range(len(model.tensors))
            if self.stored((task, index)) in found
        }

    def _packing(self) -> Packing:
        rules = [
            (glob.escape(f"{self.names[task]}:{self.models[task].tensors[index].name}"), codec)
            for (task, index), codec in self.codecs().items()
        ]
        options = Options(
            (None,) * len(self.names), plan=Plan(rules), auto=True, optimize="file", force=True
        )
        return Packing(
            list(self.names), list(self.models), options, "task", self.executor, no_progress, {}
        )


def as_step(step: float) -> float:
    """Return the nearest float32 that is not above, as steps are stored."""
    step = min(max(step, _SMALLEST), _LARGEST)
    (single,) = struct.unpack("<f", struct.pack("<f", step))
    if single > step:
        (bits,) = struct.unpack("<I", struct.pack("<f", single))
        (single,) = struct.unpack("<f", struct.pack("<I", bits - 1))
    return float(max(single, _SMALLEST))


def _alone(codec: Codec) -> Codec:
    """Return what a plan can name: owner maps are made by `auto` alone."""
    return FloatCodec() if len(codec.roles("float32")) > 1 else codec
