"""Values of a checkpoint that are neither tensors nor containers, as JSON."""

from __future__ import annotations

import base64
import math
import re
import struct
from typing import TYPE_CHECKING, Any, Final

import msgspec

from mcodec.errors import FormatError
from mcodec.formats.torch_dtypes import LAYOUTS, SIZES

if TYPE_CHECKING:
    from collections.abc import Callable

_INTEGER: Final = re.compile(r"-?[0-9]{1,620}\Z")  # 255 bytes: what a pickle can say
_DEVICE: Final = re.compile(r"[a-z]{1,32}(:[0-9]{1,3})?\Z")


class Value(msgspec.Struct, tag_field="kind", tag="value", forbid_unknown_fields=True):
    """A value that JSON has no form for, as text."""

    type: str
    text: str


Leaf = bool | int | float | str | Value | None


def is_text(text: str) -> bool:
    """Tell whether a string has no lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def dump_value(value: Any) -> Leaf:
    """Return the node of a leaf.

    Raises
    ------
    TypeError
        There is none for its type.
    """
    match value:
        case None | bool():
            return value
        case int():
            return value if -(1 << 63) <= value < 1 << 63 else Value("int", str(value))
        case float():
            return value if math.isfinite(value) else Value("float", struct.pack(">d", value).hex())
        case complex():
            return Value("complex", struct.pack(">dd", value.real, value.imag).hex())
        case str():
            return value if is_text(value) else Value("text", _base64(_utf8(value)))
        case bytes() | bytearray():
            return Value(type(value).__name__, _base64(value))
    raise TypeError


def load_value(node: Value) -> Any:
    """Return what a leaf's text says; of dtypes, devices and layouts the text itself.

    Raises
    ------
    FormatError
        ``source_invalid`` if it says nothing.
    """
    try:
        return _LOADERS[node.type](node.text)
    except (KeyError, ValueError, struct.error) as error:
        raise FormatError(
            f"the skeleton is invalid: a damaged value of type {node.type[:40]!r}",
            code="source_invalid",
        ) from error


def _base64(data: bytes | bytearray) -> str:
    return base64.b64encode(data).decode()


def _unbase64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _int(text: str) -> int:
    if not _INTEGER.match(text):
        raise ValueError(text)
    return int(text)


def _known(holds: bool, text: str) -> str:
    if not holds:
        raise ValueError(text)
    return text


_LOADERS: Final[dict[str, Callable[[str], Any]]] = {
    "int": _int,
    "float": lambda text: struct.unpack(">d", bytes.fromhex(text))[0],
    "complex": lambda text: complex(*struct.unpack(">dd", bytes.fromhex(text))),
    "text": lambda text: _unbase64(text).decode("utf-8", "surrogatepass"),
    "bytes": _unbase64,
    "bytearray": lambda text: bytearray(_unbase64(text)),
    "dtype": lambda text: _known(text in SIZES, text),
    "device": lambda text: _known(bool(_DEVICE.match(text)), text),
    "layout": lambda text: _known(text in LAYOUTS or text == "strided", text),
}
