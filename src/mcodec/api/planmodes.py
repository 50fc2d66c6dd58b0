"""How a plan codes a weight at a step: what is tried, what is taken, what is refused and why.

With one step for all weights of a task the sum of squared errors is least for the bytes that they
take (docs/adr/0017): a weight that were coarser would save fewer bytes than finer ones elsewhere
cost for the same error. That price of an error in bytes also decides between modes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from mcodec.api.choosing import cut
from mcodec.api.listing import sqnr_db
from mcodec.api.planning import lossless
from mcodec.api.trial import SPARSE, sample
from mcodec.codec.bfp import MAX_BITS, BfpCodec
from mcodec.codec.csr import CsrCodec
from mcodec.codec.delta import DeltaCodec
from mcodec.codec.float import FloatCodec
from mcodec.codec.plan import codec_string
from mcodec.types import FLOATS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mcodec.api.planning import Place
    from mcodec.api.planweights import Weight
    from mcodec.api.trial import Sample, Trial
    from mcodec.api.values import Values
    from mcodec.codec.base import Codec

# At a fine step Δ the squared error of n weights is nΔ²/12, and a bit more for each halves Δ: so a
# byte is worth this many Δ² of error.
_BYTE: Final = 8 * math.log(2) / 6


Known = dict["Codec", "Trial"]


@dataclass(frozen=True, slots=True)
class Pick:
    """What a weight gets, with what is needed to decode it, and what was tried besides."""

    codec: Codec
    survey: Any = None
    bases: tuple[Place, ...] = ()
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Candidate:
    codec: Codec
    surveys: Sequence[Any] | None = None
    bases: tuple[Place, ...] = ()  # of each weight of the group
    sound: bool = True  # a worse one is tried for the record only
    lasting: bool = False  # it is the same at every step


def pick(
    values: Values,
    weights: Sequence[Weight],
    step: float,
    most: float | None,
    below: Mapping[Place, float],
    known: Known,
) -> list[Pick]:
    """Choose how weights that will lie in one run are coded.

    Parameters
    ----------
    values
        Of all tasks; decodes what was picked for earlier tasks.
    weights
        One large one, or small ones of one kind.
    step
        The unit of their magnitudes, a positive normal float32.
    most
        The largest |error| that is allowed; None where errors count by their squares.
    below
        How far weights that others stand on may be off.
    known
        What was tried of these weights at other steps, and does not depend on the step.

    Returns
    -------
    list of Pick
        One a weight.
    """
    tried = sample(values, [weight.place for weight in weights])
    if most is not None and FLOATS[tried.run.dtype].width == 16:
        # Multiples of a power of two are numbers of the dtype, or the weight is one of them: the
        # rounding into the dtype then adds no error of its own.
        step = 2.0 ** math.floor(math.log2(step))
    format_of = values.models[weights[0].place[0]].format
    found: list[tuple[_Candidate, Trial]] = []
    for candidate in _candidates(weights, tried, step, below, format_of):
        trial = known.get(candidate.codec)
        if trial is None:
            roles = [candidate.bases] if candidate.bases else []
            trial = tried.trial(candidate.codec, roles, candidate.surveys)
            if candidate.lasting:
                known[candidate.codec] = trial
        found.append((candidate, trial))

    def price(item: tuple[_Candidate, Trial]) -> float:
        candidate, trial = item
        if not candidate.sound or (most is not None and trial.peak > most):
            return math.inf
        lost = 0.0 if most is not None else trial.noise / (_BYTE * step * step)
        return trial.bytes + lost

    best = min(found, key=price)
    power = sum(weight.power for weight in weights)
    others = [item for item in found if item[0] is not best[0]]
    picks = []
    for member, size in enumerate(tried.run.sizes):
        part = size / sum(tried.run.sizes)
        refused = (_refusal(*item, best[1], power, most, part) for item in others)
        survey = best[0].surveys[member] if best[0].surveys else None
        picks.append(Pick(best[0].codec, survey, best[0].bases[member : member + 1], (*refused,)))
    return picks


def _candidates(
    weights: Sequence[Weight],
    tried: Sample,
    step: float,
    below: Mapping[Place, float],
    came_from: str,
) -> list[_Candidate]:
    """Return what may be tried, in the order in which the first of equals is taken."""
    import numpy as np

    dtype = tried.run.dtype
    exponents = [np.zeros(1, np.int16)] * len(weights)  # a step needs none
    peak = max(weight.peak for weight in weights)
    found = []
    for unit in (step, 2 * step):
        codec = stepped(peak, unit)
        if codec is not None:
            found.append(_Candidate(codec, exponents, sound=unit == step))
    values = found[0].codec if found and found[0].sound else None
    if values is not None and all(weight.base for weight in weights):
        bases = [weight.base for weight in weights if weight.base]
        apart = max(most + below.get(place, 0.0) for place, most in bases)
        residual = stepped(apart, step)
        if residual is not None:
            places = tuple(place for place, _ in bases)
            found.append(_Candidate(DeltaCodec(residual), exponents, places))
    rank = min(len(shape) for shape in tried.run.shapes)
    if tried.zeros >= SPARSE:
        sparse = cut(CsrCodec(FloatCodec()), came_from, rank)
        found.append(_Candidate(sparse, lasting=True))
        if values is not None:
            found.append(_Candidate(replace(sparse, values=values), exponents))
    found.append(_Candidate(lossless(dtype), lasting=True))
    integers = weights[0].integers[0]
    scales = [weight.integers[1] for weight in weights]
    found.append(_Candidate(integers, scales, lasting=True))
    return found


def stepped(peak: float, step: float) -> BfpCodec | None:
    """Return block floating point in units of a step that holds a peak; None if there is none."""
    bits = max(1, round(peak / step).bit_length())
    return BfpCodec(bits, step=step, signs="compact") if bits <= MAX_BITS else None


def _refusal(
    candidate: _Candidate, trial: Trial, best: Trial, power: float, most: float | None, part: float
) -> str:
    """Say in a line why something was not taken; of small weights together a part."""
    ratio = sqnr_db(power, trial.noise)
    quality = "exact" if ratio is None else f"{ratio:.1f} dB"
    name = codec_string(candidate.codec.config())
    told = f"{name}: {round(trial.bytes * part):,} bytes, {quality}"
    if trial.bytes >= best.bytes:
        return f"{told}; not smaller"
    if most is not None and trial.peak > most:
        return f"{told}; an error of {trial.peak:.3g} is over {most:.3g}"
    return f"{told}; other weights would have to make up for its error, with more bytes"
