"""What each tensor is coded with, and how tensors are laid into runs (design, sections 2 and 4)."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mcodec.codec.base import Codec, NotCodableError
from mcodec.codec.bfp import MAX_BITS, BfpCodec
from mcodec.codec.float import FloatCodec
from mcodec.codec.plan import Plan
from mcodec.codec.raw import RawCodec
from mcodec.errors import CodecConfigError, UsageError
from mcodec.types import BLOCK, FLOATS, RUN_ALIGNMENT, RunSpec, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from mcodec.formats.base import TensorSource

OWN_RUN: Final = 16_384  # elements from which a tensor is a run of its own
SHARED_RUN: Final = 1 << 16  # elements that a shared run has at most
# First parts of names that are training state: never lossy (design: "What is coded how").
_STATE: Final = re.compile(
    r"(optimizer|optimizer_weights|optimizer_state|optimizer_states|optimizer_state_dict|metrics)[/.]"
)

Bits = int | Sequence[int] | Mapping[str, int] | None


@dataclass(frozen=True, slots=True)
class Options:
    """What a person asked for: codecs by task, before any tensor is looked at."""

    bits: tuple[int | None, ...]
    rounding: str = "nearest"
    codec: Codec | None = None
    plan: Plan = field(default_factory=Plan)


@dataclass(frozen=True, slots=True)
class Coding:
    """The codec of one tensor, and what its survey found."""

    codec: Codec
    survey: Any = None


@dataclass(slots=True)
class RunPlan:
    """A run to be: one task's tensors (by index), in order, under one codec."""

    task: int
    codec: Codec
    dtype: str
    members: list[int]
    shapes: list[tuple[int, ...]]
    fused: int | None = None  # number of the fused group of runs
    spec: RunSpec = field(init=False)

    def seal(self) -> RunPlan:
        """Fix the geometry."""
        self.spec = RunSpec.of(self.dtype, self.shapes)
        self.codec.check(self.spec)
        return self


def bits_by_task(bits: Bits, names: Sequence[str]) -> tuple[int | None, ...]:
    """Spread ``--bits`` over the tasks: one for all, in order, or by name.

    Raises
    ------
    UsageError
        The numbers do not fit the tasks, or are not 1 to 24.
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
    return tuple(None if count is None else _count(count) for count in given)


def _count(value: Any) -> int:
    """Return a number of bits, also of a NumPy integer; ``True`` is none."""
    count = operator.index(value) if hasattr(value, "__index__") else 0
    if isinstance(value, bool) or not 1 <= count <= MAX_BITS:
        raise UsageError(f"bits must be an integer from 1 to {MAX_BITS}, not {value!r}")
    return count


def choose(task: int, name: str, tensor: TensorSpec, options: Options) -> Codec:
    """Return the codec of a tensor: its dtype's lossless one unless something lossy applies.

    Lossy codecs hold for floating weights of two or more dimensions; vectors, integers and training
    state stay lossless. A plan is followed as written.
    """
    planned = options.plan.codec(name, tensor.name)
    if planned is not None:
        return planned
    if tensor.dtype not in FLOATS:
        return RawCodec()
    weight = len(tensor.shape) >= 2 and not _STATE.match(tensor.name)
    bits = options.bits[task]
    if bits is not None and weight and bits + 1 < FLOATS[tensor.dtype].width:
        return BfpCodec(bits, options.rounding)
    codec = options.codec
    if codec is not None and (codec.exact(tensor.dtype) or weight):
        return codec
    return FloatCodec()


def survey(source: TensorSource, index: int, codec: Codec, warn: Callable[[str], None]) -> Coding:
    """Look over a tensor's values where its codec wants that; fall to lossless if it must."""
    tensor = source.tensors[index]
    try:
        codec.check(RunSpec.of(tensor.dtype, [tensor.shape]))
        if not codec.surveys:
            return Coding(codec)
        return Coding(codec, codec.survey(tensor, _blocks(source, index)))
    except CodecConfigError as error:
        raise error.at(f"tensor {tensor.name!r}") from None
    except NotCodableError as error:
        warn(f"tensor {tensor.name!r} is stored lossless: {error.message}")
        return Coding(FloatCodec())


def _blocks(source: TensorSource, index: int) -> Iterator[NDArray[Any]]:
    size = source.tensors[index].size
    for start in range(0, size, BLOCK):
        yield source.read(index, start, min(start + BLOCK, size))


def lay_out(
    models: Sequence[Sequence[TensorSpec]],
    codings: Sequence[Mapping[int, Coding]],
    groups: Sequence[Mapping[int, int]],
) -> list[RunPlan]:
    """Lay tensors into runs: large ones alone, small ones of one kind together, in model order.

    Parameters
    ----------
    models, codings
        By task: its tensors, and what codes each; those without a coding lie in no run.
    groups
        Fused tensors: task index to tensor index. Fused tensors lie in runs of the same geometry
        in every task. A pair has one codec id, so a group is parted by codec.

    Returns
    -------
    list of RunPlan
        Task after task, in the order of each run's first tensor.
    """
    layout = _Layout(models, codings)
    grouped: set[tuple[int, int]] = set()
    for group in groups:
        by_codec: dict[str, dict[int, int]] = {}
        for task, index in group.items():
            by_codec.setdefault(codings[task][index].codec.codec_id, {})[task] = index
        for codec_id, own in by_codec.items():
            if len(own) > 1 and codec_id != "raw":
                layout.add(own, fused=True)
                grouped.update(own.items())
    for task, tensors in enumerate(models):
        for index in range(len(tensors)):
            if (task, index) not in grouped and index in codings[task]:
                layout.add({task: index}, fused=False)
    return sorted((run.seal() for run in layout.runs), key=lambda run: (run.task, run.members[0]))


class _Layout:
    """Opens a run for each kind of tensor, and closes it when it is full."""

    def __init__(
        self, models: Sequence[Sequence[TensorSpec]], codings: Sequence[Mapping[int, Coding]]
    ) -> None:
        self._models = models
        self._codings = codings
        self._open: dict[Any, tuple[list[RunPlan], int]] = {}  # kind -> runs, their elements
        self._groups = 0
        self.runs: list[RunPlan] = []

    def add(self, group: Mapping[int, int], *, fused: bool) -> None:
        """Put one tensor of each task of a group into runs of one geometry."""
        tensors = [self._models[task][index] for task, index in group.items()]
        codecs = [self._codings[task][index].codec for task, index in group.items()]
        first = tensors[0]
        if first.size >= OWN_RUN:
            runs, start = self._start(group, codecs, first.dtype, fused=fused), 0
        else:
            kind = (first.dtype, fused, tuple(group), tuple(codecs))
            runs, used = self._open.get(kind, ([], SHARED_RUN))
            start = -(-used // RUN_ALIGNMENT) * RUN_ALIGNMENT
            if not runs or start + first.size > SHARED_RUN:
                runs, start = self._start(group, codecs, first.dtype, fused=fused), 0
            self._open[kind] = (runs, start + first.size)
        for run, index, tensor in zip(runs, group.values(), tensors, strict=True):
            run.members.append(index)
            run.shapes.append(tensor.shape)

    def _start(
        self, group: Mapping[int, int], codecs: Sequence[Codec], dtype: str, *, fused: bool
    ) -> list[RunPlan]:
        number = self._groups if fused else None
        self._groups += fused
        runs = [
            RunPlan(task, codec, dtype, [], [], number)
            for task, codec in zip(group, codecs, strict=True)
        ]
        self.runs.extend(runs)
        return runs
