"""The skeleton of a checkpoint: its tree of objects, flat (spec/skeletons.md, section "torch").

A node refers to others by their index, always to later ones, and each but the first is referred to
exactly once: so the nodes are a tree, whatever a file says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from mcodec.errors import FormatError
from mcodec.formats.base import read_skeleton
from mcodec.formats.torch_dtypes import GRADIENTS, LAYOUTS, OPAQUE, SIZES, spec_dtype
from mcodec.formats.torch_values import Value, is_text, load_value
from mcodec.limits import (
    MAX_DIMENSIONS,
    MAX_ELEMENTS,
    MAX_NAME_BYTES,
    MAX_SOURCE_DEPTH,
    MAX_SOURCE_OBJECTS,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMAT: Final = "torch"
MAPPINGS: Final = ("dict", "OrderedDict", "Counter")
SEQUENCES: Final = ("list", "tuple", "set", "size")


class Sequence(msgspec.Struct, tag_field="kind", tag="sequence", forbid_unknown_fields=True):
    """A list, tuple, set or torch.Size; `items` are nodes."""

    type: str
    items: list[int]


class Mapping(
    msgspec.Struct,
    tag_field="kind",
    tag="mapping",
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """A dict of some type; `items` are nodes, a key and its value in turn."""

    type: str
    items: list[int]
    attributes: int | None = None  # a node: the dict of what the object itself has, as _metadata


class Tensor(
    msgspec.Struct,
    tag_field="kind",
    tag="tensor",
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """A tensor of the task."""

    name: str
    dtype: str = ""  # PyTorch's name, where the task has opaque bytes
    parameter: bool = False
    gradient: bool = False  # requires_grad
    same_as: str | None = None  # the earlier tensor whose storage it shares


class Sparse(
    msgspec.Struct,
    tag_field="kind",
    tag="sparse",
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """A sparse tensor; `parts` are nodes of its tensors."""

    layout: str
    shape: list[int]
    parts: list[int]
    coalesced: bool | None = None
    parameter: bool = False
    gradient: bool = False


Node = bool | int | float | str | Value | Sequence | Mapping | Tensor | Sparse | None


class TorchSkeleton(
    msgspec.Struct,
    tag_field="format",
    tag=FORMAT,
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """All of a checkpoint that is no tensor."""

    version: int
    nodes: list[Node]
    carried: bytes = b""


def read_torch(skeleton: bytes) -> TorchSkeleton:
    """Read a skeleton, and check all of it that needs no tensors.

    Raises
    ------
    FormatError
        ``source_invalid``, ``version_unsupported``, ``limit_exceeded``.
    """
    decoded = read_skeleton(skeleton, TorchSkeleton)
    nodes = decoded.nodes
    if len(nodes) > MAX_SOURCE_OBJECTS:
        raise FormatError("the skeleton has too many objects", code="limit_exceeded")
    depth = [0] * len(nodes)
    reached = bytearray(len(nodes))
    names: dict[str, Tensor] = {}
    for index, node in enumerate(nodes):
        if not reached[index] and index:
            raise _invalid("an object that nothing holds")
        _check(node, names)
        for child in children(node):
            if not index < child < len(nodes) or reached[child]:
                raise _invalid("an object that refers to a wrong one")
            reached[child] = 1
            depth[child] = depth[index] + 1
        if depth[index] > MAX_SOURCE_DEPTH:
            raise FormatError("the skeleton nests too deep", code="limit_exceeded")
    if not nodes:
        raise _invalid("no object")
    for node in nodes:  # when all know that what they refer to is there
        _check_children(node, nodes)
    return decoded


def children(node: Node) -> Iterator[int]:
    """Return the nodes that a node refers to, in order."""
    if isinstance(node, Sequence | Mapping):
        yield from node.items
        if isinstance(node, Mapping) and node.attributes is not None:
            yield node.attributes
    elif isinstance(node, Sparse):
        yield from node.parts


def _check(node: Node, names: dict[str, Tensor]) -> None:
    match node:
        case str():
            _need(is_text(node), "text that is no Unicode")
        case Value():
            load_value(node)
        case Sequence():
            _need(node.type in SEQUENCES, f"a sequence of type {node.type[:40]!r}")
        case Mapping():
            _need(node.type in MAPPINGS, f"a mapping of type {node.type[:40]!r}")
            _need(len(node.items) % 2 == 0, "a key without a value")
            _need(node.attributes is None or node.type != "dict", "a dict with attributes")
        case Tensor():
            _check_tensor(node, names)
        case Sparse():
            _need(len(node.parts) == len(LAYOUTS.get(node.layout, ())) > 0, "a sparse tensor")
            _need(len(node.shape) <= MAX_DIMENSIONS, "a sparse tensor's shape")
            _need(all(0 <= n <= MAX_ELEMENTS for n in node.shape), "a sparse tensor's shape")
            _need(node.coalesced is None or node.layout == "sparse_coo", "a sparse tensor")
            _need(node.parameter or not node.gradient, "a sparse tensor's gradient")
        case _:
            pass


def _check_tensor(node: Tensor, names: dict[str, Tensor]) -> None:
    shown = repr(node.name[:80])
    _need(node.name not in names, f"the tensor {shown} twice")
    _need(is_text(node.name), f"a name that is no Unicode: {shown}")
    _need(len(node.name.encode()) <= MAX_NAME_BYTES, f"too long a name: {shown}")
    _need(not node.dtype or node.dtype in OPAQUE, f"the tensor {shown} of no dtype")
    if node.same_as is not None:
        first = names.get(node.same_as)
        _need(
            first is not None and first.same_as is None and first.dtype == node.dtype,
            f"the tensor {shown} as another that is not there",
        )
    names[node.name] = node


def _check_children(node: Node, nodes: list[Node]) -> None:
    """Check what a container says of its items: torch would call what it makes of them."""
    match node:
        case Sequence(type="size"):
            items = [nodes[child] for child in node.items]
            plain = all(type(one) is int and 0 <= one <= MAX_ELEMENTS for one in items)
            _need(plain and len(items) <= MAX_DIMENSIONS, "a torch.Size of other things")
        case Sequence(type="set"):
            _check_keys(node.items, nodes)
        case Mapping():
            _check_keys(node.items[::2], nodes)
            if node.attributes is not None:
                _check_attributes(nodes[node.attributes], nodes)
        case Sparse():
            parts = [nodes[child] for child in node.parts]
            _need(all(isinstance(one, Tensor) for one in parts), "a sparse tensor")
            plain = all(isinstance(one, Tensor) and not one.parameter for one in parts)
            _need(plain, "a sparse tensor")
        case _:
            pass


def _check_attributes(node: Node, nodes: list[Node]) -> None:
    _need(isinstance(node, Mapping) and node.type == "dict", "attributes that are no dict")
    names = node.items[::2] if isinstance(node, Mapping) else []
    _need(all(isinstance(nodes[name], str) for name in names), "attributes without names")


def _check_keys(keys: list[int], nodes: list[Node]) -> None:
    """Refuse keys that a dict or set could not have. Tuples are small, as `torch_pickle` asks."""
    for key in keys:
        left, parts = [key], 0
        while left:
            node, parts = nodes[left.pop()], parts + 1
            if isinstance(node, Sequence) and node.type == "tuple" and len(node.items) <= 1000:
                left.extend(node.items)
            else:
                plain = node is None or isinstance(node, bool | int | float | str)
                hashed = isinstance(node, Value) and node.type in ("int", "float", "text", "bytes")
                _need(plain or hashed, "a key that cannot be one")
            _need(parts <= 1000, "a key that cannot be one")


def check_gradient(node: Tensor | Sparse, dtype: str) -> None:
    """Refuse a gradient of integers, which torch refuses when it loads the file."""
    _need(not node.gradient or dtype in GRADIENTS, f"a gradient of {dtype}")


def dtype_of(node: Tensor, dtype: str) -> str | None:
    """Return the dtype that PyTorch holds a tensor as; None if that is a stand-in.

    Raises
    ------
    FormatError
        ``source_invalid`` if the skeleton speaks of another dtype than the task.
    """
    if node.dtype:
        _need(spec_dtype(node.dtype) == dtype, f"the tensor {node.name!r} of another dtype")
        return node.dtype
    return dtype if dtype in SIZES else None


def _need(holds: bool, what: str) -> None:
    if not holds:
        raise _invalid(what)


def _invalid(what: str) -> FormatError:
    return FormatError(f"the skeleton is invalid: it has {what}", code="source_invalid")
