"""`prune`: the smallest weights of each tensor set to zero (magnitude pruning; paper 003)."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcodec.api import ceiling
from mcodec.api.changed import ChangedSource
from mcodec.api.copying import placed
from mcodec.api.cuts import find_cut
from mcodec.api.destination import CONTAINER, choose_destination, options_of
from mcodec.api.opening import open_model
from mcodec.api.progress import Progress, no_progress
from mcodec.api.quantized import find_quantized
from mcodec.api.schedule import check_sparsity
from mcodec.api.weights import choose_weights
from mcodec.engine import map_ordered, workers
from mcodec.errors import McodecError, UsageError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Executor

    from mcodec.api.cuts import Cut
    from mcodec.api.sources import Arrays, PathLike
    from mcodec.formats.base import TensorSource
    from mcodec.types import TensorSpec


@dataclass(frozen=True, slots=True)
class PrunedTensor:
    """What became of one tensor; NaNs count as not zero."""

    spec: TensorSpec
    nonzero_before: int
    nonzero_after: int


@dataclass(frozen=True, slots=True)
class PruneReport:
    """What `prune` did.

    Attributes
    ----------
    path, format
        The output, and what it is: an id of a format, or ``mc``.
    sparsity
        What was asked for.
    tensors
        Those that were pruned, in model order; an array of several names once.
    untouched
        How many names of tensors are not among them: no weights, or left out by a pattern.
    source_bytes, file_bytes
        The model's arrays as they came, and the output.
    checked
        Whether the output was read back and compared; a `.mc` file has hashes instead.
    notes
        A line for each thing to be warned of.
    """

    path: str
    format: str
    sparsity: float
    tensors: tuple[PrunedTensor, ...]
    untouched: int
    source_bytes: int
    file_bytes: int
    checked: bool
    notes: tuple[str, ...]

    @property
    def weights(self) -> int:
        """Elements of the pruned tensors."""
        return sum(one.spec.size for one in self.tensors)

    @property
    def nonzero_before(self) -> int:
        """How many of the weights were not zero."""
        return sum(one.nonzero_before for one in self.tensors)

    @property
    def nonzero_after(self) -> int:
        """How many of the weights are not zero."""
        return sum(one.nonzero_after for one in self.tensors)


def prune(
    source: PathLike | Arrays,
    out: str | os.PathLike[str],
    sparsity: float,
    *,
    to: str | None = None,
    task: str | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    codec: str | None = None,
    force: bool = False,
    key: str = "",
    check: bool = True,
    sandbox: bool = False,
    jobs: int | None = None,
    max_memory: int | None = None,
    progress: Progress = no_progress,
) -> PruneReport:
    """Set the smallest weights of each tensor to zero, and write the model.

    Of a tensor of n weights the round(sparsity · n) of least magnitude become +0.0 (the product in
    float64, to the nearest integer, ties to even); of equal magnitudes those that come first. What
    is zero already counts among them; a NaN never does. Weights are floating tensors of two or more
    dimensions, but no biases, nothing of a batch normalisation, and no training state.

    Parameters
    ----------
    source
        A model file of any format, a `.mc` file, or a mapping of names to arrays.
    out
        The file or folder to make; a file is replaced, whole or not at all.
    sparsity
        The part of the weights that is to be zero, 0 to 1; `gradual_sparsity` has a schedule.
    to
        A format, as in `convert`; default: by the suffix of `out` (``.mc`` packs), else as it came.
    task
        Of a `.mc` source; may be left out where there is only one.
    include, exclude
        Shell patterns: weights of these names only, or all but these.
    codec
        For a `.mc` output, as in `pack`; default: ``auto``, the smallest lossless one.
    force
        Prune also what is quantised already.
    key
        The place of the model in a PyTorch checkpoint.
    check
        Read the output back, and compare every array by its hash.
    sandbox
        Read the source in a process of its own, under a memory and a time limit.
    jobs
        Threads; default: the usable cores. The bytes do not depend on it.
    max_memory
        Bytes that the process may take, with what it holds already; default: 512 MiB beside that.
    progress
        Called with (bytes done, bytes in all).

    Raises
    ------
    FormatError
        The source is damaged or refused; nothing is written then.
    UsageError, CodecConfigError
        The arguments do not fit each other or the model; the model is quantised already.
    InputOutputError
        A file cannot be read or written, or what was written reads back different.
    """
    check_sparsity("sparsity", sparsity)
    with ExitStack() as stack:
        model = open_model(stack, source, task=task, key=key, sandbox=sandbox)
        destination = choose_destination(model, out, to, source)
        options = options_of(codec, destination)
        stack.enter_context(ceiling.for_change(model, destination, options, max_memory))
        executor = stack.enter_context(workers(jobs))
        notes: list[str] = []
        chosen = choose_weights(model, include, exclude, notes.append)
        if not chosen:
            notes.append("no tensor is a weight that may be pruned: the model stays as it is")
        _refuse_quantized(model, chosen, executor, notes, force=force)
        work = sum(model.tensors[index].nbytes for index in chosen)
        total = work + destination.work(model, check=check)
        done = 0
        cuts: dict[int, Cut] = {}
        for index, cut in _find_cuts(model, chosen, sparsity, executor):
            cuts[index] = cut
            done += model.tensors[index].nbytes
            progress(done, total)
        size, more = destination.write(
            ChangedSource(model, cuts),
            executor,
            options,
            check=check,
            progress=lambda done, rest: progress(work + done, work + rest),
        )
    tensors = tuple(_outcome(model.tensors[index], cut) for index, cut in cuts.items())
    names = sum(model.same_as.get(index, index) in cuts for index in range(len(model.tensors)))
    return PruneReport(
        destination.path,
        destination.format,
        sparsity,
        tensors,
        len(model.tensors) - names,
        sum(tensor.nbytes for tensor in model.tensors),
        size,
        check and destination.format != CONTAINER,
        (*notes, *more),
    )


def _refuse_quantized(
    model: TensorSource,
    chosen: Sequence[int],
    executor: Executor | None,
    notes: list[str],
    *,
    force: bool,
) -> None:
    """Refuse a model that is quantised: of small integers too many are equal (paper 003)."""
    found = find_quantized(model, chosen, executor)
    if found is None:
        return
    if not force:
        raise UsageError(
            f"the model is quantised already ({found}), and pruning it then costs much accuracy: "
            "prune first, quantise after; --force prunes all the same"
        )
    notes.append(f"the model was quantised already ({found})")


def _find_cuts(
    model: TensorSource, chosen: Sequence[int], sparsity: float, executor: Executor | None
) -> Iterator[tuple[int, Cut]]:
    def find(index: int) -> tuple[int, Cut]:
        tensor = model.tensors[index]
        try:
            return index, find_cut(model, index, round(sparsity * tensor.size))
        except McodecError as error:
            raise placed(error, tensor.name) from error.__cause__

    return map_ordered(executor, find, chosen)


def _outcome(tensor: TensorSpec, cut: Cut) -> PrunedTensor:
    return PrunedTensor(tensor, tensor.size - cut.zeros, tensor.size - max(cut.zeros, cut.pruned))
