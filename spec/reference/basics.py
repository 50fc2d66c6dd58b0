"""What all parts use: refusals, the limits of container.md 7, and tests of JSON values."""

from __future__ import annotations

from typing import Any


class Refused(Exception):  # noqa: N818
    """A file that breaks a rule; ``code`` is a reason of errors.md."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


def need(condition: object, code: str, message: str) -> None:
    if not condition:
        raise Refused(code, message)


# container.md 7
MAX_TENSORS, MAX_ROWS, MAX_TASKS, MAX_DIMENSIONS, MAX_NAME = 2**20, 2**23, 2**16, 64, 4096
MAX_ELEMENTS, MAX_RAW, MAX_FRONT, MAX_DEPTH, MAX_WINDOW = 2**48, 2**26, 2**29, 32, 2**23


def is_int(x: object) -> bool:
    return type(x) is int


def is_dimension(x: object) -> bool:
    return type(x) is int and x >= 0


def is_list_of(x: object, test: Any) -> bool:
    return isinstance(x, list) and all(map(test, x))


def is_number(x: object) -> bool:
    return type(x) in (int, float)


def is_integer(value: object, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most
