"""How the HDF5 library gets at a file: by its path, or at its place in another file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from h5py import h5f

if TYPE_CHECKING:
    from mcodec.formats.files import InputFile


def open_fid(file: InputFile) -> h5f.FileID:
    """Open a file with the HDF5 library, to be read."""
    return h5f.open(os.fsencode(file.path), h5f.ACC_RDONLY)
