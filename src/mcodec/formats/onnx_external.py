"""The data files beside an ONNX model: told by paths in the model, which are not to be trusted.

A location is followed only inside the model's own folder, through folders and to a file that are
no links, and all is checked before anything is opened.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mcodec.errors import FormatError
from mcodec.formats.onnx_wire import invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_DIGITS: Final = 19


@dataclass(frozen=True, slots=True)
class Place:
    """Where the bytes of a tensor lie.

    Attributes
    ----------
    file : str
        The location of a data file; "" for the model itself.
    offset, length : int
    varint : bool
        They are varints, not the elements as they are.
    """

    file: str
    offset: int
    length: int
    varint: bool = False


def plain_location(location: str) -> str:
    """Return a location in its shortest form.

    Raises
    ------
    FormatError
        ``source_refused`` if it is no relative path that stays inside its folder.
    """
    parts = [part for part in location.split("/") if part not in {"", "."}]
    unsafe = location.startswith("/") or ".." in parts or not parts
    if unsafe or any(c in "\\:" or not c.isprintable() for c in location):
        raise FormatError(
            f"external data at {location!r}: only files in the model's own folder are read",
            code="source_refused",
        )
    return "/".join(parts)


class DataFiles:
    """The data files that a model names, each looked at once.

    Parameters
    ----------
    folder : str
        The model's own.
    model : str
        The model's name in it.

    Attributes
    ----------
    sizes : dict of str to int
        By location.
    """

    def __init__(self, folder: str, model: str) -> None:
        self._folder = folder
        self._model = model
        self.sizes: dict[str, int] = {}

    def path(self, location: str) -> str:
        """Return the path of a location that was checked."""
        return os.path.join(self._folder, *location.split("/"))

    def place(self, entries: Mapping[str, str], nbytes: int) -> Place:
        """Return where the ``external_data`` of a tensor of `nbytes` bytes lies.

        Raises
        ------
        FormatError
            ``source_refused`` for a location that leaves the folder or is no regular file,
            ``source_invalid`` if the bytes are not there.
        """
        location = plain_location(entries.get("location", ""))
        size = self._size(location)
        offset = _number(entries.get("offset", "0"))
        length = _number(entries["length"]) if "length" in entries else size - offset
        if offset > size or length > size - offset:
            raise invalid(f"bytes {offset} to {offset + length} are not in {location!r}")
        if length != nbytes:
            raise invalid(f"{length} bytes in {location!r} for a tensor of {nbytes}")
        return Place(location, offset, length)

    def _size(self, location: str) -> int:
        if location not in self.sizes:
            if location == self._model:
                raise FormatError("external data in the model itself", code="source_refused")
            self.sizes[location] = self._look(location)
        return self.sizes[location]

    def _look(self, location: str) -> int:
        path, parts = self._folder, location.split("/")
        for last, part in enumerate(parts, 1 - len(parts)):
            path = os.path.join(path, part)
            try:
                status = os.lstat(path)
            except (OSError, ValueError) as error:
                raise invalid(f"its data file {location!r} is not there") from error
            proper = stat.S_ISDIR(status.st_mode) if last else stat.S_ISREG(status.st_mode)
            if not proper:
                raise FormatError(
                    f"external data at {location!r}: a link, or no regular file",
                    code="source_refused",
                )
        return status.st_size


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS):
        raise invalid(f"{text[:40]!r} is no offset or length")
    return int(text)
