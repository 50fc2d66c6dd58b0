"""Coders: a stream's bytes as one repeated byte, as they are, or as a zstd frame.

The choice is what is really smaller in the file (spec/container.md, section 4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mcodec import frames
from mcodec.errors import FormatError
from mcodec.types import FILL, RAW, ZSTD, CodedStream, Fill

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Kinds of stream -> the zstd levels that are tried (0: `frames.ENTROPY`).
PLANE: Final = (1,)
ENTROPY: Final = (0,)
SYMBOLS: Final = (0, 1)
BYTES: Final = (3,)
TEXT: Final = (9,)

SMALL: Final = 1 << 12  # numbers of a block that is cheap to code at every level
SKEWED: Final = 0.75  # of its bytes that a plane takes by codes alone, below which runs are long
PIECE: Final = 1 << 13  # bytes that are tried for the whole stream
MATCHED: Final = 0.98  # of the codes' bytes, from which on matches are taken: they are slower

_ALL: Final = 0xFFFFFFFF
_MAGNITUDES: Final = {2: 0x7FFF7FFF, 4: 0x7FFFFFFF}  # of elements, by their bytes

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


def search(values: NDArray[Any]) -> bool:
    """Tell whether matches are worth looking for in the streams of a block of numbers.

    They are where numbers come again in their order, but for their signs, and in small blocks,
    which cost little.

    Parameters
    ----------
    values
        Bit patterns, one-dimensional.
    """
    from mcodec import stored

    return values.size <= SMALL or stored.repeats(values, _MAGNITUDES.get(values.itemsize, _ALL))


def matches(symbols: NDArray[Any]) -> bool:
    """Tell whether matches make bytes such as exponents smaller, by a piece from their middle."""
    from mcodec import stored

    start = max(0, (symbols.size - PIECE) // 2)
    piece = symbols[start : start + PIECE]
    if piece.size < PIECE:
        return True
    ((_, _, frame),) = stored.code([piece], ROW_COST)
    return frame is not None and len(frames.compress(piece.data, 1)) < MATCHED * len(frame)


def code_all(
    streams: Sequence[NDArray[Any]], levels: tuple[int, ...], *, search: bool
) -> list[CodedStream]:
    """Code several streams of one block.

    Parameters
    ----------
    streams
        Contiguous bytes; the result may keep views of them.
    levels
        As in `code`.
    search
        What `search` said of the block. Without it a stream gets Huffman codes alone, and is tried
        at the levels only where these make it so small that matches may do still better.
    """
    if search:
        return [code(stream, levels) for stream in streams]
    from mcodec import stored

    found = []
    for stream, (coder, fill, frame) in zip(streams, stored.code(streams, ROW_COST), strict=True):
        size = stream.size
        if coder == FILL:
            found.append(CodedStream(FILL, fill, size))
        elif coder == stored.REPEATS:
            found.append(code(stream, levels))
        elif frame is None:
            found.append(CodedStream(RAW, 0, size, stream.data))
        else:
            found.append(_smaller(CodedStream(ZSTD, 0, size, frame), stream, levels))
    return found


def code_planes(planes: Sequence[NDArray[Any]], n: int) -> list[CodedStream]:
    """Code bit-planes of a block of n elements, by what they alone say."""
    return code_all(planes, PLANE, search=n <= SMALL)


def code_symbols(symbols: NDArray[Any]) -> CodedStream:
    """Code bytes that stand for elements of a block, by what they alone say."""
    searched = symbols.size <= SMALL or matches(symbols)
    return code_all([symbols], SYMBOLS, search=searched)[0]


def _smaller(coded: CodedStream, stream: NDArray[Any], levels: tuple[int, ...]) -> CodedStream:
    """Return a stream coded at some levels if that is clearly smaller than its Huffman codes."""
    if len(coded.data) > SKEWED * coded.raw:
        return coded
    searched = code(stream, levels)
    return searched if len(searched.data) < MATCHED * len(coded.data) else coded


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
