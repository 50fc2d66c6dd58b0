"""A folder that several processes, maybe of several machines, write files into and read from."""

from __future__ import annotations

import contextlib
import os
from typing import IO, TYPE_CHECKING, Any, Final

from mcodec.errors import InputOutputError, McodecError, MissingDependencyError
from mcodec.storage.fetch import reason, shown
from mcodec.storage.source import is_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TEMPORARY: Final = ".tmp"


class SharedFolder:
    """A folder of plain files, through fsspec; not made before something is written.

    Parameters
    ----------
    place
        A path, or an fsspec URL.

    Attributes
    ----------
    place : str
        With it another process opens the same folder.
    name : str
        For messages: without credentials.

    Raises
    ------
    MissingDependencyError
        The library for such a URL is not installed.
    InputOutputError
        There is no such protocol.
    """

    def __init__(self, place: str | os.PathLike[str]) -> None:
        given = os.fspath(place)
        self.place = given if is_url(given) else os.path.abspath(given)
        self.name = shown(given)
        with self._errors(""):
            import fsspec

            self._fs, self._root = fsspec.core.url_to_fs(self.place)

    def make(self) -> None:
        """Make the folder where it is not there."""
        with self._errors(""):
            self._fs.makedirs(self._root, exist_ok=True)

    def names(self) -> list[str]:
        """Return the names of the files in it; none where it is not there."""
        with self._errors(""):
            self._fs.invalidate_cache()
            try:
                found = self._fs.ls(self._root, detail=True)
            except FileNotFoundError:
                return []
            own = [entry for entry in found if entry["type"] == "file"]
            return sorted(str(entry["name"]).rstrip("/").rpartition("/")[2] for entry in own)

    def size(self, file: str) -> int | None:
        """Return the bytes of a file; None where it is not there."""
        with self._errors(file):
            self._fs.invalidate_cache()
            try:
                return int(self._fs.size(self._path(file)))
            except FileNotFoundError:
                return None

    @contextlib.contextmanager
    def open(self, file: str) -> Iterator[IO[bytes]]:
        """Open a file, to be read from front to end."""
        with self._errors(file), self._fs.open(self._path(file), "rb") as opened:
            yield opened

    def read(self, file: str) -> bytes:
        """Return all of a small file."""
        with self.open(file) as opened:
            return opened.read()

    @contextlib.contextmanager
    def write(self, file: str) -> Iterator[IO[bytes]]:
        """Give a file to write, which has its name when the block ends well, and is absent else."""
        temporary = f"{self._path(file)}.{os.urandom(8).hex()}{TEMPORARY}"
        with self._errors(file):
            try:
                with self._fs.open(temporary, "wb") as opened:
                    yield opened
                self._fs.mv(temporary, self._path(file))
            except BaseException:
                with contextlib.suppress(Exception):
                    self._fs.rm_file(temporary)
                raise

    def remove(self, files: Iterable[str]) -> None:
        """Remove files, and the folder where nothing else is in it; what is gone is gone."""
        for file in files:
            with self._errors(file), contextlib.suppress(FileNotFoundError):
                self._fs.rm_file(self._path(file))
        with contextlib.suppress(Exception):
            if not self._fs.ls(self._root, detail=False):
                self._fs.rmdir(self._root)

    def _path(self, file: str) -> str:
        return f"{self._root}/{file}"

    @contextlib.contextmanager
    def _errors(self, file: str) -> Iterator[None]:
        """Turn what a backend raises into one line that names the file."""
        where = f"{self.name}/{file}" if file else self.name
        try:
            yield
        except (McodecError, MemoryError):
            raise
        except ImportError as error:
            raise MissingDependencyError(f"{where}: {reason(error)}") from error
        except Exception as error:
            raise InputOutputError(f"{where}: {reason(error)}") from error

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the place."""
        return SharedFolder, (self.place,)
