"""What an HDF5 file holds besides arrays, as text that two files can be compared by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from mcodec.formats.base import OWN_KEYS, summary
from mcodec.formats.hdf5_dtypes import plain_type, swap_unit, tensor_dtype
from mcodec.formats.hdf5_skeleton import Dataset, Group, Link, NamedType, Tensor, decode
from mcodec.formats.hdf5_types import REFERENCE, String, Type, lies_in_heap
from mcodec.types import EXTENSION_DTYPES, numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcodec.formats.hdf5_skeleton import Object, Value

_SHOWN: Final = 80  # characters of a value
_DECODED: Final = 4096  # bytes of a value that are worth showing as numbers
_CHARSETS: Final = ("ASCII", "UTF-8")
_PADDINGS: Final = ("ended by zero", "padded with zeros", "padded with spaces")


def facts_hdf5(skeleton: bytes) -> dict[str, str]:
    """Return what a file holds besides arrays.

    Parameters
    ----------
    skeleton : bytes
        Of an HDF5 source; or nothing, which has no facts.

    Returns
    -------
    dict of str to str
        Attributes by ``path@name``; by their paths: groups with nothing in them, datasets that are
        no tensors, committed datatypes, hard links, and tensors whose datatype is not the one that
        their dtype gets by itself. Attributes of mcodec's own are left out.

    Raises
    ------
    FormatError
        The skeleton is damaged.
    """
    if not skeleton:
        return {}
    plan = decode(skeleton)
    full = {item.path.rpartition("/")[0] for item in plan.objects[1:]}
    found: dict[str, str] = {}
    for item in plan.objects:
        text = _object(item, plan.types, full)
        if text:
            found[item.path] = text
        if not isinstance(item, Link):
            for attribute in item.attributes:
                if not attribute.name.startswith(OWN_KEYS):
                    found[f"{item.path}@{attribute.name}"] = _value(attribute, plan.types)
    return found


def _object(item: Object, types: list[Type], full: set[str]) -> str:
    match item:
        case Group(path=path):
            return "" if path in full or not path else "an empty group"
        case Tensor():
            return _tensor(item, types)
        case Dataset():
            return f"a dataset: {_value(item.value, types)}"
        case NamedType():
            return f"a datatype: {_kind(types[item.type])}"
    return f"a hard link to {item.target!r}"


def _tensor(item: Tensor, types: list[Type]) -> str:
    """Say of which datatype a tensor is, where its dtype does not say it."""
    kind = types[item.type]
    marks = [a.texts[0] for a in item.attributes if a.name == "dtype" and len(a.texts) == 1]
    dtype = tensor_dtype(kind, *marks)
    return "" if dtype and plain_type(dtype) == kind else f"a tensor of {_kind(kind)}"


def _value(value: Value, types: list[Type]) -> str:
    """Return a value, and of which kind it is."""
    kind = types[value.type]
    if value.shape is None:
        return f"null ({_kind(kind)})"
    shape = "" if value.shape == [] else f", shape {tuple(value.shape)}"
    return f"{_short(value, kind)} ({_kind(kind)}{shape})"


def _short(value: Value, kind: Type) -> str:
    """Return a value's text; of a long one the beginning, its length and its hash."""
    raw = _raw(value, kind)
    shown = _text(value, kind) if len(raw) <= _DECODED else repr(raw[:_SHOWN])
    if len(shown) <= _SHOWN and len(raw) <= _DECODED:
        return shown
    return f"{shown[:_SHOWN]}... {summary(raw)}"


def _raw(value: Value, kind: Type) -> bytes:
    """Return all bytes of a value, so that different values have different ones."""
    if not (lies_in_heap(kind) or kind == REFERENCE):
        return value.data
    items = value.items or [text.encode("utf-8") for text in value.texts]
    return items[0] if len(items) == 1 else msgspec.json.encode(items)


def _text(value: Value, kind: Type) -> str:
    many = value.shape != []
    if lies_in_heap(kind) or kind == REFERENCE:
        parts = [repr(part) for part in (value.items or value.texts)]
    elif isinstance(kind, String) and kind.size:
        cells = range(0, len(value.data), kind.size)
        parts = [_fixed(value.data[at : at + kind.size]) for at in cells]
    else:
        parts = list(_numbers(value.data, kind))
    return f"[{', '.join(parts)}]" if many else "".join(parts)


def _fixed(cell: bytes) -> str:
    try:
        return repr(cell.rstrip(b"\0").decode("utf-8"))
    except UnicodeDecodeError:
        return repr(cell)


def _numbers(data: bytes, kind: Type) -> Iterator[str]:
    """Yield numbers as text, or what is no number as hexadecimal digits."""
    dtype = tensor_dtype(kind)
    plain = dtype and dtype not in EXTENSION_DTYPES and not dtype.startswith("V")
    size = numpy_dtype(dtype).itemsize if dtype and plain else 0
    if not dtype or not plain or len(data) % size:
        yield data.hex()
        return
    array = np.frombuffer(data, numpy_dtype(dtype)).copy()
    swap = swap_unit(kind)
    if swap:
        array.view(f"u{swap}").byteswap(inplace=True)
    if array.dtype.kind in "fc" and not np.isfinite(array).all():
        yield data.hex()  # NaN has many
        return
    yield from (str(item) for item in array.tolist())


def _kind(kind: Type) -> str:
    """Say of which datatype something is, so that no two kinds read the same."""
    if isinstance(kind, String):
        length = "any length" if kind.size is None else f"{kind.size} bytes"
        return f"text of {length}, {_CHARSETS[kind.charset]}, {_PADDINGS[kind.padding]}"
    dtype = tensor_dtype(kind)
    if dtype and plain_type(dtype) == kind:
        return dtype
    text = msgspec.json.encode(kind).decode()
    return text if len(text) <= _SHOWN * 2 else f"{text[:_SHOWN]}... {summary(text.encode())}"
