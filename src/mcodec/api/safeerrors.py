"""mcodec's errors for who catches those of safetensors: each is also what `safe_open` there raises.

A loader written for safetensors catches `SafetensorError`, `FileNotFoundError` or `IndexError`; one
written for mcodec catches `McodecError` and its kinds. What `mcodec.safe_open` raises is both.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from mcodec.errors import (
    CodecConfigError,
    FormatError,
    InputOutputError,
    McodecError,
    UnknownTaskError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


class BadFileError(FormatError, SafetensorError):
    """A file that is damaged, cut off, hostile, or no `.mc` file."""


class BadArgumentError(UsageError, SafetensorError):
    """A framework, device, dtype or option that cannot be."""


class BadIndexError(BadArgumentError, IndexError):
    """An index that the tensor does not have."""


class UnknownNameError(UnknownTaskError, SafetensorError):
    """A tensor or task that is not there."""


class ClosedError(InputOutputError, SafetensorError):
    """A file that cannot be read, or was closed."""


class MissingFileError(ClosedError, FileNotFoundError):
    """A file that is not there."""


def _kind(error: McodecError) -> type[McodecError] | None:
    if isinstance(error, SafetensorError):
        return None
    if isinstance(error, InputOutputError):
        # Of what a backend of fsspec raises only the words are kept.
        words = error.message.endswith("no such file")
        missing = words or isinstance(error.__cause__, FileNotFoundError)
        return MissingFileError if missing else ClosedError
    if isinstance(error, FormatError | CodecConfigError):
        return BadFileError
    if isinstance(error, UnknownTaskError):
        return UnknownNameError
    return BadArgumentError if isinstance(error, UsageError) else None


@contextlib.contextmanager
def as_safetensors() -> Iterator[None]:
    """Raise what mcodec raises as an error that is one of safetensors too."""
    try:
        yield
    except McodecError as error:
        kind = _kind(error)
        if kind is None:
            raise
        raise kind(error.message, code=error.code, where=error.where) from error
