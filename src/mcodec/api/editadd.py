"""A new model beside the tasks of a `.mc` file: what of it is there, and how the rest is coded."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET

from mcodec.api import sources as inputs
from mcodec.api.codings import Codings
from mcodec.api.editpairs import join_pairs
from mcodec.api.editstored import StoredTensors
from mcodec.api.encode import RunEncoder
from mcodec.api.planning import Coding
from mcodec.api.runs import RunPlan, lay_out
from mcodec.codec.planfile import Plan
from mcodec.codec.raw import RawCodec
from mcodec.container.manifest import Bases, Manifest, Run, Task, Tensor
from mcodec.errors import UsageError
from mcodec.limits import MAX_CODECS, MAX_TASKS, MAX_TENSORS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Executor

    from mcodec.api.auto import Choice
    from mcodec.api.handle import File
    from mcodec.api.planning import Options, Place
    from mcodec.codec.base import Codec
    from mcodec.formats.base import TensorSource

_MAGIC: Final = "*?["  # characters of a shell pattern that are not themselves


class Adding(Codings):
    """One model that becomes a task of a file, step by step.

    Parameters
    ----------
    file
        The open file.
    manifest
        The tasks of the file that stay, with the file's runs.
    name, model
        The new task.
    options
        What a person asked for, for this task alone.
    executor
        Who reads, tries, surveys and encodes.
    """

    def __init__(
        self,
        file: File,
        manifest: Manifest,
        name: str,
        model: TensorSource,
        options: Options,
        executor: Executor | None,
    ) -> None:
        stored = StoredTensors(file, manifest)
        before = len(stored.sources)
        options = replace(
            options,
            bits=(*[None] * before, *options.bits),
            plan=_plan_of(options.plan, name),
        )
        names = [task.name for task in manifest.tasks]
        super().__init__([*names, "", name], [*stored.sources, model], options, executor)
        self._file = stored
        self._manifest = manifest
        self._model = model
        self._new = before
        self._there = stored.there
        self._below = stored.below
        self._runs: list[RunPlan] = []
        self._skeleton: int | None = None

    @property
    def warnings(self) -> list[str]:
        """What is to be said."""
        return self._warnings

    def code(self, *, fuse: bool) -> None:
        """Choose codecs, survey what needs it, and lay tensors into runs."""
        inputs.check_names((tensor.name for tensor in self._model.tensors), "tensor")
        self._code(self._asked([self._new]))
        specs = [model.tensors for model in self._models]
        codings = list(self._codings)
        if fuse:
            own = codings[self._new]
            pairs = self._manifest.pairs
            self._runs = join_pairs(self._file, pairs, specs[self._new], own, self._new)
            fused = {index for run in self._runs for index in run.members}
            codings[self._new] = {i: coding for i, coding in own.items() if i not in fused}
        owners = {(task, 0): () for task in range(self._new + 1, len(specs))}
        self._runs += lay_out(specs, codings, [], owners)
        self._add_skeleton()

    def _add_skeleton(self) -> None:
        text = self._model.skeleton()
        if text:
            import numpy as np

            blob = np.frombuffer(text, np.uint8)
            task = len(self._models)
            self._models.append(inputs.ArraySource({"skeleton": blob}))
            self._codings.append({0: Coding(RawCodec())})
            self._skeleton = len(self._runs)
            run = RunPlan(task, RawCodec(), "uint8", [0], [blob.shape], (self._new,))
            self._runs.append(run.seal())

    def _find_equal(self, own: Mapping[Place, Codec]) -> dict[Place, Place]:
        equal = super()._find_equal(own)
        firsts = {place: codec for place, codec in own.items() if place not in equal}
        optimize = self._options.optimize
        there = self._file.find_equal(self._values, firsts, optimize, self._executor)
        return there | {place: there.get(first, first) for place, first in equal.items()}

    def extend(self, position: int, meta: Mapping[str, str]) -> Manifest:
        """Return the manifest with the task in it, and new runs behind those of the file.

        What new runs decode to is not known yet: their digests are empty.

        Parameters
        ----------
        position
            Of the task among the others.
        meta
            Words and numbers to keep with it.
        """
        manifest, first = self._manifest, len(self._manifest.runs)
        codecs, runs = list(manifest.codecs), list(manifest.runs)
        pairs = [list(pair) for pair in manifest.pairs]
        places = dict(self._file.members)
        for number, run in enumerate(self._runs, first):
            for member, index in enumerate(run.members):
                places[run.task, index] = (number, member)
        for number, run in enumerate(self._runs, first):
            config = run.codec.config()
            if config not in codecs:
                codecs.append(config)
            members = list(run.spec.shapes)
            entry = Run(codecs.index(config), run.dtype, members, "", None, None)
            if run.bases:
                roles = [[places[place] for place in role] for role in run.bases]
                entry.bases = Bases("", roles)
            runs.append(entry)
            if run.fused is not None:
                pairs[run.fused].append(number)
        tasks = list(manifest.tasks)
        tasks.insert(position, self._task(places, meta))
        extended = Manifest(codecs, runs, tasks, pairs)
        _check_limits(extended)
        return extended

    def _task(self, places: Mapping[Place, tuple[int, int]], meta: Mapping[str, str]) -> Task:
        model, first = self._model, len(self._manifest.runs)
        return Task(
            self._names[self._new],
            [
                Tensor(tensor.name, *places[self._place(self._new, index)])
                for index, tensor in enumerate(model.tensors)
            ],
            dict(model.metadata),
            UNSET if model.format == inputs.ArraySource.format else model.format,
            UNSET if self._skeleton is None else first + self._skeleton,
            sorted(model.same_as.items()),
            dict(meta),
        )

    def encoders(self, order: Sequence[int], layout: str) -> dict[int, RunEncoder]:
        """Return what encodes each new run, by its number behind those of the file.

        Parameters
        ----------
        order
            The runs of the file to be, by these numbers.
        layout
            Of the file.

        Raises
        ------
        UsageError
            A codec cannot be in a file of this layout.
        """
        planes_only = layout == "progressive"
        if planes_only and not all(run.codec.by_levels for run in self._runs):
            raise UsageError(
                "signs=compact, delta and mask need all planes: they cannot be in a progressive "
                "file; relayout it first"
            )
        place = {run: number for number, run in enumerate(order)}
        return {
            number: RunEncoder(
                place[number],
                run,
                self._values,
                self._codings[run.task],
                planes_only=planes_only or run.fused is not None,
            )
            for number, run in enumerate(self._runs, len(self._manifest.runs))
        }

    def choices(self, position: int) -> tuple[tuple[Choice, ...], dict[Place, Place]]:
        """Return what `auto` chose, and what is stored as another tensor, for the report.

        Parameters
        ----------
        position
            Of the task in the file.
        """
        choices = [
            replace(choice, places=tuple((position, index) for _, index in choice.places))
            for choice in self._choices
        ]
        own = [index for task, index in self._stored if task == self._new]
        return tuple(choices), {(position, index): (position, index) for index in own}


def _plan_of(plan: Plan, name: str) -> Plan:
    """Return what of a plan for a family of models is meant for one task."""
    start = f"{name}:"

    def speaks_of(pattern: str) -> bool:
        plain = next((i for i, char in enumerate(pattern) if char in _MAGIC), len(pattern))
        return pattern[:plain].startswith(start) or start.startswith(pattern[:plain])

    rules = [rule for rule in plan.rules if speaks_of(rule[0])]
    kinds = {key: kind for key, kind in plan.kinds.items() if key.startswith(start)}
    return Plan(rules, kinds)


def _check_limits(manifest: Manifest) -> None:
    """Refuse more than a file can hold."""
    counts: list[tuple[str, Any, int]] = [
        ("tasks", len(manifest.tasks), MAX_TASKS),
        ("tensors", sum(len(task.tensors) for task in manifest.tasks), MAX_TENSORS),
        ("stored tensors", sum(len(run.members) for run in manifest.runs), MAX_TENSORS),
        ("codecs", len(manifest.codecs), MAX_CODECS),
    ]
    for what, count, most in counts:
        if count > most:
            raise UsageError(f"{count:,} {what} are more than a file holds ({most:,})")
