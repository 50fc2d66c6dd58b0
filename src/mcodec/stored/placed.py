"""Streams of a block that lie in one memory: looked at one by one only by who needs them so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, overload

from mcodec.types import Fill

if TYPE_CHECKING:
    Stream = memoryview | Fill

_MAPPED: Final = -257  # as in places.hpp


class Placed(Sequence["Stream"]):
    """A block's streams as `Scratch.place` found them; a sequence of them.

    Attributes
    ----------
    memory
        Of the scratch.
    offsets
        Of each stream: where it begins in the memory; -1 for zeros.
    plain : bool
        Whether all of them lie there or are zeros: kernels may take the memory and the offsets.
    """

    __slots__ = ("_lengths", "_mapping", "memory", "offsets", "plain")

    def __init__(
        self,
        memory: memoryview,
        mapping: memoryview | None,
        offsets: memoryview,
        lengths: memoryview,
    ) -> None:
        self.memory = memory
        self.offsets = offsets
        self.plain = min(offsets, default=0) >= -1
        self._mapping = mapping
        self._lengths = lengths

    def symbols(self, index: int) -> bool:
        """Whether kernels may take it, with symbols at this index, which lie in the memory."""
        return self.plain and self.offsets[index] >= 0

    def __len__(self) -> int:
        return len(self.offsets)

    @overload
    def __getitem__(self, index: int) -> Stream: ...
    @overload
    def __getitem__(self, index: slice) -> list[Stream]: ...
    def __getitem__(self, index: int | slice) -> Stream | list[Stream]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        offset, length = self.offsets[index], self._lengths[index]
        if offset >= 0:
            return self.memory[offset : offset + length]
        if offset > _MAPPED:
            return Fill(-1 - offset, length)
        assert self._mapping is not None
        return self._mapping[_MAPPED - offset : _MAPPED - offset + length]
