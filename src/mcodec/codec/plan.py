"""Codec strings that people type, and plan files (design, sections 4 and 7).

A codec string is an id with options, nested where a codec carries another:
``bfp(bits=8,scope=axis:-1)``, ``csr(values=float(keep=16))``.
"""

from __future__ import annotations

import fnmatch
import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from mcodec.codec.registry import from_config
from mcodec.errors import CodecConfigError, UsageError, one_line
from mcodec.limits import MAX_JSON_DEPTH

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mcodec.codec.base import Codec

_TOKEN: Final = re.compile(r"\s*([(),=]|[^(),=\s]+)")
_WORD: Final = re.compile(r"[a-z][a-z0-9_]*\Z")
_NESTED: Final = ("values",)  # options that are codecs, so that a bare word is one


def parse_codec(text: str) -> Codec:
    """Make the codec of a codec string.

    Raises
    ------
    CodecConfigError
        It is malformed, or names a codec or an option that is not there.
    """
    tokens = _TOKEN.findall(text)
    config, rest = _codec(tokens, text, 0)
    if rest:
        raise _malformed(text)
    return from_config(config)


def _codec(tokens: list[str], text: str, depth: int) -> tuple[dict[str, Any], list[str]]:
    if not tokens or not _WORD.match(tokens[0]) or depth > MAX_JSON_DEPTH:
        raise _malformed(text)
    config: dict[str, Any] = {"id": tokens[0]}
    rest = tokens[1:]
    if rest[:1] != ["("]:
        return config, rest
    rest = rest[1:]
    while rest[:1] != [")"]:
        if len(rest) < 3 or rest[1] != "=" or not _WORD.match(rest[0]) or rest[0] in config:
            raise _malformed(text)
        key = rest[0]
        if rest[3:4] == ["("] or key in _NESTED:
            config[key], rest = _codec(rest[2:], text, depth + 1)
        else:
            config[key], rest = _value(rest[2]), rest[3:]
        if rest[:1] == [","]:
            rest = rest[1:]
        elif rest[:1] != [")"]:
            raise _malformed(text)
    return config, rest[1:]


def _value(token: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(token)
        except ValueError:
            continue
    return token


def _malformed(text: str) -> CodecConfigError:
    return CodecConfigError(f"codec {text!r} is not of the form id or id(key=value,…)")


class _Rule(msgspec.Struct, forbid_unknown_fields=True):
    match: str
    codec: str


class _Plan(msgspec.Struct, forbid_unknown_fields=True):
    tensor: list[_Rule] = []


@dataclass(frozen=True, slots=True)
class Plan:
    """Overrides by name pattern (``task:name``, shell style); the last match wins."""

    rules: Sequence[tuple[str, Codec]] = ()

    def codec(self, task: str, name: str) -> Codec | None:
        """Return the codec that the plan gives a tensor, or None."""
        full = f"{task}:{name}"
        for pattern, codec in reversed(self.rules):
            if fnmatch.fnmatchcase(full, pattern):
                return codec
        return None

    def unused(self, names: Iterable[str]) -> list[str]:
        """Return the patterns that match none of these ``task:name``."""
        left = {pattern for pattern, _ in self.rules}
        for name in names:
            if not left:
                break
            left = {pattern for pattern in left if not fnmatch.fnmatchcase(name, pattern)}
        return sorted(left)


def parse_plan(text: str, where: str) -> Plan:
    """Parse a plan file.

    Raises
    ------
    UsageError
        It is not TOML of the form that the design gives.
    CodecConfigError
        One of its codec strings is malformed.
    """
    try:
        plan = msgspec.convert(tomllib.loads(text), _Plan)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise UsageError(f"{where}: not a plan: {one_line(error)}") from None
    try:
        return Plan([(rule.match, parse_codec(rule.codec)) for rule in plan.tensor])
    except CodecConfigError as error:
        raise error.at(where) from None
