"""The header of a .npy file or member: read through NumPy, but strictly; written little-endian."""

from __future__ import annotations

import io
import math
import tokenize
from dataclasses import dataclass
from typing import IO, Final

import numpy as np

from mcodec.errors import FormatError, one_line
from mcodec.limits import MAX_DIMENSIONS, MAX_ELEMENTS, MAX_NPY_HEADER
from mcodec.types import EXTENSION_DTYPES, TensorSpec, dtype_name, itemsize, numpy_dtype

_READERS: Final = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


@dataclass(frozen=True, slots=True)
class NpyHeader:
    """What a header says.

    Attributes
    ----------
    dtype : str or None
        Its name, or None if the array is no tensor (text, dates, records without objects).
    shape : tuple of int
    fortran : bool
        Whether the elements lie in column order.
    swap : int
        Bytes of the words to be swapped, 0 for a little-endian array.
    start : int
        Bytes of the header: where the data begins.
    nbytes : int
        Bytes of the data.
    """

    dtype: str | None
    shape: tuple[int, ...]
    fortran: bool
    swap: int
    start: int
    nbytes: int


def read_header(stream: IO[bytes], total: int, what: str) -> NpyHeader:
    """Read a header from the begin of a stream.

    Parameters
    ----------
    stream : binary file
    total : int
        Bytes that the stream has, header and data.
    what : str
        Names the array in messages.

    Raises
    ------
    FormatError
        ``source_invalid`` if it is no header or does not fit the bytes that are there,
        ``source_refused`` for objects, which are pickles, ``limit_exceeded`` for its length.
    """
    # Behind a bounded copy NumPy can neither read on nor allocate what a length field says.
    head = io.BytesIO(stream.read(MAX_NPY_HEADER))
    try:
        version = np.lib.format.read_magic(head)
        reader = _READERS.get(version)
        if reader is None:
            raise FormatError(
                f"{what} is of version {version} of the npy format", code="version_unsupported"
            )
        shape, fortran, dtype = reader(head, max_header_size=MAX_NPY_HEADER)
    except FormatError:
        raise
    except (
        ValueError,
        TypeError,
        SyntaxError,
        LookupError,
        AttributeError,
        ArithmeticError,
        MemoryError,
        RecursionError,
        tokenize.TokenError,
    ) as error:
        message = f"{what} has no npy header ({one_line(error)})"
        raise FormatError(message, code="source_invalid") from error
    if dtype.hasobject:
        raise FormatError(
            f"{what} holds Python objects, which are pickles: not read", code="source_refused"
        )
    if len(shape) > MAX_DIMENSIONS:
        raise FormatError(f"{what} has {len(shape)} dimensions", code="limit_exceeded")
    if any(isinstance(n, bool) or n < 0 for n in shape):
        raise FormatError(f"{what} has the shape {shape}", code="source_invalid")
    if math.prod(n for n in shape if n) > MAX_ELEMENTS:
        raise FormatError(f"{what} has too many elements", code="limit_exceeded")
    start, nbytes = head.tell(), math.prod(shape) * dtype.itemsize
    if start + nbytes != total:
        raise FormatError(
            f"{what} declares {nbytes} bytes of data, but has {total - start}",
            code="source_invalid",
        )
    name = dtype_name(dtype)
    return NpyHeader(name, tuple(shape), bool(fortran), _swap(dtype), start, nbytes)


def _swap(dtype: np.dtype[np.generic]) -> int:
    if dtype.byteorder != ">" or dtype.kind not in "iufc":
        return 0
    return dtype.itemsize // 2 if dtype.kind == "c" else dtype.itemsize


def write_header(spec: TensorSpec) -> bytes:
    """Return the header of a C-order, little-endian array.

    NumPy has no names for bfloat16 and float8: they become void elements of their size.
    """
    void = spec.dtype in EXTENSION_DTYPES
    dtype = np.dtype(f"V{itemsize(spec.dtype)}") if void else numpy_dtype(spec.dtype)
    out = io.BytesIO()
    fields = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": spec.shape,
    }
    np.lib.format.write_array_header_1_0(out, fields)
    return out.getvalue()
