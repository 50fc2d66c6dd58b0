"""Strict readers for the values of a codec's configuration."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from mcodec.errors import CodecConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_SMALLEST_NORMAL: Final = 2.0**-126  # of float32
_LARGEST: Final = 2.0**128 - 2.0**104


def refuse_unknown(codec_id: str, config: Mapping[str, Any], known: Collection[str]) -> None:
    """Refuse keys that the codec has not."""
    for key in config:
        if key not in known:
            keys = ", ".join(sorted(known)) or "none"
            raise CodecConfigError(f"codec {codec_id} has no option {key!r}; it has: {keys}")


def take_int(codec_id: str, config: Mapping[str, Any], key: str, low: int, high: int) -> int:
    """Return an integer in [low, high]; ``true`` is none."""
    value = config.get(key)
    if type(value) is not int or not low <= value <= high:
        message = f"codec {codec_id}: {key} is an integer from {low} to {high}, not {value!r}"
        raise CodecConfigError(message)
    return value


def take_word(
    codec_id: str, config: Mapping[str, Any], key: str, words: Collection[str], default: str
) -> str:
    """Return one of the words."""
    value = config.get(key, default)
    if not isinstance(value, str) or value not in words:
        message = f"codec {codec_id}: {key} is one of {', '.join(words)}, not {value!r}"
        raise CodecConfigError(message)
    return value


def take_step(codec_id: str, value: Any) -> float:
    """Return a positive normal float32."""
    near = ""
    if type(value) in (int, float) and _SMALLEST_NORMAL <= value <= _LARGEST:
        (single,) = struct.unpack("<f", struct.pack("<f", value))
        if single == value:
            return float(single)
        near = f"; the nearest is {single!r}"
    message = f"codec {codec_id}: step is a positive normal float32, not {value!r}{near}"
    raise CodecConfigError(message)
