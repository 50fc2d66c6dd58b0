"""HDF5's filters undone, with every length checked.

HDF5 itself inflates without a limit, and copies past the end of a chunk that comes out too short
(seen in 2.0.0). So chunks are decoded here, or at least proven to come out at their size.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from h5py import h5z

from mcodec.errors import FormatError, one_line
from mcodec.formats.hdf5_guards import invalid

if TYPE_CHECKING:
    from h5py import h5p

_CHECKSUM_BYTES: Final = 4
_SCALE_OFFSET_HEADER: Final = 21  # bytes: how many bits an element has, and the least one
_LZF_SHORT: Final = 32  # controls below are runs of literals
_LZF_LONG: Final = 7


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter of a dataset's pipeline, in the order of writing."""

    code: int
    values: tuple[int, ...]


def pipeline(plist: h5p.PropDCID) -> list[Filter]:
    """Return the filters of a dataset."""
    found = (plist.get_filter(i) for i in range(plist.get_nfilters()))
    return [Filter(code, tuple(values)) for code, _, values, _ in found]


def undo(data: bytes, filters: list[Filter], mask: int, size: int) -> bytes | None:
    """Decode a chunk.

    Parameters
    ----------
    data : bytes
        As stored.
    filters : list of Filter
    mask : int
        Bit i is set if filter i was left out for this chunk.
    size : int
        The bytes that must come out.

    Returns
    -------
    bytes or None
        None if a filter has to be undone by HDF5, and will give the right number of bytes.

    Raises
    ------
    FormatError
        ``source_invalid`` if it is damaged, ``decoded_too_large`` if it comes out longer.
    """
    used = [f for i, f in enumerate(filters) if not mask >> i & 1]
    while used:
        current = used.pop()
        match current.code:
            case h5z.FILTER_FLETCHER32:
                data = _fletcher32(data)
            case h5z.FILTER_DEFLATE:
                data = _inflate(data, size + _CHECKSUM_BYTES)
            case h5z.FILTER_LZF:
                data = _lzf(data, size + _CHECKSUM_BYTES)
            case h5z.FILTER_SHUFFLE:
                data = _unshuffle(data, current.values[0] if current.values else 1)
            case _:
                if any(f.code != h5z.FILTER_SHUFFLE for f in used):
                    raise invalid("filters stand in an order that is not supported")
                _check_packed(current, data, size)
                return None
    if len(data) != size:
        raise invalid(f"a chunk has {len(data)} bytes, not {size}")
    return data


def _fletcher32(data: bytes) -> bytes:
    """Check and cut off the checksum of 16-bit big-endian words (H5_checksum_fletcher32)."""
    body, stored = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    words = np.frombuffer(body + b"\0" * (len(body) % 2), ">u2").astype(np.uint64)
    low = high = 0
    for start in range(0, len(words), 1 << 20):  # small enough for 64-bit sums
        part = words[start : start + (1 << 20)]
        count = len(part)
        high += low * count + int((part * np.arange(count, 0, -1, dtype=np.uint64)).sum())
        low += int(part.sum())
    expected = _fold(high) << 16 | _fold(low)
    if len(data) < _CHECKSUM_BYTES or int.from_bytes(stored, "little") != expected:
        raise invalid("the checksum of a chunk is wrong")
    return body


def _fold(total: int) -> int:
    """Reduce modulo 65,535 as folding carries does: only nothing at all gives 0."""
    return (total - 1) % 0xFFFF + 1 if total else 0


def _inflate(data: bytes, limit: int) -> bytes:
    stream = zlib.decompressobj()
    try:
        out = stream.decompress(data, limit + 1)
    except zlib.error as error:
        raise invalid(f"a chunk is damaged ({one_line(error)})") from error
    if len(out) > limit:
        raise FormatError(f"a chunk comes out at over {limit} bytes", code="decoded_too_large")
    return out


def _lzf(data: bytes, limit: int) -> bytes:
    """Undo LZF: runs of literals, and copies of what came out before."""
    out = bytearray()
    place = 0
    try:
        while place < len(data):
            control = data[place]
            place += 1
            if control < _LZF_SHORT:
                out += data[place : place + control + 1]
                place += control + 1
            else:
                length = control >> 5
                if length == _LZF_LONG:
                    length += data[place]
                    place += 1
                start = len(out) - ((control & 31) << 8) - data[place] - 1
                place += 1
                _copy(out, start, length + 2)
            if len(out) > limit:
                raise FormatError(
                    f"a chunk comes out at over {limit} bytes", code="decoded_too_large"
                )
    except IndexError as error:
        raise invalid("a chunk is damaged (LZF)") from error
    return bytes(out)


def _copy(out: bytearray, start: int, length: int) -> None:
    if start < 0:
        raise invalid("a chunk is damaged (LZF)")
    period = len(out) - start
    if period >= length:
        out += out[start : start + length]
    else:  # the copy overlaps itself: a repeated pattern
        pattern = bytes(out[start:])
        out += (pattern * (length // period + 1))[:length]


def _unshuffle(data: bytes, size: int) -> bytes:
    """Undo the shuffle of elements of `size` bytes; bytes past the last whole one stay."""
    count = len(data) // size if size else 0
    if size <= 1 or count <= 1:
        return data
    whole = np.frombuffer(data, np.uint8, count * size).reshape(size, count)
    return whole.T.tobytes() + data[count * size :]


def _check_packed(packed: Filter, data: bytes, size: int) -> None:
    """Prove that HDF5's own decoder has all of its input, and gives `size` bytes."""
    first = int.from_bytes(data[:4], "little")
    if packed.code == h5z.FILTER_SZIP:
        fits = first == size  # the filter's own note of what comes out
    else:
        _, _, count, _, item, *_ = (*packed.values, *(0,) * 5)
        needed = _SCALE_OFFSET_HEADER + -(-count * first // 8)
        fits = count * item == size and first <= 8 * item and len(data) >= needed
    if not fits:
        raise invalid("a chunk is damaged")
