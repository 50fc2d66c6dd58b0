"""From the objects of a checkpoint to its tensors, their names, and the skeleton of the rest."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mcodec.errors import FormatError
from mcodec.formats.standins import real_spec
from mcodec.formats.torch_dtypes import LAYOUTS, OPAQUE, SIZES, spec_dtype
from mcodec.formats.torch_paths import KINDS, free_name, join
from mcodec.formats.torch_skeleton import Mapping, Sequence, Sparse, Tensor
from mcodec.formats.torch_values import Value, dump_value
from mcodec.limits import (
    MAX_NAME_BYTES,
    MAX_PICKLE_SHARED,
    MAX_PICKLE_TEXT,
    MAX_SOURCE_DEPTH,
    MAX_SOURCE_OBJECTS,
)
from mcodec.types import TensorSpec

if TYPE_CHECKING:
    from mcodec.formats.torch_skeleton import Node

_SEQUENCES: Final[dict[Any, str]] = {list: "list", tuple: "tuple", set: "set"}
_NODE_BYTES: Final = 16


@dataclass(slots=True)
class _Visit:
    """An object to be visited: its name, its depth, and where its index is to be noted."""

    value: Any
    name: str
    depth: int
    place: list[int]
    leave: bool = False


@dataclass(slots=True)
class Walk:
    """What a tree of objects holds.

    Attributes
    ----------
    nodes : list of Node
        For the skeleton.
    tensors : list of TensorSpec
        In order.
    values : list of torch.Tensor
        Beside `tensors`.
    same_as : dict of int to int
        Tensors that are the same elements of the same storage.
    """

    dtypes: dict[str, str]
    prefix: str
    nodes: list[Node] = field(default_factory=list)
    tensors: list[TensorSpec] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    same_as: dict[int, int] = field(default_factory=dict)
    _names: set[str] = field(default_factory=set)
    _first: dict[tuple[Any, ...], int] = field(default_factory=dict)
    _entered: set[int] = field(default_factory=set)
    _shared: int = 0
    _text: int = 0

    def run(self, root: Any) -> None:
        """Visit all objects in order, with a stack of our own.

        Raises
        ------
        FormatError
            ``limit_exceeded`` for too many or too deep; ``source_refused`` for a class that is
            not taken, and for an object that holds itself.
        """
        stack = [_Visit(root, "", 0, [0])]
        above: set[int] = set()
        while stack:
            visit = stack.pop()
            if visit.leave:
                above.discard(id(visit.value))
                continue
            visit.place.append(len(self.nodes))
            node, inside = self._node(visit)
            self.nodes.append(node)
            self._account(node, visit)
            if inside:
                self._enter(visit, above)
                above.add(id(visit.value))
                stack.append(_Visit(visit.value, "", 0, [], leave=True))
                stack.extend(reversed(inside))

    def _enter(self, visit: _Visit, above: set[int]) -> None:
        """Refuse a circle, and a few lists that hold each other in millions of ways."""
        own = id(visit.value)
        if own in above:
            raise FormatError(
                f"what lies at {visit.name[:80]!r} holds itself", code="source_refused"
            )
        self._shared += own in self._entered
        self._entered.add(own)
        if self._shared > MAX_PICKLE_SHARED:
            raise FormatError("it holds the same objects too often", code="limit_exceeded")

    def _account(self, node: Node, visit: _Visit) -> None:
        text = node.text if isinstance(node, Value) else node if isinstance(node, str) else ""
        self._text += _NODE_BYTES + len(text)
        too_many = len(self.nodes) > MAX_SOURCE_OBJECTS or self._text > MAX_PICKLE_TEXT
        if too_many or visit.depth > MAX_SOURCE_DEPTH:
            fault = "too many objects" if too_many else f"objects nested over {MAX_SOURCE_DEPTH}"
            raise FormatError(f"it holds {fault}", code="limit_exceeded")

    def _node(self, visit: _Visit) -> tuple[Node, list[_Visit]]:
        value, kind = visit.value, type(visit.value)
        if kind in _SEQUENCES:
            return self._sequence(visit, _SEQUENCES[kind])
        if kind in KINDS:
            return self._mapping(visit, KINDS[kind])
        if kind.__module__ == "builtins":
            with contextlib.suppress(TypeError):
                return dump_value(value), []
        return self._of_torch(visit)

    def _of_torch(self, visit: _Visit) -> tuple[Node, list[_Visit]]:
        import torch

        value, kind = visit.value, type(visit.value)
        if isinstance(value, torch.Tensor):
            return self._tensor(visit)
        if kind is torch.Size:
            return self._sequence(visit, "size")
        text = str(value).removeprefix("torch.") if kind in (torch.dtype, torch.layout) else ""
        if kind is torch.layout or text in SIZES:
            return Value(kind.__name__, text), []
        if kind is torch.device:
            return Value("device", str(value)), []
        raise FormatError(
            f"it holds {kind.__module__}.{kind.__qualname__} at {visit.name[:80]!r}, which is"
            " not taken",
            code="source_refused",
        )

    def _sequence(self, visit: _Visit, kind: str) -> tuple[Node, list[_Visit]]:
        items: list[int] = []
        depth = visit.depth + 1
        inside = [
            _Visit(item, join(visit.name, index), depth, items)
            for index, item in enumerate(visit.value)
        ]
        return Sequence(kind, items), inside

    def _mapping(self, visit: _Visit, kind: str) -> tuple[Node, list[_Visit]]:
        items: list[int] = []
        inside = []
        depth = visit.depth + 1
        for key, item in dict.items(visit.value):  # not its own items(): a file can set that
            inside.append(_Visit(key, visit.name, depth, items))
            inside.append(_Visit(item, join(visit.name, key), depth, items))
        node = Mapping(kind, items)
        own = vars(visit.value) if kind != "dict" else None
        if own:
            place = _Attributes(node)
            inside.append(_Visit(own, join(visit.name, "__dict__"), depth, place))
        return node, inside

    def _tensor(self, visit: _Visit) -> tuple[Node, list[_Visit]]:
        import torch

        value = visit.value
        layout = str(value.layout).removeprefix("torch.")
        parameter = type(value) is torch.nn.Parameter
        if not parameter and type(value) is not torch.Tensor:
            raise FormatError(f"it holds a {type(value).__qualname__}", code="source_refused")
        gradient = bool(value.requires_grad)
        if layout in LAYOUTS:
            return self._sparse(visit, layout, parameter, gradient and parameter)
        dtype = str(value.dtype).removeprefix("torch.")
        name = self._unique(visit.name)
        if layout != "strided" or dtype not in SIZES or value.device.type != "cpu":
            raise FormatError(
                f"the tensor {name!r} is {layout} of {dtype} on {value.device.type}, which is not"
                " taken",
                code="source_refused",
            )
        index = len(self.tensors)
        spec = TensorSpec(name, spec_dtype(dtype), tuple(value.shape))
        full = f"{self.prefix}.{name}" if self.prefix and name else self.prefix or name
        if full in self.dtypes:
            spec = real_spec(spec, self.dtypes[full])
        self.tensors.append(spec)
        self.values.append(value.detach())
        first = self._first.setdefault(_place(value, spec), index) if value.numel() else index
        if first != index:
            self.same_as[index] = first
        opaque = dtype if dtype in OPAQUE else ""
        tied = self.tensors[first].name if first != index else None
        return Tensor(name, opaque, parameter, gradient, tied), []

    def _sparse(
        self, visit: _Visit, layout: str, parameter: bool, gradient: bool
    ) -> tuple[Node, list[_Visit]]:
        value = visit.value.detach()
        parts: list[int] = []
        hidden = layout == "sparse_coo"  # its plain methods want it coalesced
        inside = [
            _Visit(
                getattr(value, f"_{n}" if hidden else n)(), join(visit.name, n), visit.depth, parts
            )
            for n in LAYOUTS[layout]
        ]
        coalesced = bool(value.is_coalesced()) if hidden else None
        node = Sparse(layout, list(value.shape), parts, coalesced, parameter, gradient)
        return node, inside

    def _unique(self, given: str) -> str:
        name = free_name(given, self._names)
        if len(name.encode()) > MAX_NAME_BYTES:
            raise FormatError(
                f"the tensor {name[:40]!r}... has too long a name", code="limit_exceeded"
            )
        self._names.add(name)
        return name


class _Attributes(list[int]):
    """Notes the index of an object's attributes in its node."""

    def __init__(self, node: Mapping) -> None:
        self._node = node

    def append(self, index: int) -> None:
        self._node.attributes = index


def _place(value: Any, spec: TensorSpec) -> tuple[Any, ...]:
    """Return what two tensors share that are one: the elements, and how they are read."""
    storage = value.untyped_storage()
    return (
        storage.data_ptr(),
        value.storage_offset(),
        spec.dtype,
        str(value.dtype),
        spec.shape,
        value.stride(),
        value.is_conj(),
        value.is_neg(),
    )
