"""What shares an exponent or a scale: the tensor, a channel of an axis, or k elements."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from mcodec.errors import CodecConfigError
from mcodec.limits import MAX_CHUNK_RAW, MAX_DIMENSIONS
from mcodec.types import BLOCK, aligned

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from mcodec.codec.kernels import Scopes
    from mcodec.types import RunSpec

_FORM: Final = re.compile(r"(axis|block):(0|-?[1-9][0-9]{0,5})\Z")
_WHOLE: Final = 1 << 62  # more elements than a run can have


@dataclass(frozen=True, slots=True)
class Scope:
    """A parsed scope: ``tensor``, ``axis`` with an axis, or ``block`` with a size."""

    kind: str
    argument: int = 1

    def __str__(self) -> str:
        return self.kind if self.kind == "tensor" else f"{self.kind}:{self.argument}"

    def check(self, shapes: Sequence[tuple[int, ...]], width: int) -> None:
        """Refuse shapes without the axis, and more scopes of `width` bytes than a chunk holds."""
        if self.kind == "axis":
            for shape in shapes:
                if not -len(shape) <= self.argument < len(shape):
                    message = f"scope {self} needs that axis, and a shape is {list(shape)}"
                    raise CodecConfigError(message)
        if self.kind == "block" or (self.kind == "tensor" and width * len(shapes) <= MAX_CHUNK_RAW):
            return
        if width * sum(map(self.count, shapes)) > MAX_CHUNK_RAW:
            raise CodecConfigError(f"scope {self} makes more scopes than a chunk can hold")

    def count(self, shape: Sequence[int]) -> int:
        """Return how many scopes an array has."""
        size = math.prod(shape)
        if not size:
            return 0
        if self.kind == "axis":
            return shape[self.argument]
        return -(-size // self.argument) if self.kind == "block" else 1

    def count_in_run(self, run: RunSpec) -> int:
        """Return how many scopes the members of a run have, each counted alone."""
        if self.kind == "tensor":
            return len(run.sizes) - run.sizes.count(0)
        return sum(map(self.count, run.shapes))

    def count_in_block(self, run: RunSpec, block: int) -> int:
        """Return how many ``block`` scopes start in a block of a run."""
        start, stop = run.span(block)
        sizes = run.sizes if len(run.sizes) > 1 else (stop - start,)
        return sum(-(-size // self.argument) for size in sizes)

    def parts(
        self, run: RunSpec, block: int, values: NDArray[Any] | None
    ) -> Iterator[tuple[int, int, Scopes, NDArray[Any] | None]]:
        """Yield the parts of members in a block: start and stop in it, scopes, their values.

        Small members of one size that leave no gap are one part.

        Parameters
        ----------
        run, block
            Where.
        values
            Exponents or scales of the whole run; of this block alone where the scope is ``block``.
        """
        if self.kind == "tensor" and run.blocks == 1 and len(run.sizes) > 1:
            yield from _alike(run, values)
            return
        first, last = run.span(block)
        local = self.kind == "block"
        base = 0
        for start, size, shape in zip(run.starts, run.sizes, run.shapes, strict=True):
            low, high = max(start, first), min(start + size, last)
            count = -(-(high - low) // self.argument) if local else self.count(shape)
            if low < high:
                scopes = self.layout(shape, 0 if local else low - start)
                own = None if values is None else values[base : base + count]
                yield low - first, high - first, scopes, own
            if low < high or not local:
                base += count

    def layout(self, shape: Sequence[int], first: int) -> Scopes:
        """Return how kernels find the scope of an element, the array's element `first` on."""
        if self.kind == "tensor":
            return _one_scope()
        from mcodec.codec.kernels import Scopes

        if self.kind == "axis":
            axis = self.argument % len(shape)
            return Scopes(math.prod(shape[axis + 1 :]), shape[axis], first)
        return Scopes(self.argument, _WHOLE, first)


@cache
def _one_scope() -> Scopes:
    from mcodec.codec.kernels import Scopes

    return Scopes(_WHOLE, 1, 0)


def _alike(
    run: RunSpec, values: NDArray[Any] | None
) -> Iterator[tuple[int, int, Scopes, NDArray[Any] | None]]:
    """Yield the parts of the only block of a run, each member a scope, neighbours of a size as one.

    Kernels find the scopes of all in one call: it takes longer to make one than to do its work.
    """
    from mcodec.codec.kernels import Scopes

    start = base = 0
    for size, group in groupby(filter(None, run.sizes)):
        stride = aligned(size)
        members = sum(1 for _ in group)
        together = members if stride == size else 1
        scopes = Scopes(size, _WHOLE, 0) if together > 1 else _one_scope()
        for _ in range(members // together):
            own = None if values is None else values[base : base + together]
            yield start, start + together * size, scopes, own
            start, base = start + together * stride, base + together


TENSOR: Final = Scope("tensor")


def parse_scope(codec_id: str, value: Any, *, blocks: bool = True) -> Scope:
    """Parse ``tensor``, ``axis:a`` or, for a codec that has blocks, ``block:k``.

    Raises
    ------
    CodecConfigError
        It is none of these, or the number is out of range.
    """
    if value == "tensor":
        return TENSOR
    match = _FORM.match(value) if isinstance(value, str) else None
    if match:
        number = int(match[2])
        if match[1] == "axis" and -MAX_DIMENSIONS <= number < MAX_DIMENSIONS:
            return Scope("axis", number)
        if match[1] == "block" and blocks and _is_block(number):
            return Scope("block", number)
    forms = "tensor or axis:A (-64 to 63)"
    if blocks:
        forms = f"tensor, axis:A (-64 to 63) or block:K (a power of two up to {BLOCK})"
    raise CodecConfigError(f"codec {codec_id}: scope is {forms}, not {value!r}")


def _is_block(number: int) -> bool:
    return 1 <= number <= BLOCK and number & (number - 1) == 0
