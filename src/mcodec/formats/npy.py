"""A bare .npy file: one tensor, named ``array``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from mcodec.errors import FormatError, UsageError
from mcodec.formats.base import VERSION, read_skeleton, skeleton_format
from mcodec.formats.files import InputFile, TensorFile
from mcodec.formats.npy_header import read_header, write_header
from mcodec.formats.npy_values import load, place
from mcodec.storage import io_errors
from mcodec.types import TensorSpec, numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

FORMAT: Final = "npy"
NAME: Final = "array"


class _Skeleton(msgspec.Struct, tag_field="format", tag=FORMAT, forbid_unknown_fields=True):
    """There is nothing besides the array; the tag says where the task came from."""

    version: int


def open_npy(path: str) -> NpySource:
    """Open a .npy file.

    Raises
    ------
    FormatError
        It is damaged, or holds objects, text or records.
    InputOutputError
        The file cannot be read.
    """
    file = InputFile(path)
    try:
        return NpySource(file)
    except FormatError as error:
        file.close()
        raise error.at(path) from error.__cause__


class NpySource:
    """A .npy file that is open for reading."""

    format = FORMAT

    def __init__(self, file: InputFile) -> None:
        with io_errors(file.path), open(file.path, "rb") as stream:
            self._header = read_header(stream, file.size, "the file")
        if self._header.dtype is None:
            raise FormatError("the file is no array of numbers or bytes", code="source_refused")
        self._file = file
        self.tensors: Sequence[TensorSpec] = (
            TensorSpec(NAME, self._header.dtype, self._header.shape),
        )
        self.metadata: Mapping[str, str] = {}
        self.same_as: Mapping[int, int] = {}
        self.notes: Sequence[str] = ()

    def skeleton(self) -> bytes:
        """Return the skeleton, which says the format and nothing else."""
        return msgspec.json.encode(_Skeleton(VERSION))

    def read(self, index: int, start: int, stop: int) -> NDArray[np.generic]:
        """Return elements [start, stop) of the array."""
        header, spec = self._header, self.tensors[index]
        if header.fortran:
            return load(self._file, header, spec)[start:stop].copy()
        return place(self._file, header, numpy_dtype(spec.dtype), start, stop)

    def close(self) -> None:
        """Release the file."""
        self._file.close()


def create_npy(
    path: str, specs: Sequence[TensorSpec], skeleton: bytes, metadata: Mapping[str, str]
) -> TensorFile:
    """Create a .npy file, and return the sink for its array.

    Raises
    ------
    UsageError
        There is not exactly one tensor.
    FormatError
        ``source_invalid`` or ``version_unsupported`` if the skeleton is damaged.
    InputOutputError
        The file cannot be written.
    """
    if skeleton_format(skeleton) == FORMAT:
        read_skeleton(skeleton, _Skeleton)
    if len(specs) != 1:
        raise UsageError(f"a .npy file holds one array, not {len(specs)}: choose npz")
    head = write_header(specs[0])
    with io_errors(path), open(path, "wb") as file:
        file.write(head)
        file.truncate(len(head) + specs[0].nbytes)
    return TensorFile(path, specs, [len(head)])


def inner_npy(skeleton: bytes) -> bytes:
    """Return nothing: a .npy file has no room for another format's skeleton."""
    return b""


def facts_npy(skeleton: bytes) -> dict[str, str]:
    """Return nothing: a .npy file is its array."""
    return {}
