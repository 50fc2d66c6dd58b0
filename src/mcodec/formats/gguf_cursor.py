"""A position in the header of a GGUF file: numbers, texts and values, with every length checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mcodec.errors import FormatError
from mcodec.limits import MAX_NAME_BYTES, MAX_SOURCE_HEADER

if TYPE_CHECKING:
    from collections.abc import Callable

BOOL, STRING, ARRAY = 7, 8, 9
# type -> name, and bytes of a value where all have the same.
VALUE_TYPES: Final[dict[int, tuple[str, int]]] = {
    0: ("uint8", 1),
    1: ("int8", 1),
    2: ("uint16", 2),
    3: ("int16", 2),
    4: ("uint32", 4),
    5: ("int32", 4),
    6: ("float32", 4),
    BOOL: ("bool", 1),
    STRING: ("string", 0),
    ARRAY: ("array", 0),
    10: ("uint64", 8),
    11: ("int64", 8),
    12: ("float64", 8),
}
_READ_AHEAD: Final = 1 << 16


def invalid(what: str) -> FormatError:
    """Return the error for a header that breaks a rule."""
    return FormatError(f"the GGUF header is invalid: {what}", code="source_invalid")


class Cursor:
    """A position in the header, which is fetched as it is needed: its length is said nowhere."""

    def __init__(self, fetch: Callable[[int, int], bytes], size: int) -> None:
        self._fetch = fetch
        self._size = size
        self._limit = min(size, MAX_SOURCE_HEADER)
        self.data = bytearray()
        self.at = 0

    @property
    def left(self) -> int:
        """The bytes that may still follow."""
        return self._limit - self.at

    def need(self, length: int) -> int:
        """Make sure of the next `length` bytes; return where they begin, and go past them."""
        start, stop = self.at, self.at + length
        if stop > self._limit:
            if stop <= self._size:
                raise FormatError(
                    f"a GGUF header over the limit of {MAX_SOURCE_HEADER} bytes",
                    code="limit_exceeded",
                )
            raise invalid(f"{length} bytes are missing at byte {start}: it is cut, or damaged")
        while len(self.data) < stop:
            had = len(self.data)
            ahead = min(max(_READ_AHEAD, had, stop - had), self._limit - had)
            self.data += self._fetch(had, ahead)
            if len(self.data) == had:
                raise invalid("the file ends early")
        self.at = stop
        return start

    def number(self, length: int) -> int:
        """Read an unsigned integer of `length` bytes."""
        start = self.need(length)
        return int.from_bytes(self.data[start : start + length], "little")

    def count(self, least: int, most: int, what: str) -> int:
        """Read how many things follow, which take `least` bytes each."""
        count = self.number(8)
        if count > self.left // least:
            raise invalid(f"{count} {what} do not fit the file")
        if count > most:
            raise FormatError(f"{count} {what} are over the limit of {most}", code="limit_exceeded")
        return count

    def text(self, what: str) -> str:
        """Read a name."""
        length = self.number(8)
        if length > self.left:
            raise invalid(f"a {what} of {length} bytes does not fit the file")
        if not 0 < length <= MAX_NAME_BYTES:
            raise FormatError(
                f"a {what} of {length} bytes (1 to {MAX_NAME_BYTES} are read)",
                code="limit_exceeded" if length else "source_invalid",
            )
        start = self.need(length)
        try:
            return self.data[start : start + length].decode("utf-8")
        except UnicodeDecodeError:
            raise invalid(f"a {what} is not UTF-8") from None

    def skip_string(self) -> None:
        """Go past a string, which may be any bytes."""
        length = self.number(8)
        if length > self.left:
            raise invalid(f"a string of {length} bytes does not fit the file")
        self.need(length)

    def skip_values(self, kind: int, count: int) -> None:
        """Go past values of a type that is no array."""
        if kind == STRING:
            for _ in range(count):
                self.skip_string()
            return
        start = self.need(VALUE_TYPES[kind][1] * count)
        if kind == BOOL and self.data[start : self.at].translate(None, b"\x00\x01"):
            raise invalid("a bool that is neither 0 nor 1")
