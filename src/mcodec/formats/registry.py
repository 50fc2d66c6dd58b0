"""The formats that mcodec reads and writes: one literal row each.

A format is told by what the file holds, and by its name only where that says nothing. A name from
a file or a person is only ever a key of `FORMATS`: nothing else is imported.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from mcodec.errors import FormatError, UsageError
from mcodec.formats.files import InputFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mcodec.formats.base import TensorSink, TensorSource
    from mcodec.types import TensorSpec


@dataclass(frozen=True, slots=True)
class Entry:
    """One format: where its code is, how its files are called and how they begin.

    Attributes
    ----------
    module : str
        Has ``open_<id>(path)`` and ``create_<id>(path, specs, skeleton, metadata)``.
    label : str
        Its name in messages.
    suffixes : tuple of str
        The first is the one that is written.
    matches : callable
        Whether an open file is of this format, by its bytes.
    """

    module: str
    label: str
    suffixes: tuple[str, ...]
    matches: Callable[[InputFile], bool]


_HDF5_SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"
_CONTAINER_MAGIC: Final = b"\x89MCD\r\n\x1a\n"


def _begins(*starts: bytes) -> Callable[[InputFile], bool]:
    return lambda file: file.read(0, max(map(len, starts))).startswith(starts)


def _is_hdf5(file: InputFile) -> bool:
    """Look for the signature at 0, 512, 1024, 2048, ...: what precedes it is the user block."""
    offset = 0
    while offset < file.size:
        if file.read(offset, len(_HDF5_SIGNATURE)) == _HDF5_SIGNATURE:
            return True
        offset = offset * 2 or 512
    return False


def _is_safetensors(file: InputFile) -> bool:
    start = file.read(0, 9)
    return start[8:] == b"{" and int.from_bytes(start[:8], "little") <= file.size - 8


def _zip_holds(test: Callable[[str], bool]) -> Callable[[InputFile], bool]:
    """Tell a zip archive by the names in its directory; a damaged one is told by its own name."""

    def matches(file: InputFile) -> bool:
        if file.read(0, 2) != b"PK":
            return False
        import zipfile

        try:
            with zipfile.ZipFile(file.path) as archive:
                return any(test(name) for name in archive.namelist())
        except (zipfile.BadZipFile, OSError, ValueError, LookupError, NotImplementedError):
            return False

    return matches


# In this order files are tried: a tensor's bytes may look like HDF5 after a user block.
FORMATS: Final[dict[str, Entry]] = {
    "safetensors": Entry(
        "mcodec.formats.safetensors", "safetensors", (".safetensors",), _is_safetensors
    ),
    "npz": Entry("mcodec.formats.npz", "npz", (".npz",), _zip_holds(lambda n: n.endswith(".npy"))),
    "gguf": Entry("mcodec.formats.gguf", "GGUF", (".gguf",), _begins(b"GGUF")),
    "npy": Entry("mcodec.formats.npy", "npy", (".npy",), _begins(b"\x93NUMPY")),
    "hdf5": Entry("mcodec.formats.hdf5", "HDF5", (".h5", ".hdf5", ".hdf", ".he5"), _is_hdf5),
}


def format_for_suffix(path: str | os.PathLike[str]) -> str | None:
    """Return the id of the format that a path's suffix stands for, or None."""
    name = PurePath(path).name.lower()
    found = (
        (len(suffix), key)
        for key, entry in FORMATS.items()
        for suffix in entry.suffixes
        if name.endswith(suffix) and name != suffix
    )
    return max(found, default=(0, None))[1]  # the longest: x.weights.json is no plain .json


def suffix_for_format(name: str) -> str:
    """Return the suffix, with its dot, that files of a format get.

    Raises
    ------
    UsageError
        There is no such format.
    """
    return _entry(name).suffixes[0]


def open_source(path: str | os.PathLike[str]) -> TensorSource:
    """Open a model file for reading.

    Raises
    ------
    FormatError
        ``source_unknown`` if it is of no format in `FORMATS`; else what is wrong with it.
    InputOutputError
        The file is not there, is a folder, or may not be read.
    """
    name = os.fspath(path)
    found = _detect(name)
    source: TensorSource = _function(found, "open")(name)
    return source


def create_sink(
    path: str | os.PathLike[str],
    format: str,
    specs: Sequence[TensorSpec],
    skeleton: bytes = b"",
    metadata: Mapping[str, str] | None = None,
) -> TensorSink:
    """Create, or overwrite, a model file for these tensors, and return the sink for their bytes.

    Parameters
    ----------
    path : path
        Written in place: a caller that wants it whole or absent gives a temporary name.
    format : str
        An id of `FORMATS`.
    specs : sequence of TensorSpec
        `TensorSink.write` counts tensors in this order.
    skeleton : bytes
        What `TensorSource.skeleton` gave; one of another format is not used.
    metadata : mapping of str to str, optional
        For formats that have a place for it.

    Raises
    ------
    FormatError
        ``source_invalid`` if the skeleton is damaged, or needs a tensor that is not there.
    UsageError
        There is no such format, or it cannot hold a dtype or name of `specs`.
    InputOutputError
        The file cannot be written.
    """
    create = _function(format, "create")
    sink: TensorSink = create(os.fspath(path), list(specs), skeleton, dict(metadata or {}))
    return sink


def _entry(name: str) -> Entry:
    try:
        return FORMATS[name]
    except KeyError:
        raise UsageError(f"no format {name!r}: choose from {', '.join(FORMATS)}") from None


def _function(name: str, verb: str) -> Callable[..., Any]:
    module = importlib.import_module(_entry(name).module)
    function: Callable[..., Any] = getattr(module, f"{verb}_{name}")
    return function


def _detect(path: str) -> str:
    """Return the format of a file: by its bytes, else by its name, for its reader to complain."""
    file = InputFile(path)
    try:
        found = next((name for name, entry in FORMATS.items() if entry.matches(file)), None)
        is_container = file.read(0, len(_CONTAINER_MAGIC)) == _CONTAINER_MAGIC
    finally:
        file.close()
    if is_container:
        raise FormatError(
            "an .mc file is no source: unpack a task of it first", code="source_unknown", where=path
        )
    found = found or format_for_suffix(path)
    if found is None:
        labels = ", ".join(sorted(entry.label for entry in FORMATS.values()))
        raise FormatError(
            f"{path} is no model file that mcodec reads ({labels})", code="source_unknown"
        )
    return found
