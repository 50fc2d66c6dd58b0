"""JSON of safetensors files, strictly: no key twice, no number but plain ones, and bounded.

Python's own reader takes NaN, Infinity, lone surrogates and the last of equal keys.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, Final

from mcodec.errors import FormatError, one_line
from mcodec.limits import MAX_SOURCE_MARKS, MAX_SOURCE_PAIRS

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_DIGITS: Final = 19
_MAX_FLOAT: Final = 40  # characters
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_MARKS: Final = b"[{,"


class StrictJson:
    """A reader of JSON texts of one kind.

    Parameters
    ----------
    what : str
        The kind, for messages.
    floats : bool
        Whether a number may have a fraction or an exponent.
    """

    def __init__(self, what: str, *, floats: bool = False) -> None:
        self._what = what
        self._floats = floats

    def invalid(self, fault: str) -> FormatError:
        """Return the error for a text that breaks a rule."""
        return FormatError(f"{self._what} is invalid: {fault}", code="source_invalid")

    def read(self, data: bytes) -> Any:
        """Return what a text says.

        Raises
        ------
        FormatError
            ``source_invalid`` if it breaks a rule, ``limit_exceeded`` if it has more values than
            any model needs.
        """
        self.check_marks(data)
        try:
            return json.loads(
                data.decode("utf-8"),
                object_pairs_hook=self._unique,
                parse_int=self._integer,
                parse_float=self._float,
                parse_constant=self._constant,
            )
        except FormatError:
            raise
        except UnicodeDecodeError as error:
            raise self.invalid("it is not UTF-8") from error
        except RecursionError as error:
            raise self.invalid("it is nested too deep") from error
        except ValueError as error:
            raise self.invalid(f"it is not JSON ({one_line(error)})") from error

    def read_first(self, text: str, start: int) -> tuple[Any, int]:
        """Return the value that begins in a text, and where what follows it begins.

        Raises
        ------
        FormatError
            As `read`.
        """
        decoder = json.JSONDecoder(
            object_pairs_hook=self._unique,
            parse_int=self._integer,
            parse_float=self._float,
            parse_constant=self._constant,
        )
        try:
            space = _SPACE.match(text, start)
            found: tuple[Any, int] = decoder.raw_decode(text, space.end() if space else start)
        except FormatError:
            raise
        except RecursionError as error:
            raise self.invalid("it is nested too deep") from error
        except ValueError as error:
            raise self.invalid(f"it is not JSON ({one_line(error)})") from error
        return found

    def text(self, value: object, what: str) -> str:
        """Return a value that has to be a string of Unicode characters.

        Raises
        ------
        FormatError
            ``source_invalid`` if it is none.
        """
        if not isinstance(value, str):
            raise self.invalid(f"{what} is no string")
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise self.invalid(f"{what} holds a lone surrogate") from error
        return value

    def texts(self, value: object, what: str) -> dict[str, str]:
        """Return a value that has to be an object of strings.

        Raises
        ------
        FormatError
            ``source_invalid`` if it is none.
        """
        if not isinstance(value, dict):
            raise self.invalid(f"{what} is no object")
        return {
            self.text(k, f"a key of {what}"): self.text(v, f"a value of {what}")
            for k, v in value.items()
        }

    def check_marks(self, data: bytes) -> None:
        """Refuse a text of too many values: count what begins a value.

        An empty list of 3 bytes takes 64 in memory, a pair 300.

        Raises
        ------
        FormatError
            ``limit_exceeded``.
        """
        if len(data) <= min(MAX_SOURCE_MARKS, MAX_SOURCE_PAIRS):
            return
        bare = _STRING.sub(b"", data)
        marks = sum(map(bare.count, _MARKS))
        if marks > MAX_SOURCE_MARKS or bare.count(b":") > MAX_SOURCE_PAIRS:
            raise FormatError(f"{self._what} has too many values", code="limit_exceeded")

    def _unique(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            raise self.invalid("a key stands twice")
        return result

    def _integer(self, digits: str) -> int:
        if digits.startswith("-") or len(digits) > _MAX_DIGITS:
            raise self.invalid(f"the number {digits[:24]} is out of range")
        return int(digits)

    def _float(self, text: str) -> float:
        if not self._floats or len(text) > _MAX_FLOAT or not math.isfinite(float(text)):
            raise self.invalid(f"{text[:24]} is no plain number")
        return float(text)

    def _constant(self, text: str) -> Callable[[], None]:
        raise self.invalid(f"{text[:24]} is no plain number")
