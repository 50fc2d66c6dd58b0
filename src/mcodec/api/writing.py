"""A model written as a file, whole or not at all, and read back to prove it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcodec import outputs
from mcodec.api import copying, target
from mcodec.api.progress import Progress, no_progress
from mcodec.errors import InputOutputError
from mcodec.formats import registry

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Executor

    from mcodec.api.target import Target
    from mcodec.formats.base import TensorSource


def write_model(
    model: TensorSource,
    plan: target.Plan,
    executor: Executor | None,
    *,
    check: bool,
    progress: Progress = no_progress,
) -> tuple[int, tuple[str, ...]]:
    """Write all of a model.

    Parameters
    ----------
    model
        The model.
    plan
        What to write it as; `target.check` has found nothing against it.
    executor
        Threads, or None.
    check
        Read the output back, and compare every array by its hash.
    progress
        Called with (bytes done, bytes in all).

    Returns
    -------
    int
        Bytes of the output.
    tuple of str
        A line for each thing that was not carried over.

    Raises
    ------
    FormatError, UsageError, InputOutputError
        As `target.create` and `copying.copy`; also if what was written reads back different.
    """
    with target.create(plan, model.tensors, model.metadata, model.same_as) as made:
        moved = _both_ways(progress) if check else progress
        digests = copying.copy(model, made.sink, executor, digests=check, progress=moved)
        made.sink.close()
        if check:
            _compare(model, digests, made, plan.format, executor, progress)
        size = outputs.size_of(made.path)
    return size, (*model.notes, *made.notes, *_untied(model, made, plan))


def _both_ways(progress: Progress) -> Progress:
    """Let writing be the first half of the way."""
    return lambda done, total: progress(done, 2 * total)


def _compare(
    model: TensorSource,
    digests: Mapping[int, bytes],
    made: Target,
    format: str,
    executor: Executor | None,
    progress: Progress,
) -> None:
    """Read the output back, and compare each tensor's dtype, shape and digest.

    Raises
    ------
    InputOutputError
        They differ: the disk, or mcodec, is at fault.
    """
    back = registry.open_as(format, made.path)
    try:
        places = {spec.name: index for index, spec in enumerate(back.tensors)}
        names = {spec.name for spec in model.tensors}
        wrong = next(iter(names ^ places.keys()), None)
        total = sum(spec.nbytes for spec in model.tensors)
        found = copying.digest(
            back, executor, progress=lambda done, _: progress(total + done, 2 * total)
        )
        for index, spec in enumerate(model.tensors):
            if wrong is not None:
                break
            place = places[spec.name]
            same = spec == back.tensors[place] and digests[index] == found[place]
            wrong = None if same else spec.name
    finally:
        back.close()
    if wrong is not None:
        raise InputOutputError(
            f"tensor {wrong!r} does not read back as it was written, so nothing is kept: "
            "suspect the disk, and else report it"
        )


def _untied(model: TensorSource, made: Target, plan: target.Plan) -> list[str]:
    """Say what was one array and is written twice."""
    lost = len(model.same_as) - len(made.sink.same_as)
    if lost <= 0:
        return []
    arrays = "array is" if lost == 1 else "arrays are"
    label = registry.FORMATS[plan.format].label
    return [f"{lost} shared {arrays} written once for each name: {label} has no way to share"]
