"""How the HDF5 library gets at a file: by its path, or at its place in another file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
from h5py import h5f, h5fd, h5p

from mcodec.formats.files import Window

if TYPE_CHECKING:
    from mcodec.formats.files import InputFile


def open_fid(file: InputFile) -> h5f.FileID:
    """Open a file, or a window on one, with the HDF5 library, to be read."""
    name = os.fsencode(file.path)
    if not isinstance(file, Window):
        return h5f.open(name, h5f.ACC_RDONLY)
    access = h5p.create(h5p.FILE_ACCESS)
    access.set_fileobj_driver(h5fd.fileobj_driver, _Stream(file))
    return h5f.open(name, h5f.ACC_RDONLY, fapl=access)


class _Stream:
    """What h5py asks of a file object; HDF5 calls it under h5py's lock, one call at a time.

    Bytes past the end are zeros, as HDF5's own driver gives them: a short read would leave the
    rest of HDF5's buffer as it was. Only what the system refuses, and a file that has shrunk, is
    raised in here; h5py passes it on.
    """

    def __init__(self, file: Window) -> None:
        self._file = file
        self._at = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to an offset, from the begin or (as h5py asks for the size) from the end."""
        self._at = offset + (self._file.size if whence == os.SEEK_END else 0)
        return self._at

    def tell(self) -> int:
        """Return the offset."""
        return self._at

    def readinto(self, out: memoryview) -> int:
        """Fill HDF5's buffer, and return its length."""
        buffer = np.frombuffer(out, np.uint8)
        there = max(0, min(len(buffer), self._file.size - self._at))
        if there:
            self._file.read_into(buffer[:there], self._at)
        buffer[there:] = 0
        return len(buffer)

    def flush(self) -> None:
        """Do nothing: the file is only read."""

    def truncate(self, size: int) -> None:
        """Do nothing: the file is only read."""
