"""Datasets that do not lie in the file in one piece: elements of a range, one way or another."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import numpy as np
from h5py import h5d, h5s

from mcodec.formats.hdf5_chunks import Chunks, is_chunked, paste
from mcodec.formats.hdf5_slabs import boxes

if TYPE_CHECKING:
    from h5py import h5f
    from numpy.typing import NDArray

    from mcodec.formats.hdf5_walk import TensorPlace


class Reader(Protocol):
    """Reads elements of one dataset as the file has them; may be called from several threads."""

    def read(self, start: int, stop: int, out: NDArray[np.generic]) -> None:
        """Fill `out`, of one dimension, with elements [start, stop) in C order."""
        ...


def open_reader(fid: h5f.FileID, place: TensorPlace, file_bytes: int) -> Reader:
    """Open a dataset for reading.

    Raises
    ------
    FormatError
        ``source_invalid`` if its chunks are damaged.
    """
    dsid = h5d.open(fid, f"/{place.spec.name}".encode())
    if not is_chunked(dsid.get_create_plist()):
        return _BoxReader(dsid, place.spec.shape)
    size = place.spec.nbytes // place.spec.size
    chunks = Chunks(dsid, size, file_bytes)
    if chunks.packed:
        chunks.prove()
        return _BoxReader(dsid, place.spec.shape)
    return _ChunkReader(dsid, place.spec.shape, chunks)


class _BoxReader:
    """Lets HDF5 do it: data in the object header, data never written, szip and scale-offset."""

    def __init__(self, dsid: h5d.DatasetID, shape: tuple[int, ...]) -> None:
        self._dsid = dsid
        self._shape = shape

    def read(self, start: int, stop: int, out: NDArray[np.generic]) -> None:
        """Fill `out` with elements [start, stop) in C order."""
        out.view(np.uint8)[:] = 0  # HDF5 leaves it alone where the fill value is not defined
        if not self._shape:
            self._dsid.read(h5s.ALL, h5s.ALL, out.reshape(()), self._dsid.get_type())
            return
        done = 0
        for first, extent in boxes(self._shape, start, stop):
            part = out[done : done + math.prod(extent)]
            self.read_box(first, extent, part)
            done += part.size

    def read_box(
        self, first: tuple[int, ...], extent: tuple[int, ...], out: NDArray[np.generic]
    ) -> None:
        """Fill `out` with a box, in the file's own datatype: no value is converted."""
        space = self._dsid.get_space()
        space.select_hyperslab(first, extent)
        self._dsid.read(h5s.create_simple(out.shape), space, out, self._dsid.get_type())


class _ChunkReader:
    """Puts a box together from its chunks; what is not stored has the fill value."""

    def __init__(self, dsid: h5d.DatasetID, shape: tuple[int, ...], chunks: Chunks) -> None:
        self._shape = shape
        self._chunks = chunks
        self._boxes = _BoxReader(dsid, shape)

    def read(self, start: int, stop: int, out: NDArray[np.generic]) -> None:
        """Fill `out` with elements [start, stop) in C order."""
        done = 0
        for first, extent in boxes(self._shape, start, stop):
            part = out[done : done + math.prod(extent)].reshape(extent)
            self._read_box(part, first)
            done += part.size

    def _read_box(self, part: NDArray[np.generic], first: tuple[int, ...]) -> None:
        hole = self._chunks.missing(first, part.shape)
        if hole is not None:
            fill = np.zeros(1, part.dtype)
            self._boxes.read_box(hole, (1,) * len(hole), fill)
            part[...] = fill[0]
        for offset in self._chunks.overlapping(first, part.shape):
            paste(part, first, self._chunks.array(offset), offset)
