"""`convert`: a model file into another format, nothing lost, and read back to prove it."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcodec import outputs
from mcodec.api import copying, target
from mcodec.api.progress import Progress, no_progress
from mcodec.api.sources import open_source
from mcodec.engine import workers
from mcodec.errors import InputOutputError
from mcodec.formats import registry

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Executor

    from mcodec.api.target import Target
    from mcodec.formats.base import TensorSource


@dataclass(frozen=True, slots=True)
class ConvertReport:
    """What `convert` did.

    ``checked`` says whether the output was read back and compared; ``notes`` has one line for each
    thing that was not carried over.
    """

    path: str
    source_format: str
    format: str
    tensors: int
    bytes: int
    checked: bool
    notes: tuple[str, ...]


def convert(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    to: str | None = None,
    key: str = "",
    check: bool = True,
    sandbox: bool = False,
    jobs: int | None = None,
    progress: Progress = no_progress,
) -> ConvertReport:
    """Write a model in another format; what that cannot express travels inside it as JSON.

    Converted back, the same model file comes out: groups, attributes, archive members and all.

    Parameters
    ----------
    source
        A model file, a folder of shards, or its index.
    out
        The file or folder to make; a file is replaced, whole or not at all.
    to
        ``h5``, ``safetensors``, ``npz``, ``pt``, ``keras``; default: by the suffix of `out`.
    key
        The place of the model in a PyTorch checkpoint, such as ``model.state_dict``.
    check
        Read the output back, and compare every array by its hash.
    sandbox
        Read the source in a process of its own, under a memory and a time limit.
    jobs
        Threads; default: the usable cores.
    progress
        Called with (bytes done, bytes in all).

    Raises
    ------
    FormatError
        The source is damaged or refused; nothing is written then.
    UsageError
        The target cannot hold one of the tensors, or there is no such format.
    InputOutputError
        A file cannot be read or written, or what was written reads back different.
    """
    with ExitStack() as stack:
        model = open_source(source, key=key, sandbox=sandbox)
        stack.callback(model.close)
        chosen = target.choose_format(to, out, model.format)
        plan = target.plan(out, chosen, model.skeleton())
        target.check(plan, [source])
        executor = stack.enter_context(workers(jobs))
        with target.create(plan, model.tensors, model.metadata, model.same_as) as made:
            moved = _both_ways(progress) if check else progress
            digests = copying.copy(model, made.sink, executor, digests=check, progress=moved)
            made.sink.close()
            if check:
                _compare(model, digests, made, chosen, executor, progress)
            size = outputs.size_of(made.path)
    notes = (*model.notes, *made.notes, *_untied(model, made, plan))
    return ConvertReport(
        os.fspath(out), model.format, chosen, len(model.tensors), size, check, notes
    )


def _both_ways(progress: Progress) -> Progress:
    """Let writing be the first half of the way."""
    return lambda done, total: progress(done, 2 * total)


def _compare(
    model: TensorSource,
    digests: Mapping[int, bytes],
    made: Target,
    chosen: str,
    executor: Executor | None,
    progress: Progress,
) -> None:
    """Read the output back, and compare each tensor's dtype, shape and digest.

    Raises
    ------
    InputOutputError
        They differ: the disk, or mcodec, is at fault.
    """
    back = registry.open_as(chosen, made.path)
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
