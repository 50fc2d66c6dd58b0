"""One TensorProto: its dtype, its shape, and where its elements are."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mcodec.errors import FormatError
from mcodec.formats.onnx_external import Place
from mcodec.formats.onnx_varints import Varints
from mcodec.formats.onnx_wire import BYTES, FIXED32, FIXED64, VARINT, Field, Wire, expect, invalid
from mcodec.limits import MAX_DIMENSIONS, MAX_ELEMENTS, MAX_ONNX_KEPT
from mcodec.types import itemsize, numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Container

    from numpy.typing import NDArray

    from mcodec.formats.files import InputFile
    from mcodec.formats.onnx_external import DataFiles

# TensorProto.DataType -> dtype.
_DTYPES: Final[dict[int, str]] = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
    14: "complex64",
    15: "complex128",
    16: "bfloat16",
    17: "float8_e4m3fn",
    18: "float8_e4m3fnuz",
    19: "float8_e5m2",
    20: "float8_e5m2fnuz",
    24: "float8_e8m0fnu",
}
# Types of less than a byte, in bits: their elements are carried packed, as flat bytes.
_BITS: Final[dict[int, int]] = {21: 4, 22: 4, 23: 4, 25: 2, 26: 2, 27: 6, 28: 6}
_STRING: Final = 8
_SIX_BITS: Final = 6
_MOST_ENTRIES: Final = 256  # of external_data, which has four
_MOST_RUNS: Final = 1 << 20

_DIMS, _TYPE, _SEGMENT, _NAME, _RAW, _EXTERNAL, _LOCATION = 1, 2, 3, 8, 9, 13, 14
_FLOATS, _WORDS, _STRINGS, _LONGS, _DOUBLES, _UNSIGNED = 4, 5, 6, 7, 10, 11
_SINGLE: Final = {_TYPE: VARINT, _NAME: BYTES, _RAW: BYTES, _LOCATION: VARINT}
# Fields of elements -> the wire type of one that is not packed.
_ELEMENTS: Final = {
    _FLOATS: FIXED32,
    _WORDS: VARINT,
    _STRINGS: BYTES,
    _LONGS: VARINT,
    _DOUBLES: FIXED64,
    _UNSIGNED: VARINT,
}
_MAY_HOLD: Final[dict[int, tuple[int, ...]]] = {
    _FLOATS: (1, 14),
    _WORDS: (2, 3, 4, 5, 6, 9, 10, 16, 17, 18, 19, 20, 24, *_BITS),
    _LONGS: (7,),
    _DOUBLES: (11, 15),
    _UNSIGNED: (12, 13),
}


@dataclass(frozen=True, slots=True)
class Found:
    """The elements of a TensorProto.

    Attributes
    ----------
    dtype : str
    shape : tuple of int
    place : Place or None
        The range that holds them and nothing else.
    varints : Varints or None
        What decodes them, if `place` holds varints that are there already.
    kept : array or None
        The elements themselves, where they are encoded so that no range can be cut out.
    """

    dtype: str
    shape: tuple[int, ...]
    place: Place | None
    varints: Varints | None = None
    kept: NDArray[Any] | None = None


@dataclass(slots=True)
class _Proto:
    single: dict[int, Field] = field(default_factory=dict)
    dims: list[int] = field(default_factory=list)
    runs: dict[int, list[Field]] = field(default_factory=dict)
    external: dict[str, str] = field(default_factory=dict)


class TensorReader:
    """Reads the TensorProtos of one model.

    Parameters
    ----------
    wire, file
        The model.
    files : DataFiles
        What lies beside it.
    holes : container of (int, int), optional
        Offset and length of the ranges that a skeleton cut out. Given while the file is written
        back: varints are not there yet.
    """

    def __init__(
        self,
        wire: Wire,
        file: InputFile,
        files: DataFiles,
        holes: Container[tuple[int, int]] | None = None,
    ) -> None:
        self._wire = wire
        self._file = file
        self._files = files
        self._holes = holes
        self._kept = 0

    def read(self, message: Field) -> tuple[str, Found | None]:
        """Return the name and the elements of a TensorProto; None for the latter if strings.

        Raises
        ------
        FormatError
            The message breaks a rule, or needs what is not read.
        """
        proto = self._parse(message)
        named = proto.single.get(_NAME)
        name = self._wire.text(named) if named else ""
        try:
            return name, self._elements(proto)
        except FormatError as error:
            raise error.at(f"tensor {name!r}") from error.__cause__

    def _parse(self, message: Field) -> _Proto:
        proto = _Proto()
        for part in self._wire.fields(message.start, message.stop):
            number = part.number
            if number in _SINGLE:
                expect(part, _SINGLE[number])
                if number in proto.single:
                    raise invalid(f"field {number} of a tensor is there twice")
                proto.single[number] = part
            elif number == _DIMS:
                proto.dims += self._wire.integers(part)
                if len(proto.dims) > MAX_DIMENSIONS:
                    raise FormatError("a tensor of too many dimensions", code="limit_exceeded")
            elif number in _ELEMENTS:
                if part.wire != BYTES:
                    expect(part, _ELEMENTS[number])
                if part.start < part.stop or number == _STRINGS:
                    self._add_run(proto, part)
            elif number == _EXTERNAL:
                self._add_entry(proto, part)
            elif number == _SEGMENT:
                raise FormatError("a tensor in segments is not read", code="source_refused")
        return proto

    def _add_run(self, proto: _Proto, part: Field) -> None:
        runs = proto.runs.setdefault(part.number, [])
        if part.number == _STRINGS and runs:
            return  # that there are strings is all that is asked
        runs.append(part)
        if len(runs) > _MOST_RUNS:
            raise FormatError("a tensor in too many pieces", code="limit_exceeded")

    def _add_entry(self, proto: _Proto, message: Field) -> None:
        expect(message, BYTES)
        texts = {1: "", 2: ""}
        for part in self._wire.fields(message.start, message.stop):
            if part.number in texts:
                texts[part.number] = self._wire.text(part)
        if texts[1] in proto.external:
            raise invalid(f"external_data names {texts[1]!r} twice")
        if len(proto.external) >= _MOST_ENTRIES:
            raise FormatError("a tensor with too many entries", code="limit_exceeded")
        proto.external[texts[1]] = texts[2]

    def _elements(self, proto: _Proto) -> Found | None:
        kind = proto.single[_TYPE].value if _TYPE in proto.single else 0
        external = _LOCATION in proto.single and proto.single[_LOCATION].value != 0
        raw = proto.single.get(_RAW)
        if raw is not None and raw.start < raw.stop:
            proto.runs[_RAW] = [raw]
        if len(proto.runs) + external > 1:
            raise invalid("its elements are in two places")
        if kind == _STRING and not external and _RAW not in proto.runs:
            return None
        number = next(iter(proto.runs), _RAW)
        if number != _RAW and kind not in _MAY_HOLD.get(number, ()):
            raise invalid(f"type {kind} has its elements in field {number}")
        dtype, shape = _layout(kind, proto.dims, number)
        nbytes = math.prod(shape) * itemsize(dtype)
        if external:
            return Found(dtype, shape, self._files.place(proto.external, nbytes))
        runs = proto.runs.get(number, [])
        if _ELEMENTS.get(number) == VARINT:
            return self._varints(dtype, shape, runs)
        length = sum(run.stop - run.start for run in runs)
        if length != nbytes:
            raise invalid(f"{length} bytes for a tensor of {nbytes}")
        if len(runs) <= 1:
            return Found(dtype, shape, Place("", runs[0].start if runs else 0, length))
        self._keep(nbytes)
        data = b"".join(self._file.read(run.start, run.stop - run.start) for run in runs)
        return Found(dtype, shape, None, kept=np.frombuffer(data, numpy_dtype(dtype)))

    def _varints(self, dtype: str, shape: tuple[int, ...], runs: list[Field]) -> Found:
        word = runs[0].number == _WORDS
        packed = len(runs) == 1 and runs[0].wire == BYTES
        place = Place("", runs[0].start, runs[0].stop - runs[0].start, varint=True)
        if packed and self._holes is not None and (place.offset, place.length) in self._holes:
            return Found(dtype, shape, place)
        total = math.prod(shape)
        arrays = [Varints(self._file, run.start, run.stop, dtype, word) for run in runs]
        count = sum(array.count for array in arrays)
        if count != total:
            raise invalid(f"{count} elements for a tensor of {total}")
        if packed and self._holes is None and arrays[0].canonical:
            return Found(dtype, shape, place, arrays[0])
        self._keep(total * itemsize(dtype))
        kept = np.concatenate([array.read(0, array.count) for array in arrays])
        return Found(dtype, shape, None, kept=kept)

    def _keep(self, nbytes: int) -> None:
        self._kept += nbytes
        if self._kept > MAX_ONNX_KEPT:
            raise FormatError(
                f"over {MAX_ONNX_KEPT} bytes of arrays are in an encoding that is not usual",
                code="limit_exceeded",
            )


def _layout(kind: int, dims: list[int], number: int) -> tuple[str, tuple[int, ...]]:
    """Return the dtype and shape that a tensor is carried with."""
    if any(n < 0 for n in dims):
        raise invalid(f"a negative dimension in {dims}")
    if math.prod(max(n, 1) for n in dims) > MAX_ELEMENTS:
        raise FormatError(f"the shape {dims} has too many elements", code="limit_exceeded")
    if kind in _DTYPES:
        return _DTYPES[kind], tuple(dims)
    if kind not in _BITS:
        raise FormatError(f"the unknown type {kind}", code="dtype_unknown")
    elements, bits = math.prod(dims), _BITS[kind]
    if number == _WORDS and bits == _SIX_BITS:
        bits = 8  # there they are one by one
    return "uint8", (-(-elements * bits // 8),)
