"""container.md 3 and 4: dtypes; runs, their blocks and streams, and the fields of a row."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from reference.basics import need

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reference.codecs.base import Codec


ITEMSIZE = {
    **dict.fromkeys(["bool", "int8", "uint8", "float8_e4m3fn", "float8_e4m3fnuz"], 1),
    **dict.fromkeys(["float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"], 1),
    **dict.fromkeys(["int16", "uint16", "float16", "bfloat16"], 2),
    **dict.fromkeys(["int32", "uint32", "float32"], 4),
    **dict.fromkeys(["int64", "uint64", "float64", "complex64"], 8),
    "complex128": 16,
}


def itemsize(dtype: str) -> int:
    if re.fullmatch("V[1-9][0-9]{0,4}", dtype) and int(dtype[1:]) <= 65536:
        return int(dtype[1:])
    need(dtype in ITEMSIZE, "dtype_unknown", f"dtype {dtype!r}")
    return ITEMSIZE[dtype]


class Stream(NamedTuple):
    name: str
    length: int
    level: int = 0
    variable: bool = False  # then `length` is the largest
    counted: bool = False  # variable, but the codec tells the length from the streams before it


class Row(NamedTuple):
    offset: int
    stored: int
    raw: int
    hash: int
    coder: int
    fill: int
    first: int
    streams: int
    mode: int
    reserved: bytes


FILL, RAW, ZSTD = 0, 1, 2
Placed = tuple[Row, list[Stream]]  # a chunk and what it holds


Place = tuple[int, int]  # run, member


@dataclass
class Run:
    codec: Codec
    codec_id: str
    dtype: str
    itemsize: int
    shapes: list[list[int]]
    digest: str
    roles: list[list[Place]] = field(default_factory=list)  # "Bases"
    starts: list[int] = field(default_factory=list)
    count: int = 0  # N
    head: list[Placed] = field(default_factory=list)
    blocks: list[list[Placed]] = field(default_factory=list)
    rowless: bool = False  # its blocks have no streams, and `blocks` no items

    def __post_init__(self) -> None:
        for shape in self.shapes:
            self.starts.append(-(-self.count // 8) * 8)
            self.count = self.starts[-1] + math.prod(shape)

    @property
    def block(self) -> int:  # B
        big = max(0, (self.itemsize - 1).bit_length() - 8)  # from 256 bytes an element on
        return 1 << (18 - big)

    @property
    def block_count(self) -> int:
        return -(-self.count // self.block)

    def extent(self, block: int) -> tuple[int, int]:
        """Where a block starts, and its elements n."""
        start = block * self.block
        return start, min(self.block, self.count - start)

    def members(self, start: int, n: int) -> Iterator[tuple[int, int, int]]:
        """(member, begin, end), in elements of the run, of what [start, start + n) holds."""
        for i, (place, shape) in enumerate(zip(self.starts, self.shapes, strict=True)):
            begin, end = max(place, start), min(place + math.prod(shape), start + n)
            if begin < end:
                yield i, begin, end


@dataclass
class Part:
    """A block of a run while it is read; what of the head is there is among the streams."""

    run: Run
    block: int
    mode: int
    places: Sequence[int]  # where in the run the elements stand that the streams hold
    bases: list[bytes] = field(default_factory=list)  # a role's elements, as a block of this run
    streams: dict[str, bytes] = field(default_factory=dict)

    @property
    def n(self) -> int:
        return len(self.places)
