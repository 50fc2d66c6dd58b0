"""`pack`: models in, one `.mc` file out."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from mcodec.api import ceiling
from mcodec.api import sources as inputs
from mcodec.api.engines import check_sources, is_here, packers
from mcodec.api.packing import Packing
from mcodec.api.packreport import PackReport, TaskCost
from mcodec.api.pairing import parse_override
from mcodec.api.planning import FUSIONS, Bits, Options, bits_by_task
from mcodec.api.progress import Progress, no_progress
from mcodec.codec.plan import parse_codec
from mcodec.codec.planfile import Plan, parse_plan
from mcodec.container.header import LAYOUTS
from mcodec.container.spool import Joined
from mcodec.errors import UsageError
from mcodec.outputs import check_output
from mcodec.storage import io_errors

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Executor

__all__ = ["PackReport", "TaskCost", "pack"]


def pack(
    sources: inputs.Sources,
    out: str | os.PathLike[str] | Joined,
    *,
    bits: Bits = None,
    rounding: str = "nearest",
    fusion: str = "v2",
    codec: str | None = None,
    plan: str | os.PathLike[str] | None = None,
    optimize: str = "load",
    force: bool = False,
    layout: str | None = None,
    pair: Sequence[tuple[str, str]] = (),
    meta: Mapping[str, Mapping[str, str]] | None = None,
    key: str | Mapping[str, str] = "",
    sandbox: bool = False,
    jobs: int | None = None,
    engine: str = "threads",
    executor: Executor | None = None,
    parts: str | os.PathLike[str] | None = None,
    max_memory: int | None = None,
    progress: Progress = no_progress,
) -> PackReport:
    """Pack models into one file, each as a task; without options every bit is kept.

    Parameters
    ----------
    sources
        A path, a list of paths (named A, B, C, …), or a mapping of task names to paths or to
        mappings of arrays.
    out
        The file to make or replace, whole or not at all.
    bits
        Bit fusion (paper 001): magnitude bits of floating weights of two or more dimensions, for
        all tasks, in their order, or by name. 1 to 24; with v1 mantissa bits, 1 to the dtype's.
    rounding
        ``nearest``, or ``truncate`` as in the papers; v1 truncates.
    fusion
        ``v2``, the improved one: a shared exponent a tensor, n + 1 bits a weight (codec bfp). Or
        ``v1``, as published first: IEEE sign and exponent of each weight and n mantissa bits below
        the hidden one, n + 9 bits in float32 (codec float).
    codec
        ``auto``, the default: for each floating tensor the smallest lossless codec; or a codec
        string such as ``float`` or ``bfp(bits=8,scope=axis:-1)``. For weights, `bits` goes before
        it.
    plan
        A TOML file of codecs by name pattern; it goes before `bits` and `codec`.
    optimize
        What ``auto`` makes small: ``load``, what one task has to read; or ``file``, the file, by
        tensors that are told from those of another task (codecs delta and mask).
    force
        Take csr also where it costs more than it saves.
    layout
        ``task``, ``interleaved`` or ``progressive``; default: interleaved with `bits` and two or
        more tasks, else task.
    pair
        Pairs of ``TASK:name`` to fuse, before all that are found.
    meta
        Words and numbers to keep with tasks, by name: ``{"v1": {"accuracy": "96.19"}}``.
    key
        For PyTorch checkpoints, the place of the model, such as ``model.state_dict``: of every
        source, or by task name.
    sandbox
        Read each source in a process of its own, under a memory and a time limit.
    jobs
        Threads, or processes; default: the usable cores. The bytes do not depend on it.
    engine
        Who works: ``threads``; ``processes`` of this machine; ``dask``, a Dask cluster made for
        this call; or ``dask://HOST:PORT``, the scheduler of one that is there (docs/scale-out.md).
    executor
        Any other executor of `concurrent.futures`, such as that of a Dask client; it is not shut
        down. Its workers need this version of mcodec, and the same files under the same paths.
    parts
        A folder for part files, or its fsspec URL, that all workers see; default: ``OUT.parts``.
    max_memory
        Bytes that the process may take, with what it holds already; default: 512 MiB beside that.
        The bytes of the file do not depend on it.
    progress
        Called with (bytes done, bytes in all).

    Raises
    ------
    UsageError, CodecConfigError
        The arguments do not fit each other or the models, or the models `max_memory`.
    FormatError
        A source is damaged, refused or of no known format.
    InputOutputError
        A source cannot be read, or the file cannot be written; workers died.
    MissingDependencyError
        Dask is asked for, and is not installed.
    """
    if layout is not None and layout not in LAYOUTS:
        raise UsageError(f"layout is one of {', '.join(LAYOUTS)}, not {layout!r}")
    named = inputs.name_sources(sources)
    names = list(named)
    for name in meta or {}:
        if name not in named:
            raise UsageError(f"meta of {name!r}, and the tasks are {', '.join(names)}")
    options = read_options(
        names,
        bits=bits,
        rounding=rounding,
        fusion=fusion,
        codec=codec,
        plan=plan,
        optimize=optimize,
        force=force,
    )
    if not isinstance(out, Joined):
        check_output(out, [*named.values(), *([plan] if plan is not None else [])])
    fuse = layout == "interleaved" or (bits is not None and len(names) > 1)
    if pair and bits is None and layout != "interleaved":
        raise UsageError("pair fuses tensors: it needs bits, or the interleaved layout")
    layout = layout or ("interleaved" if fuse else "task")
    elsewhere = not is_here(engine, executor)
    if elsewhere:
        check_sources(named)
        if isinstance(out, Joined) and parts is None:
            raise UsageError("a file in memory has no folder beside it: name one for its parts")
    beside = "" if isinstance(out, Joined) else out
    with ExitStack() as stack:
        executor = stack.enter_context(packers(engine, executor, jobs, parts, beside))
        models = inputs.open_sources(stack, named, key, sandbox, elsewhere=elsewhere)
        for model in models:
            inputs.check_names((tensor.name for tensor in model.tensors), "tensor")
        stack.enter_context(ceiling.for_packing(models, options, max_memory, together=fuse))
        job = Packing(names, models, options, layout, executor, progress, meta or {})
        job.code(fuse, [parse_override(one, names) for one in pair])
        return job.write(out)


def read_options(
    names: Sequence[str],
    *,
    bits: Bits,
    rounding: str,
    fusion: str,
    codec: str | None,
    plan: str | os.PathLike[str] | None,
    optimize: str,
    force: bool,
) -> Options:
    """Return what a person asked for, for the tasks of these names; arguments are as in `pack`.

    Raises
    ------
    UsageError, CodecConfigError
        The arguments do not fit each other, or there is no such codec.
    InputOutputError
        The plan cannot be read.
    """
    if rounding not in ("nearest", "truncate"):
        raise UsageError(f"rounding is nearest or truncate, not {rounding!r}")
    if fusion not in FUSIONS:
        raise UsageError(f"fusion is {' or '.join(FUSIONS)}, not {fusion!r}")
    if optimize not in ("load", "file"):
        raise UsageError(f"optimize is load or file, not {optimize!r}")
    auto = codec in (None, "auto")
    if optimize == "file" and not auto:
        raise UsageError(f"optimize chooses codecs: it goes with codec auto, not {codec}")
    found = _read_plan(plan)
    return Options(
        bits_by_task(bits, names, FUSIONS[fusion]),
        rounding,
        None if auto or codec is None else parse_codec(codec),
        found,
        auto,
        optimize,
        force or found.file_bytes is not None,  # `plan` has measured what pays
        fusion,
    )


def _read_plan(path: str | os.PathLike[str] | None) -> Plan:
    if path is None:
        return Plan()
    import os

    name = os.fspath(path)
    with io_errors(name), open(name, encoding="utf-8", errors="strict") as file:
        try:
            text = file.read()
        except UnicodeDecodeError:
            raise UsageError(f"{name}: not a plan: it is not UTF-8 text") from None
    return parse_plan(text, name)
