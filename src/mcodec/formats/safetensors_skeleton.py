"""Skeletons of safetensors files and sets (spec/skeletons.md, section 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from mcodec.errors import FormatError
from mcodec.formats.base import SKELETON_KEY, read_skeleton, summary
from mcodec.formats.safetensors_header import Header, parse_header
from mcodec.formats.safetensors_sets import (
    INDEX_SUFFIX,
    Index,
    agreed,
    check_name,
    check_names,
    check_set,
    parse_index,
)
from mcodec.limits import MAX_INDEX_BYTES, MAX_SHARD_HEADERS, MAX_SOURCE_HEADER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcodec.types import TensorSpec

FORMAT: Final = "safetensors"
_LONG: Final = 200  # characters of a fact that are shown


class ShardPart(msgspec.Struct, forbid_unknown_fields=True):
    """One file of a set: its header as it stood, padding included."""

    name: str
    header: str


class IndexPart(msgspec.Struct, forbid_unknown_fields=True):
    """The index of a set, as it stood."""

    name: str
    text: str


class Skeleton(
    msgspec.Struct, tag_field="format", tag=FORMAT, forbid_unknown_fields=True, omit_defaults=True
):
    """A file: its header as it stood, padding included; or a set: its shards and index."""

    version: int
    header: str | None = None
    index: IndexPart | None = None
    shards: list[ShardPart] = []


@dataclass(frozen=True, slots=True)
class Layout:
    """A skeleton that is checked.

    Attributes
    ----------
    names : list of str
        Of the files; one empty name for a lone file.
    raws : list of bytes
        Their headers as they stood.
    headers : list of Header
        What these say.
    index : Index or None
    is_set : bool
    """

    names: list[str]
    raws: list[bytes]
    headers: list[Header]
    index: Index | None
    is_set: bool

    @property
    def metadata(self) -> dict[str, str]:
        """What all files say of themselves."""
        return agreed(self.headers)

    def fits(self, specs: Sequence[TensorSpec]) -> bool:
        """Tell whether these are exactly the tensors of the files."""
        own = {spec for header in self.headers for spec in header.tensors}
        return len(own) == len(specs) and own == set(specs)


def read_layout(skeleton: bytes) -> Layout:
    """Read and check a skeleton of the format.

    Raises
    ------
    FormatError
        ``source_invalid`` or another code for what a file of that header, or a set of such files
        and index, would be refused for; ``version_unsupported``.
    """
    decoded = _decode(skeleton)
    if decoded.header is not None:
        raw = _header(decoded.header, MAX_SOURCE_HEADER)
        return Layout([""], [raw], [parse_header(raw)], None, is_set=False)
    names = [part.name for part in decoded.shards]
    check_names(names)
    raws, left = [], MAX_SHARD_HEADERS
    for part in decoded.shards:
        raws.append(_header(part.header, min(left, MAX_SOURCE_HEADER)))
        left -= len(raws[-1])
    headers = [parse_header(raw) for raw in raws]
    index = _index(decoded.index) if decoded.index else None
    check_set(dict(zip(names, headers, strict=True)), index)
    return Layout(names, raws, headers, index, is_set=True)


def _decode(skeleton: bytes) -> Skeleton:
    decoded = read_skeleton(skeleton, Skeleton)
    if (decoded.header is None) != bool(decoded.shards) or (decoded.index and not decoded.shards):
        raise FormatError(
            "the skeleton is neither of one file nor of a set of files", code="source_invalid"
        )
    return decoded


def _header(text: str, most: int) -> bytes:
    raw = text.encode("utf-8")
    if len(raw) > most:
        raise FormatError(f"a header of {len(raw)} bytes is too long", code="limit_exceeded")
    return raw


def _index(part: IndexPart) -> Index:
    check_name(part.name, INDEX_SUFFIX)
    data = part.text.encode("utf-8")
    if len(data) > MAX_INDEX_BYTES:
        raise FormatError(f"an index of {len(data)} bytes is too long", code="limit_exceeded")
    return parse_index(part.name, data)


def inner_safetensors(skeleton: bytes) -> bytes:
    """Return the skeleton that a file carries of what it was made from, or nothing.

    That is another format's, or the one of a set that was merged into a file.

    Raises
    ------
    FormatError
        The skeleton breaks a rule.
    """
    if not skeleton:
        return b""
    layout = read_layout(skeleton)
    return b"" if layout.is_set else layout.headers[0].words.get(SKELETON_KEY, "").encode()


def folder_safetensors(skeleton: bytes) -> bool:
    """Tell whether a skeleton is of a set of files.

    Raises
    ------
    FormatError
        The skeleton breaks a rule.
    """
    return bool(skeleton and _decode(skeleton).shards)


def facts_safetensors(skeleton: bytes) -> dict[str, str]:
    """Return metadata, the dtypes of tensors with values below a byte, and the files of a set.

    Raises
    ------
    FormatError
        The skeleton breaks a rule.
    """
    if not skeleton:
        return {}
    layout = read_layout(skeleton)
    common = layout.metadata
    facts = {f"metadata {key}": _short(value) for key, value in common.items()}
    for name, header in zip(layout.names, layout.headers, strict=True):
        facts |= {
            f"metadata {key} of {name}": _short(value)
            for key, value in header.metadata.items()
            if key not in common
        }
        facts |= {f"dtype of {tensor}": tag for tensor, tag in header.tags.items()}
    if layout.is_set:
        facts["shards"] = _short(", ".join(layout.names))
    if layout.index:
        facts["index"] = _short(layout.index.name)
        facts["index text"] = _short(layout.index.text)
    return facts


def _short(text: str) -> str:
    return text if len(text) <= _LONG else summary(text.encode("utf-8"))
