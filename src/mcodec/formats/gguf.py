"""GGUF files, read lazily and given back byte for byte (spec/skeletons.md).

Block-quantised tensors are carried as the bytes that they are: nothing is dequantised.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from mcodec.errors import FormatError, UsageError
from mcodec.formats.base import VERSION, read_skeleton, skeleton_format, summary
from mcodec.formats.files import InputFile, TensorFile
from mcodec.formats.gaps import Gap, check_gaps, check_tensors, find_gaps, read_gaps
from mcodec.formats.gguf_cursor import ARRAY, BOOL, STRING, VALUE_TYPES, invalid
from mcodec.formats.gguf_header import Header, Pair, parse_header
from mcodec.storage import io_errors
from mcodec.types import numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mcodec.types import TensorSpec

_FORMAT: Final = "gguf"
_LONG: Final = 200  # bytes of a value that is still shown


class _Skeleton(
    msgspec.Struct, tag_field="format", tag=_FORMAT, forbid_unknown_fields=True, omit_defaults=True
):
    """The header without the padding after it, the file's size, and what its gaps hold."""

    version: int
    header: bytes
    size: int
    gaps: list[Gap] = msgspec.field(default_factory=list)


def open_gguf(path: str) -> GgufSource:
    """Open a GGUF file.

    Raises
    ------
    FormatError
        The file breaks a rule of the format.
    InputOutputError
        The file cannot be read.
    """
    file = InputFile(path)
    try:
        return GgufSource(file)
    except FormatError as error:
        file.close()
        raise error.at(path) from error.__cause__


class GgufSource:
    """A GGUF file that is open for reading."""

    format = _FORMAT

    def __init__(self, file: InputFile) -> None:
        self.same_as: Mapping[int, int] = {}
        self.notes: Sequence[str] = ()
        self.metadata: Mapping[str, str] = {}
        self._file = file
        self._header = parse_header(file.read, file.size)
        self._gaps = read_gaps(file, _free(self._header, file.size))
        self.tensors: Sequence[TensorSpec] = self._header.tensors

    def skeleton(self) -> bytes:
        """Return header and gaps, so that the file can be given back byte for byte."""
        return msgspec.json.encode(
            _Skeleton(VERSION, self._header.raw, self._file.size, self._gaps)
        )

    def read(self, index: int, start: int, stop: int) -> NDArray[np.generic]:
        """Return elements [start, stop) of tensor `index`."""
        dtype = numpy_dtype(self.tensors[index].dtype)
        out: NDArray[np.generic] = np.empty(stop - start, dtype)
        self._file.read_into(out, self._header.offsets[index] + start * dtype.itemsize)
        return out

    def close(self) -> None:
        """Release the file."""
        self._file.close()


def _free(header: Header, size: int) -> list[tuple[int, int]]:
    places = [
        (offset, offset + spec.nbytes, spec.name)
        for spec, offset in zip(header.tensors, header.offsets, strict=True)
    ]
    return find_gaps(places, len(header.raw), size)


def create_gguf(
    path: str, specs: Sequence[TensorSpec], skeleton: bytes, metadata: Mapping[str, str]
) -> TensorFile:
    """Create the GGUF file that the skeleton was taken from, and return the sink for its tensors.

    Raises
    ------
    FormatError
        The skeleton breaks a rule, or speaks of other tensors.
    UsageError
        The skeleton is none of a GGUF file.
    InputOutputError
        The file cannot be written.
    """
    if skeleton_format(skeleton) != _FORMAT:
        message = "GGUF can only be written back for what came from one"
        raise UsageError(message, where=path)
    plan, header = _decode(skeleton)
    check_tensors(header.tensors, specs)
    check_gaps(plan.gaps, _free(header, plan.size))
    with io_errors(path), open(path, "wb") as file:
        file.write(header.raw)
        os.truncate(file.fileno(), plan.size)
        for gap in plan.gaps:
            file.seek(gap.offset)
            file.write(gap.data)
    places = dict(zip((spec.name for spec in header.tensors), header.offsets, strict=True))
    sink = TensorFile(path, specs, [places[spec.name] for spec in specs])
    if metadata:
        sink.notes = ("GGUF has no place for metadata that is added: it is left out",)
    return sink


def _decode(skeleton: bytes) -> tuple[_Skeleton, Header]:
    plan = read_skeleton(skeleton, _Skeleton)
    raw = plan.header
    header = parse_header(lambda offset, length: raw[offset : offset + length], len(raw))
    if len(header.raw) != len(raw):
        raise invalid("the skeleton's header has a tail")
    if plan.size < len(raw):
        raise invalid("the skeleton's file is shorter than its header")
    return plan, header


def inner_gguf(skeleton: bytes) -> bytes:
    """Return b"": GGUF files carry no other format's skeleton."""
    del skeleton
    return b""


def facts_gguf(skeleton: bytes) -> dict[str, str]:
    """Return every key with its type and value, and the types of tensors that are blocks.

    Raises
    ------
    FormatError
        The skeleton breaks a rule.
    """
    _, header = _decode(skeleton)
    facts = {"GGUF version": str(header.version)}
    facts |= {pair.key: _value_text(header.raw, pair) for pair in header.pairs}
    facts |= {
        f"type of {spec.name}": kind
        for spec, kind in zip(header.tensors, header.types, strict=True)
        if kind
    }
    return facts


def _value_text(raw: bytes, pair: Pair) -> str:
    data = raw[pair.start : pair.stop]
    kind = VALUE_TYPES[pair.type][0]
    if pair.type == ARRAY:
        kind = f"{pair.count} × {VALUE_TYPES[pair.items][0]}"
    if len(data) > _LONG:
        return f"{kind}: {summary(data)}"
    items = _items(data, pair.items if pair.type == ARRAY else pair.type)
    return f"{kind}: {items if pair.type == ARRAY else items[0]}"


def _items(data: bytes, kind: int) -> list[object]:
    if kind != STRING:
        dtype = "bool" if kind == BOOL else numpy_dtype(VALUE_TYPES[kind][0])
        values: list[object] = np.frombuffer(data, dtype).tolist()
        return values
    items: list[object] = []
    while data:
        stop = 8 + int.from_bytes(data[:8], "little")
        items.append(data[8:stop].decode("utf-8", "backslashreplace"))
        data = data[stop:]
    return items
