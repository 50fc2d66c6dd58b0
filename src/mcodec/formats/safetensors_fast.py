"""Headers of safetensors files that are plainly good, told by a compiled decoder.

What this does not take is read by `safetensors_header`, rule by rule, which says what is wrong: the
two accept the same files, and give the same for them (tests/property/test_safetensors_headers.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from mcodec.formats.safetensors_dtypes import DTYPES
from mcodec.limits import MAX_DIMENSIONS, MAX_NAME_BYTES, MAX_TENSORS
from mcodec.types import ITEMSIZE, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcodec.formats.safetensors_json import StrictJson

    Placed = tuple[TensorSpec, int, int]

_FIELDS: Final = (b'"dtype"', b'"shape"', b'"data_offsets"')
_METADATA: Final = b'{"__metadata__":'
_MOST: Final = 1 << 62  # bytes of a tensor that are plainly possible


class _Entry(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


_DECODER: Final = msgspec.json.Decoder(dict[str, _Entry])


def read_plain(data: bytes, json: StrictJson) -> tuple[Any, list[Placed]] | None:
    """Return the value of ``__metadata__`` and all tensors with their first and last byte.

    None where anything is out of the ordinary.

    Parameters
    ----------
    data
        A header.
    json
        Who reads the metadata.

    Raises
    ------
    FormatError
        The metadata breaks a rule.
    """
    json.check_marks(data)
    words: Any = {}
    if data.startswith(_METADATA):
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            return None
        words, end = json.read_first(text, len(_METADATA))
        rest = text[end:].lstrip(" \t\r\n")
        if not rest.startswith(","):
            return None
        data = b"{" + rest[1:].encode("utf-8")
    # Without escapes a key is spelt in one way, so that one that stands twice is counted twice.
    if b"\\" in data or b"__metadata__" in data:
        return None
    try:
        entries = _DECODER.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return None
    if len(entries) > MAX_TENSORS or any(data.count(key) != len(entries) for key in _FIELDS):
        return None
    found = _placed(entries)
    return None if found is None else (words, found)


def _placed(entries: Mapping[str, _Entry]) -> list[Placed] | None:
    found = []
    for name, entry in entries.items():
        dtype = DTYPES.get(entry.dtype)
        shape = entry.shape
        begin, end = entry.data_offsets
        if dtype is None or not name.isascii() or len(name) > MAX_NAME_BYTES:
            return None
        if shape and (len(shape) > MAX_DIMENSIONS or min(shape) < 1):
            return None
        spec = TensorSpec(name, dtype, shape)
        size = spec.size * ITEMSIZE[dtype]
        if begin < 0 or end - begin != size or size > _MOST:
            return None
        found.append((spec, begin, end))
    return found
