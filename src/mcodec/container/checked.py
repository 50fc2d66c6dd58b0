"""Every rule that a manifest obeys, once its types are known (spec/container.md, section 6)."""

from __future__ import annotations

import math
from itertools import chain
from typing import TYPE_CHECKING, Any

from mcodec import limits, stored
from mcodec.container.bases import DIGEST, check_bases, check_named, touched_bytes
from mcodec.container.listed import Listed
from mcodec.container.manifest import refuse
from mcodec.errors import CodecConfigError
from mcodec.types import RunSpec, itemsize

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mcodec.container.codeclike import CodecLike
    from mcodec.container.manifest import Manifest, Run, Task

    Sum = tuple[int, tuple[int, ...], bool]  # `stored.sum_of`
    ParseCodec = Callable[[dict[str, Any]], CodecLike]


class Checked:
    """A manifest whose every index, count and shape has been checked.

    Attributes
    ----------
    codecs : list of CodecLike
        One for each configuration.
    runs : list of RunSpec
        The geometry of each run.
    """

    def __init__(self, manifest: Manifest, parse_codec: ParseCodec, budget: int) -> None:
        self.manifest = manifest
        self._check_counts()
        self.codecs = [_known_codec(parse_codec, config) for config in manifest.codecs]
        self.runs = [self._run(index, run) for index, run in enumerate(manifest.runs)]
        self._items = [itemsize(run.dtype) for run in self.runs]
        laid = [run.members.found for run in manifest.runs if isinstance(run.members, Listed)]
        self._laid = laid if len(laid) == len(self.runs) else None
        self._sums: dict[str, Sum] = {}  # of tasks that are good at a glance
        for index in range(len(self.runs)):
            check_bases(index, manifest.runs, self.runs, self.codec(index))
        names: set[str] = set()
        for task in manifest.tasks:
            _check_name(task.name, names, "task")
            if not task.name:
                raise refuse("manifest_invalid", "a task has an empty name")
            self._check_task(task)
        if any(run.stands_on is not None for run in manifest.runs):
            check_named(manifest)
        self._check_pairs()
        for task in manifest.tasks:
            self._check_budget(task, budget)

    def codec(self, run: int) -> CodecLike:
        """Return the codec of a run."""
        return self.codecs[self.manifest.runs[run].codec]

    def _check_counts(self) -> None:
        manifest = self.manifest
        counts = (
            ("codecs", len(manifest.codecs), limits.MAX_CODECS),
            ("tasks", len(manifest.tasks), limits.MAX_TASKS),
            ("tensors", sum(len(task.tensors) for task in manifest.tasks), limits.MAX_TENSORS),
            ("members", sum(len(run.members) for run in manifest.runs), limits.MAX_TENSORS),
            ("runs", len(manifest.runs), limits.MAX_TENSORS),
        )
        for what, count, most in counts:
            if count > most:
                raise refuse("limit_exceeded", f"{count} {what}; the limit is {most}")

    def _run(self, index: int, run: Run) -> RunSpec:
        if not 0 <= run.codec < len(self.codecs):
            raise refuse("manifest_reference", f"run {index} names codec {run.codec}")
        itemsize(run.dtype)
        if isinstance(run.members, Listed):
            spec = RunSpec.lazily(run.dtype, run.members.found)
        else:
            for shape in run.members:
                _check_shape(shape, index)
            spec = RunSpec.of(run.dtype, run.members)
        if spec.elements >= limits.MAX_ELEMENTS:
            raise refuse("limit_exceeded", f"run {index} has {spec.elements} elements")
        _check_certificate(index, run)
        try:
            self.codecs[run.codec].check(spec)
        except CodecConfigError as error:
            raise refuse("codec_config", f"run {index}: {error.message}") from None
        return spec

    def _check_task(self, task: Task) -> None:
        runs = self.runs
        found = self._sum(task)
        if found is not None:
            self._sums[task.name] = found
        else:
            names: set[str] = set()
            for tensor in task.tensors:
                _check_name(tensor.name, names, "tensor")
                run, member = tensor.run, tensor.member
                if not (0 <= run < len(runs) and 0 <= member < len(runs[run].shapes)):
                    message = f"tensor {tensor.name!r} names run {run}, member {member}"
                    raise refuse("manifest_reference", message)
        _check_ties(task)
        skeleton = task.skeleton_run
        if skeleton is not None:
            spec = runs[skeleton] if 0 <= skeleton < len(runs) else None
            if (
                spec is None
                or spec.dtype != "uint8"
                or len(spec.shapes) != 1
                or len(spec.shapes[0]) != 1
            ):
                raise refuse("manifest_reference", f"task {task.name!r} has no sound skeleton")

    def _sum(self, task: Task) -> Sum | None:
        """Return what a task's tensors come to, if they are good at a glance; else None."""
        tensors = task.tensors
        if self._laid is None or not isinstance(tensors, Listed):
            return None
        return stored.sum_of(tensors.found, self._laid, self._items)

    def _check_pairs(self) -> None:
        seen: set[int] = set()
        for pair in self.manifest.pairs:
            good = all(0 <= run < len(self.runs) for run in pair)
            if not good or len(set(pair)) != len(pair) or seen.intersection(pair):
                raise refuse("manifest_reference", f"pair {pair[:8]} is not sound")
            seen.update(pair)
            kinds = {
                (self.runs[run].dtype, self.runs[run].shapes, self.codec(run).codec_id)
                for run in pair
            }
            if len(kinds) > 1:
                raise refuse("manifest_reference", f"pair {pair[:8]} joins unequal runs")

    def _check_budget(self, task: Task, budget: int) -> None:
        found = self._sums.get(task.name)
        if found is None:
            runs, items = self.runs, self._items
            places = [(tensor.run, tensor.member) for tensor in task.tensors]
            total = sum([runs[run].sizes[member] * items[run] for run, member in places])
            named = {run for run, _ in places}
        else:
            total, named = found[0], set(found[1])
        if task.skeleton_run is not None:
            total += self.runs[task.skeleton_run].nbytes
            named.add(task.skeleton_run)
        for number in named:
            bases = self.manifest.runs[number].stands_on
            if bases is not None:
                total += touched_bytes(bases, self.runs)
        if total > budget:
            message = (
                f"task {task.name!r} decodes to {total:,} bytes, over the limit of {budget:,}; "
                "if you trust the file, raise it with --max-decoded"
            )
            raise refuse("decoded_too_large", message)


def _check_ties(task: Task) -> None:
    later = {second for second, _ in task.ties}
    good = len(later) == len(task.ties)
    for second, first in task.ties:
        good = good and 0 <= first < second < len(task.tensors) and first not in later
        if not good:
            break
        one, two = task.tensors[first], task.tensors[second]
        good = (one.run, one.member) == (two.run, two.member)
    if not good:
        raise refuse("manifest_reference", f"task {task.name!r} ties tensors that are not one")


def _known_codec(parse_codec: ParseCodec, config: dict[str, Any]) -> CodecLike:
    try:
        return parse_codec(config)
    except CodecConfigError as error:
        raise refuse(error.code, error.message) from None


def _check_shape(shape: Sequence[int], run: int) -> None:
    if len(shape) > limits.MAX_DIMENSIONS:
        raise refuse("limit_exceeded", f"run {run} has a shape of {len(shape)} dimensions")
    if any(side < 0 for side in shape):
        raise refuse("manifest_invalid", f"run {run} has a negative dimension")
    if any(side >= limits.MAX_ELEMENTS for side in shape) or (
        math.prod(side for side in shape if side) >= limits.MAX_ELEMENTS
    ):
        raise refuse("limit_exceeded", f"run {run} has a shape of 2^48 elements or more")


def _check_certificate(index: int, run: Run) -> None:
    digests = (run.digest,) if run.source is None else (run.digest, run.source)
    good = all(DIGEST.match(digest) for digest in digests)
    good = good and (run.source is None) == (run.errors is None)
    if good and run.errors is not None:
        numbers = list(chain.from_iterable(filter(None, run.errors)))
        good = len(run.errors) == len(run.members) and all(map(math.isfinite, numbers))
        good = good and min(numbers, default=0) >= 0
    if not good:
        raise refuse("manifest_invalid", f"run {index} has a malformed digest or certificate")


def _check_name(name: str, seen: set[str], what: str) -> None:
    if len(name) > limits.MAX_NAME_BYTES or len(name.encode()) > limits.MAX_NAME_BYTES:
        raise refuse("limit_exceeded", f"a {what}'s name is over {limits.MAX_NAME_BYTES} bytes")
    if name in seen:
        raise refuse("manifest_invalid", f"two {what}s are named {name!r}")
    seen.add(name)
