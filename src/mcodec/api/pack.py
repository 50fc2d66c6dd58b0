"""`pack`: models in, one `.mc` file out."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import mcodec
from mcodec.api import sources as inputs
from mcodec.api.describe import describe
from mcodec.api.encode import EncodedBlock, RunEncoder
from mcodec.api.listing import TaskRow, list_tasks
from mcodec.api.pairing import find_tensor, pair_tensors, parse_override
from mcodec.api.planning import (
    Bits,
    Coding,
    Options,
    RunPlan,
    bits_by_task,
    choose,
    lay_out,
    survey,
)
from mcodec.api.progress import Progress, no_progress
from mcodec.codec.plan import Plan, parse_codec, parse_plan
from mcodec.codec.raw import RawCodec
from mcodec.container.header import LAYOUTS
from mcodec.container.writer import ContainerWriter
from mcodec.engine import map_ordered, workers
from mcodec.errors import UsageError
from mcodec.limits import MAX_TASKS, MAX_TENSORS, decoded_budget
from mcodec.storage import check_output, io_errors
from mcodec.types import itemsize

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence
    from concurrent.futures import Executor

    from mcodec.formats.base import TensorSource

SKELETON: Final = "skeleton"


@dataclass(frozen=True, slots=True)
class TaskCost:
    """What one task takes: as it came, in the papers' bits, and in the file."""

    row: TaskRow
    paper_bytes: int | None


@dataclass(frozen=True, slots=True)
class PackReport:
    """What `pack` did."""

    path: str
    file_bytes: int
    layout: str
    tasks: tuple[TaskCost, ...]
    fused: int
    warnings: tuple[str, ...]


def pack(
    sources: inputs.Sources,
    out: str | os.PathLike[str],
    *,
    bits: Bits = None,
    rounding: str = "nearest",
    codec: str | None = None,
    plan: str | os.PathLike[str] | None = None,
    layout: str | None = None,
    pair: Sequence[tuple[str, str]] = (),
    jobs: int | None = None,
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
        all tasks, in their order, or by name. 1 to 24.
    rounding
        ``nearest``, or ``truncate`` as in the papers.
    codec
        A codec string for floating tensors, such as ``float`` or ``bfp(bits=8,scope=axis:-1)``;
        for weights, `bits` goes before it.
    plan
        A TOML file of codecs by name pattern; it goes before `bits` and `codec`.
    layout
        ``task``, ``interleaved`` or ``progressive``; default: interleaved with `bits` and two or
        more tasks, else task.
    pair
        Pairs of ``TASK:name`` to fuse, before all that are found.
    jobs
        Threads; default: the usable cores. The bytes do not depend on it.
    progress
        Called with (bytes done, bytes in all).

    Raises
    ------
    UsageError, CodecConfigError
        The arguments do not fit each other or the models.
    FormatError
        A source is damaged, refused or of no known format.
    InputOutputError
        A source cannot be read, or the file cannot be written.
    """
    if layout is not None and layout not in LAYOUTS:
        raise UsageError(f"layout is one of {', '.join(LAYOUTS)}, not {layout!r}")
    if rounding not in ("nearest", "truncate"):
        raise UsageError(f"rounding is nearest or truncate, not {rounding!r}")
    named = inputs.name_sources(sources)
    names = list(named)
    options = Options(
        bits_by_task(bits, names),
        rounding,
        None if codec is None else parse_codec(codec),
        _read_plan(plan),
    )
    check_output(out, [*named.values(), *([plan] if plan is not None else [])])
    fuse = layout == "interleaved" or (bits is not None and len(names) > 1)
    if pair and bits is None and layout != "interleaved":
        raise UsageError("pair fuses tensors: it needs bits, or the interleaved layout")
    layout = layout or ("interleaved" if fuse else "task")
    with ExitStack() as stack:
        models = []
        for source in named.values():
            models.append(inputs.open_source(source))
            stack.callback(models[-1].close)
            inputs.check_names((tensor.name for tensor in models[-1].tensors), "tensor")
        executor = stack.enter_context(workers(jobs))
        job = _Job(names, models, options, layout, executor, progress)
        job.code(fuse, [parse_override(one, names) for one in pair])
        return job.write(out)


class _Job:
    """One call of `pack`, step by step."""

    def __init__(
        self,
        names: list[str],
        models: list[TensorSource],
        options: Options,
        layout: str,
        executor: Executor | None,
        progress: Progress,
    ) -> None:
        self._names = names
        self._models = models
        self._options = options
        self._layout = layout
        self._executor = executor
        self._progress = progress
        self._warnings: list[str] = []
        self._codings: list[dict[int, Coding]] = []  # by tensor; second names have none
        self._runs: list[RunPlan] = []

    def code(self, fuse: bool, overrides: Sequence[tuple[int, str, int, str]]) -> None:
        """Choose codecs, survey what needs it, and lay tensors into runs."""
        items = [
            (task, index, choose(task, self._names[task], tensor, self._options))
            for task, model in enumerate(self._models)
            for index, tensor in enumerate(model.tensors)
        ]
        self._check(items)
        items = [item for item in items if item[1] not in self._models[item[0]].same_as]
        codings = map_ordered(self._executor, self._survey, items)
        self._codings = [{} for _ in self._models]
        for (task, index, _), (coding, warning) in zip(items, codings, strict=True):
            self._codings[task][index] = coding
            if warning:
                self._warnings.append(f"task {self._names[task]!r}: {warning}")
        specs = [model.tensors for model in self._models]
        groups = self._fused(pair_tensors(specs, overrides)) if fuse else []
        self._runs = lay_out(specs, self._codings, groups)
        fused = {(run.task, i): run.fused for run in self._runs for i in run.members}
        for pair in overrides:
            places = [(task, find_tensor(specs[task], name)) for task, name in (pair[:2], pair[2:])]
            one, two = (fused[task, self._first(task, index)] for task, index in places)
            if one is None or one != two:
                message = f"--pair {pair[1]!r}, {pair[3]!r}: not fused, their codecs differ"
                self._warnings.append(message)

    def _first(self, task: int, index: int) -> int:
        """Return the tensor that is stored for this one: another, where both are one array."""
        return self._models[task].same_as.get(index, index)

    def _fused(self, groups: Sequence[Mapping[int, int]]) -> list[dict[int, int]]:
        """Leave second names out of groups: their array is fused under its first."""
        own = (
            {task: index for task, index in group.items() if self._first(task, index) == index}
            for group in groups
        )
        return [group for group in own if len(group) > 1]

    def _check(self, items: Sequence[tuple[int, int, Any]]) -> None:
        """Refuse more than a file can hold, and warn of a plan's rules that match nothing."""
        if len(items) > MAX_TENSORS or len(self._models) > MAX_TASKS:
            message = f"{len(items):,} tensors of {len(self._models):,} tasks"
            raise UsageError(
                f"{message} are more than a file holds ({MAX_TENSORS:,}; {MAX_TASKS:,})"
            )
        names = [
            f"{self._names[task]}:{self._models[task].tensors[i].name}" for task, i, _ in items
        ]
        for pattern in self._options.plan.unused(names):
            self._warnings.append(f"the plan's pattern {pattern!r} matches no tensor")

    def _survey(self, item: tuple[int, int, Any]) -> tuple[Coding, str]:
        task, index, codec = item
        found: list[str] = []
        coding = survey(self._models[task], index, codec, found.append)
        return coding, "".join(found)

    def write(self, out: str | os.PathLike[str]) -> PackReport:
        """Encode all blocks, and write the file."""
        skeletons = self._add_skeletons()
        paired = {run.fused for run in self._runs if run.fused is not None}
        planes_only = self._layout == "progressive"
        if planes_only and not all(run.codec.by_levels for run in self._runs):
            raise UsageError("signs=compact needs all planes: it cannot be laid out progressive")
        encoders = [
            RunEncoder(
                number,
                run,
                skeletons.get(number, self._models[run.task]),
                self._codings[run.task] if number not in skeletons else {0: Coding(RawCodec())},
                planes_only=planes_only or run.fused is not None,
            )
            for number, run in enumerate(self._runs)
        ]
        total = sum(run.spec.nbytes for run in self._runs)
        done = 0
        with ContainerWriter(out, self._layout) as writer:
            for blocks in map_ordered(self._executor, _encode, self._work(encoders)):
                writer.put([block.part for block in blocks])
                for block in blocks:
                    encoders[block.part.run].take(block)
                    done += 0 if block.source is None else block.source.nbytes
                self._progress(done, total)
            manifest = describe(self._names, self._models, encoders, set(skeletons))
            size = writer.finish(manifest.encode(f"mcodec {mcodec.__version__}"))
        return self._report(out, size, len(paired))

    def _add_skeletons(self) -> dict[int, TensorSource]:
        """Add each task's skeleton as its last run; return the sources of these runs."""
        runs: list[RunPlan] = []
        found: dict[int, TensorSource] = {}
        for task, model in enumerate(self._models):
            runs += [run for run in self._runs if run.task == task]
            text = model.skeleton()
            if text:
                import numpy as np

                blob = np.frombuffer(text, np.uint8)
                found[len(runs)] = inputs.ArraySource({SKELETON: blob})
                runs.append(RunPlan(task, RawCodec(), "uint8", [0], [blob.shape]).seal())
        self._runs = runs
        return found

    def _work(self, encoders: Sequence[RunEncoder]) -> Iterator[list[tuple[RunEncoder, int]]]:
        """Yield the blocks in the order of the file: those of a fused group together."""
        groups: dict[Any, list[RunEncoder]] = {}
        for number, encoder in enumerate(encoders):
            fused = encoder.plan.fused if self._layout == "interleaved" else None
            groups.setdefault(("run", number) if fused is None else ("pair", fused), []).append(
                encoder
            )
        for group in groups.values():
            for block in range(-1, group[0].plan.spec.blocks):
                yield [(encoder, block) for encoder in group]

    def _report(self, out: str | os.PathLike[str], size: int, fused: int) -> PackReport:
        from mcodec.api.handle import open as open_file

        with open_file(out, max_decoded=1 << 62) as file:
            rows = list_tasks(file.reader)
        for row in rows:
            if row.source_bytes > decoded_budget(size):
                self._warnings.append(
                    f"task {row.name!r} decodes to over 1,000 times the file's size: "
                    "readers have to allow that with --max-decoded"
                )
        costs = tuple(
            TaskCost(row, self._paper_bytes(task) if self._is_fusion(task) else None)
            for task, row in enumerate(rows)
        )
        return PackReport(str(out), size, self._layout, costs, fused, tuple(self._warnings))

    def _is_fusion(self, task: int) -> bool:
        codings = self._codings[task].values()
        return any(coding.codec.weight_bits is not None for coding in codings)

    def _paper_bytes(self, task: int) -> int:
        """Return the papers' cost: n + 1 bits a fused weight, full width for all else."""
        total = 0
        for index, coding in self._codings[task].items():
            tensor = self._models[task].tensors[index]
            width = coding.codec.weight_bits or 8 * itemsize(tensor.dtype)
            total += width * tensor.size
        return -(-total // 8)


def _encode(blocks: list[tuple[RunEncoder, int]]) -> list[EncodedBlock]:
    return [encoder.encode(block) for encoder, block in blocks]


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
