"""Streams as kernels take them: bytes, and bit-planes of n elements."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from mcodec.codec.scratch import take
from mcodec.errors import FormatError
from mcodec.types import Fill

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Stream = memoryview | Fill
    Buffer = NDArray[np.uint8] | memoryview  # of bytes


class NeedAllPlanesError(Exception):
    """A derived decode of this block needs the planes that were not read."""


def invalid(message: str) -> FormatError:
    """Return the error for a stream that breaks its codec's rules."""
    return FormatError(message, code="stream_invalid")


def plane_bytes(n: int) -> int:
    """Return the bytes of a bit-plane of n elements."""
    return -(-n // 8)


def patterns(values: NDArray[Any]) -> NDArray[Any]:
    """View an array of a float dtype as the unsigned integers of its width."""
    return values.view(_unsigned(values.dtype.itemsize))


@cache  # making it of its name takes longer than the view
def _unsigned(size: int) -> np.dtype[Any]:
    import numpy as np

    return np.dtype(f"<u{size}")


def as_bytes(stream: Stream | None) -> NDArray[np.uint8]:
    """Return a stream as an array of bytes."""
    import numpy as np

    if stream is None:
        raise NeedAllPlanesError
    if isinstance(stream, Fill):
        return np.full(stream.length, stream.value, np.uint8)
    return np.frombuffer(stream, np.uint8)


def as_plane(stream: Stream | None, n: int) -> NDArray[np.uint8] | None:
    """Return a bit-plane of n elements as kernels take it: None where all bits are zero."""
    if stream is None or n == 0 or (isinstance(stream, Fill) and stream.value == 0):
        return None
    last = stream.value if isinstance(stream, Fill) else stream[-1]
    if n % 8 and last >> n % 8:
        raise invalid("a bit-plane has bits past its last element")
    return as_bytes(stream)


def bytes_of(stream: Stream | None) -> Buffer:
    """Return a stream as kernels read bytes: an array of 25 planes a block would take its time."""
    return stream if isinstance(stream, memoryview) else as_bytes(stream)


def plane_of(stream: Stream | None, n: int) -> Buffer | None:
    """Return a bit-plane as `as_plane`, without an array of it where none is needed."""
    if not isinstance(stream, memoryview) or n == 0:
        return as_plane(stream, n)
    if n % 8 and stream[-1] >> n % 8:
        raise invalid("a bit-plane has bits past its last element")
    return stream


def empty_planes(count: int, n: int) -> list[NDArray[np.uint8]]:
    """Return scratch rows for bit-planes of n elements.

    Rows a power of two apart would share cache sets, so they are staggered by 64 bytes.
    """
    length = plane_bytes(n)
    stride = length + 64 if length and length % 4096 == 0 else length
    memory = take(count * stride)
    return [memory[i * stride : i * stride + length] for i in range(count)]
