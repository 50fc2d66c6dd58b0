"""The elements of a .npy array that lies in one piece in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mcodec.types import TensorSpec, numpy_dtype

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mcodec.formats.files import InputFile
    from mcodec.formats.npy_header import NpyHeader


def place(
    file: InputFile,
    header: NpyHeader,
    dtype: np.dtype[np.generic],
    start: int,
    stop: int,
    base: int = 0,
) -> NDArray[np.generic]:
    """Return elements [start, stop) in the order of the file, little-endian.

    Parameters
    ----------
    file : InputFile
    header : NpyHeader
    dtype : numpy.dtype
        What the elements are taken for, of the size that the header says.
    start, stop : int
        Elements.
    base : int
        Where the header begins in the file.
    """
    out: NDArray[np.generic] = np.empty(stop - start, dtype)
    file.read_into(out, base + header.start + start * dtype.itemsize)
    return swapped(out, header)


def load(
    file: InputFile, header: NpyHeader, spec: TensorSpec, base: int = 0
) -> NDArray[np.generic]:
    """Return a whole column-order array in C order; its size has been checked with the file."""
    flat = place(file, header, numpy_dtype(spec.dtype), 0, spec.size, base)
    return in_c_order(flat, spec.shape)


def in_c_order(flat: NDArray[np.generic], shape: tuple[int, ...]) -> NDArray[np.generic]:
    """Turn the elements of a column-order array, as they lie, into C order."""
    turned: NDArray[np.generic] = flat.reshape(shape[::-1]).transpose()
    return np.ascontiguousarray(turned).reshape(-1)


def swapped(out: NDArray[np.generic], header: NpyHeader) -> NDArray[np.generic]:
    """Make the elements little-endian, in place."""
    if header.swap > 1:
        out.view(f"u{header.swap}").byteswap(inplace=True)
    return out
