"""What the process that reads a file says of it, checked like a file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mcodec import errors
from mcodec.formats.registry import FORMATS
from mcodec.formats.sandbox_line import NonsenseError
from mcodec.limits import MAX_DIMENSIONS, MAX_ELEMENTS, MAX_TENSORS
from mcodec.types import TensorSpec, itemsize

if TYPE_CHECKING:
    from mcodec.formats import sandbox_wire as wire

_LONGEST: Final = 1 << 16  # characters of a message or note
_KINDS: Final[dict[str, type[errors.McodecError]]] = {
    kind.__name__: kind
    for kind in (
        errors.FormatError,
        errors.CodecConfigError,
        errors.UsageError,
        errors.UnknownTaskError,
        errors.MissingDependencyError,
        errors.InputOutputError,
    )
}


@dataclass(frozen=True, slots=True)
class Contents:
    """What a `TensorSource` has as attributes."""

    format: str
    tensors: list[TensorSpec]
    metadata: dict[str, str]
    same_as: dict[int, int]
    notes: list[str]


def check_opened(answer: wire.Opened) -> Contents:
    """Return what an open file has, if it can be.

    Raises
    ------
    NonsenseError
        It cannot.
    """
    if answer.format not in FORMATS or len(answer.tensors) > MAX_TENSORS:
        raise NonsenseError
    specs = [_spec(*tensor) for tensor in answer.tensors]
    if len({spec.name for spec in specs}) != len(specs):
        raise NonsenseError
    for second, first in answer.same_as.items():
        if not 0 <= first < second < len(specs) or first in answer.same_as:
            raise NonsenseError
        a, b = specs[first], specs[second]
        if (a.dtype, a.shape) != (b.dtype, b.shape):
            raise NonsenseError
    notes = [printable(note) for note in answer.notes]
    return Contents(answer.format, specs, answer.metadata, answer.same_as, notes)


def _spec(name: str, dtype: str, shape: tuple[int, ...]) -> TensorSpec:
    try:
        itemsize(dtype)
    except errors.FormatError as error:
        raise NonsenseError from error
    if len(shape) > MAX_DIMENSIONS or any(not 0 <= d <= MAX_ELEMENTS for d in shape):
        raise NonsenseError
    if math.prod(d for d in shape if d) > MAX_ELEMENTS:
        raise NonsenseError
    return TensorSpec(name, dtype, shape)


def error_of(answer: wire.Failed, path: str, asked: str) -> errors.McodecError:
    """Return the error that an answer speaks of.

    Parameters
    ----------
    answer : Failed
    path : str
        Of the file, as the other process was told.
    asked : str
        As the caller said it.

    Raises
    ------
    NonsenseError
        There is no such error.
    """
    kind = _KINDS.get(answer.kind)
    if kind is None or answer.code not in errors.REASONS:
        raise NonsenseError
    message, where = (
        printable(raw[: 4 * _LONGEST].decode("utf-8", "surrogateescape").replace(path, asked))
        for raw in (answer.message, answer.where)
    )
    return kind(message, code=answer.code, where=where)


def printable(text: str) -> str:
    """Return a text as one line of bounded length, with what cannot be printed escaped."""
    text = text[:_LONGEST]
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
