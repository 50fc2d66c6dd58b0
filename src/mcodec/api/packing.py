"""The work of `pack`: codecs chosen, tensors laid into runs, blocks encoded and written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import mcodec
from mcodec.allowance import BLOCKS
from mcodec.api import sources as inputs
from mcodec.api.choices import list_choices
from mcodec.api.codings import Codings
from mcodec.api.describe import describe
from mcodec.api.encode import EncodedBlock, RunEncoder
from mcodec.api.equal import users_of
from mcodec.api.packreport import Measured, PackReport, TaskCost
from mcodec.api.pairing import find_tensor, pair_tensors
from mcodec.api.planning import Coding
from mcodec.api.runs import RunPlan, lay_out
from mcodec.api.scaleout import ScaleOut
from mcodec.api.tasklist import Shares, task_rows
from mcodec.codec import error
from mcodec.codec.raw import RawCodec
from mcodec.container.layout import sealed
from mcodec.container.spool import Joined
from mcodec.container.writer import ContainerWriter, Copy
from mcodec.engine import map_ordered
from mcodec.errors import UsageError
from mcodec.limits import decoded_budget
from mcodec.types import itemsize

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence
    from concurrent.futures import Executor

    from mcodec.api.planning import Options, Place
    from mcodec.api.progress import Progress
    from mcodec.container.manifest import Manifest
    from mcodec.formats.base import TensorSource
    from mcodec.types import TensorSpec

SKELETON: Final = "skeleton"
_GATHERED: Final = 1 << 13  # elements of a member, below which threads do not gain


class Packing(Codings):
    """One call of `pack`, step by step."""

    def __init__(
        self,
        names: list[str],
        models: list[TensorSource],
        options: Options,
        layout: str,
        executor: Executor | None,
        progress: Progress,
        meta: Mapping[str, Mapping[str, str]],
    ) -> None:
        super().__init__(names, models, options, executor)
        self._layout = layout
        self._progress = progress
        self._meta = meta
        self._runs: list[RunPlan] = []
        self._manifest: Manifest

    def code(self, fuse: bool, overrides: Sequence[tuple[int, str, int, str]]) -> None:
        """Choose codecs, survey what needs it, and lay tensors into runs."""
        self._code(self._asked(range(len(self._tasks))))
        specs = [model.tensors for model in self._models]
        groups = self._fused(pair_tensors(specs[: len(self._tasks)], overrides)) if fuse else []
        owners = {(task, 0): () for task in range(len(self._tasks), len(specs))}  # no task's own
        self._runs = lay_out(specs, self._codings, groups, users_of(self._stored) | owners)
        if overrides:
            self._warn_of_unfused(overrides, specs)

    def _warn_of_unfused(
        self,
        overrides: Sequence[tuple[int, str, int, str]],
        specs: Sequence[Sequence[TensorSpec]],
    ) -> None:
        """Take note of pairs that a person asked for and that were not fused."""
        fused = {(run.task, i): run.fused for run in self._runs for i in run.members}
        for pair in overrides:
            places = [(task, find_tensor(specs[task], name)) for task, name in (pair[:2], pair[2:])]
            stored = [self._place(*place) for place in places]
            one, two = (fused[place] for place in stored)
            if stored[0] != stored[1] and (one is None or one != two):
                message = f"--pair {pair[1]!r}, {pair[3]!r}: not fused, their codecs differ"
                self._warnings.append(message)

    def _fused(self, groups: Sequence[Mapping[int, int]]) -> list[dict[int, int]]:
        """Leave out of groups what is stored as another tensor."""
        own = (
            {task: index for task, index in group.items() if (task, index) not in self._stored}
            for group in groups
        )
        return [group for group in own if len(group) > 1]

    def write(self, out: str | os.PathLike[str] | Joined) -> PackReport:
        """Encode all blocks, and write the file."""
        with ContainerWriter(out, self._layout) as writer:
            encoders, size = self._encode(writer)
        planned = self._options.plan.file_bytes
        if planned is not None and planned != size:
            self._warnings.append(
                f"the file has {size:,} bytes, and its plan says {planned:,}: the plan was made "
                "for other values, options or versions, or was edited"
            )
        return self._report("" if isinstance(out, Joined) else out, size, encoders, writer)

    def measure(self) -> Measured:
        """Encode all blocks as `write` does, and write nothing."""
        with ContainerWriter(None, self._layout) as writer:
            encoders, size = self._encode(writer)
        shares = _shares(encoders, writer)
        stored: dict[Place, int] = {}
        errors: dict[Place, error.Stats | None] = {}
        for encoder in encoders:
            plan = encoder.plan
            _, _, found = encoder.certificate()
            for member, index in enumerate(plan.members):
                stored[plan.task, index] = shares.of(encoder.number, member)
                errors[plan.task, index] = error.NO_ERROR if found is None else found[member]
        return Measured(size, stored, errors)

    def _encode(self, writer: ContainerWriter) -> tuple[list[RunEncoder], int]:
        """Encode all blocks into a writer, and finish it; return the bytes of the file, too."""
        skeletons = self._add_skeletons()
        planes_only = self._layout == "progressive"
        if planes_only and not all(run.codec.by_levels for run in self._runs):
            raise UsageError(
                "signs=compact, delta and mask need all planes: they cannot be laid out progressive"
            )
        encoders = [
            RunEncoder(
                number,
                run,
                self._values,
                self._codings[run.task],
                planes_only=planes_only or run.fused is not None,
            )
            for number, run in enumerate(self._runs)
        ]
        total = sum(run.spec.nbytes for run in self._runs)
        done = 0
        for parts, size in self._encoded(encoders):
            writer.put(parts)
            done += size
            self._progress(done, total)
        self._manifest = describe(
            self._names, self._tasks, encoders, self._stored, skeletons, self._meta
        )
        return encoders, writer.finish(self._manifest.encode(f"mcodec {mcodec.__version__}"))

    def _encoded(self, encoders: Sequence[RunEncoder]) -> Iterator[tuple[Sequence[Copy], int]]:
        """Yield what the writer puts, block by block, and the bytes of the source it is of."""
        if isinstance(self._executor, ScaleOut):
            from mcodec.api.partwork import encode_elsewhere

            groups = self._groups(encoders)
            yield from encode_elsewhere(
                self._executor, groups, self._values, self._codings, self._layout
            )
            return
        for found in map_ordered(
            self._executor,
            self._encode_blocks,
            self._work(encoders),
            cost=_cost,
            small=_are_ours,
        ):
            for block, _ in found:
                encoders[block.part.run].take(block)
            size = sum(0 if block.source is None else block.source.nbytes for block, _ in found)
            yield [chunks for _, chunks in found], size

    def _encode_blocks(
        self, blocks: Sequence[tuple[RunEncoder, int]]
    ) -> list[tuple[EncodedBlock, Copy]]:
        """Encode blocks that are written together, and make the chunks that are written."""
        found = []
        for encoder, block in blocks:
            one = encoder.encode(block)
            chunks = sealed(one.part.specs, one.part.coded, self._layout)
            found.append((one, Copy(encoder.number, one.part.mode, chunks)))
        return found

    def _add_skeletons(self) -> dict[int, int]:
        """Add each task's skeleton as its last run; return their numbers by task."""
        runs = [run for run in self._runs if run.shared]
        found: dict[int, int] = {}
        for task, model in enumerate(self._tasks):
            runs += [run for run in self._runs if run.task == task and not run.shared]
            text = model.skeleton()
            if text:
                import numpy as np

                blob = np.frombuffer(text, np.uint8)
                found[task] = len(runs)
                hidden = len(self._models)
                self._models.append(inputs.ArraySource({SKELETON: blob}))
                self._codings.append({0: Coding(RawCodec())})
                runs.append(RunPlan(hidden, RawCodec(), "uint8", [0], [blob.shape], (task,)).seal())
        self._runs = runs
        return found

    def _work(self, encoders: Sequence[RunEncoder]) -> Iterator[list[tuple[RunEncoder, int]]]:
        """Yield the blocks in the order of the file: those of a fused group together."""
        for group in self._groups(encoders):
            for block in range(-1, group[0].plan.spec.blocks):
                yield [(encoder, block) for encoder in group]

    def _groups(self, encoders: Sequence[RunEncoder]) -> list[list[RunEncoder]]:
        """Return the runs in the order of the file: those of a fused group together."""
        groups: dict[Any, list[RunEncoder]] = {}
        for number, encoder in enumerate(encoders):
            fused = encoder.plan.fused if self._layout == "interleaved" else None
            groups.setdefault(("run", number) if fused is None else ("pair", fused), []).append(
                encoder
            )
        return list(groups.values())

    def _report(
        self,
        out: str | os.PathLike[str],
        size: int,
        encoders: Sequence[RunEncoder],
        writer: ContainerWriter,
    ) -> PackReport:
        shares = _shares(encoders, writer)
        rows = task_rows(self._manifest, shares.specs, shares.stored)
        choices = tuple(list_choices(self._manifest, shares, self._choices, self._stored))
        fused = {encoder.plan.fused for encoder in encoders} - {None}
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
        return PackReport(
            str(out),
            size,
            self._layout,
            self._options.optimize,
            costs,
            len(fused),
            choices,
            tuple(self._warnings),
        )

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


def _shares(encoders: Sequence[RunEncoder], writer: ContainerWriter) -> Shares:
    """Return the bytes of each member of each run."""
    stored = {encoder.number: writer.stored(encoder.number) for encoder in encoders}
    return Shares([encoder.plan.spec for encoder in encoders], stored)


def _are_ours(blocks: list[tuple[RunEncoder, int]]) -> bool:
    """Tell what no thread is asked for: heads, and blocks that are gathered of small tensors.

    Gathering is most of the work then, and threads take turns at it.
    """
    plans = [encoder.plan for encoder, _ in blocks]
    gathered = all(plan.spec.elements < _GATHERED * len(plan.members) for plan in plans)
    return gathered or all(block < 0 for _, block in blocks)


def _cost(blocks: list[tuple[RunEncoder, int]]) -> int:
    """Return about how many bytes encoding these blocks takes, what becomes of them included."""
    specs = [(encoder.plan.spec, block) for encoder, block in blocks]
    elements = [(spec.span(block), itemsize(spec.dtype)) for spec, block in specs]
    return BLOCKS * sum((stop - start) * item for (start, stop), item in elements)
