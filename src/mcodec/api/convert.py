"""`convert`: a model file into another format, nothing lost, and read back to prove it."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass

from mcodec.api import ceiling, target
from mcodec.api.progress import Progress, no_progress
from mcodec.api.sources import open_source
from mcodec.api.writing import write_model
from mcodec.engine import workers


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
    max_memory: int | None = None,
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
    max_memory
        Bytes that the process may take, with what it holds already; default: 512 MiB beside that.
    progress
        Called with (bytes done, bytes in all).

    Raises
    ------
    FormatError
        The source is damaged or refused; nothing is written then.
    UsageError
        The target cannot hold one of the tensors, there is no such format, or the model takes more
        than `max_memory`.
    InputOutputError
        A file cannot be read or written, or what was written reads back different.
    """
    with ExitStack() as stack:
        model = open_source(source, key=key, sandbox=sandbox)
        stack.callback(model.close)
        chosen = target.choose_format(to, out, model.format)
        plan = target.plan(out, chosen, model.skeleton())
        target.check(plan, [source])
        stack.enter_context(ceiling.for_copying(model.tensors, chosen, max_memory))
        executor = stack.enter_context(workers(jobs))
        size, notes = write_model(model, plan, executor, check=check, progress=progress)
    return ConvertReport(
        os.fspath(out), model.format, chosen, len(model.tensors), size, check, notes
    )
