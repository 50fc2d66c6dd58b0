"""Positional reads of files and URLs (docs/remote.md)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from mcodec.errors import UsageError
from mcodec.storage.fetch import shown
from mcodec.storage.local import LocalFile, MappedFile
from mcodec.storage.remote import RemoteFile
from mcodec.storage.source import ByteSource, check_regular, io_errors, is_url

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BACKENDS",
    "ByteSource",
    "LocalFile",
    "MappedFile",
    "RemoteFile",
    "check_regular",
    "io_errors",
    "is_url",
    "open_bytes",
    "shown",
]

BACKENDS: Final = ("pread", "mmap")


def open_bytes(
    path: str | os.PathLike[str],
    *,
    backend: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> ByteSource:
    """Open a path or an fsspec URL for positional reads.

    A URL costs no request yet: whether there is such a file shows when it is read.

    Parameters
    ----------
    path
        A path, or a URL: http, s3, memory, whatever fsspec has a library for.
    backend
        For a path: ``pread`` (default), or ``mmap`` (see `MappedFile` for its danger).
    options
        For a URL: fsspec's storage options, e.g. ``{"endpoint_url": …}``.

    Raises
    ------
    InputOutputError
        There is no such file, it may not be read, or nothing reads such a URL.
    MissingDependencyError
        The library for such a URL is not installed.
    UsageError
        A backend for a URL, options for a path, or a backend that there is not.
    """
    name = os.fspath(path)
    if is_url(name):
        if backend is not None:
            raise UsageError(f"a backend, {backend!r}, is for files of this machine, not for a URL")
        return RemoteFile(name, options)
    if options:
        raise UsageError("storage options are for URLs, not for files of this machine")
    if backend is not None and backend not in BACKENDS:
        raise UsageError(f"the backend is 'pread' or 'mmap', not {backend!r}")
    return MappedFile(name) if backend == "mmap" else LocalFile(name)
