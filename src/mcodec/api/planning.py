"""What each tensor is coded with, and how tensors are laid into runs (design, sections 2 and 4)."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from mcodec.codec.base import Codec, NotCodableError
from mcodec.codec.bfp import MAX_BITS, BfpCodec
from mcodec.codec.float import FloatCodec
from mcodec.codec.planfile import Plan
from mcodec.codec.raw import RawCodec
from mcodec.errors import CodecConfigError, UsageError
from mcodec.types import FLOATS, TensorSpec, run_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from mcodec.api.values import Values

# First parts of names that are training state: never lossy (design: "What is coded how").
_STATE: Final = re.compile(
    r"(optimizer|optimizer_weights|optimizer_state|optimizer_states|optimizer_state_dict|metrics)[/.]"
)

_FLOAT: Final = FloatCodec()
_RAW: Final = RawCodec()

FUSIONS: Final = {"v1": FLOATS["float64"].mantissa, "v2": MAX_BITS}  # and the most bits

Bits = int | Sequence[int] | Mapping[str, int] | None
Place = tuple[int, int]  # task and tensor


@dataclass(frozen=True, slots=True)
class Options:
    """What a person asked for: codecs by task, before any tensor is looked at."""

    bits: tuple[int | None, ...]
    rounding: str = "nearest"
    codec: Codec | None = None
    plan: Plan = field(default_factory=Plan)
    auto: bool = False  # where nothing else is asked for, the smallest lossless codec
    optimize: str = "load"  # smallest in what one task has to read, or in the `file`
    force: bool = False  # take a codec also where it costs more than it saves
    fusion: str = "v2"  # what bits are of: bfp, or the mantissa of IEEE fields (v1)


@dataclass(frozen=True, slots=True)
class Coding:
    """The codec of one tensor, what its survey found, and the tensors it stands on, one a role."""

    codec: Codec
    survey: Any = None
    bases: tuple[Place, ...] = ()


def bits_by_task(bits: Bits, names: Sequence[str], most: int = MAX_BITS) -> tuple[int | None, ...]:
    """Spread ``--bits`` over the tasks: one for all, in order, or by name.

    Raises
    ------
    UsageError
        The numbers do not fit the tasks, or are not 1 to `most`.
    """
    if bits is None:
        return (None,) * len(names)
    if isinstance(bits, Mapping):
        unknown = [name for name in bits if name not in names]
        if unknown:
            raise UsageError(f"bits for task {unknown[0]!r}, and the tasks are {', '.join(names)}")
        given = [bits.get(name) for name in names]
    elif isinstance(bits, Sequence):
        if len(bits) != len(names):
            raise UsageError(f"bits for {len(bits)} tasks, and there are {len(names)} to pack")
        given = list(bits)
    else:
        given = [bits] * len(names)
    return tuple(None if count is None else _count(count, most) for count in given)


def _count(value: Any, most: int) -> int:
    """Return a number of bits, also of a NumPy integer; ``True`` is none."""
    count = operator.index(value) if hasattr(value, "__index__") else 0
    if isinstance(value, bool) or not 1 <= count <= most:
        raise UsageError(f"bits must be an integer from 1 to {most}, not {value!r}")
    return count


def is_weight(tensor: TensorSpec) -> bool:
    """Tell whether a tensor is a weight by its form and place: no vector, no training state."""
    return len(tensor.shape) >= 2 and not _STATE.match(tensor.name)


def choose(
    task: int, name: str, tensor: TensorSpec, options: Options, scales: Collection[str] = ()
) -> Codec:
    """Return the codec of a tensor: its dtype's lossless one unless something lossy applies.

    Lossy codecs hold for floating weights of two or more dimensions; vectors, integers with their
    `scales` (names of tensors) and training state stay lossless. A plan is followed as written.
    """
    planned = options.plan.codec(name, tensor.name)
    if planned is not None:
        return planned
    if tensor.dtype not in FLOATS:
        return _RAW
    bits = options.bits[task]
    if bits is None and options.codec is None:
        return _FLOAT
    weight = is_weight(tensor) and tensor.name not in scales
    if bits is not None and weight:
        fused = _fused_codec(bits, tensor, options)
        if fused is not None:
            return fused
    codec = options.codec
    if codec is not None and (weight or (codec.exact(tensor.dtype) and codec.codec_id != "csr")):
        return codec
    return _FLOAT


def _fused_codec(bits: int, tensor: TensorSpec, options: Options) -> Codec | None:
    """Return the codec of bit fusion; None where v2's would be no shorter than the dtype."""
    form = FLOATS[tensor.dtype]
    if options.fusion == "v2":
        return _bfp(bits, options.rounding) if bits + 1 < form.width else None
    if bits > form.mantissa:
        raise UsageError(
            f"bit fusion v1 of {bits} mantissa bits: tensor {tensor.name!r} is {tensor.dtype}, "
            f"which has {form.mantissa}"
        )
    return FloatCodec(1 + form.exponent + bits)


@cache  # one for all: to compare two takes longer than what else is done for a tensor
def _bfp(bits: int, rounding: str) -> BfpCodec:
    return BfpCodec(bits, rounding)


def free_of(
    own: Mapping[Place, Codec], names: Sequence[str], values: Values, options: Options
) -> list[Place]:
    """Return the tensors of floats to which `choose` gave a codec because nobody asked for one.

    Parameters
    ----------
    own
        What it gave.
    names, values, options
        The tasks, their tensors, and what was asked for.
    """
    if options.codec is not None:
        return []
    default = {id(codec) for codec in distinct(own.values()) if codec == _FLOAT}
    free = [place for place, codec in own.items() if id(codec) in default]
    plan = options.plan
    if not plan.rules:
        return free
    return [place for place in free if plan.codec(names[place[0]], values.spec(place).name) is None]


def survey(
    values: Values,
    place: Place,
    codec: Codec,
    bases: tuple[Place, ...],
    warn: Callable[[str], None],
) -> Coding:
    """Look over a tensor's values where its codec wants that; fall to lossless if it must."""
    tensor = values.spec(place)
    try:
        codec.check(run_of(tensor.dtype, tensor.shape))
        if not codec.surveys:
            return Coding(codec, None, bases)
        found = codec.survey(
            tensor, values.blocks(place), [values.blocks(base, decoded=True) for base in bases]
        )
        return Coding(codec, found, bases)
    except CodecConfigError as error:
        raise error.at(f"tensor {tensor.name!r}") from None
    except NotCodableError as error:
        warn(f"tensor {tensor.name!r} is stored lossless: {error.message}")
        return Coding(lossless(tensor.dtype))


def lossless(dtype: str) -> Codec:
    """Return the codec that keeps every bit of a dtype."""
    return _FLOAT if dtype in FLOATS else _RAW


def numbered(codecs: Iterable[Codec]) -> dict[int, int]:
    """Return a number for each codec by its id, the same for equal ones.

    Hashing a codec takes longer than all else that is done with one for each of many tensors.
    """
    known: dict[Codec, int] = {}
    return {id(codec): known.setdefault(codec, len(known)) for codec in distinct(codecs)}


def distinct(codecs: Iterable[Codec]) -> Iterable[Codec]:
    """Return codecs, each object once."""
    known = list(codecs)
    return dict(zip(map(id, known), known, strict=True)).values()
