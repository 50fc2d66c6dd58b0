"""What a plan has to know of the weights that it may make lossy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mcodec.api.choosing import KERAS
from mcodec.api.equal import chosen_first, find_equal
from mcodec.api.families import find_families
from mcodec.api.planning import lossless
from mcodec.api.runs import OWN_RUN
from mcodec.api.trial import SPARSE
from mcodec.api.weights import choose_weights
from mcodec.codec.base import NotCodableError
from mcodec.codec.int8 import Int8Codec
from mcodec.codec.scope import Scope
from mcodec.engine import map_ordered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Executor
    from typing import Any

    from mcodec.api.planning import Place
    from mcodec.api.values import Values

_RESIDUALS: Final = ("float16", "bfloat16", "float32")  # dtypes that a lossy delta takes


@dataclass(frozen=True, slots=True)
class Weight:
    """A tensor that a plan may make lossy.

    Attributes
    ----------
    place
    peak
        The largest magnitude.
    power
        The sum of squares.
    zeros
        The share of elements whose pattern is zero.
    integers
        The int8 codec that would suit it, and what that found in it.
    base
        An earlier task's tensor that this one may be told from, and the largest |difference| of
        the two.
    """

    place: Place
    peak: float
    power: float
    zeros: float
    integers: tuple[Int8Codec, Any]
    base: tuple[Place, float] | None = None


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of all tasks.

    Attributes
    ----------
    found
        By place, in order; of equal tensors the first.
    stored
        Tensors that are stored as another one.
    groups
        By task: large weights alone, small ones of one kind, which will lie in one run, together.
    """

    found: dict[Place, Weight]
    stored: dict[Place, Place]
    groups: list[list[tuple[Place, ...]]]


def find_weights(
    values: Values,
    include: Sequence[str],
    exclude: Sequence[str],
    executor: Executor | None,
    warn: Callable[[str], None],
) -> Weights:
    """Look over the weights of all tasks.

    Parameters
    ----------
    values
        Of all tasks.
    include, exclude
        Shell patterns of names, as `choose_weights` takes them.
    executor
        Who reads.
    warn
        Called with a line for a tensor that cannot be coded lossy, and for unused patterns.
    """
    models = values.models
    ties = [model.same_as for model in models]
    places = {
        (task, index): lossless(tensor.dtype)
        for task, model in enumerate(models)
        for index, tensor in enumerate(model.tensors)
        if index not in ties[task]
    }
    equal = find_equal(values, places, executor)
    chosen = [
        place
        for task, model in enumerate(models)
        for index in choose_weights(model, include, exclude, warn)
        if (place := (task, index)) not in equal and values.spec(place).size
    ]
    own = set(places) - set(equal)
    specs = [model.tensors for model in models]
    first = find_families(specs, own, set(chosen), equal)

    def look(place: Place) -> Weight | str:
        try:
            return _look(values, place, first.get(place))
        except NotCodableError as error:
            return f"tensor {values.spec(place).name!r} stays lossless: {error.message}"

    found: dict[Place, Weight] = {}
    for place, weight in zip(chosen, map_ordered(executor, look, chosen), strict=True):
        if isinstance(weight, str):
            warn(weight)
        else:
            found[place] = weight
    return Weights(found, chosen_first(equal, ties), _grouped(values, found))


def _look(values: Values, place: Place, base: Place | None) -> Weight:
    """Read a weight, and what it may be told from, once.

    Raises
    ------
    NotCodableError
        It holds NaN or infinity.
    """
    import numpy as np

    tensor = values.spec(place)
    peak = power = 0.0
    zeros = 0
    for block in values.blocks(place):
        wide = block.astype(np.float64)
        peak = max(peak, float(np.abs(wide).max()))
        power += float(np.dot(wide, wide))
        zeros += int(block.size - np.count_nonzero(block.view(f"u{block.itemsize}")))
    channels = -1 if values.models[place[0]].format in KERAS else 0
    codec = Int8Codec(Scope("axis", channels))
    integers = codec, codec.survey(tensor, values.blocks(place))  # refuses NaN and infinity
    apart = None if base is None or tensor.dtype not in _RESIDUALS else _apart(values, place, base)
    below = None if base is None or apart is None else (base, apart)
    return Weight(place, peak, power, zeros / tensor.size, integers, below)


def _apart(values: Values, place: Place, base: Place) -> float | None:
    """Return the largest |difference| of a weight from another; None where it has none."""
    import numpy as np

    most = 0.0
    with np.errstate(invalid="ignore"):
        for one, other in zip(values.blocks(place), values.blocks(base), strict=True):
            apart = np.abs(one.astype(np.float64) - other.astype(np.float64))
            most = max(most, float(apart.max()))
            if not np.isfinite(apart).all():
                return None
    return most


def _grouped(values: Values, found: Mapping[Place, Weight]) -> list[list[tuple[Place, ...]]]:
    groups: list[dict[object, list[Place]]] = [{} for _ in values.models]
    for place, weight in found.items():
        tensor = values.spec(place)
        base = None if weight.base is None else weight.base[0][0]
        small = (tensor.dtype, len(tensor.shape), base, weight.zeros >= SPARSE)
        kind = place if tensor.size >= OWN_RUN else small
        groups[place[0]].setdefault(kind, []).append(place)
    return [[tuple(group) for group in own.values()] for own in groups]
