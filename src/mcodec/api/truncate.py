"""`truncate`: an operation on the bits of every float of a model (paper 000)."""

from __future__ import annotations

from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcodec.api import ceiling
from mcodec.api.bitchanges import TruncatedTensor, finite, measure, warnings_of
from mcodec.api.bitops import BY_KEEP, BitOperation, operation_of
from mcodec.api.changed import ChangedSource
from mcodec.api.destination import CONTAINER, choose_destination, options_of
from mcodec.api.listing import sqnr_db
from mcodec.api.opening import open_model
from mcodec.api.patterns import choose_by_name
from mcodec.api.progress import Progress, no_progress
from mcodec.codec.streams import patterns
from mcodec.engine import workers
from mcodec.errors import UsageError
from mcodec.types import FLOATS, dtype_name

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from mcodec.api.sources import Arrays, PathLike
    from mcodec.formats.base import TensorSource


@dataclass(frozen=True, slots=True)
class TruncateReport:
    """What `truncate` did.

    Attributes
    ----------
    path, format
        The output, and what it is: an id of a format, or ``mc``.
    operation
        What was done to each pattern.
    tensors
        Those that it was done to, in model order; an array of several names once.
    untouched
        How many names of tensors are not among them: no floats, or left out by a pattern.
    source_bytes, file_bytes
        The model's arrays as they came, and the output.
    checked
        Whether the output was read back and compared; a `.mc` file has hashes instead.
    notes
        A line for each thing to be warned of.
    """

    path: str
    format: str
    operation: BitOperation
    tensors: tuple[TruncatedTensor, ...]
    untouched: int
    source_bytes: int
    file_bytes: int
    checked: bool
    notes: tuple[str, ...]

    @property
    def values(self) -> int:
        """Elements of the tensors."""
        return sum(one.spec.size for one in self.tensors)

    @property
    def changed(self) -> int:
        """Values of which any bit changed."""
        return sum(one.changed for one in self.tensors)

    @property
    def max_abs_error(self) -> float | None:
        """The largest |error| of all; None where it overflows."""
        return finite(max((one.stats[0] for one in self.tensors), default=0.0))

    @property
    def sqnr_db(self) -> float | None:
        """Signal to error over all tensors, in dB; None where there is no error."""
        return sqnr_db(*(sum(one.stats[part] for one in self.tensors) for part in (2, 1)))


def truncate(
    source: PathLike | Arrays,
    out: str | os.PathLike[str],
    keep: int | None = None,
    *,
    operation: str = "truncate",
    mask: int | str | None = None,
    to: str | None = None,
    task: str | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    codec: str | None = None,
    key: str = "",
    check: bool = True,
    sandbox: bool = False,
    jobs: int | None = None,
    max_memory: int | None = None,
    progress: Progress = no_progress,
) -> TruncateReport:
    """Zero the low bits of every float of a model, or change other bits, and write the model.

    All tensors of ``float16``, ``bfloat16``, ``float32`` and ``float64`` are meant, vectors and
    statistics among them; whatever else the file holds stays as it is.

    Parameters
    ----------
    source
        A model file of any format, a `.mc` file, or a mapping of names to arrays.
    out
        The file or folder to make; a file is replaced, whole or not at all.
    keep
        Bits kept from the top of the pattern (sign, exponent, mantissa), 1 to 64; a dtype that has
        no more is kept whole. For ``truncate`` and ``round``.
    operation
        ``truncate``, as in the paper: ``(bits >> n) << n``, also of NaNs and infinities. ``round``:
        to the nearest pattern that ``truncate`` leaves, ties to even; never from a number to an
        infinity. ``set``, ``clear``, ``flip``: the bits of `mask`, or-ed in, taken out, xor-ed
        (`BitOperation`).
    mask
        Of the pattern, a number or its hexadecimal digits; not wider than any of the dtypes.
    to
        A format, as in `convert`; default: by the suffix of `out` (``.mc`` packs), else as it came.
    task
        Of a `.mc` source; may be left out where there is only one.
    include, exclude
        Shell patterns: tensors of these names only, or all but these.
    codec
        For a `.mc` output, as in `pack`; default: ``auto``, the smallest lossless one.
    key, check, sandbox, jobs, max_memory, progress
        As in `prune`.

    Raises
    ------
    FormatError
        The source is damaged or refused; nothing is written then.
    UsageError, CodecConfigError
        The arguments do not fit each other or the model.
    InputOutputError
        A file cannot be read or written, or what was written reads back different.
    """
    what = operation_of(operation, keep, mask)
    with ExitStack() as stack:
        model = open_model(stack, source, task=task, key=key, sandbox=sandbox)
        destination = choose_destination(model, out, to, source)
        options = options_of(codec, destination)
        stack.enter_context(ceiling.for_change(model, destination, options, max_memory))
        executor = stack.enter_context(workers(jobs))
        notes: list[str] = []
        chosen = choose_floats(model, include, exclude, notes.append)
        _check_widths(model, chosen, what, notes)
        work = sum(model.tensors[index].nbytes for index in chosen)
        total = work + destination.work(model, check=check)
        found = {index: TruncatedTensor(model.tensors[index]) for index in chosen}
        done = 0
        for index, size, part in measure(model, chosen, what, executor):
            found[index] += part
            done += size
            progress(done, total)
        change = _changing(what)
        size, more = destination.write(
            ChangedSource(model, dict.fromkeys(chosen, change)),
            executor,
            options,
            check=check,
            progress=lambda done, rest: progress(work + done, work + rest),
        )
    tensors = tuple(found.values())
    names = sum(model.same_as.get(index, index) in found for index in range(len(model.tensors)))
    return TruncateReport(
        destination.path,
        destination.format,
        what,
        tensors,
        len(model.tensors) - names,
        sum(tensor.nbytes for tensor in model.tensors),
        size,
        check and destination.format != CONTAINER,
        (*notes, *warnings_of(tensors), *more),
    )


def choose_floats(
    source: TensorSource,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    warn: Callable[[str], None] = lambda message: None,
) -> list[int]:
    """Return the arrays of a model that are floats of 16, 32 or 64 bits.

    Parameters
    ----------
    source
        The model.
    include, exclude
        Shell patterns of names: only those that one of `include` matches, if there are any, and
        none that one of `exclude` matches. With several names, one that matches is enough.
    warn
        Called with a line for each pattern that matches no such tensor, and for what looks like
        floats and is left out.

    Returns
    -------
    list of int
        Indices of tensors, second names left out.
    """
    names: defaultdict[int, list[str]] = defaultdict(list)
    others: defaultdict[str, int] = defaultdict(int)
    for index, tensor in enumerate(source.tensors):
        if tensor.dtype in FLOATS:
            names[source.same_as.get(index, index)].append(tensor.name)
        elif tensor.dtype.startswith(("float", "complex")):
            others[tensor.dtype] += 1
    for dtype, count in others.items():
        warn(f"{count:,} of dtype {dtype} left as they are: only {', '.join(FLOATS)} are changed")
    found = choose_by_name(names, include, exclude, warn, "tensor of floats")
    if not found:
        warn("no tensor of floats is chosen: the model stays as it is")
    return found


def _check_widths(
    model: TensorSource, chosen: Sequence[int], what: BitOperation, notes: list[str]
) -> None:
    """Refuse a mask that is wider than a tensor's pattern; say what dtypes are kept whole."""
    whole: defaultdict[str, int] = defaultdict(int)
    for index in chosen:
        tensor = model.tensors[index]
        width = FLOATS[tensor.dtype].width
        if what.mask >> width:
            raise UsageError(
                f"the mask has {what.mask.bit_length()} bits, and tensor {tensor.name!r} is "
                f"{tensor.dtype}, of {width}: give a mask of that width, or leave it out (exclude)"
            )
        if what.name in BY_KEEP and what.keep > width:
            whole[tensor.dtype] += 1
    for dtype, count in whole.items():
        width = FLOATS[dtype].width
        notes.append(f"{count:,} of dtype {dtype} kept whole: it has {width} bits")


def _changing(what: BitOperation) -> Callable[[NDArray[Any], int], NDArray[Any]]:
    def change(values: NDArray[Any], start: int) -> NDArray[Any]:
        return what.apply(dtype_name(values.dtype) or "", patterns(values)).view(values.dtype)

    return change
