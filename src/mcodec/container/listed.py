"""Long lists of a manifest that compiled code has looked over: items are made when they are wanted.

Opening a file of thousands of tensors to read one of them makes none of the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Sized

    from mcodec.container.manifest import Tensor
    from mcodec.stored import Tensors

    Place = tuple[int, int]  # run, member

T = TypeVar("T")
F = TypeVar("F", bound="Sized")


class Listed(Sequence[T], Generic[T, F]):
    """A list that is parsed when one of its items is asked for.

    Parameters
    ----------
    found
        What compiled code made of it, of the list's length.
    text
        Its JSON, which is good.
    decoder
        Parses that.
    """

    __hash__ = None  # type: ignore[assignment]
    __slots__ = ("_decoder", "_items", "_text", "found")

    def __init__(self, found: F, text: Any, decoder: Any) -> None:
        self.found = found
        self._text = text
        self._decoder = decoder
        self._items: list[T] | None = None

    def _list(self) -> list[T]:
        if self._items is None:
            self._items = self._decoder.decode(self._text)
        return self._items

    def __len__(self) -> int:
        return len(self.found)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        return self._list()[index]

    def __iter__(self) -> Iterator[T]:
        return iter(self._list())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._list() == list(other)


class _Places(Mapping[str, "Place"]):
    """The names of tensors, in order, to their places."""

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors
        self._names: list[str] | None = None

    def __getitem__(self, name: str) -> Place:
        found: Place | None = self.get(name)
        if found is None:
            raise KeyError(name)
        return found

    def get(self, name: object, default: Any = None) -> Any:
        """Return the place of a name, else the default."""
        found = self._tensors.find(name) if isinstance(name, str) else None
        return default if found is None else found

    def __iter__(self) -> Iterator[str]:
        if self._names is None:
            self._names = self._tensors.names()
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._tensors)


def places_of(tensors: Sequence[Tensor]) -> Mapping[str, Place]:
    """Return the place of each tensor of a task, whose names have been checked, in order."""
    if isinstance(tensors, Listed):
        return _Places(tensors.found)
    return {tensor.name: (tensor.run, tensor.member) for tensor in tensors}


class Columns(NamedTuple):
    """Tensors, no two of one name: the name, the run and the member of each."""

    names: Sequence[str]
    runs: Sequence[int]
    members: Sequence[int]


def columns_of(tensors: Sequence[Tensor]) -> Columns:
    """Return the tensors of a task, whose names have been checked, in order."""
    if isinstance(tensors, Listed):
        return Columns(tensors.found.names(), tensors.found.runs(), tensors.found.members())
    return Columns(
        [tensor.name for tensor in tensors],
        [tensor.run for tensor in tensors],
        [tensor.member for tensor in tensors],
    )
