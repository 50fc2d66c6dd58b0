"""What codes each tensor of some models: codecs asked for or chosen, and what surveys found."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mcodec.api.choosing import choose_codecs
from mcodec.api.equal import chosen_first, find_equal
from mcodec.api.planning import Coding, Options, Place, choose, survey
from mcodec.api.scalenames import scales_of
from mcodec.api.values import Values
from mcodec.engine import map_ordered
from mcodec.errors import UsageError
from mcodec.limits import MAX_TASKS, MAX_TENSORS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from concurrent.futures import Executor

    from mcodec.api.auto import Choice
    from mcodec.api.choosing import Based
    from mcodec.codec.base import Codec
    from mcodec.formats.base import TensorSource

    Coded = tuple[Place, tuple[Codec, tuple[Place, ...]]]


class Codings:
    """Finds what is equal, what stands on what, and with which codec each tensor is stored.

    Parameters
    ----------
    names, models
        The tasks.
    options
        What a person asked for.
    executor
        Who reads, tries and surveys.
    """

    def __init__(
        self,
        names: list[str],
        models: list[TensorSource],
        options: Options,
        executor: Executor | None,
    ) -> None:
        self._names = names
        self._options = options
        self._executor = executor
        self._warnings = [
            f"task {name!r}: {note}"
            for name, model in zip(names, models, strict=True)
            for note in model.notes
        ]
        self._tasks = models
        # Owner maps and skeletons are sources too, behind those of the tasks.
        self._models = list(models)
        self._codings: list[dict[int, Coding]] = [{} for _ in models]  # by stored tensor
        self._values = Values(self._models, self._codings)
        self._stored: dict[Place, Place] = {}  # tensors that are stored as another one
        self._choices: tuple[Choice, ...] = ()
        # Of tensors that are in a file already: what codes them, and what they are or stand on.
        self._there: dict[Place, Based] = {}
        self._below: dict[Place, Place] = {}

    def _asked(self, tasks: Iterable[int]) -> dict[Place, Codec]:
        """Return the codec that was asked for, or the default, for each tensor of some tasks."""
        items: dict[Place, Codec] = {}
        for task in tasks:
            tensors = self._tasks[task].tensors
            scales = scales_of(tensors)
            for index, tensor in enumerate(tensors):
                name = self._names[task]
                items[task, index] = choose(task, name, tensor, self._options, scales)
        self._check(list(items))
        return items

    def _code(self, items: Mapping[Place, Codec]) -> None:
        """Find what is equal, what stands on what, and what each codec finds in the values."""
        ties = [model.same_as for model in self._tasks]
        own = _without(items, {(task, index) for task, tied in enumerate(ties) for index in tied})
        equal = self._find_equal(own)
        self._stored = chosen_first(equal, ties)
        own = _without(own, equal)
        stored = self._stored | self._below
        chosen = choose_codecs(
            self._values, own, stored, self._names, self._options, self._executor, self._there
        )
        self._choices = chosen.choices
        self._warnings += chosen.warnings
        self._codings += [{} for _ in self._models[len(self._codings) :]]  # owner maps
        # What others stand on first: a survey may need its canonical decode.
        left = self._unplain(chosen.codecs.items())
        for based in (False, True):
            work = [item for item in left if bool(item[1][1]) == based]
            found = map_ordered(
                self._executor,
                partial(_survey, self._values),
                work,
                small=lambda item: self._values.is_small(item[0]),
            )
            for (place, _), (coding, warning) in zip(work, found, strict=True):
                self._codings[place[0]][place[1]] = coding
                if warning:
                    self._warnings.append(f"task {self._names[place[0]]!r}: {warning}")

    def _find_equal(self, own: Mapping[Place, Codec]) -> dict[Place, Place]:
        """Return the tensors that equal another one: place to the place of the stored one."""
        return find_equal(self._values, own, self._executor)

    def codecs(self) -> dict[Place, Codec]:
        """Return the codecs of the tasks' tensors that are stored, in order."""
        return {
            (task, index): own[index].codec
            for task, own in enumerate(self._codings[: len(self._tasks)])
            for index in sorted(own)
        }

    def _place(self, task: int, index: int) -> Place:
        """Return the tensor that is stored for this one: another, where both are equal."""
        return self._stored.get((task, index), (task, index))

    def _check(self, places: Sequence[Place]) -> None:
        """Refuse more than a file can hold, and a plan for other models."""
        if len(places) > MAX_TENSORS or len(self._tasks) > MAX_TASKS:
            message = f"{len(places):,} tensors of {len(self._tasks):,} tasks"
            raise UsageError(
                f"{message} are more than a file holds ({MAX_TENSORS:,}; {MAX_TASKS:,})"
            )
        if not (self._options.plan.rules or self._options.plan.file_bytes is not None):
            return
        tensors = {
            f"{self._names[task]}:{tensor.name}": tensor
            for task, index in places
            for tensor in [self._tasks[task].tensors[index]]
        }
        wrong = self._options.plan.misfits(tensors)
        if wrong:
            more = f", and {len(wrong) - 3:,} more" if len(wrong) > 3 else ""
            raise UsageError(f"the plan does not fit the models: {'; '.join(wrong[:3])}{more}")
        for pattern in self._options.plan.unused(tensors):
            self._warnings.append(f"the plan's pattern {pattern!r} matches no tensor")

    def _unplain(self, items: Iterable[Coded]) -> list[Coded]:
        """Return the tensors whose codecs want to see them, and take note of the others."""
        checked: dict[tuple[Codec, str], Coding] = {}
        left = []
        for item in items:
            (task, index), (codec, bases) = item
            dtype = self._models[task].tensors[index].dtype
            if bases or not codec.plain:
                left.append(item)
                continue
            coding = checked.get((codec, dtype))
            if coding is None:  # the first of them is checked
                coding, _ = _survey(self._values, item)
                checked[codec, dtype] = coding
            self._codings[task][index] = coding
        return left


def _without(codecs: Mapping[Place, Codec], places: Collection[Place]) -> Mapping[Place, Codec]:
    if not places:
        return codecs
    return {place: codec for place, codec in codecs.items() if place not in places}


def _survey(
    values: Values, item: tuple[Place, tuple[Codec, tuple[Place, ...]]]
) -> tuple[Coding, str]:
    """Return a tensor's coding, and what there is to be warned of."""
    place, (codec, bases) = item
    found: list[str] = []
    coding = survey(values, place, codec, bases, found.append)
    return coding, "".join(found)
