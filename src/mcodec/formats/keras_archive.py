"""Where the files of a Keras model lie: in a zip archive, or in a folder."""

from __future__ import annotations

import os
import tempfile
from typing import IO, TYPE_CHECKING, Final, Protocol

from mcodec.errors import FormatError
from mcodec.formats.files import InputFile, Window
from mcodec.formats.hdf5_guards import invalid, over_limit
from mcodec.formats.keras_names import check_names, listing, read_regular
from mcodec.formats.zips import ZipDirectory, zip_errors
from mcodec.limits import MAX_MEMBER_BYTES, MAX_MEMBERS_BYTES, decoded_budget
from mcodec.storage import io_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

WEIGHTS: Final = "model.weights.h5"
_STEP: Final = 1 << 20


class Archive(Protocol):
    """The files of one model.

    Attributes
    ----------
    names : sequence of str
        In the order in which they are given back; an empty folder's ends in ``/``.
    folder : bool
    """

    names: list[str]
    folder: bool

    def weights(self) -> InputFile:
        """Open the weights."""
        ...

    def read(self, name: str) -> bytes:
        """Return the bytes of another file, within the limits that were checked at first."""
        ...

    def deflated(self, name: str) -> bool:
        """Tell whether a file is compressed."""
        ...

    def close(self) -> None:
        """Release it."""
        ...


class ZipArchive:
    """A ``.keras`` file.

    Raises
    ------
    FormatError
        It is damaged, unsafe, has no weights, or one of its files is over a limit.
    InputOutputError
        The file cannot be read.
    """

    folder = False

    def __init__(self, path: str) -> None:
        self._file = InputFile(path)
        self._zip = ZipDirectory(path)
        try:
            self.names = list(self._zip.members)
            sizes = {name: info.file_size for name, info in self._zip.members.items()}
            _check(sizes)
        except BaseException:
            self.close()
            raise

    def weights(self) -> InputFile:
        """Open the weights where they lie, or inflated if they are deflated; their CRC is right.

        Raises
        ------
        FormatError
            They are damaged.
        """
        path = f"{self._file.path}: {WEIGHTS}"
        start, size = self._zip.stored_at(WEIGHTS), self._zip.members[WEIGHTS].file_size
        if start is not None:
            self._zip.check_crc(WEIGHTS)
            return Window(self._file.fileno(), start, size, path)
        # The folder for temporary files, not the archive's: that may be one to read only.
        with io_errors(tempfile.gettempdir()), tempfile.TemporaryFile() as out:
            self._inflate(out)
            return Window(out.fileno(), 0, size, path)

    def _inflate(self, out: IO[bytes]) -> None:
        info = self._zip.members[WEIGHTS]
        if info.file_size > decoded_budget(info.compress_size):
            raise FormatError(
                f"{WEIGHTS!r} inflates from {info.compress_size} to {info.file_size} bytes",
                code="decoded_too_large",
            )
        left = info.file_size
        with self._zip.open(WEIGHTS) as stream:
            while True:
                with zip_errors(self._file.path):
                    part = stream.read(_STEP)
                if not part:
                    break
                out.write(part)
                left -= len(part)
        if left:
            raise invalid(f"{WEIGHTS!r} ends early")
        out.flush()

    def read(self, name: str) -> bytes:
        """Return a member's bytes; their CRC is right."""
        return self._zip.read(name, MAX_MEMBER_BYTES)

    def deflated(self, name: str) -> bool:
        """Tell whether a member is deflated."""
        return self._zip.stored_at(name) is None

    def close(self) -> None:
        """Release the file; a second call does nothing."""
        self._zip.close()
        self._file.close()


class FolderArchive:
    """The folder that ``save_model(zipped=False)`` makes.

    Raises
    ------
    FormatError
        There are links in it, no weights, or a file over a limit.
    InputOutputError
        The folder cannot be read.
    """

    folder = True

    def __init__(self, path: str) -> None:
        self._path = path
        sizes = listing(path)
        _check(sizes)
        self.names = list(sizes)

    def weights(self) -> InputFile:
        """Open the weights."""
        return InputFile(os.path.join(self._path, WEIGHTS))

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        return read_regular(os.path.join(self._path, *name.split("/")), MAX_MEMBER_BYTES)

    def deflated(self, name: str) -> bool:
        """Return False: nothing in a folder is."""
        del name
        return False

    def close(self) -> None:
        """Do nothing: no file is held open."""


def _check(sizes: Mapping[str, int]) -> None:
    check_names(sizes)
    if WEIGHTS not in sizes:
        raise invalid(f"there is no {WEIGHTS!r} in it, and only such weights of Keras are read")
    left = MAX_MEMBERS_BYTES
    for name, size in sizes.items():
        if name == WEIGHTS:
            continue
        left -= size
        if size > MAX_MEMBER_BYTES or left < 0:
            raise over_limit(
                f"{name!r} has {size} bytes: files besides the weights may have"
                f" {MAX_MEMBER_BYTES} each, and {MAX_MEMBERS_BYTES} together"
            )
