"""`quantize`: weights rounded to 8-bit integers under scales (paper 003, equations 2 and 3)."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mcodec.api import carry, ceiling
from mcodec.api.changed import ChangedSource
from mcodec.api.choosing import KERAS
from mcodec.api.copying import placed
from mcodec.api.destination import CONTAINER, choose_destination
from mcodec.api.integercodecs import choose_integer_codecs, coded_as
from mcodec.api.listing import sqnr_db
from mcodec.api.opening import open_model
from mcodec.api.planning import Options
from mcodec.api.progress import Progress, no_progress
from mcodec.api.rounding import RoundedSource, find_rounding
from mcodec.api.weights import choose_weights
from mcodec.codec.base import NotCodableError
from mcodec.codec.int8 import Int8Codec
from mcodec.codec.scope import TENSOR, Scope
from mcodec.engine import map_ordered, workers
from mcodec.errors import CodecConfigError, McodecError, UsageError
from mcodec.types import RunSpec

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from concurrent.futures import Executor

    from mcodec.api.rounding import Rounding
    from mcodec.api.sources import Arrays, PathLike
    from mcodec.codec.base import Codec
    from mcodec.formats.base import TensorSource
    from mcodec.types import TensorSpec

_TENSOR: Final = "tensor"


@dataclass(frozen=True, slots=True)
class QuantizedTensor:
    """What became of one tensor.

    Attributes
    ----------
    spec
        As it came.
    scope
        What shares a scale: ``tensor``, or ``axis:a``.
    scales
        How many there are.
    nonzero_before, nonzero_after
    max_error, sqnr_db
        The largest error of a weight, and 10 log10 of Σw² / Σe²; the latter is None without errors.
    codec
        What codes it in a `.mc` file; None elsewhere.
    """

    spec: TensorSpec
    scope: str
    scales: int
    nonzero_before: int
    nonzero_after: int
    max_error: float
    sqnr_db: float | None
    codec: str | None


@dataclass(frozen=True, slots=True)
class QuantizeReport:
    """What `quantize` did.

    Attributes
    ----------
    path, format
        The output, and what it is: an id of a format, or ``mc``.
    integers
        Whether integers and scales were written, not the floats that they stand for.
    tensors
        Those that were quantised, in model order; an array of several names once.
    untouched
        How many names of tensors are not among them.
    source_bytes, integer_bytes, file_bytes
        The model's arrays as they came; with the quantised ones as a byte a weight and their
        scales; and the output.
    checked
        Whether the output was read back and compared; a `.mc` file has hashes instead.
    notes
        A line for each thing to be warned of.
    """

    path: str
    format: str
    integers: bool
    tensors: tuple[QuantizedTensor, ...]
    untouched: int
    source_bytes: int
    integer_bytes: int
    file_bytes: int
    checked: bool
    notes: tuple[str, ...]


def quantize(
    source: PathLike | Arrays,
    out: str | os.PathLike[str],
    *,
    axis: int | str | None = None,
    integers: bool = False,
    to: str | None = None,
    task: str | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    key: str = "",
    check: bool = True,
    sandbox: bool = False,
    jobs: int | None = None,
    max_memory: int | None = None,
    progress: Progress = no_progress,
) -> QuantizeReport:
    """Round the weights of a model to 8-bit integers under scales, and write the model.

    A scale s is max|w| / 127 of its scope as float32, at least 2⁻¹²⁶, and 1 where all w are zero.
    An integer is w / s, divided in float64, to the nearest, ties to even, within ±127; it stands
    for its product with s, rounded to float32 and then to the tensor's dtype (spec/codecs/int8.md).
    Weights are floating tensors of two or more dimensions, but no biases, nothing of a batch
    normalisation, and no training state; one with a NaN or an infinity stays as it is.

    Parameters
    ----------
    source
        A model file of any format, a `.mc` file, or a mapping of names to arrays.
    out
        The file or folder to make; a file is replaced, whole or not at all. A `.mc` file holds the
        integers: under ``int8``, or ``csr(values=int8)`` where zeros make that smaller. A model
        file holds the floats that they stand for.
    axis
        Of the channels, each of which has a scale; or ``tensor``, for one scale a tensor. Default:
        -1 for models that came from Keras or HDF5, else 0.
    integers
        Write int8 ``NAME`` and float32 ``NAME.scale``, of a shape in which it broadcasts against
        NAME (docs/formats.md): safetensors, npz, pt and h5.
    to, task, include, exclude, key, check, sandbox, jobs, max_memory, progress
        As in `prune`.

    Raises
    ------
    FormatError
        The source is damaged or refused; nothing is written then.
    UsageError
        The arguments do not fit each other or the model: a weight has no such axis.
    InputOutputError
        A file cannot be read or written, or what was written reads back different.
    """
    with ExitStack() as stack:
        model = open_model(stack, source, task=task, key=key, sandbox=sandbox)
        destination = choose_destination(model, out, to, source, integers=integers)
        stack.enter_context(ceiling.for_change(model, destination, Options((8,)), max_memory))
        executor = stack.enter_context(workers(jobs))
        notes: list[str] = []
        chosen = choose_weights(model, include, exclude, notes.append)
        if not chosen:
            notes.append("no tensor is a weight that may be quantised: the model stays as it is")
        scope = _scope(model, axis)
        for index in chosen:
            _check_scope(model.tensors[index], scope)
        roundings, work = _find_roundings(
            model, chosen, scope, executor, notes, progress, destination.work(model, check=check)
        )
        codecs: dict[int, Codec] = {}
        changed = model
        if integers:
            changed = RoundedSource(model, roundings)
        elif destination.plan is not None:
            changed = ChangedSource(model, roundings)
        else:
            codecs = choose_integer_codecs(model, roundings, executor)
        size, more = destination.write(
            changed,
            executor,
            coded_as({model.tensors[index].name: codec for index, codec in codecs.items()}),
            check=check,
            progress=lambda done, rest: progress(work + done, work + rest),
        )
    first = [model.same_as.get(index, index) for index in range(len(model.tensors))]
    return QuantizeReport(
        destination.path,
        destination.format,
        integers,
        tuple(_outcome(rounding, codecs.get(index)) for index, rounding in roundings.items()),
        sum(index not in roundings for index in first),
        sum(tensor.nbytes for tensor in model.tensors),
        sum(
            _integer_bytes(tensor, roundings.get(index))
            for tensor, index in zip(model.tensors, first, strict=True)
        ),
        size,
        check and destination.format != CONTAINER,
        (*notes, *more),
    )


def _scope(model: TensorSource, axis: int | str | None) -> Scope:
    """Return what shares a scale: what is asked for, or the channels of the kernels' outputs."""
    if axis == _TENSOR:
        return TENSOR
    if axis is None:
        # A converted model has the kernels of what it came from.
        first = carry.known_format(carry.origin(model.skeleton(), []))
        return Scope("axis", -1 if (first or model.format) in KERAS else 0)
    if not isinstance(axis, int):
        raise UsageError(f"axis is a number or {_TENSOR!r}, not {axis!r}")
    return Scope("axis", axis)


def _check_scope(tensor: TensorSpec, scope: Scope) -> None:
    try:
        Int8Codec(scope).check(RunSpec.of(tensor.dtype, [tensor.shape]))
    except CodecConfigError as error:
        raise UsageError(f"tensor {tensor.name!r}: {error.message}") from None


def _find_roundings(
    model: TensorSource,
    chosen: Sequence[int],
    scope: Scope,
    executor: Executor | None,
    notes: list[str],
    progress: Progress,
    rest: int,
) -> tuple[dict[int, Rounding], int]:
    """Return how each tensor that can be is rounded, and the bytes that were looked at for it.

    `rest` is how many bytes are counted afterwards.
    """

    def find(index: int) -> tuple[int, Rounding | NotCodableError]:
        try:
            return index, find_rounding(model, index, scope)
        except NotCodableError as error:
            return index, error
        except McodecError as error:
            raise placed(error, model.tensors[index].name) from error.__cause__

    roundings: dict[int, Rounding] = {}
    work = sum(model.tensors[index].nbytes for index in chosen)
    done = 0
    for index, found in map_ordered(executor, find, chosen):
        tensor = model.tensors[index]
        if isinstance(found, NotCodableError):
            notes.append(f"tensor {tensor.name!r} stays as it is: {found.message}")
        else:
            roundings[index] = found
        done += tensor.nbytes
        progress(done, work + rest)
    return roundings, work


def _outcome(rounding: Rounding, codec: Codec | None) -> QuantizedTensor:
    peak, noise, signal = rounding.stats
    size = rounding.tensor.size
    return QuantizedTensor(
        rounding.tensor,
        str(rounding.scope),
        rounding.scales.size,
        size - rounding.zeros_before,
        size - rounding.zeros,
        peak,
        sqnr_db(signal, noise),
        None if codec is None else codec.codec_id,
    )


def _integer_bytes(tensor: TensorSpec, rounding: Rounding | None) -> int:
    return tensor.nbytes if rounding is None else tensor.size + rounding.scales.nbytes
