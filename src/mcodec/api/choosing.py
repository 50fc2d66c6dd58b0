"""Which codec each tensor gets, and which tensors it stands on: what was asked for, and `auto`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from mcodec.api.families import find_families
from mcodec.api.planning import distinct, free_of, lossless
from mcodec.codec.raw import RawCodec
from mcodec.errors import UsageError
from mcodec.types import itemsize

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Executor

    from mcodec.api.auto import Choice
    from mcodec.api.planning import Options, Place
    from mcodec.api.values import Values
    from mcodec.codec.base import Codec
    from mcodec.codec.csr import CsrCodec

    Based = tuple[Codec, tuple[Place, ...]]  # a codec, and what the tensor stands on, one a role

_NOTHING: Final[Mapping[Place, Based]] = MappingProxyType({})
KERAS: Final = ("hdf5", "keras", "keras_shards")  # whose kernels have the outputs last


@dataclass(slots=True)
class Chosen:
    """The codecs of all stored tensors with what these stand on, and how `auto` came to them."""

    codecs: dict[Place, Based]
    choices: tuple[Choice, ...] = ()
    warnings: list[str] = field(default_factory=list)


def choose_codecs(
    values: Values,
    own: Mapping[Place, Codec],
    stored: Mapping[Place, Place],
    names: Sequence[str],
    options: Options,
    executor: Executor | None,
    there: Mapping[Place, Based] = _NOTHING,
) -> Chosen:
    """Choose a codec for each tensor that is stored.

    Parameters
    ----------
    values
        Of all tasks; owner maps are added to its models.
    own
        The tensors that are stored, in order, with the codec that was asked for, or the default.
    stored
        The tensors that are stored as another one.
    names, options
        Of the tasks; what a person asked for.
    executor
        Who tries codecs.
    there
        Tensors that are coded already; others may stand on them.

    Raises
    ------
    UsageError
        A codec that costs more than it saves, and nobody insists on it.
    """
    chosen = Chosen({})
    _as_asked(values, own, stored, names, options, there, chosen)
    free = free_of(own, names, values, options)
    if options.auto and free:
        _automatic(values, stored, free, options, executor, there, chosen)
    return chosen


def _as_asked(
    values: Values,
    own: Mapping[Place, Codec],
    stored: Mapping[Place, Place],
    names: Sequence[str],
    options: Options,
    there: Mapping[Place, Based],
    chosen: Chosen,
) -> None:
    """Give each tensor the codec that was asked for, and a base where it needs one."""
    if all(codec.plain for codec in distinct(own.values())):  # the usual case
        chosen.codecs.update({place: (codec, ()) for place, codec in own.items()})
        return
    based = {place for place, codec in own.items() if codec.roles(values.spec(place).dtype)}
    first: dict[Place, Place] = {}
    if based:
        models = [model.tensors for model in values.models]
        first = find_families(models, {*own, *there}, based, stored)
    for place, codec in own.items():
        tensor = values.spec(place)
        where = f"tensor {names[place[0]]}:{tensor.name}"
        if codec.codec_id == "csr":
            codec = _sparse(values, place, codec, where, options)  # noqa: PLW2901
        if place not in based:
            chosen.codecs[place] = codec, ()
        elif len(codec.roles(tensor.dtype)) > 1:
            raise UsageError(f"{where}: owner maps are made by --codec auto --optimize file alone")
        elif place in first:
            chosen.codecs[place] = codec, (first[place],)
        else:
            alone: Codec | None = getattr(codec, "values", None)
            chosen.codecs[place] = alone or lossless(tensor.dtype), ()
            if place[0]:  # the first task's tensors are what others stand on
                chosen.warnings.append(f"{where} has no base in an earlier task: it stands alone")


def _sparse(values: Values, place: Place, codec: Codec, where: str, options: Options) -> Codec:
    """Return csr with the format's own cut of rows and columns, where it pays."""
    from mcodec.api.trial import sample
    from mcodec.codec import csr

    assert isinstance(codec, csr.CsrCodec)
    tensor = values.spec(place)
    if not options.force and tensor.size:
        bits = codec.values.weight_bits or 8 * itemsize(tensor.dtype)
        least = csr.break_even(bits, 1.0)  # a bit of a mask an element, at most
        zeros = sample(values, [place]).zeros
        if zeros < least:
            raise UsageError(
                f"{where} is {zeros:.1%} zeros, and csr pays from {least:.1%} on: take --codec "
                "auto, leave the tensor out of the plan, or insist with --force"
            )
    return cut(codec, values.models[place[0]].format, len(tensor.shape))


def cut(codec: CsrCodec, came_from: str, rank: int) -> CsrCodec:
    """Return csr with rows and columns as a format's kernels have them, if nothing else is said."""
    if codec.split is None and came_from in KERAS and rank >= 2:
        return replace(codec, split=-1)
    return codec


def _automatic(
    values: Values,
    stored: Mapping[Place, Place],
    free: Sequence[Place],
    options: Options,
    executor: Executor | None,
    there: Mapping[Place, Based],
    chosen: Chosen,
) -> None:
    """Give the tensors that nothing was asked for the smallest lossless codec."""
    from mcodec.api.auto import Chooser
    from mcodec.api.masks import find_masked

    first: dict[Place, Place] = {}
    masked = {}
    if options.optimize == "file":
        models = [model.tensors for model in values.models]
        bases = {
            place
            for place, (codec, below) in {**there, **chosen.codecs}.items()
            if not below and codec.exact(values.spec(place).dtype)
        }
        first = find_families(models, bases, set(free), stored)
        tasks = len(values.models)
        masked = find_masked(values, first, set(free), executor)
        for owner in range(tasks, len(values.models)):
            chosen.codecs[owner, 0] = RawCodec(), ()
    chosen.choices = tuple(Chooser(values, first, masked, options.optimize).choose(free, executor))
    for choice in chosen.choices:
        for place, bases_of in zip(choice.places, choice.bases, strict=True):
            chosen.codecs[place] = choice.codec, bases_of
