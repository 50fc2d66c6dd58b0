"""Codec ids and the classes behind them; a name from a file is only ever a key of this table."""

from __future__ import annotations

import importlib
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mcodec.errors import CodecConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcodec.codec.base import Codec


class Entry(NamedTuple):
    """Where a codec lives, and the first version of the format that has it."""

    module: str
    name: str
    since: str


CODECS: Final[Mapping[str, Entry]] = MappingProxyType(
    {
        "raw": Entry("mcodec.codec.raw", "RawCodec", "1.0"),
        "float": Entry("mcodec.codec.float", "FloatCodec", "1.0"),
        "bfp": Entry("mcodec.codec.bfp", "BfpCodec", "1.0"),
        "mask": Entry("mcodec.codec.mask", "MaskCodec", "1.0"),
        "delta": Entry("mcodec.codec.delta", "DeltaCodec", "1.0"),
        "int8": Entry("mcodec.codec.int8", "Int8Codec", "1.0"),
        "csr": Entry("mcodec.codec.csr", "CsrCodec", "1.0"),
    }
)


def from_config(config: Mapping[str, Any]) -> Codec:
    """Make the codec of a configuration.

    Raises
    ------
    CodecConfigError
        ``codec_unknown``, or ``codec_config`` for its options.
    """
    options = dict(config)
    codec_id = options.pop("id", None)
    entry = CODECS.get(codec_id) if isinstance(codec_id, str) else None
    if entry is None:
        known = ", ".join(CODECS)
        message = f"unknown codec {codec_id!r}; this mcodec knows: {known}"
        code = "codec_unknown" if isinstance(codec_id, str) else "codec_config"
        raise CodecConfigError(message, code=code)
    codec: type[Codec] = getattr(importlib.import_module(entry.module), entry.name)
    return codec.from_config(options)
