"""Codec strings that people type (design, section 7).

A codec string is an id with options, nested where a codec carries another:
``bfp(bits=8,scope=axis:-1)``, ``csr(values=float(keep=16))``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from mcodec.codec.registry import from_config
from mcodec.errors import CodecConfigError
from mcodec.limits import MAX_JSON_DEPTH

if TYPE_CHECKING:
    from mcodec.codec.base import Codec

_TOKEN: Final = re.compile(r"\s*([(),=]|[^(),=\s]+)")
_WORD: Final = re.compile(r"[a-z][a-z0-9_]*\Z")
_NESTED: Final = ("values",)  # options that are codecs, so that a bare word is one

# Values of options that a codec string leaves out.
_DEFAULTS: Final = {
    "rounding": "nearest",
    "scope": "tensor",
    "signs": "full",
    "zero": "plain",
    "reconstruct": "low",
    "values": {"id": "float"},
}


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


def codec_string(config: Mapping[str, Any]) -> str:
    """Write a configuration as people type it, defaults left out: what `parse_codec` reads."""
    options = []
    for key, value in config.items():
        if key == "id" or _DEFAULTS.get(key) == value:
            continue
        text = codec_string(value) if isinstance(value, Mapping) else f"{value}"
        options.append(f"{key}={text}")
    return f"{config['id']}({','.join(options)})" if options else str(config["id"])
