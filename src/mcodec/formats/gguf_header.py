"""The header of a GGUF file: key-values and tensor infos, read strictly.

The format: ``GGUF``, u32 version, u64 number of tensors, u64 number of key-values, then those, then
the infos of the tensors; data begins at the next multiple of ``general.alignment``. Values are
skipped with every length checked, and stay bytes: what they mean is for the programs that use them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mcodec.errors import FormatError
from mcodec.formats.gguf_cursor import ARRAY, VALUE_TYPES, Cursor, invalid
from mcodec.limits import (
    MAX_ALIGNMENT,
    MAX_DIMENSIONS,
    MAX_ELEMENTS,
    MAX_SOURCE_HEADER,
    MAX_SOURCE_OBJECTS,
    MAX_TENSORS,
)
from mcodec.types import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable

MAGIC: Final = b"GGUF"
VERSIONS: Final = (2, 3)
_UINT32: Final = 4
_ALIGNMENT_KEY: Final = "general.alignment"
_ALIGNMENT: Final = 32
_PLAIN: Final[dict[int, str]] = {
    0: "float32",
    1: "float16",
    24: "int8",
    25: "int16",
    26: "int32",
    27: "int64",
    28: "float64",
    30: "bfloat16",
}
# ggml type -> name, elements of a block, bytes of a block.
_BLOCKS: Final[dict[int, tuple[str, int, int]]] = {
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    9: ("Q8_1", 32, 40),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    29: ("IQ1_M", 256, 56),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36),
    41: ("Q1_0", 128, 18),
}
_LEAST_PAIR: Final = 8 + 4 + 1  # bytes of the shortest key-value
_LEAST_INFO: Final = 8 + 4 + 4 + 8


@dataclass(frozen=True, slots=True)
class Pair:
    """A key-value; the bytes [start, stop) of the header hold the value.

    Attributes
    ----------
    key : str
    type : int
        A key of `VALUE_TYPES`.
    items, count : int
        For an array: the type of its items, and how many they are.
    """

    key: str
    type: int
    start: int
    stop: int
    items: int = -1
    count: int = 0


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says.

    Attributes
    ----------
    version : int
    raw : bytes
        The header, without the padding before the data.
    pairs : tuple of Pair
    tensors : tuple of TensorSpec
        In the header's order; block types are bytes, with one row of blocks as last axis.
    offsets : tuple of int
        First byte of each, counted from the beginning of the file.
    types : tuple of str
        The name of each block type, "" for tensors whose dtype says it all.
    """

    version: int
    raw: bytes
    pairs: tuple[Pair, ...]
    tensors: tuple[TensorSpec, ...]
    offsets: tuple[int, ...]
    types: tuple[str, ...]


def parse_header(fetch: Callable[[int, int], bytes], size: int) -> Header:
    """Read and check a header.

    Parameters
    ----------
    fetch : callable
        Takes an offset and a length, and returns that many bytes of the file or fewer.
    size : int
        The bytes that are there: of the file, or of the header alone.

    Raises
    ------
    FormatError
        ``source_invalid`` for what breaks a rule, ``source_refused`` for big-endian files and
        nested arrays, ``dtype_unknown``, ``version_unsupported``, ``limit_exceeded``.
    """
    cursor = Cursor(fetch, size)
    version = _version(cursor)
    tensors = cursor.count(_LEAST_INFO, MAX_TENSORS, "tensors")
    count = cursor.count(_LEAST_PAIR, MAX_SOURCE_OBJECTS, "key-values")
    pairs = tuple(_pair(cursor) for _ in range(count))
    if len({pair.key for pair in pairs}) != count:
        raise invalid("a key is there twice")
    alignment = _alignment(pairs, cursor.data)
    infos = [_info(cursor, alignment) for _ in range(tensors)]
    if len({spec.name for spec, _, _ in infos}) != tensors:
        raise invalid("a tensor's name is there twice")
    data_start = -(-cursor.at // alignment) * alignment
    return Header(
        version,
        bytes(cursor.data[: cursor.at]),
        pairs,
        tuple(spec for spec, _, _ in infos),
        tuple(data_start + offset for _, _, offset in infos),
        tuple(kind for _, kind, _ in infos),
    )


def _version(cursor: Cursor) -> int:
    start = cursor.need(4)
    if cursor.data[start : start + 4] != MAGIC:
        raise invalid("it does not begin with GGUF")
    version = cursor.number(4)
    if version and version & 0xFFFF == 0:
        raise FormatError("a big-endian GGUF file is not read", code="source_refused")
    if version not in VERSIONS:
        raise FormatError(
            f"GGUF version {version} is not read (2 and 3 are)", code="version_unsupported"
        )
    return version


def _pair(cursor: Cursor) -> Pair:
    key = cursor.text("key")
    kind = cursor.number(4)
    if kind not in VALUE_TYPES:
        raise invalid(f"key {key!r} has the unknown type {kind}")
    start = cursor.at
    if kind != ARRAY:
        cursor.skip_values(kind, 1)
        return Pair(key, kind, start, cursor.at)
    items = cursor.number(4)
    if items == ARRAY:
        raise FormatError(f"key {key!r} is an array of arrays", code="source_refused")
    if items not in VALUE_TYPES:
        raise invalid(f"key {key!r} is an array of the unknown type {items}")
    count = cursor.count(VALUE_TYPES[items][1] or 8, MAX_SOURCE_HEADER, f"items of {key!r}")
    start = cursor.at
    cursor.skip_values(items, count)
    return Pair(key, kind, start, cursor.at, items, count)


def _alignment(pairs: tuple[Pair, ...], data: bytearray) -> int:
    pair = next((pair for pair in pairs if pair.key == _ALIGNMENT_KEY), None)
    if pair is None:
        return _ALIGNMENT
    value = int.from_bytes(data[pair.start : pair.stop], "little")
    if pair.type != _UINT32 or value == 0 or value & (value - 1):
        raise invalid(f"{_ALIGNMENT_KEY} is no uint32 that is a power of two")
    if value > MAX_ALIGNMENT:
        raise FormatError(
            f"an alignment of {value} is over the limit of {MAX_ALIGNMENT}", code="limit_exceeded"
        )
    return value


def _info(cursor: Cursor, alignment: int) -> tuple[TensorSpec, str, int]:
    name = cursor.text("tensor name")
    rank = cursor.number(4)
    if rank > MAX_DIMENSIONS:
        raise FormatError(f"tensor {name!r} has {rank} dimensions", code="limit_exceeded")
    shape = tuple(cursor.number(8) for _ in range(rank))[::-1]  # the fastest is first in the file
    if math.prod(max(n, 1) for n in shape) > MAX_ELEMENTS:
        raise FormatError(f"tensor {name!r} has too many elements", code="limit_exceeded")
    kind, offset = cursor.number(4), cursor.number(8)
    if offset % alignment:
        raise invalid(f"the offset of tensor {name!r} is no multiple of {alignment}")
    if kind in _PLAIN:
        return TensorSpec(name, _PLAIN[kind], shape), "", offset
    if kind not in _BLOCKS:
        raise FormatError(f"tensor {name!r} is of the unknown type {kind}", code="dtype_unknown")
    label, elements, size = _BLOCKS[kind]
    row = shape[-1] if shape else 1
    if row % elements:
        raise invalid(f"the rows of tensor {name!r} are no whole blocks of {label}")
    shape = (*shape[:-1], row // elements * size)
    return TensorSpec(name, "uint8", shape), label, offset
