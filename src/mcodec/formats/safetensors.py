"""safetensors files, read lazily and given back byte for byte (spec/skeletons.md)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from mcodec.errors import FormatError
from mcodec.formats.base import read_skeleton, skeleton_format
from mcodec.formats.files import InputFile, TensorFile
from mcodec.formats.safetensors_header import Header, build_header, parse_header
from mcodec.limits import MAX_SOURCE_HEADER
from mcodec.storage import io_errors
from mcodec.types import numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mcodec.types import TensorSpec

_PREFIX: Final = 8  # bytes of the header's length
_FORMAT: Final = "safetensors"


class _Skeleton(msgspec.Struct, tag_field="format", tag=_FORMAT, forbid_unknown_fields=True):
    """The header as it stood, padding included."""

    version: int
    header: str


def open_safetensors(path: str) -> SafetensorsSource:
    """Open a safetensors file.

    Raises
    ------
    FormatError
        The file breaks a rule of the format.
    InputOutputError
        The file cannot be read.
    """
    file = InputFile(path)
    try:
        return SafetensorsSource(file)
    except FormatError as error:
        file.close()
        raise error.at(path) from error.__cause__


class SafetensorsSource:
    """A safetensors file that is open for reading."""

    format = _FORMAT

    def __init__(self, file: InputFile) -> None:
        self.same_as: Mapping[int, int] = {}
        self.notes: Sequence[str] = ()
        self._file = file
        self._raw = _read_header(file)
        header = parse_header(self._raw)
        self._start = _PREFIX + len(self._raw)
        if self._start + header.length != file.size:
            raise FormatError(
                f"the file has {file.size} bytes, its header speaks of"
                f" {self._start + header.length}: it is cut short, or damaged",
                code="source_invalid",
            )
        self.tensors: Sequence[TensorSpec] = header.tensors
        self.metadata: Mapping[str, str] = header.metadata
        self._offsets = header.offsets

    def skeleton(self) -> bytes:
        """Return the header, so that the file can be given back byte for byte."""
        return msgspec.json.encode(_Skeleton(1, self._raw.decode("utf-8")))

    def read(self, index: int, start: int, stop: int) -> NDArray[np.generic]:
        """Return elements [start, stop) of tensor `index`."""
        dtype = numpy_dtype(self.tensors[index].dtype)
        out: NDArray[np.generic] = np.empty(stop - start, dtype)
        offset = self._start + self._offsets[index] + start * dtype.itemsize
        self._file.read_into(out, offset)
        return out

    def close(self) -> None:
        """Release the file."""
        self._file.close()


def _read_header(file: InputFile) -> bytes:
    prefix = file.read(0, _PREFIX)
    length = int.from_bytes(prefix, "little")
    if len(prefix) < _PREFIX or length == 0:
        raise FormatError("no safetensors header", code="source_invalid")
    if length > MAX_SOURCE_HEADER:
        raise FormatError(
            f"a header of {length} bytes is over the limit of {MAX_SOURCE_HEADER}",
            code="limit_exceeded",
        )
    if length > file.size - _PREFIX:
        raise FormatError(
            f"a header of {length} bytes does not fit the file", code="source_invalid"
        )
    raw = np.empty(length, np.uint8)
    file.read_into(raw, _PREFIX)
    return raw.tobytes()


def create_safetensors(
    path: str, specs: Sequence[TensorSpec], skeleton: bytes, metadata: Mapping[str, str]
) -> TensorFile:
    """Create a safetensors file of the right size, and return the sink for its tensors.

    Where the skeleton is a safetensors header for exactly these tensors it is written as it
    stood, and the file comes back byte for byte; else the layout is the library's own. Metadata
    that is given goes before that of the skeleton.

    Raises
    ------
    FormatError
        ``source_invalid`` if the skeleton is not one.
    UsageError
        A dtype or name that safetensors does not have.
    InputOutputError
        The file cannot be written.
    """
    raw, header = _layout(specs, skeleton, metadata)
    base = _PREFIX + len(raw)
    with io_errors(path), open(path, "wb") as file:
        file.write(len(raw).to_bytes(_PREFIX, "little") + raw)
        os.truncate(file.fileno(), base + header.length)
    places = {
        spec.name: offset for spec, offset in zip(header.tensors, header.offsets, strict=True)
    }
    return TensorFile(path, specs, [base + places[spec.name] for spec in specs])


def _layout(
    specs: Sequence[TensorSpec], skeleton: bytes, metadata: Mapping[str, str]
) -> tuple[bytes, Header]:
    if skeleton_format(skeleton) == _FORMAT:
        raw = _decode(skeleton)
        header = parse_header(raw)
        metadata = metadata or header.metadata
        if set(header.tensors) == set(specs) and header.metadata == metadata:
            return raw, header
    raw = build_header(specs, metadata)
    return raw, parse_header(raw)


def _decode(skeleton: bytes) -> bytes:
    decoded = read_skeleton(skeleton, _Skeleton)
    raw = decoded.header.encode("utf-8")
    if decoded.version != 1:
        raise FormatError(
            f"the skeleton is of version {decoded.version}, not 1", code="version_unsupported"
        )
    if len(raw) > MAX_SOURCE_HEADER:
        raise FormatError(f"a header of {len(raw)} bytes is too long", code="limit_exceeded")
    return raw
