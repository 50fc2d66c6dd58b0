"""Coders: a stream's bytes as one repeated byte, as they are, or as a zstd frame.

The choice is what is really smaller in the file (spec/container.md, section 4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mcodec import frames
from mcodec.errors import FormatError
from mcodec.types import FILL, RAW, ZSTD, CodedStream, Fill

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Kinds of stream -> the zstd levels that are tried (0: `frames.ENTROPY`).
PLANE: Final = (1,)
ENTROPY: Final = (0,)
SYMBOLS: Final = (0, 1)
BYTES: Final = (3,)
TEXT: Final = (9,)

# A frame between raw neighbours splits their chunk in three: two more rows.
ROW_COST: Final = 64


def code(stream: NDArray[Any], levels: tuple[int, ...]) -> CodedStream:
    """Code one stream.

    Parameters
    ----------
    stream
        Contiguous bytes; the result may keep a view of them.
    levels
        The zstd levels to try, one of the kinds above.
    """
    size = stream.size
    if size == 0:
        return CodedStream(FILL, 0, 0)
    first = int(stream[0])
    if int(stream[-1]) == first and bool((stream == first).all()):
        return CodedStream(FILL, first, size)
    data = stream.data
    best: bytes | memoryview = data
    if size > ROW_COST:
        for level in levels:
            frame = frames.compress(data, level)
            if len(frame) + (ROW_COST if best is data else 0) < len(best):
                best = frame
    return CodedStream(RAW if best is data else ZSTD, 0, size, best)


def stored(streams: list[CodedStream]) -> int:
    """Return the bytes that coded streams take."""
    return sum(len(stream.data) for stream in streams)


def decode(stream: CodedStream) -> memoryview | Fill:
    """Return the bytes of a stream.

    Raises
    ------
    FormatError
        ``chunk_corrupt``: its frame breaks the rules.
    """
    if stream.coder == RAW:  # most are
        return memoryview(stream.data)
    if stream.coder == FILL:
        return Fill(stream.fill, stream.raw)
    try:
        return memoryview(frames.decompress(stream.data, stream.raw))
    except frames.FrameError as error:
        raise FormatError(str(error), code="chunk_corrupt") from None
