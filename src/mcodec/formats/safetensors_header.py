"""The header of a safetensors file: strict to read, canonical to write.

The format: a little-endian u64 N, N bytes of JSON that begin with ``{``, then the tensors' bytes,
without gap, overlap or tail. This reader takes less than the safetensors library: no duplicate
key, no unknown field, no number that is not a plain unsigned integer.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NoReturn

from mcodec.errors import FormatError, UsageError
from mcodec.limits import MAX_DIMENSIONS, MAX_NAME_BYTES, MAX_SOURCE_HEADER, MAX_TENSORS
from mcodec.types import TensorSpec, itemsize

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# In the order of the library's own list, by which it lays tensors out (`build_header`).
DTYPES: Final[dict[str, str]] = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E8M0": "float8_e8m0fnu",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "I16": "int16",
    "U16": "uint16",
    "F16": "float16",
    "BF16": "bfloat16",
    "I32": "int32",
    "U32": "uint32",
    "F32": "float32",
    "C64": "complex64",
    "F64": "float64",
    "I64": "int64",
    "U64": "uint64",
}
TAGS: Final = {name: tag for tag, name in DTYPES.items()}
_RANKS: Final = {name: rank for rank, name in enumerate(TAGS)}
_SUB_BYTE: Final = frozenset({"F4", "F6_E2M3", "F6_E3M2"})
_METADATA: Final = "__metadata__"
_FIELDS: Final = frozenset({"dtype", "shape", "data_offsets"})
_MAX_DIGITS: Final = 19
_MAX_SIZE: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says.

    Attributes
    ----------
    tensors : tuple of TensorSpec
        In the order of their bytes; empty tensors that share a place in the header's order.
    offsets : tuple of int
        First byte of each, counted from the end of the header.
    length : int
        Bytes of all tensors.
    metadata : mapping of str to str
    """

    tensors: tuple[TensorSpec, ...]
    offsets: tuple[int, ...]
    length: int
    metadata: Mapping[str, str] = field(default_factory=dict)


def _invalid(what: str) -> FormatError:
    return FormatError(f"the safetensors header is invalid: {what}", code="source_invalid")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _invalid("a key stands twice")
    return result


def _integer(digits: str) -> int:
    if digits.startswith("-") or len(digits) > _MAX_DIGITS:
        raise _invalid(f"the number {digits[:24]} is out of range")
    return int(digits)


def _no_number(text: str) -> NoReturn:
    raise _invalid(f"{text[:24]} is no plain integer")


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
        a limit, ``source_refused`` for a dtype of less than a byte.
    """
    if not data.startswith(b"{"):
        raise _invalid("it does not begin with '{'")
    try:
        entries = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_int=_integer,
            parse_float=_no_number,
            parse_constant=_no_number,
        )
    except FormatError:
        raise
    except UnicodeDecodeError as error:
        raise _invalid("it is not UTF-8") from error
    except RecursionError as error:
        raise _invalid("it is nested too deep") from error
    except ValueError as error:
        raise _invalid(f"it is not JSON ({error})") from error
    metadata = _metadata(entries.pop(_METADATA, {}))
    if len(entries) > MAX_TENSORS:
        raise FormatError(
            f"{len(entries)} tensors are more than the {MAX_TENSORS} allowed", code="limit_exceeded"
        )
    return _cover([_entry(name, entry) for name, entry in entries.items()], metadata)


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise _invalid(f"{what} is no string")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _invalid(f"{what} holds a lone surrogate") from error
    return value


def _metadata(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise _invalid(f"{_METADATA} is no object")
    return {_text(k, "a metadata key"): _text(v, "a metadata value") for k, v in value.items()}


def _naturals(value: object, what: str) -> list[int]:
    if not isinstance(value, list) or any(type(x) is not int for x in value):
        raise _invalid(f"{what} is no list of integers")
    return value


def _entry(name: str, entry: object) -> tuple[TensorSpec, int, int]:
    """Return what one tensor's entry says: its spec, its first byte and the byte after it."""
    if len(_text(name, "a tensor name").encode()) > MAX_NAME_BYTES:
        raise FormatError(
            f"the tensor name {name[:40]!r}... is longer than {MAX_NAME_BYTES} bytes",
            code="limit_exceeded",
        )
    where = f"tensor {name!r}"
    if not isinstance(entry, dict) or entry.keys() != _FIELDS:
        raise _invalid(f"{where} does not have exactly dtype, shape and data_offsets")
    tag = entry["dtype"]
    if not isinstance(tag, str):
        raise _invalid(f"the dtype of {where} is no string")
    if tag in _SUB_BYTE:
        raise FormatError(
            f"{where} has dtype {tag}, whose values are smaller than a byte: not supported",
            code="source_refused",
        )
    dtype = DTYPES.get(tag)
    if dtype is None:
        raise FormatError(f"{where} has the unknown dtype {tag[:24]!r}", code="dtype_unknown")
    shape = _naturals(entry["shape"], f"the shape of {where}")
    offsets = _naturals(entry["data_offsets"], f"data_offsets of {where}")
    if len(shape) > MAX_DIMENSIONS:
        raise FormatError(f"{where} has {len(shape)} dimensions", code="limit_exceeded")
    # Zeros are left out of this product: strides of an empty array must not overflow either.
    if math.prod(d for d in shape if d) * itemsize(dtype) > _MAX_SIZE:
        raise _invalid(f"the shape of {where} overflows")
    spec = TensorSpec(name, dtype, tuple(shape))
    if len(offsets) != 2 or offsets[1] - offsets[0] != spec.nbytes:
        raise _invalid(f"data_offsets of {where} do not fit its shape")
    return spec, offsets[0], offsets[1]


def _cover(entries: list[tuple[TensorSpec, int, int]], metadata: dict[str, str]) -> Header:
    """Sort tensors by place, and check that they follow one another without a gap."""
    entries.sort(key=lambda entry: entry[1:])
    end = 0
    for spec, begin, after in entries:
        if begin != end:
            fault = "overlaps another" if begin < end else "follows a gap"
            raise _invalid(f"tensor {spec.name!r} {fault}")
        end = after
    return Header(
        tuple(spec for spec, _, _ in entries),
        tuple(begin for _, begin, _ in entries),
        end,
        metadata,
    )


def build_header(specs: Sequence[TensorSpec], metadata: Mapping[str, str]) -> bytes:
    """Return the JSON of a header, laid out and padded as the safetensors library does it.

    Tensors lie by falling rank of their dtype, which falls with its size, then by name; spaces pad
    the header to a multiple of 8.

    Raises
    ------
    UsageError
        A dtype or name that safetensors does not have.
    """
    entries: dict[str, object] = {_METADATA: dict(sorted(metadata.items()))} if metadata else {}
    end = 0
    for spec in specs:
        if spec.dtype not in TAGS:
            raise UsageError(f"safetensors has no dtype {spec.dtype} (tensor {spec.name!r})")
    for spec in sorted(specs, key=lambda spec: (-_RANKS[spec.dtype], spec.name)):
        if spec.name in entries or spec.name == _METADATA:
            raise UsageError(f"safetensors cannot hold a tensor of the name {spec.name!r} here")
        entries[spec.name] = {
            "dtype": TAGS[spec.dtype],
            "shape": list(spec.shape),
            "data_offsets": [end, end + spec.nbytes],
        }
        end += spec.nbytes
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    if len(text) > MAX_SOURCE_HEADER:
        raise UsageError(
            f"a safetensors header may hold {MAX_SOURCE_HEADER} bytes, not {len(text)}"
        )
    return text + b" " * (-len(text) % 8)
