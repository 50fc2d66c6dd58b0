"""Arrays that ONNX keeps as varints: ``int32_data``, ``int64_data`` and ``uint64_data``.

Such an array can be cut out of the file if protobuf would write the same bytes again, and most can.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

import numpy as np

from mcodec.formats.onnx_wire import invalid
from mcodec.types import numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from numpy.typing import NDArray

    from mcodec.formats.files import InputFile

_LONGEST: Final = 10
_BLOCK: Final = 1 << 18  # bytes
_WORD: Final = 0xFFFF_FFFF
_LIMITS: Final = [1 << bits for bits in range(7, 64, 7)]  # the first value that takes more bytes


def encode(values: NDArray[np.generic]) -> bytes:
    """Return the varints of an array as protobuf writes them: negative ones take ten bytes."""
    kind = values.dtype
    if kind.kind in "iu":
        patterns = values.astype("<i8" if kind.kind == "i" else "<u8").view("<u8")
    else:  # floats and bools go as their bits
        patterns = values.view(f"<u{kind.itemsize}").astype("<u8")
    lengths = np.searchsorted(np.array(_LIMITS, np.uint64), patterns, "right") + 1
    ends = np.cumsum(lengths)
    out = np.zeros(int(ends[-1]) if len(ends) else 0, np.uint8)
    starts = ends - lengths
    for place in range(int(lengths.max(initial=0))):
        has = lengths > place
        bits = (patterns[has] >> np.uint64(7 * place)) & np.uint64(0x7F)
        more = (lengths[has] > place + 1).astype(np.uint8) << 7
        out[starts[has] + place] = bits.astype(np.uint8) | more
    return out.tobytes()


def decode(data: bytes) -> tuple[NDArray[np.uint64], int]:
    """Return the varints that begin in `data` and end there, and how many bytes they take.

    Raises
    ------
    FormatError
        ``source_invalid`` for one of over 64 bits.
    """
    raw = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(raw < 0x80) + 1
    used = int(ends[-1]) if len(ends) else 0
    lengths = np.diff(ends, prepend=0)
    longest = int(lengths.max(initial=0))
    if longest > _LONGEST or len(data) - used >= _LONGEST:
        raise invalid("a varint of more than ten bytes")
    starts = ends - lengths
    values = np.zeros(len(ends), np.uint64)
    for place in range(longest):
        has = lengths > place
        bits = raw[starts[has] + place] & np.uint8(0x7F)
        if place == _LONGEST - 1 and (bits > 1).any():
            raise invalid("a varint of more than 64 bits")
        values[has] |= bits.astype(np.uint64) << np.uint64(7 * place)
    return values, used


def convert(values: NDArray[np.uint64], dtype: str, word: bool) -> NDArray[Any]:
    """Return the values of varints as an array of `dtype`.

    Parameters
    ----------
    word : bool
        They are of ``int32_data``, of which protobuf reads the low 32 bits.

    Raises
    ------
    FormatError
        ``source_invalid`` if one does not fit the dtype.
    """
    target = numpy_dtype(dtype)
    if target.kind == "i":
        whole = (
            (values & np.uint64(_WORD)).astype("<u4").view("<i4") if word else values.view("<i8")
        )
        high = (1 << 8 * target.itemsize - 1) - 1
        low = -high - 1
    else:
        whole = values & np.uint64(_WORD) if word else values
        low, high = 0, 1 if dtype == "bool" else (1 << 8 * target.itemsize) - 1
    if len(whole) and not (low <= int(whole.min()) and int(whole.max()) <= high):
        raise invalid(f"a number that is no {dtype}")
    if target.kind in "iu":
        return whole.astype(target)
    return whole.astype(f"<u{target.itemsize}").view(target)


class Varints:
    """An array kept as varints in [start, stop) of a file, decoded block by block.

    Attributes
    ----------
    count : int
        Its elements.
    canonical : bool
        Whether `encode` gives the same bytes.

    Raises
    ------
    FormatError
        ``source_invalid`` if the bytes are no varints, or hold a value that is not of the dtype.
    """

    def __init__(self, file: InputFile, start: int, stop: int, dtype: str, word: bool) -> None:
        self._file = file
        self._stop = stop
        self._dtype = dtype
        self._word = word
        self._elements: list[int] = []  # the first element of each block
        self._offsets: list[int] = []
        self.count = 0
        self.canonical = True
        for offset, data, values in self._blocks(start):
            self._elements.append(self.count)
            self._offsets.append(offset)
            self.count += len(values)
            self.canonical = self.canonical and encode(values) == data

    def _blocks(self, offset: int) -> Iterator[tuple[int, bytes, NDArray[Any]]]:
        while offset < self._stop:
            data = self._file.read(offset, min(_BLOCK, self._stop - offset))
            patterns, used = decode(data)
            if not used:
                raise invalid(f"no varint at byte {offset}: it is cut, or damaged")
            yield offset, data[:used], convert(patterns, self._dtype, self._word)
            offset += used

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return elements [start, stop)."""
        out = np.empty(stop - start, numpy_dtype(self._dtype))
        if start >= stop:
            return out
        block = bisect_right(self._elements, start) - 1
        at = self._elements[block]
        for _, _, values in self._blocks(self._offsets[block]):
            low, high = max(at, start), min(at + len(values), stop)
            out[low - start : high - start] = values[low - at : high - at]
            at += len(values)
            if at >= stop:
                return out
        raise invalid("the file changed while it was read")
