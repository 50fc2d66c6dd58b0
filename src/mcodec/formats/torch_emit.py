"""A checkpoint's pickle from its skeleton: protocol 2, of what ``weights_only`` takes."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from mcodec.formats.torch_dtypes import SIZES, STORAGES, UNTYPED
from mcodec.formats.torch_skeleton import Mapping, Sequence, Sparse, Tensor
from mcodec.formats.torch_values import Value, load_value

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcodec.formats.torch_skeleton import Node

_INT32: Final = 1 << 31
_HOOKS: Final = b"ccollections\nOrderedDict\n)R"  # of a tensor: none
_OBJECTS: Final = {"OrderedDict": _HOOKS, "Counter": b"ccollections\nCounter\n}\x85R", "dict": b"}"}


class Place:
    """Where a tensor lies: the key of its storage, PyTorch's dtype, and its shape."""

    __slots__ = ("dtype", "key", "shape")

    def __init__(self, key: str, dtype: str, shape: tuple[int, ...]) -> None:
        self.key = key
        self.dtype = dtype
        self.shape = shape


def emit(nodes: list[Node], places: dict[str, Place]) -> bytes:
    """Return the pickle of a tree of nodes; `places` are those of its tensors by name."""
    parts = [b"\x80\x02"]
    stack: list[int | bytes] = [b".", 0]
    while stack:
        one = stack.pop()
        if isinstance(one, bytes):
            parts.append(one)
            continue
        node = nodes[one]
        if isinstance(node, Mapping):
            stack.extend(reversed(_mapping(node)))
        elif isinstance(node, Sequence):
            stack.extend(reversed(_sequence(node)))
        elif isinstance(node, Sparse):
            stack.extend(reversed(_sparse(node)))
        elif isinstance(node, Tensor):
            parts.append(_tensor(node, places[node.name]))
        else:
            parts.append(_leaf(node))
    return b"".join(parts)


def _mapping(node: Mapping) -> list[int | bytes]:
    parts: list[int | bytes] = [_OBJECTS[node.type]]
    if node.items:
        parts += [b"(", *node.items, b"u"]
    if node.attributes is not None:
        parts += [node.attributes, b"b"]
    return parts


def _sequence(node: Sequence) -> list[int | bytes]:
    if node.type == "tuple":
        return [b"(", *node.items, b"t"]
    if node.type == "size":
        return [_name("torch.Size"), b"((", *node.items, b"ttR"]
    items: list[int | bytes] = [b"](", *node.items, b"e"]
    return items if node.type == "list" else [_name("__builtin__.set"), *items, b"\x85R"]


def _sparse(node: Sparse) -> list[int | bytes]:
    shape = _name("torch.Size") + _tuple(node.shape) + b"\x85R"
    flag = _constant(node.coalesced) if node.layout == "sparse_coo" else b""
    head = _name("torch._utils._rebuild_sparse_tensor") + _layout(node.layout)
    return [_before(node), head, b"(", *node.parts, shape, flag, b"t\x86R", _after(node)]


def _before(node: Sparse | Tensor) -> bytes:
    return _name("torch._utils._rebuild_parameter") + b"(" if node.parameter else b""


def _after(node: Sparse | Tensor) -> bytes:
    return _constant(node.gradient) + _HOOKS + b"tR" if node.parameter else b""


def _tensor(node: Tensor, place: Place) -> bytes:
    """Return a tensor that fills its storage; its strides are those of C order."""
    typed = place.dtype in STORAGES
    count = 1
    strides = []
    for length in reversed(place.shape):
        strides.append(count)
        count *= max(length, 1)
    count = 0 if 0 in place.shape else count
    kind = f"torch.{STORAGES[place.dtype]}" if typed else UNTYPED
    numel = count if typed else count * SIZES[place.dtype]
    storage = b"(" + _text("storage") + _name(kind) + _text(place.key) + _text("cpu")
    gradient = _constant(node.gradient and not node.parameter)
    return b"".join(
        (
            _before(node),
            _name(f"torch._utils._rebuild_tensor_v{2 if typed else 3}"),
            b"(",
            storage + _int(numel) + b"tQ",
            _int(0) + _tuple(place.shape) + _tuple(strides[::-1]),
            gradient + _HOOKS,
            b"" if typed else _name(f"torch.{place.dtype}"),
            b"tR",
            _after(node),
        )
    )


def _leaf(node: bool | int | float | str | Value | None) -> bytes:
    if node is None or isinstance(node, bool):
        return _constant(node)
    if isinstance(node, int):
        return _int(node)
    if isinstance(node, float):
        return _double(node)
    return _text(node) if isinstance(node, str) else _value(node)


def _value(node: Value) -> bytes:
    return _VALUES[node.type](load_value(node))


def _double(value: float) -> bytes:
    return b"G" + struct.pack(">d", value)


def _complex(value: complex) -> bytes:
    parts = _double(value.real) + _double(value.imag)
    return _name("__builtin__.complex") + parts + b"\x86R"


def _bytearray(value: bytearray) -> bytes:
    return _name("__builtin__.bytearray") + _bytes(value) + b"\x85R"


def _device(value: str) -> bytes:
    kind, _, index = value.partition(":")
    number = _int(int(index)) + b"\x86" if index else b"\x85"
    return _name("torch.device") + _text(kind) + number + b"R"


def _constant(value: bool | None) -> bytes:
    return {None: b"N", True: b"\x88", False: b"\x89"}[value]


def _name(path: str) -> bytes:
    module, _, name = path.rpartition(".")
    return f"c{module}\n{name}\n".encode()


def _layout(name: str) -> bytes:
    return _name("torch.serialization._get_layout") + _text(f"torch.{name}") + b"\x85R"


def _text(text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    return b"X" + len(data).to_bytes(4, "little") + data


def _bytes(data: bytes | bytearray) -> bytes:
    """Protocol 2 has no bytes: they are a text of the characters below 256, encoded."""
    return _name("_codecs.encode") + _text(data.decode("latin-1")) + _text("latin1") + b"\x86R"


def _int(value: int) -> bytes:
    if -_INT32 <= value < _INT32:
        return b"J" + struct.pack("<i", value)
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + len(data).to_bytes(1, "little") + data


def _tuple(values: list[int] | tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(_int, values)) + b"t"


_VALUES: Final[dict[str, Callable[[Any], bytes]]] = {
    "int": _int,
    "float": _double,
    "complex": _complex,
    "bytes": _bytes,
    "bytearray": _bytearray,
    "text": _text,
    "dtype": lambda value: _name(f"torch.{value}"),
    "device": _device,
    "layout": _layout,
}
