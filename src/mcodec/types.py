"""Words that every layer shares: dtypes by name, and what a tensor is (design words: "tensor").

This module imports no numpy when it is loaded, so that `mcodec ls` starts fast.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from mcodec.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

# dtype name -> bytes an element. Names are NumPy's and ml_dtypes'.
ITEMSIZE: Final[dict[str, int]] = {
    "bool": 1,
    "int8": 1,
    "uint8": 1,
    "int16": 2,
    "uint16": 2,
    "int32": 4,
    "uint32": 4,
    "int64": 8,
    "uint64": 8,
    "float16": 2,
    "float32": 4,
    "float64": 8,
    "complex64": 8,
    "complex128": 16,
    "bfloat16": 2,
    "float8_e4m3fn": 1,
    "float8_e4m3fnuz": 1,
    "float8_e5m2": 1,
    "float8_e5m2fnuz": 1,
    "float8_e8m0fnu": 1,
}
EXTENSION_DTYPES: Final = frozenset(n for n in ITEMSIZE if n.startswith(("bfloat16", "float8")))
_OPAQUE: Final = re.compile(r"V([1-9][0-9]{0,4})\Z")
_OPAQUE_MOST: Final = 65_536


@dataclass(frozen=True, slots=True)
class FloatFormat:
    """The fields of a binary floating-point dtype, in bits; the sign is one more."""

    width: int
    exponent: int
    mantissa: int


FLOATS: Final[dict[str, FloatFormat]] = {
    "float16": FloatFormat(16, 5, 10),
    "bfloat16": FloatFormat(16, 8, 7),
    "float32": FloatFormat(32, 8, 23),
    "float64": FloatFormat(64, 11, 52),
}


def itemsize(dtype: str) -> int:
    """Return the bytes that one element of `dtype` takes.

    ``V<n>`` names opaque elements of n bytes.

    Raises
    ------
    FormatError
        ``dtype_unknown`` if there is no such dtype.
    """
    size = ITEMSIZE.get(dtype)
    if size is not None:
        return size
    match = _OPAQUE.match(dtype)
    if match is None or int(match[1]) > _OPAQUE_MOST:
        raise FormatError(f"unknown dtype {dtype[:40]!r}", code="dtype_unknown")
    return int(match[1])


@cache
def numpy_dtype(dtype: str) -> np.dtype[np.generic]:
    """Return the little-endian NumPy dtype (ml_dtypes for bfloat16 and float8) of a name."""
    import numpy as np

    if dtype in EXTENSION_DTYPES:
        import ml_dtypes

        extension: np.dtype[np.generic] = np.dtype(getattr(ml_dtypes, dtype))
        return extension
    itemsize(dtype)  # refuses what is unknown
    return np.dtype(dtype).newbyteorder("<")


@cache  # NumPy makes a name anew each time
def dtype_name(dtype: np.dtype[np.generic]) -> str | None:
    """Return the name of a NumPy dtype, or None if mcodec has none for it."""
    import numpy as np

    if dtype.type is np.void and dtype.fields is None and dtype.subdtype is None:
        return f"V{dtype.itemsize}" if 0 < dtype.itemsize <= _OPAQUE_MOST else None
    return dtype.name if dtype.name in ITEMSIZE else None


class TensorSpec(msgspec.Struct, frozen=True):  # a third of the time of a dataclass
    """A tensor's name, dtype (a name of `ITEMSIZE`, or ``V<n>``) and shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int = 0
    """The number of elements; 1 for a zero-dimensional tensor. It follows from the shape."""

    def __post_init__(self) -> None:
        # It is asked for all the time.
        msgspec.structs.force_setattr(self, "size", math.prod(self.shape))

    @property
    def nbytes(self) -> int:
        """The bytes of the decoded array."""
        return self.size * (ITEMSIZE.get(self.dtype) or itemsize(self.dtype))

    @property
    def kind(self) -> str:
        """Dtype and shape, as people read them: ``float32[3, 4]``."""
        return f"{self.dtype}{list(self.shape)}"


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """One stream that a codec makes of a block, or of a run's head.

    ``length`` is its exact bytes, or the largest ones where it is ``variable``; ``level`` says
    where it stands in a progressive file. The exact bytes of a ``counted`` stream, which is
    variable too, follow from the streams before it (spec/codecs/README.md).
    """

    name: str
    length: int
    level: int = 0
    variable: bool = False
    counted: bool = False


class CodedStream(msgspec.Struct, frozen=True):
    """A stream after its coder: `data` as stored (empty for fill), `raw` bytes when decoded."""

    coder: int
    fill: int
    raw: int
    data: bytes | memoryview = b""


# Coders (spec/container.md, section 4).
FILL: Final = 0
RAW: Final = 1
ZSTD: Final = 2


@dataclass(frozen=True, slots=True)
class Fill:
    """A decoded stream that is one byte, repeated."""

    value: int
    length: int

    def __bytes__(self) -> bytes:
        return bytes((self.value,)) * self.length


BLOCK: Final = 1 << 18  # elements of a block, for itemsizes up to 256
RUN_ALIGNMENT: Final = 8  # elements: every member starts on a whole byte of each plane


def aligned(elements: int) -> int:
    """Return where in a run the next member may start, behind so many elements."""
    return (elements + RUN_ALIGNMENT - 1) & -RUN_ALIGNMENT


def block_elements(item: int) -> int:
    """Return how many elements a block has for an itemsize (spec/container.md, section 4)."""
    return BLOCK if item <= 256 else 1 << (26 - (item - 1).bit_length())


@dataclass(frozen=True, slots=True)
class RunSpec:
    """The geometry of a run: its dtype, and the shapes of the arrays that lie in it.

    Attributes
    ----------
    starts, sizes : tuple of int
        First element and number of elements of each member.
    elements : int
        N, with the gaps between members.
    block : int
        Elements of a block.
    """

    dtype: str
    shapes: tuple[tuple[int, ...], ...]
    starts: tuple[int, ...]
    sizes: tuple[int, ...]
    elements: int
    block: int
    laid: Any = field(default=None, repr=False, compare=False)
    """What has shapes, starts and sizes until they are asked for."""

    @classmethod
    def of(cls, dtype: str, shapes: Sequence[Sequence[int]]) -> RunSpec:
        """Lay arrays of these shapes one after another."""
        sizes = tuple(map(math.prod, shapes))
        starts, end = [], 0
        for size in sizes:
            starts.append(end)
            end = aligned(end + size)
        end = starts[-1] + sizes[-1] if sizes else 0
        frozen = tuple(map(tuple, shapes))
        return cls(dtype, frozen, tuple(starts), sizes, end, block_elements(itemsize(dtype)))

    @classmethod
    def lazily(cls, dtype: str, laid: Any) -> RunSpec:
        """Return what `of` does, of `stored.Shapes` that are made when they are asked for."""
        spec = object.__new__(cls)
        block = block_elements(itemsize(dtype))
        values = {"dtype": dtype, "elements": laid.elements, "block": block, "laid": laid}
        for name, value in values.items():
            object.__setattr__(spec, name, value)
        return spec

    if not TYPE_CHECKING:  # as a type it has no other attributes than those above

        def __getattr__(self, name: str) -> object:
            """Make what `lazily` left out."""
            laid = self.laid if name in ("shapes", "starts", "sizes") else None
            if laid is None:
                raise AttributeError(name)
            object.__setattr__(self, name, getattr(laid, name)())
            return getattr(self, name)

        def __reduce__(self) -> tuple[object, ...]:
            """Pickle it with all that was left out."""
            values = (self.shapes, self.starts, self.sizes, self.elements, self.block)
            return RunSpec, (self.dtype, *values)

    @property
    def blocks(self) -> int:
        """The number of blocks."""
        return -(-self.elements // self.block)

    @property
    def nbytes(self) -> int:
        """The bytes of the decoded run."""
        return self.elements * itemsize(self.dtype)

    def span(self, block: int) -> tuple[int, int]:
        """Return the first and last-plus-one element of a block; block -1, the head, has none."""
        if block < 0:
            return 0, 0
        start = block * self.block
        stop = start + self.block
        return start, stop if stop < self.elements else self.elements

    def blocks_of(self, member: int) -> range:
        """Return the blocks that have elements of a member."""
        start, size = self.starts[member], self.sizes[member]
        return range(start // self.block, -(-(start + size) // self.block) if size else 0)

    def parts(self, block: int) -> list[tuple[int, slice]]:
        """Return the members that have elements in a block, and where in the block."""
        first, last = self.span(block)
        found = []
        # Starts rise, so the member that holds the block's first element is found by bisection.
        for member in range(max(0, bisect_right(self.starts, first) - 1), len(self.starts)):
            start, size = self.starts[member], self.sizes[member]
            if start >= last:
                break
            low, high = max(start, first), min(start + size, last)
            if low < high:
                found.append((member, slice(low - first, high - first)))
        return found


@lru_cache(1024)  # of thousands of tensors most have the shape of another
def run_of(dtype: str, shape: tuple[int, ...]) -> RunSpec:
    """Return the geometry of a run of one tensor."""
    return RunSpec.of(dtype, [shape])
