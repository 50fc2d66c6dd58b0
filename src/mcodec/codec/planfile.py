"""Plan files: which codec each tensor gets, and what that costs (design, sections 4 and 7).

People write rules by shell pattern, of which the last match wins. `mcodec plan` writes a rule for
each tensor, by its name, with its dtype and shape and with what was measured; such a rule fits no
other tensor.
"""

from __future__ import annotations

import fnmatch
import glob
import re
import tomllib
from typing import TYPE_CHECKING, Any, Final

import msgspec

from mcodec.codec.plan import parse_codec
from mcodec.errors import CodecConfigError, UsageError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mcodec.codec.base import Codec
    from mcodec.types import TensorSpec

_HEADER: Final = """\
# What each tensor of a family of models gets: `mcodec pack … --plan` follows it.
# A rule's codec may be edited; of several that match TASK:NAME the last one counts.

"""
# A place in msgspec's words: `$.tensor[3].codec`.
_PATH: Final = re.compile(r"`\$([^`]*)`")
_STEP: Final = re.compile(r"\.(\w+)|\[(\d+)\]")
_UNKNOWN: Final = re.compile(r"unknown field `([^`]*)`")
_ESCAPED: Final = re.compile(r"\[([*?[])\]")


class PlannedTask(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What is expected of one task.

    Attributes
    ----------
    name
    bytes
        Of its tensors' streams in the file; what several tasks share counts for the first of them.
    max_abs_error, sqnr_db
        Over its planned weights; None where nothing is lost.
    metric, baseline, score
        The number that its evaluator counts, of the model as it came and as planned.
    """

    name: str
    bytes: int
    max_abs_error: float | None = None
    sqnr_db: float | None = None
    metric: str | None = None
    baseline: float | None = None
    score: float | None = None


class PlanHead(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What was asked for, and what the file takes that `pack` makes by the plan."""

    goal: str
    file_bytes: int
    task: list[PlannedTask] = []


class PlanRule(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The codec of the tensors that a pattern matches.

    Attributes
    ----------
    match
        A shell pattern of ``task:name``.
    codec
        A codec string.
    made_for
        Dtype and shape of the one tensor that the rule was made for: ``float32[3, 4]``.
    bytes, max_abs_error, sqnr_db
        What it takes in the file, and its error; absent where nothing is lost.
    refused
        What was tried besides, and why it was not taken.
    """

    match: str
    codec: str
    made_for: str | None = None
    bytes: int | None = None
    max_abs_error: float | None = None
    sqnr_db: float | None = None
    refused: list[str] = []


class PlanFile(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """All of a plan file."""

    plan: PlanHead | None = None
    tensor: list[PlanRule] = []


class Plan:
    """Codecs by name pattern (``task:name``, shell style); the last match wins.

    Parameters
    ----------
    rules
        Patterns and codecs, in order.
    kinds
        By name, of rules that were made for one tensor: its dtype and shape.
    file_bytes
        What the file should take; None for a plan that people wrote.
    """

    def __init__(
        self,
        rules: Sequence[tuple[str, Codec]] = (),
        kinds: Mapping[str, str] | None = None,
        file_bytes: int | None = None,
    ) -> None:
        self.rules = rules
        self.kinds = kinds or {}
        self.file_bytes = file_bytes
        # A plan has a rule a tensor, so most are looked up and not tried one by one.
        self._names: dict[str, int] = {}
        self._patterns: list[int] = []
        for index, (pattern, _) in enumerate(rules):
            name = _ESCAPED.sub(r"\1", pattern)
            if glob.escape(name) == pattern:
                self._names[name] = index
            else:
                self._patterns.insert(0, index)

    def codec(self, task: str, name: str) -> Codec | None:
        """Return the codec that the plan gives a tensor, or None."""
        if not self.rules:
            return None
        full = f"{task}:{name}"
        last = self._names.get(full, -1)
        for index in self._patterns:
            if index < last:
                break
            if fnmatch.fnmatchcase(full, self.rules[index][0]):
                last = index
                break
        return self.rules[last][1] if last >= 0 else None

    def unused(self, names: Iterable[str]) -> list[str]:
        """Return the patterns that match none of these ``task:name``."""
        names = set(names)
        left = {glob.escape(name) for name in self._names if name not in names}
        for index in self._patterns:
            pattern = self.rules[index][0]
            if not any(fnmatch.fnmatchcase(name, pattern) for name in names):
                left.add(pattern)
        return sorted(left)

    def misfits(self, tensors: Mapping[str, TensorSpec]) -> list[str]:
        """Return what of a family of models, by ``task:name``, the plan was not made for."""
        wrong = []
        for name, kind in self.kinds.items():
            tensor = tensors.get(name)
            if tensor is None:
                wrong.append(f"{name} is not there")
            elif tensor.kind != kind:
                wrong.append(f"{name} is {tensor.kind}, not {kind}")
        if self.file_bytes is not None:
            wrong += [f"{name} is not in the plan" for name in tensors if name not in self.kinds]
        return wrong


def parse_plan(text: str, where: str) -> Plan:
    """Parse a plan file.

    Raises
    ------
    UsageError
        It is not TOML of the form that the design gives.
    CodecConfigError
        One of its codec strings is malformed. Both name the line and the column.
    """
    try:
        file = msgspec.convert(tomllib.loads(text), PlanFile)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where}: not a plan: {one_line(error)}") from None
    except msgspec.ValidationError as error:
        raise UsageError(f"{_at(text, where, str(error))}: not a plan: {one_line(error)}") from None
    rules = []
    kinds: dict[str, str] = {}
    for index, rule in enumerate(file.tensor):
        try:
            rules.append((rule.match, parse_codec(rule.codec)))
        except CodecConfigError as error:
            raise error.at(_place(text, where, ("tensor", index, "codec"))) from None
        if rule.made_for is not None:
            kinds[_ESCAPED.sub(r"\1", rule.match)] = rule.made_for
    return Plan(rules, kinds, None if file.plan is None else file.plan.file_bytes)


def render_plan(file: PlanFile) -> str:
    """Write a plan file, with patterns that match nothing but the names given."""
    import tomli_w

    rules = [msgspec.structs.replace(rule, match=glob.escape(rule.match)) for rule in file.tensor]
    plain: dict[str, Any] = msgspec.to_builtins(PlanFile(file.plan, rules))
    return _HEADER + tomli_w.dumps(plain)


def _at(text: str, where: str, message: str) -> str:
    """Return the place in a file that msgspec's message speaks of: ``plan.toml:3:9``."""
    path = _PATH.search(message)
    unknown = _UNKNOWN.search(message)
    steps = _STEP.findall(path[1]) if path else []
    keys: list[str | int] = [key or int(index) for key, index in steps]
    if unknown:
        keys.append(unknown[1])
    return _place(text, where, keys)


def _place(text: str, where: str, keys: Sequence[str | int]) -> str:
    """Return the line and column of a value, by the shortest beginning of the text that has it.

    The TOML parser keeps no places, but whether the first lines have a value it does tell.
    """
    lines = text.split("\n")
    low, high = 0, len(lines)
    while low < high:
        middle = (low + high) // 2
        if _has("\n".join(lines[: middle + 1]), keys):
            high = middle
        else:
            low = middle + 1
    if low == len(lines):
        return where
    head, equals, value = lines[low].partition("=")
    key = keys[-1] if keys else ""
    named = equals and isinstance(key, str) and key in head
    column = len(head) + 2 + len(value) - len(value.lstrip()) if named else 1
    return f"{where}:{low + 1}:{column}"


def _has(text: str, keys: Sequence[str | int]) -> bool:
    """Tell whether a beginning of a TOML text, cut anywhere, has a value."""
    value: Any = None
    while True:
        try:
            value = tomllib.loads(text)
            break
        except tomllib.TOMLDecodeError:  # cut in the midst of a value
            text = text.rpartition("\n")[0]
    for key in keys:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return False
    return True
