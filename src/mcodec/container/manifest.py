"""The manifest: JSON in and out, and its types (spec/container.md, sections 2 and 6)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from mcodec import limits, stored
from mcodec.container.listed import Listed
from mcodec.errors import FormatError, one_line

_DEPTH_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_NOT_BRACKETS: Final = bytes(sorted(set(range(256)) - set(b"[]{}")))

Errors = list[tuple[float, float, float] | None]
Shapes = list[tuple[int, ...]]


class Tensor(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """One tensor of a task: its name and its place."""

    name: str
    run: int
    member: int


if TYPE_CHECKING:
    from collections.abc import Sequence

    Members = Sequence[tuple[int, ...]]
    Tensors = Sequence[Tensor]
else:  # parsed later, by `_fill`
    Members = Tensors = msgspec.Raw


class Bases(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """What a run stands on: for each role the place (run, member) below each member."""

    pin: str
    roles: list[list[tuple[int, int]]]


class Run(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """One run: six items, in this order, and the seventh where it stands on others."""

    codec: int
    dtype: str
    members: Members
    digest: str
    source: str | None
    errors: Errors | None
    bases: Bases | msgspec.UnsetType = msgspec.UNSET  # left out or given, but never null

    @property
    def stands_on(self) -> Bases | None:
        """What the run stands on."""
        return None if self.bases is msgspec.UNSET else self.bases


class Task(msgspec.Struct, omit_defaults=True):
    """One task."""

    name: str
    tensors: Tensors
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
        runs: list[list[Any]] = []
        for run in self.runs:
            items: list[Any] = [run.codec, run.dtype, run.members, run.digest]
            runs.append([*items, run.source, run.errors])
            if run.stands_on is not None:
                runs[-1].append(run.stands_on)
        found = {"writer": writer, "codecs": self.codecs, "runs": runs, "tasks": self.tasks}
        if self.pairs:
            found["pairs"] = self.pairs
        return msgspec.json.encode(found, enc_hook=list)


_decoder: Final = msgspec.json.Decoder(Manifest)
_shapes: Final = msgspec.json.Decoder(Shapes)
_tensors: Final = msgspec.json.Decoder(list[Tensor])


def refuse(code: str, message: str) -> FormatError:
    """Return the error for a manifest that breaks a rule."""
    return FormatError(message, code=code)


def _too_deep(data: bytes) -> bool:
    """Tell whether brackets nest deeper than the limit.

    Where compiled code does not say so, taking away innermost pairs, all at once, settles every
    honest manifest; what is left (brackets inside strings, or real depth) is walked by tokens.
    """
    if 0 <= stored.depth(data) <= limits.MAX_JSON_DEPTH:
        return False
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


def _fill(manifest: Manifest) -> Manifest:
    """Parse the long lists, which are raw so far: at a glance, or one by one."""
    for run in manifest.runs:
        text: Any = run.members
        laid = stored.shapes(text)
        run.members = _shapes.decode(text) if laid is None else Listed(laid, text, _shapes)
    for task in manifest.tasks:
        text = task.tensors
        found = stored.tensors(text)
        task.tensors = _tensors.decode(text) if found is None else Listed(found, text, _tensors)
    return manifest


def decode(data: bytes) -> Manifest:
    """Parse a manifest's JSON and its types (section 6, step 6)."""
    if _too_deep(data):
        raise refuse("limit_exceeded", "the manifest nests too deep")
    try:
        manifest = _fill(_decoder.decode(data.decode("utf-8")))
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise refuse("manifest_invalid", f"the manifest is not valid: {one_line(error)}") from None
    if not all(isinstance(config.get("id"), str) for config in manifest.codecs):
        raise refuse("manifest_invalid", "a codec configuration has no id")
    if any(len(pair) < 2 for pair in manifest.pairs):
        raise refuse("manifest_invalid", "a pair of fewer than two runs")
    if not all(run.members for run in manifest.runs):
        raise refuse("manifest_invalid", "a run without members")
    return manifest
