"""The header of a safetensors file: canonical to write, as the safetensors library does it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mcodec.errors import FormatError, UsageError
from mcodec.formats.base import SKELETON_KEY
from mcodec.formats.safetensors_dtypes import RANKS, TAGS
from mcodec.formats.safetensors_header import ADDED_FORMAT, ADDED_KEY, FORMAT_KEY, METADATA, Header
from mcodec.formats.standins import DTYPES_KEY, stand_ins
from mcodec.limits import MAX_DIMENSIONS, MAX_NAME_BYTES, MAX_SOURCE_HEADER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mcodec.types import TensorSpec


def build_header(
    specs: Sequence[TensorSpec], metadata: Mapping[str, str], carried: bytes = b""
) -> bytes:
    """Return the JSON of a header, laid out and padded as the safetensors library does it.

    Tensors lie by falling rank of their dtype, which falls with its size, then by name; spaces pad
    the header to a multiple of 8. Dtypes that safetensors lacks have stand-ins.

    Parameters
    ----------
    specs : sequence of TensorSpec
    metadata : mapping of str to str
    carried : bytes
        The skeleton of another format, or nothing.

    Raises
    ------
    FormatError
        ``source_invalid`` if `carried` is not UTF-8.
    UsageError
        A name or shape that safetensors does not have, or a header that is over its limit.
    """
    own: dict[str, str] = {}
    if carried:
        own[SKELETON_KEY] = _carried_text(carried)
    stored, named = stand_ins(specs, TAGS)
    if named:
        own[DTYPES_KEY] = json.dumps(named, ensure_ascii=False, separators=(",", ":"))
    words = _words(metadata, own)
    entries: dict[str, object] = {METADATA: words} if words else {}
    start = 0
    for spec in sorted(stored, key=lambda spec: (-RANKS[spec.dtype], spec.name)):
        _check_spec(spec, entries)
        end = start + spec.nbytes
        entries[spec.name] = {
            "dtype": TAGS[spec.dtype],
            "shape": spec.shape,
            "data_offsets": (start, end),
        }
        start = end
    return _dump(entries, len(carried))


def replace_metadata(raw: bytes, header: Header, metadata: Mapping[str, str]) -> bytes:
    """Return a header with other metadata: the same tensors in the same places.

    Parameters
    ----------
    raw : bytes
        The header as it stands.
    header : Header
        What it says.
    metadata : mapping of str to str

    Raises
    ------
    UsageError
        The header is over the format's limit then.
    """
    words = _words(metadata, header.own)
    entries = json.loads(raw)
    entries.pop(METADATA, None)
    return _dump({METADATA: words, **entries} if words else entries)


def _words(metadata: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """Return ``__metadata__``: transformers wants a format in it if it is there at all."""
    words = {**metadata, **own}
    if own and FORMAT_KEY not in metadata:
        words |= {FORMAT_KEY: ADDED_FORMAT, ADDED_KEY: FORMAT_KEY}
    return dict(sorted(words.items()))


def _carried_text(carried: bytes) -> str:
    if len(carried) > MAX_SOURCE_HEADER:
        raise _too_long(len(carried), len(carried))
    try:
        return carried.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError("the skeleton is not UTF-8", code="source_invalid") from error


def _check_spec(spec: TensorSpec, taken: Mapping[str, object]) -> None:
    if spec.name in taken or spec.name == METADATA:
        raise UsageError(f"safetensors cannot hold a tensor of the name {spec.name!r} here")
    if len(spec.name.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES:
        raise UsageError(f"the tensor name {spec.name[:40]!r}... is too long for safetensors")
    if len(spec.shape) > MAX_DIMENSIONS:
        raise UsageError(
            f"safetensors cannot hold tensor {spec.name!r}: its stand-in has {len(spec.shape)} axes"
        )


def _too_long(length: int, carried: int) -> UsageError:
    why = f", {carried} of them of the file that the model comes from" if carried else ""
    return UsageError(
        f"a safetensors header may hold {MAX_SOURCE_HEADER} bytes, and this one needs"
        f" {length}{why}; choose another format"
    )


def _dump(entries: Mapping[str, object], carried: int = 0) -> bytes:
    try:
        text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    except UnicodeEncodeError as error:
        raise UsageError("a name or the metadata is no Unicode text (a lone surrogate)") from error
    if len(text) > MAX_SOURCE_HEADER:
        raise _too_long(len(text), carried)
    return text + b" " * (-len(text) % 8)
