"""The chunks of a dataset: where they are, and what is in them."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import numpy as np
from h5py import h5d, h5z

from mcodec.formats.hdf5_filters import pipeline, undo
from mcodec.formats.hdf5_guards import invalid, over_limit
from mcodec.limits import MAX_SOURCE_OBJECTS, MIB

if TYPE_CHECKING:
    from collections.abc import Iterator

    from h5py import h5p
    from numpy.typing import NDArray

Offset = tuple[int, ...]  # a chunk's first element
_CACHE: Final = 64 * MIB  # decoded chunks to keep, so that rows across chunks are decoded once
_PACKED: Final = frozenset({h5z.FILTER_SZIP, h5z.FILTER_SCALEOFFSET})


def is_chunked(plist: h5p.PropDCID) -> bool:
    """Tell whether a dataset is stored in chunks."""
    return bool(plist.get_layout() == h5d.CHUNKED)


def element_dtype(size: int) -> np.dtype[np.generic]:
    """Return a dtype for moving elements of `size` bytes: integers, since opaque ones are slow."""
    return np.dtype(f"u{size}" if size in (1, 2, 4, 8) else f"V{size}")


def chunk_bytes(plist: h5p.PropDCID, size: int) -> int:
    """Return the decoded bytes of a chunk with elements of `size` bytes; 0 if there are none."""
    return size * math.prod(plist.get_chunk()) if is_chunked(plist) else 0


def _stored(dsid: h5d.DatasetID) -> list[h5d.StoreInfo]:
    """Return where the chunks of a dataset are."""
    found: list[h5d.StoreInfo] = []

    def add(info: h5d.StoreInfo) -> bool | None:
        found.append(info)
        return len(found) > MAX_SOURCE_OBJECTS or None  # to raise in here, h5py cannot bear

    dsid.chunk_iter(add)
    if len(found) > MAX_SOURCE_OBJECTS:
        raise over_limit(f"a dataset has more than {MAX_SOURCE_OBJECTS} chunks")
    return found


class Chunks:
    """All chunks of one dataset, decoded one by one; may be used from several threads.

    Parameters
    ----------
    dsid : h5py.h5d.DatasetID
        Chunked, and checked by `hdf5_guards.check_creation`.
    size : int
        Bytes of an element.
    file_bytes : int
        The real size of the file.

    Raises
    ------
    FormatError
        ``source_invalid`` if a chunk cannot be as the file says.
    """

    def __init__(self, dsid: h5d.DatasetID, size: int, file_bytes: int) -> None:
        plist = dsid.get_create_plist()
        self._dsid = dsid
        self._filters = pipeline(plist)
        self._bytes = chunk_bytes(plist, size)
        self._masks: dict[Offset, int] = {}
        self._element = element_dtype(size)
        self.shape: tuple[int, ...] = plist.get_chunk()
        self.packed = any(f.code in _PACKED for f in self._filters)
        self._lock = threading.Lock()
        self._kept: OrderedDict[Offset, NDArray[np.generic]] = OrderedDict()

        for info in _stored(dsid):
            # HDF5 would read the whole of a chunk that is not filtered, however few bytes it has.
            whole = bool(self._filters) or info.size == self._bytes
            if not whole or not 0 < info.size <= file_bytes:
                raise invalid(f"a chunk of {info.size} bytes cannot be")
            self._masks[tuple(info.chunk_offset)] = info.filter_mask

    def prove(self) -> None:
        """Make sure that HDF5 can decode every chunk without reading past an end."""
        for offset in self._masks:
            self._decode(offset)

    def overlapping(self, first: Offset, extent: tuple[int, ...]) -> list[Offset]:
        """Return the stored chunks that share elements with a box."""
        axes = self._axes(first, extent)
        if math.prod(map(len, axes)) <= len(self._masks):
            return [offset for offset in _grid(axes) if offset in self._masks]
        return [
            offset
            for offset in self._masks
            if all(at in axis for at, axis in zip(offset, axes, strict=True))
        ]

    def missing(self, first: Offset, extent: tuple[int, ...]) -> Offset | None:
        """Return an element of a box that no chunk is stored for, or None."""
        for offset in _grid(self._axes(first, extent)):
            if offset not in self._masks:
                return tuple(map(max, offset, first))
        return None

    def _axes(self, first: Offset, extent: tuple[int, ...]) -> list[range]:
        return [
            range(at // step * step, at + count, step)
            for at, count, step in zip(first, extent, self.shape, strict=True)
        ]

    def array(self, offset: Offset) -> NDArray[np.generic]:
        """Return the elements of a stored chunk, those past the dataset's edge included."""
        with self._lock:
            if offset in self._kept:
                self._kept.move_to_end(offset)
                return self._kept[offset]
        data = self._decode(offset)
        if data is None:
            raise invalid("a chunk cannot be decoded without HDF5")
        array = np.frombuffer(data, self._element).reshape(self.shape)
        with self._lock:
            self._kept[offset] = array
            while len(self._kept) > 1 and len(self._kept) * self._bytes > _CACHE:
                self._kept.popitem(last=False)
        return array

    def _decode(self, offset: Offset) -> bytes | None:
        mask, data = self._dsid.read_direct_chunk(offset)
        return undo(data, self._filters, mask, self._bytes)


def _grid(axes: list[range]) -> Iterator[Offset]:
    """Yield the points of a grid; `itertools.product` would first make tuples of the axes."""
    if not axes:
        yield ()
        return
    for place in axes[0]:
        for rest in _grid(axes[1:]):
            yield (place, *rest)


def paste(
    out: NDArray[np.generic], first: Offset, chunk: NDArray[np.generic], offset: Offset
) -> None:
    """Copy what a chunk and a box share.

    Parameters
    ----------
    out : ndarray
        The box.
    first, offset : tuple of int
        First element of the box, and of the chunk.
    chunk : ndarray
    """
    to, of = zip(*_shared(out.shape, first, chunk.shape, offset), strict=True)
    out[to] = chunk[of]


def _shared(
    shape: tuple[int, ...], first: Offset, chunk: tuple[int, ...], offset: Offset
) -> Iterator[tuple[slice, slice]]:
    for count, start, length, at in zip(shape, first, chunk, offset, strict=True):
        low, high = max(start, at), min(start + count, at + length)
        yield slice(low - start, high - start), slice(low - at, high - at)
