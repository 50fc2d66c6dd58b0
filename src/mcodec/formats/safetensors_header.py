"""The header of a safetensors file: strict to read.

The format: a little-endian u64 N, N bytes of JSON that begin with ``{``, then the tensors' bytes,
without gap, overlap or tail. This reader takes less than the safetensors library: no duplicate
key, no unknown field, no number that is not a plain unsigned integer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from mcodec.errors import FormatError
from mcodec.formats.base import OWN_KEYS, SKELETON_KEY
from mcodec.formats.safetensors_dtypes import DTYPES, SUB_BYTE, sub_byte_spec
from mcodec.formats.safetensors_fast import read_plain
from mcodec.formats.safetensors_json import StrictJson
from mcodec.formats.standins import DTYPES_KEY, read_dtypes, real_spec
from mcodec.limits import MAX_DIMENSIONS, MAX_NAME_BYTES, MAX_TENSORS, MIB
from mcodec.types import TensorSpec, itemsize

if TYPE_CHECKING:
    from collections.abc import Mapping

METADATA: Final = "__metadata__"
FORMAT_KEY: Final = "format"  # transformers refuses metadata without it
ADDED_FORMAT: Final = "pt"
ADDED_KEY: Final = "mcodec.added"  # its value is FORMAT_KEY where mcodec added that
_FIELDS: Final = frozenset({"dtype", "shape", "data_offsets"})
_KEPT: Final = 2 * MIB  # bytes of a header that are worth keeping
_MAX_BYTES: Final = (1 << 63) - 1
_JSON: Final = StrictJson("the safetensors header")


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says.

    Attributes
    ----------
    tensors : tuple of TensorSpec
        In the order of their bytes; empty tensors that share a place in the header's order. A
        stand-in is the tensor that it stands for.
    offsets : tuple of int
        First byte of each, counted from the end of the header.
    length : int
        Bytes of all tensors.
    words : mapping of str to str
        All of ``__metadata__``.
    tags : mapping of str to str
        The dtypes of tensors whose values are smaller than a byte.
    """

    tensors: tuple[TensorSpec, ...]
    offsets: tuple[int, ...]
    length: int
    words: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def metadata(self) -> dict[str, str]:
        """What the file says of itself, without what mcodec added."""
        added = (self.words.get(ADDED_KEY), ADDED_FORMAT)
        return {
            key: value
            for key, value in self.words.items()
            if not key.startswith(OWN_KEYS) and (key, value) != added
        }

    @property
    def own(self) -> dict[str, str]:
        """What mcodec wrote beside the metadata: a skeleton, the dtypes of stand-ins."""
        return {key: self.words[key] for key in (SKELETON_KEY, DTYPES_KEY) if key in self.words}


def parse_header(data: bytes) -> Header:
    """Read the JSON of a header.

    Parameters
    ----------
    data : bytes
        The N bytes after the length, padding included.

    Raises
    ------
    FormatError
        ``source_invalid`` if a rule of the format is broken, ``limit_exceeded`` if a count is over
        a limit, ``dtype_unknown`` for a dtype that is not one.
    """
    return _parse_again(data) if len(data) <= _KEPT else _parse(data)


def _parse(data: bytes) -> Header:
    if not data.startswith(b"{"):
        raise _JSON.invalid("it does not begin with '{'")
    plain = read_plain(data, _JSON)
    if plain is not None:
        words = _words(plain[0])
        if DTYPES_KEY not in words:
            return _cover(plain[1], words, {})
    entries = _JSON.read(data)
    words = _words(entries.pop(METADATA, {}))
    if len(entries) > MAX_TENSORS:
        raise FormatError(
            f"{len(entries)} tensors are more than the {MAX_TENSORS} allowed", code="limit_exceeded"
        )
    named = read_dtypes(words[DTYPES_KEY]) if DTYPES_KEY in words else {}
    for name in named.keys() - entries.keys():
        raise _JSON.invalid(f"{DTYPES_KEY} names {name!r}, which is no tensor")
    tags: dict[str, str] = {}
    found = [_entry(name, entry, named, tags) for name, entry in entries.items()]
    return _cover(found, words, tags)


def _words(value: object) -> dict[str, str]:
    words = _JSON.texts(value, METADATA)
    if words.get(ADDED_KEY, FORMAT_KEY) != FORMAT_KEY:
        raise _JSON.invalid(f"{ADDED_KEY} is not {FORMAT_KEY!r}")
    return words


_INTEGERS: Final = frozenset((int,))  # and no bool


# A header is asked for several times while a file is written: of its skeleton, and of itself.
_parse_again: Final = lru_cache(maxsize=2)(_parse)


def _naturals(value: object, what: str) -> list[int]:
    if type(value) is not list or not _INTEGERS.issuperset(map(type, value)):
        raise _JSON.invalid(f"{what} is no list of integers")
    return value


def _entry(
    name: str, entry: object, named: Mapping[str, str], tags: dict[str, str]
) -> tuple[TensorSpec, int, int]:
    """Return what one tensor's entry says: its spec, its first byte and the byte after it."""
    if not (name.isascii() and len(name) <= MAX_NAME_BYTES) and (
        len(_JSON.text(name, "a tensor name").encode()) > MAX_NAME_BYTES
    ):
        raise FormatError(
            f"the tensor name {name[:40]!r}... is longer than {MAX_NAME_BYTES} bytes",
            code="limit_exceeded",
        )
    where = f"tensor {name!r}"
    if not isinstance(entry, dict) or entry.keys() != _FIELDS:
        raise _JSON.invalid(f"{where} does not have exactly dtype, shape and data_offsets")
    tag = entry["dtype"]
    if not isinstance(tag, str):
        raise _JSON.invalid(f"the dtype of {where} is no string")
    spec = _spec(name, tag, _naturals(entry["shape"], f"the shape of {where}"))
    if tag in SUB_BYTE:
        tags[name] = tag
    offsets = _naturals(entry["data_offsets"], f"data_offsets of {where}")
    if len(offsets) != 2 or offsets[1] - offsets[0] != spec.nbytes:
        raise _JSON.invalid(f"data_offsets of {where} do not fit its shape")
    real = real_spec(spec, named[name]) if name in named else spec
    return real, offsets[0], offsets[1]


def _spec(name: str, tag: str, shape: list[int]) -> TensorSpec:
    if tag not in DTYPES and tag not in SUB_BYTE:
        raise FormatError(
            f"tensor {name!r} has the unknown dtype {tag[:24]!r}", code="dtype_unknown"
        )
    if len(shape) > MAX_DIMENSIONS:
        raise FormatError(f"tensor {name!r} has {len(shape)} dimensions", code="limit_exceeded")
    # Zeros are left out of this product: strides of an empty array must not overflow either.
    bits = SUB_BYTE[tag] if tag in SUB_BYTE else 8 * itemsize(DTYPES[tag])
    if math.prod(d for d in shape if d) * bits > 8 * _MAX_BYTES:
        raise _JSON.invalid(f"the shape of tensor {name!r} overflows")
    if tag in SUB_BYTE:
        return sub_byte_spec(name, tag, tuple(shape))
    return TensorSpec(name, DTYPES[tag], tuple(shape))


def _cover(
    entries: list[tuple[TensorSpec, int, int]], words: dict[str, str], tags: dict[str, str]
) -> Header:
    """Sort tensors by place, and check that they follow one another without a gap."""
    entries.sort(key=lambda entry: entry[1:])
    end = 0
    for spec, begin, after in entries:
        if begin != end:
            fault = "overlaps another" if begin < end else "follows a gap"
            raise _JSON.invalid(f"tensor {spec.name!r} {fault}")
        end = after
    if end > _MAX_BYTES:
        raise _JSON.invalid("its tensors are larger than any file")
    tensors = tuple(spec for spec, _, _ in entries)
    return Header(tensors, tuple(begin for _, begin, _ in entries), end, words, tags)
