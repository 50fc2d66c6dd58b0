"""Protobuf on the wire, as far as ONNX needs it: the fields of a message, by their places.

Nothing is loaded: a field is a number and a range of the file. Groups, which no ONNX file has, are
refused; a message that another field's length cuts is damage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from mcodec.errors import FormatError
from mcodec.limits import MAX_NAME_BYTES, MAX_WIRE_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcodec.formats.files import InputFile

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_GROUPS: Final = (3, 4)
_WINDOW: Final = 1 << 13
_MAX_VARINT: Final = 10  # bytes
_MAX_FIELD: Final = (1 << 29) - 1


class Field(NamedTuple):
    """One field: its number, its wire type, its value if a varint, and the range of its payload."""

    number: int
    wire: int
    value: int
    start: int
    stop: int


def invalid(what: str) -> FormatError:
    """Return the error for a file that breaks a rule."""
    return FormatError(f"the ONNX file is invalid: {what}", code="source_invalid")


class Wire:
    """Reads fields out of an open file, through a window that moves with the reader."""

    def __init__(self, file: InputFile) -> None:
        self._file = file
        self._data = b""
        self._at = 0
        self._fields = 0

    def fields(self, start: int, stop: int) -> Iterator[Field]:
        """Yield the fields of the message in [start, stop), which lies inside the file.

        Raises
        ------
        FormatError
            ``source_invalid`` for what is no message, ``source_refused`` for groups,
            ``limit_exceeded`` where the fields of the file are too many.
        """
        while start < stop:
            self._fields += 1
            if self._fields > MAX_WIRE_FIELDS:
                raise FormatError(
                    f"the ONNX file has over {MAX_WIRE_FIELDS} fields", code="limit_exceeded"
                )
            tag, at = self._varint(start, stop)
            number, wire = tag >> 3, tag & 7
            if not 0 < number <= _MAX_FIELD:
                raise invalid(f"field number {number} at byte {start}")
            field = self._field(number, wire, at, stop)
            start = field.stop
            yield field

    def _field(self, number: int, wire: int, at: int, stop: int) -> Field:
        if wire == VARINT:
            value, end = self._varint(at, stop)
            return Field(number, wire, value, at, end)
        if wire == BYTES:
            length, at = self._varint(at, stop)
        elif wire in {FIXED64, FIXED32}:
            length = 8 if wire == FIXED64 else 4
        elif wire in _GROUPS:
            raise FormatError(f"a group at byte {at} of the ONNX file", code="source_refused")
        else:
            raise invalid(f"wire type {wire} at byte {at}")
        if length > stop - at:
            raise invalid(f"{length} bytes at byte {at} do not fit: it is cut, or damaged")
        return Field(number, wire, 0, at, at + length)

    def _varint(self, at: int, stop: int) -> tuple[int, int]:
        """Read the varint at `at`; return its value and where it ends."""
        here = at - self._at
        if not 0 <= here <= len(self._data) - _MAX_VARINT:
            self._data, self._at, here = self._file.read(at, _WINDOW), at, 0
        if at < stop and here < len(self._data) and self._data[here] < 0x80:
            return self._data[here], at + 1  # most are one byte
        value = shift = 0
        for byte in self._data[here : here + min(_MAX_VARINT, stop - at)]:
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                if value >> 64:
                    break
                return value, at + shift // 7
        raise invalid(f"no varint at byte {at}: it is cut, or damaged")

    def text(self, field: Field) -> str:
        """Read a field that is a name."""
        expect(field, BYTES)
        length = field.stop - field.start
        if length > MAX_NAME_BYTES:
            raise FormatError(
                f"a name of {length} bytes is over the limit of {MAX_NAME_BYTES}",
                code="limit_exceeded",
            )
        try:
            return self._file.read(field.start, length).decode("utf-8")
        except UnicodeDecodeError:
            raise invalid(f"a name at byte {field.start} is not UTF-8") from None

    def integers(self, field: Field) -> list[int]:
        """Read one or, in a packed field, several signed integers: few, as in a shape."""
        if field.wire == VARINT:
            return [signed(field.value)]
        expect(field, BYTES)
        values, at = [], field.start
        while at < field.stop:
            value, at = self._varint(at, field.stop)
            values.append(signed(value))
            if len(values) > MAX_NAME_BYTES:
                raise FormatError("a shape of too many numbers", code="limit_exceeded")
        return values


def expect(field: Field, wire: int) -> None:
    """Refuse a known field of another wire type: readers do not agree on what it means."""
    if field.wire != wire:
        raise invalid(f"field {field.number} has wire type {field.wire}, not {wire}")


def signed(value: int) -> int:
    """Return a 64-bit pattern as a signed integer."""
    return value - (1 << 64) if value >> 63 else value
