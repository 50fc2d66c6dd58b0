"""The manifest: JSON in and out, and every rule it obeys (spec/container.md, sections 2 and 6)."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from mcodec import limits
from mcodec.container.bases import DIGEST, check_bases, check_named, touched_bytes
from mcodec.errors import CodecConfigError, FormatError, one_line
from mcodec.types import CodecLike, RunSpec, itemsize

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    ParseCodec = Callable[[dict[str, Any]], CodecLike]

_DEPTH_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_NOT_BRACKETS: Final = bytes(sorted(set(range(256)) - set(b"[]{}")))

Errors = list[tuple[float, float, float] | None]


class Bases(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """What a run stands on: for each role the place (run, member) below each member."""

    pin: str
    roles: list[list[tuple[int, int]]]


class Run(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """One run: six items, in this order, and the seventh where it stands on others."""

    codec: int
    dtype: str
    members: list[list[int]]
    digest: str
    source: str | None
    errors: Errors | None
    bases: Bases | msgspec.UnsetType = msgspec.UNSET  # left out or given, but never null

    @property
    def stands_on(self) -> Bases | None:
        """What the run stands on."""
        return None if self.bases is msgspec.UNSET else self.bases


class Tensor(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """One tensor of a task: its name and its place."""

    name: str
    run: int
    member: int


class Task(msgspec.Struct, omit_defaults=True):
    """One task."""

    name: str
    tensors: list[Tensor]
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    # Left out or given, but never null.
    format: str | msgspec.UnsetType = msgspec.UNSET
    skeleton: int | msgspec.UnsetType = msgspec.UNSET
    ties: list[tuple[int, int]] = msgspec.field(default_factory=list)
    meta: dict[str, str] = msgspec.field(default_factory=dict)

    @property
    def came_from(self) -> str | None:
        """The format that the task came from."""
        return None if self.format is msgspec.UNSET else self.format

    @property
    def skeleton_run(self) -> int | None:
        """The run that holds the source's skeleton."""
        return None if self.skeleton is msgspec.UNSET else self.skeleton


class Manifest(msgspec.Struct, omit_defaults=True):
    """The whole manifest; keys that are not here are ignored."""

    codecs: list[dict[str, Any]]
    runs: list[Run]
    tasks: list[Task]
    pairs: list[list[int]] = msgspec.field(default_factory=list)

    def encode(self, writer: str) -> bytes:
        """Return the JSON, with the name and version of its writer."""
        found = msgspec.to_builtins(msgspec.structs.replace(self, runs=[]))
        for run in self.runs:
            items: list[Any] = [run.codec, run.dtype, run.members, run.digest]
            found["runs"].append([*items, run.source, run.errors])
            if run.stands_on is not None:
                found["runs"][-1].append(run.stands_on)
        return msgspec.json.encode({"writer": writer, **found})


_decoder: Final = msgspec.json.Decoder(Manifest)


def _refuse(code: str, message: str) -> FormatError:
    return FormatError(message, code=code)


def _too_deep(data: bytes) -> bool:
    """Tell whether brackets nest deeper than the limit.

    Taking away innermost pairs, all at once, is fast and settles every honest manifest; only what
    is left after that (brackets inside strings, or real depth) is walked token by token.
    """
    brackets = data.translate(None, _NOT_BRACKETS)
    for _ in range(limits.MAX_JSON_DEPTH):
        if not brackets:
            return False
        # The dot keeps `{[]}` from losing two levels at once.
        brackets = brackets.replace(b"[]", b".").replace(b"{}", b".").replace(b".", b"")
    if not brackets:
        return False
    depth = 0
    for token in _DEPTH_TOKEN.finditer(data):
        first = token[0][:1]
        if first in b"[{":
            depth += 1
            if depth > limits.MAX_JSON_DEPTH:
                return True
        elif first in b"]}":
            depth -= 1
    return False


def decode(data: bytes) -> Manifest:
    """Parse a manifest's JSON and its types (section 6, step 6)."""
    if _too_deep(data):
        raise _refuse("limit_exceeded", "the manifest nests too deep")
    try:
        manifest = _decoder.decode(data.decode("utf-8"))
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise _refuse("manifest_invalid", f"the manifest is not valid: {one_line(error)}") from None
    if not all(isinstance(config.get("id"), str) for config in manifest.codecs):
        raise _refuse("manifest_invalid", "a codec configuration has no id")
    if any(len(pair) < 2 for pair in manifest.pairs):
        raise _refuse("manifest_invalid", "a pair of fewer than two runs")
    if not all(run.members for run in manifest.runs):
        raise _refuse("manifest_invalid", "a run without members")
    return manifest


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
        for index in range(len(self.runs)):
            check_bases(index, manifest.runs, self.runs, self.codec(index))
        names: set[str] = set()
        for task in manifest.tasks:
            _check_name(task.name, names, "task")
            if not task.name:
                raise _refuse("manifest_invalid", "a task has an empty name")
            self._check_task(task)
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
                raise _refuse("limit_exceeded", f"{count} {what}; the limit is {most}")

    def _run(self, index: int, run: Run) -> RunSpec:
        if not 0 <= run.codec < len(self.codecs):
            raise _refuse("manifest_reference", f"run {index} names codec {run.codec}")
        itemsize(run.dtype)
        for shape in run.members:
            _check_shape(shape, index)
        spec = RunSpec.of(run.dtype, run.members)
        if spec.elements >= limits.MAX_ELEMENTS:
            raise _refuse("limit_exceeded", f"run {index} has {spec.elements} elements")
        _check_certificate(index, run)
        try:
            self.codecs[run.codec].check(spec)
        except CodecConfigError as error:
            raise _refuse("codec_config", f"run {index}: {error.message}") from None
        return spec

    def _check_task(self, task: Task) -> None:
        names: set[str] = set()
        runs = self.runs
        for tensor in task.tensors:
            _check_name(tensor.name, names, "tensor")
            if not 0 <= tensor.run < len(runs) or not (
                0 <= tensor.member < len(runs[tensor.run].shapes)
            ):
                message = f"tensor {tensor.name!r} names run {tensor.run}, member {tensor.member}"
                raise _refuse("manifest_reference", message)
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
                raise _refuse("manifest_reference", f"task {task.name!r} has no sound skeleton")

    def _check_pairs(self) -> None:
        seen: set[int] = set()
        for pair in self.manifest.pairs:
            good = all(0 <= run < len(self.runs) for run in pair)
            if not good or len(set(pair)) != len(pair) or seen.intersection(pair):
                raise _refuse("manifest_reference", f"pair {pair[:8]} is not sound")
            seen.update(pair)
            kinds = {
                (self.runs[run].dtype, self.runs[run].shapes, self.codec(run).codec_id)
                for run in pair
            }
            if len(kinds) > 1:
                raise _refuse("manifest_reference", f"pair {pair[:8]} joins unequal runs")

    def _check_budget(self, task: Task, budget: int) -> None:
        total = 0
        for tensor in task.tensors:
            spec = self.runs[tensor.run]
            total += spec.sizes[tensor.member] * itemsize(spec.dtype)
        named = {tensor.run for tensor in task.tensors}
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
            raise _refuse("decoded_too_large", message)


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
        raise _refuse("manifest_reference", f"task {task.name!r} ties tensors that are not one")


def _known_codec(parse_codec: ParseCodec, config: dict[str, Any]) -> CodecLike:
    try:
        return parse_codec(config)
    except CodecConfigError as error:
        raise _refuse(error.code, error.message) from None


def _check_shape(shape: Sequence[int], run: int) -> None:
    if len(shape) <= 4 and all(0 <= side < 4096 for side in shape):
        return  # as most are: fewer than 2^48 elements
    if len(shape) > limits.MAX_DIMENSIONS:
        raise _refuse("limit_exceeded", f"run {run} has a shape of {len(shape)} dimensions")
    if any(side < 0 for side in shape):
        raise _refuse("manifest_invalid", f"run {run} has a negative dimension")
    if any(side >= limits.MAX_ELEMENTS for side in shape) or (
        math.prod(side for side in shape if side) >= limits.MAX_ELEMENTS
    ):
        raise _refuse("limit_exceeded", f"run {run} has a shape of 2^48 elements or more")


def _check_certificate(index: int, run: Run) -> None:
    digests = (run.digest,) if run.source is None else (run.digest, run.source)
    good = all(DIGEST.match(digest) for digest in digests)
    good = good and (run.source is None) == (run.errors is None)
    if good and run.errors is not None:
        good = len(run.errors) == len(run.members) and all(
            entry is None or all(math.isfinite(x) and x >= 0 for x in entry) for entry in run.errors
        )
    if not good:
        raise _refuse("manifest_invalid", f"run {index} has a malformed digest or certificate")


def _check_name(name: str, seen: set[str], what: str) -> None:
    if len(name) > limits.MAX_NAME_BYTES or len(name.encode()) > limits.MAX_NAME_BYTES:
        raise _refuse("limit_exceeded", f"a {what}'s name is over {limits.MAX_NAME_BYTES} bytes")
    if name in seen:
        raise _refuse("manifest_invalid", f"two {what}s are named {name!r}")
    seen.add(name)
