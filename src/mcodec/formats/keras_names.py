"""Names of files that come from a file: what may be a path inside a folder, and what may not."""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, Final

from mcodec.errors import FormatError
from mcodec.formats.hdf5_guards import invalid, over_limit, refused
from mcodec.limits import MAX_FOLDER_DEPTH, MAX_FOLDER_FILES, MAX_NAME_BYTES
from mcodec.storage import io_errors

if TYPE_CHECKING:
    from collections.abc import Iterable

_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f/\\]|\A[A-Za-z]:")  # a drive's name stands first
_SHOWN: Final = 80  # characters of a name in a message
_MAX_PART: Final = 255  # bytes of a file's name: what file systems take


def check_names(names: Iterable[str]) -> None:
    """Check the paths of files that shall lie in one folder; those that end in ``/`` are folders.

    Raises
    ------
    FormatError
        ``source_refused`` if one is no plain relative path, or cannot lie beside the others;
        ``limit_exceeded`` for too many, too long or too deep ones.
    """
    files: set[str] = set()
    folders: set[str] = set()
    for count, name in enumerate(names):
        if count >= MAX_FOLDER_FILES:
            raise over_limit(f"there are more than {MAX_FOLDER_FILES} files")
        parts = name.removesuffix("/").split("/")
        for part in parts:
            check_part(part, name)
        if len(parts) > MAX_FOLDER_DEPTH or len(name.encode()) > MAX_NAME_BYTES:
            raise over_limit(f"the name {name[:_SHOWN]!r}... is too long or too deep")
        known = folders if name.endswith("/") else files
        if name in known:
            raise refused(f"the name {name[:_SHOWN]!r} stands twice")
        known.add(name)
        folders.update("/".join(parts[:end]) + "/" for end in range(1, len(parts)))
    for name in files:
        if name + "/" in folders:
            raise refused(f"{name[:_SHOWN]!r} is a file and a folder")


def check_part(part: str, name: str) -> None:
    """Check one part of a path, `name` in messages: it has to be a plain name of a file.

    Raises
    ------
    FormatError
        ``source_refused`` if it is not.
    """
    try:
        size = len(part.encode())
    except UnicodeEncodeError as error:
        raise refused(f"the name {name[:_SHOWN]!r} is not UTF-8") from error
    if part in {"", ".", ".."} or size > _MAX_PART or _UNSAFE.search(part):
        raise refused(f"the name {name[:_SHOWN]!r} is no plain name of a file")


def regular_size(path: str, name: str) -> int:
    """Return the size of a file that has to be there, and be no link.

    Raises
    ------
    FormatError
        ``source_invalid`` if it is not there, ``source_refused`` if it is a link or no file.
    InputOutputError
        It may not be looked at.
    """
    try:
        with io_errors(path):
            status = os.lstat(path)
    except OSError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise invalid(f"{name!r} is not there") from error
        raise
    if not stat.S_ISREG(status.st_mode):
        raise refused(f"{name!r} is a link, or no regular file")
    return status.st_size


def listing(folder: str) -> dict[str, int]:
    """Return the files below a folder with their sizes, in order of their names.

    An empty folder stands there with a ``/`` at the end of its name, and size 0.

    Raises
    ------
    FormatError
        ``source_refused`` for links, devices and names that are not plain; ``limit_exceeded`` for
        too many files, and too deep folders.
    InputOutputError
        A folder cannot be read.
    """
    found: dict[str, int] = {}
    waiting = [""]
    seen = 0
    while waiting:
        above = waiting.pop()
        if above.count("/") > MAX_FOLDER_DEPTH:
            raise over_limit(f"folders are nested deeper than {MAX_FOLDER_DEPTH}")
        empty = above
        with io_errors(folder), os.scandir(os.path.join(folder, above)) as entries:
            for entry in entries:
                empty = ""
                seen += 1
                if seen > MAX_FOLDER_FILES:
                    raise over_limit(f"the folder has more than {MAX_FOLDER_FILES} files")
                name = above + entry.name
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(name + "/")
                else:
                    found[name] = regular_size(entry.path, name)
        if empty:
            found[empty] = 0
    check_names(found)
    return dict(sorted(found.items()))


def read_regular(path: str, limit: int) -> bytes:
    """Return the bytes of a file that was listed.

    Raises
    ------
    FormatError
        ``limit_exceeded`` if it has more than `limit` bytes by now.
    InputOutputError
        It cannot be read.
    """
    with io_errors(path):
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            data = file.read(limit + 1)
    if len(data) > limit:
        raise FormatError(f"it has more than {limit} bytes", code="limit_exceeded", where=path)
    return data
