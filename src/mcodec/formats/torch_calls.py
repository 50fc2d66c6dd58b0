"""What a checkpoint's pickle may name and call, and what comes of it (see `torch_pickle`)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mcodec.errors import FormatError
from mcodec.formats.torch_dtypes import LAYOUTS, SIZES, STORAGE_CLASSES, UNTYPED
from mcodec.limits import MAX_DIMENSIONS, MAX_ELEMENTS

if TYPE_CHECKING:
    from collections.abc import Callable

ORDERED: Final = "collections.OrderedDict"
COUNTER: Final = "collections.Counter"
_PLAIN: Final = (str, bytes, int, float, bool, type(None))
_KEY_PARTS: Final = 1000  # a key is hashed with all that is in it
_COPIED: Final = 64  # bytes of text that count as one object
_TENSORS: Final = ("torch.Tensor", "torch.nn.parameter.Parameter")


@dataclass(slots=True)
class Box:
    """A stand-in for an object: its kind, and how many things are in it."""

    kind: str
    count: int = 0


@dataclass(frozen=True, slots=True)
class Name:
    """A class, function or constant that the pickle names."""

    text: str


@dataclass(frozen=True, slots=True)
class Storage:
    """Bytes that tensors lie in, elements of `dtype`; untyped ones are bytes."""

    key: str
    dtype: str
    count: int
    untyped: bool

    @property
    def nbytes(self) -> int:
        """The bytes that its record has."""
        return self.count * SIZES[self.dtype]


def name_of(text: str) -> Name:
    """Return a name of the pickle.

    Raises
    ------
    FormatError
        ``source_refused`` for one that is not in the list; the message says it.
    """
    kind, _, last = text.rpartition(".")
    if text in CALLS or text in STORAGE_CLASSES or text in (UNTYPED, *_TENSORS):
        return Name(text)
    if kind == "torch" and last in SIZES:
        return Name(text)
    shown = text if text.isprintable() and len(text) < 200 else repr(text[:200])
    raise FormatError(
        f"it holds {shown}{_HINTS.get(last, '')}, which is not taken: save plain tensors (a"
        " state_dict), numbers, texts, lists and dicts",
        code="source_refused",
    )


_HINTS: Final = {
    "_rebuild_qtensor": " (a quantized tensor)",
    "_rebuild_meta_tensor_no_storage": " (a meta tensor, without data)",
    "_rebuild_nested_tensor": " (a nested tensor)",
}


def hashable(key: Any) -> None:
    """Refuse a key of a dict, or an item of a set, that is not plain or costs much to hash."""
    left, parts = [key], 0
    while left:
        one = left.pop()
        parts += 1
        if type(one) is tuple and parts + len(left) + len(one) <= _KEY_PARTS:
            left.extend(one)
        elif type(one) not in _PLAIN:
            raise _invalid("a key of a dict or set is no number, text or small tuple of these")


def storage_of(given: Any, legacy: bool) -> Storage:
    """Return the storage that a persistent id names.

    Raises
    ------
    FormatError
    """
    if type(given) is not tuple or len(given) != (6 if legacy else 5) or given[0] != "storage":
        raise _invalid("the pickle refers to something that is no storage")
    _, kind, key, location, count, *view = given
    if view not in ([], [None]):
        raise FormatError("a storage is a part of another one", code="source_refused")
    untyped = kind == Name(UNTYPED)
    dtype = "uint8" if untyped else STORAGE_CLASSES.get(getattr(kind, "text", ""))
    if dtype is None or type(key) is not str or type(location) is not str:
        raise _invalid("the pickle describes a storage in a way that is not taken")
    if type(count) is not int or not 0 <= count <= MAX_ELEMENTS:
        raise _invalid(f"the storage {key[:40]!r} has an impossible size")
    return Storage(key, dtype, count, untyped)


def call(function: Any, args: Any) -> tuple[Any, int]:
    """Return a stand-in for what a call makes, and how many objects that costs.

    Raises
    ------
    FormatError
        ``source_invalid`` if it is none of `CALLS`, or the arguments are not as PyTorch writes
        them.
    """
    if not isinstance(function, Name) or function.text not in CALLS or type(args) is not tuple:
        raise _invalid("the pickle calls what is no function")
    try:
        return CALLS[function.text](*args)
    except TypeError as error:  # too many arguments, or too few
        raise _invalid(f"the pickle calls {function.text} with odd arguments") from error


def _need(holds: bool, what: str) -> None:
    if not holds:
        raise _invalid(f"the pickle makes {what} in a way that is not taken")


def _is_box(value: Any, *kinds: str) -> bool:
    return isinstance(value, Box) and value.kind in kinds


def _sizes(value: Any) -> bool:
    return (
        type(value) is tuple
        and len(value) <= MAX_DIMENSIONS
        and all(type(one) is int and 0 <= one <= MAX_ELEMENTS for one in value)
    )


def _ordered(items: Any = ()) -> tuple[Box, int]:
    _need(type(items) is list or items == (), "an OrderedDict")
    for pair in items:
        _need(type(pair) in (list, tuple) and len(pair) == 2, "an OrderedDict")
        hashable(pair[0])
    return Box(ORDERED, len(items)), len(items)


def _counter(items: Any) -> tuple[Box, int]:
    _need(_is_box(items, "dict"), "a Counter")
    return Box(COUNTER, items.count), items.count


def _set(items: Any) -> tuple[Box, int]:
    _need(type(items) is list, "a set")
    for one in items:
        hashable(one)
    return Box("set", len(items)), len(items)


def _bytes(text: Any, encoding: Any) -> tuple[bytes, int]:
    _need(type(text) is str and encoding in ("latin1", "latin-1"), "bytes")
    try:
        return text.encode("latin-1"), len(text) // _COPIED
    except UnicodeEncodeError as error:
        raise _invalid("the pickle has bytes that are none") from error


def _bytearray(*args: Any) -> tuple[Box, int]:
    if len(args) == 1 and type(args[0]) is bytes:
        return Box("bytearray"), len(args[0]) // _COPIED
    return (Box("bytearray"), _bytes(*args)[1]) if args else (Box("bytearray"), 0)


def _complex(real: Any, imaginary: Any) -> tuple[Box, int]:
    _need(type(real) is float and type(imaginary) is float, "a complex number")
    return Box("complex"), 0


def _size(sizes: Any) -> tuple[Box, int]:
    _need(_sizes(sizes), "a torch.Size")
    return Box("size"), len(sizes)


def _device(kind: Any, index: Any = 0) -> tuple[Box, int]:
    _need(type(kind) is str and type(index) is int and 0 <= index < 128, "a torch.device")
    return Box("device"), 0


def _layout(name: Any) -> tuple[Box, int]:
    text = name.removeprefix("torch.") if type(name) is str else ""
    _need(text in LAYOUTS or text == "strided", "a layout")
    return Box(text), 0


def _tensor(
    storage: Any, offset: Any, size: Any, stride: Any, *, dtype: str = ""
) -> tuple[Box, int]:
    _need(isinstance(storage, Storage) and _sizes(size) and _sizes(stride), "a tensor")
    _need(type(offset) is int and 0 <= offset <= MAX_ELEMENTS and len(size) == len(stride), "one")
    if math.prod(size) > MAX_ELEMENTS:
        raise FormatError("a tensor has too many elements", code="limit_exceeded")
    last = sum((n - 1) * step for n, step in zip(size, stride, strict=True)) + offset
    if 0 not in size and (last + 1) * SIZES[dtype or storage.dtype] > storage.nbytes:
        raise _invalid(
            f"a tensor of shape {size} does not lie inside its storage {storage.key[:40]!r} of"
            f" {storage.nbytes} bytes"
        )
    return Box("tensor"), len(size)


def _flags(gradient: Any, hooks: Any, metadata: Any) -> None:
    _need(type(gradient) is bool and (metadata is None or _is_box(metadata, "dict")), "a tensor")
    _need(hooks is None or (_is_box(hooks, ORDERED, "dict") and not hooks.count), "hooks")


def _tensor2(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> tuple[Box, int]:
    _need(2 <= len(rest) <= 3, "a tensor")
    _flags(rest[0], rest[1], rest[2] if len(rest) == 3 else None)
    _need(not (isinstance(storage, Storage) and storage.untyped), "a tensor without a dtype")
    return _tensor(storage, offset, size, stride)


def _tensor3(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> tuple[Box, int]:
    _need(3 <= len(rest) <= 4, "a tensor")
    _flags(rest[0], rest[1], rest[3] if len(rest) == 4 else None)
    dtype = rest[2].text.removeprefix("torch.") if isinstance(rest[2], Name) else ""
    _need(dtype in SIZES, "a tensor")
    return _tensor(storage, offset, size, stride, dtype=dtype)


def _parameter(data: Any, gradient: Any, hooks: Any, state: Any = None) -> tuple[Box, int]:
    _need(_is_box(data, "tensor"), "a Parameter")
    _flags(gradient, hooks, None)
    _stateless(state)
    return Box("tensor"), 0


def _stateless(state: Any) -> None:
    """Refuse attributes of a tensor: they could take the place of its methods."""
    if state is not None and not (_is_box(state, "dict") and not state.count):
        raise FormatError(
            "it holds a tensor with attributes of its own, which is not taken: save it detached",
            code="source_refused",
        )


def _typed(function: Any, kind: Any, args: Any, state: Any) -> tuple[Any, int]:
    _need(kind in [Name(text) for text in _TENSORS], "a tensor of a class of its own")
    _need(isinstance(function, Name) and function.text in _REBUILDS, "a tensor")
    _stateless(state)
    return call(function, args)


def _sparse(layout: Any, data: Any) -> tuple[Box, int]:
    parts = LAYOUTS.get(layout.kind) if isinstance(layout, Box) else None
    _need(parts is not None and type(data) is tuple, "a sparse tensor")
    count = len(parts or ())
    tensors, rest = data[:count], data[count:]
    flag = rest[1:] if layout.kind == "sparse_coo" else ()
    _need(all(_is_box(one, "tensor") for one in tensors), "a sparse tensor")
    _need(len(rest) == 1 + len(flag) and _is_box(rest[0], "size"), "a sparse tensor")
    _need(flag in ((), (None,), (True,), (False,)), "a sparse tensor")
    return Box("tensor"), count


_REBUILDS: Final[dict[str, Callable[..., tuple[Any, int]]]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor2,
    "torch._utils._rebuild_tensor_v3": _tensor3,
}
CALLS: Final[dict[str, Callable[..., tuple[Any, int]]]] = {
    **_REBUILDS,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._utils._rebuild_sparse_tensor": _sparse,
    "torch._tensor._rebuild_from_type_v2": _typed,
    "torch.serialization._get_layout": _layout,
    "torch.Size": _size,
    "torch.device": _device,
    "_codecs.encode": _bytes,
    "builtins.bytearray": _bytearray,
    "builtins.set": _set,
    "builtins.complex": _complex,
    ORDERED: _ordered,
    COUNTER: _counter,
}


def _invalid(message: str) -> FormatError:
    return FormatError(message, code="source_invalid")
