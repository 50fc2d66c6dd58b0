"""All TensorProtos of an ONNX model, wherever they are, each under a name of its own.

Initializers have their names, Constant nodes that of their output. What lies deeper is named by the
way to it: ``node.attribute``, and ``node.attribute/name`` for what is in a subgraph. A name that
comes again gets ``#2``, ``#3``, ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mcodec.errors import FormatError
from mcodec.formats.onnx_wire import BYTES, Field, Wire, expect, invalid
from mcodec.limits import MAX_NAME_BYTES, MAX_SOURCE_HEADER, MAX_TENSORS, MAX_WIRE_DEPTH
from mcodec.types import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcodec.formats.onnx_tensors import Found, TensorReader

_MODEL: Final = {7: "graph", 20: "training", 25: "function"}
_GRAPH: Final = {1: "node", 5: "initializer", 15: "sparse"}
_FUNCTION: Final = {7: "node", 11: "attribute"}
_TRAINING: Final = {1: "initialization", 2: "algorithm"}
_NODE: Final = {5: "attribute"}
_ATTRIBUTE: Final = {
    5: "tensor",
    6: "graph",
    10: "tensor",
    11: "graph",
    22: "sparse",
    23: "sparse",
}
_ONE: Final = frozenset({5, 6, 22})  # the others of an attribute are lists
_SPARSE: Final = {1: "values", 2: "indices"}


class Walker:
    """Finds the tensors of a model.

    Attributes
    ----------
    tensors : list of TensorSpec
        In the order of the file.
    found : list of Found
        Where each has its elements.
    """

    def __init__(self, wire: Wire, reader: TensorReader) -> None:
        self.tensors: list[TensorSpec] = []
        self.found: list[Found] = []
        self._wire = wire
        self._reader = reader
        self._names: set[str] = set()
        self._name_bytes = 0
        self._repeats: dict[str, int] = {}

    def walk(self, size: int) -> None:
        """Walk through a model of `size` bytes.

        Raises
        ------
        FormatError
            It is no model, or breaks a rule.
        """
        graphs = trainings = functions = 0
        for part in self._messages(Field(0, BYTES, 0, 0, size), _MODEL, 0):
            if part.number == 7:
                graphs += 1
                self._graph(part, "", 1)
            elif part.number == 20:
                self._training(part, f"training.{trainings}.")
                trainings += 1
            else:
                self._function(part, functions)
                functions += 1
        if graphs != 1:
            raise invalid(f"{graphs} graphs, not one")

    def _messages(self, message: Field, known: dict[int, str], depth: int) -> Iterator[Field]:
        """Yield the fields of a message that are in `known`; they are messages too."""
        if depth > MAX_WIRE_DEPTH:
            raise FormatError(
                f"messages of the ONNX file are over {MAX_WIRE_DEPTH} deep", code="limit_exceeded"
            )
        for part in self._wire.fields(message.start, message.stop):
            if part.number in known:
                expect(part, BYTES)
                yield part

    def _texts(self, message: Field, *numbers: int) -> list[str]:
        """Return the first of each of these fields, or "": they may stand after what they name."""
        found: dict[int, str] = {}
        for part in self._wire.fields(message.start, message.stop):
            if part.number in numbers and part.number not in found:
                found[part.number] = self._wire.text(part)
        return [found.get(number, "") for number in numbers]

    def _graph(self, message: Field, prefix: str, depth: int) -> None:
        index = dict.fromkeys(_GRAPH, 0)
        for part in self._messages(message, _GRAPH, depth):
            place = f"{_GRAPH[part.number]}.{index[part.number]}"
            index[part.number] += 1
            if part.number == 1:
                self._node(part, prefix, place, depth + 1)
            elif part.number == 5:
                self._tensor(part, prefix, place, depth + 1)
            else:
                self._sparse(part, prefix, place, depth + 1)

    def _training(self, message: Field, prefix: str) -> None:
        for part in self._messages(message, _TRAINING, 1):
            self._graph(part, f"{prefix}{_TRAINING[part.number]}/", 2)

    def _function(self, message: Field, index: int) -> None:
        label = "::".join(filter(None, self._texts(message, 10, 1)))  # domain and name
        prefix = f"{label or f'function.{index}'}/"
        for number, part in enumerate(self._messages(message, _FUNCTION, 1)):
            if part.number == 7:
                self._node(part, prefix, f"node.{number}", 2)
            else:
                self._attribute(part, prefix, "default", "", 2)

    def _node(self, message: Field, prefix: str, place: str, depth: int) -> None:
        output, name, operator = self._texts(message, 2, 3, 4)
        constant = output if operator == "Constant" else ""
        for part in self._messages(message, _NODE, depth):
            self._attribute(part, prefix, name or output or place, constant, depth + 1)

    def _attribute(
        self, message: Field, prefix: str, label: str, constant: str, depth: int
    ) -> None:
        name = ".".join([label, *self._texts(message, 1)])
        seen: set[int] = set()
        for index, part in enumerate(self._messages(message, _ATTRIBUTE, depth)):
            if part.number in _ONE and part.number in seen:
                raise invalid(f"the value of attribute {name!r} is there twice")
            seen.add(part.number)
            own = name if part.number in _ONE else f"{name}.{index}"
            if _ATTRIBUTE[part.number] == "graph":
                self._graph(part, f"{prefix}{own}/", depth + 1)
            elif _ATTRIBUTE[part.number] == "sparse":
                self._sparse(part, prefix, constant or own, depth + 1)
            else:
                self._tensor(part, prefix, own, depth + 1, constant or own)

    def _sparse(self, message: Field, prefix: str, place: str, depth: int) -> None:
        """Find the values, which have the name of the whole, and the indices."""
        seen: set[int] = set()
        for part in self._messages(message, _SPARSE, depth):
            if part.number in seen:
                raise invalid(f"the {_SPARSE[part.number]} of {place!r} are there twice")
            seen.add(part.number)
            own = self._tensor(part, prefix, f"{place}.{_SPARSE[part.number]}", depth + 1)
            place = own or place

    def _tensor(self, message: Field, prefix: str, place: str, depth: int, name: str = "") -> str:
        """List a tensor, if it is none of strings, and return the name that it has itself."""
        if depth > MAX_WIRE_DEPTH:
            raise FormatError("a tensor too deep in an ONNX file", code="limit_exceeded")
        own, found = self._reader.read(message)
        if found is None:
            return own
        if len(self.tensors) >= MAX_TENSORS:
            raise FormatError(f"over {MAX_TENSORS} tensors", code="limit_exceeded")
        spec = TensorSpec(self._unique(prefix + (name or own or place)), found.dtype, found.shape)
        self.tensors.append(spec)
        self.found.append(found)
        return own

    def _unique(self, name: str) -> str:
        unique = name
        while unique in self._names:
            self._repeats[name] = self._repeats.get(name, 1) + 1
            unique = f"{name}#{self._repeats[name]}"
        length = len(unique.encode())
        self._name_bytes += length  # a short file can make long names: each repeats its way
        if length > MAX_NAME_BYTES or self._name_bytes > MAX_SOURCE_HEADER:
            raise FormatError(
                f"a tensor's name is over the limit of {MAX_NAME_BYTES} bytes, or all names"
                f" together over that of {MAX_SOURCE_HEADER}",
                code="limit_exceeded",
            )
        self._names.add(unique)
        return unique
