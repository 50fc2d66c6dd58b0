"""What is refused of an HDF5 file before the HDF5 library is let near its data.

The library follows links out of the file, reads other files as if they were datasets, loads
plugins for filters, and allocates what a header declares. None of that is wanted of a model.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from typing import TYPE_CHECKING, Final

from h5py import h5d, h5l, h5p, h5z

from mcodec.errors import FormatError, InputOutputError, McodecError, one_line
from mcodec.limits import (
    MAX_ATTRIBUTE_BYTES,
    MAX_ELEMENT_BYTES,
    MAX_NAME_BYTES,
    MAX_SOURCE_DEPTH,
    decoded_budget,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

# Filters that HDF5 or h5py bring along; any other makes the library look for a plugin to load.
_FILTERS: Final[dict[int, str]] = {
    h5z.FILTER_DEFLATE: "gzip",
    h5z.FILTER_SHUFFLE: "shuffle",
    h5z.FILTER_FLETCHER32: "fletcher32",
    h5z.FILTER_SZIP: "szip",
    h5z.FILTER_SCALEOFFSET: "scale-offset",
    h5z.FILTER_LZF: "lzf",
}
# What is wrong with the machine, not with the file; EAGAIN: another process has it locked.
_SYSTEM: Final = frozenset(
    {errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ESTALE, errno.EAGAIN}
)
_ERRNO: Final = re.compile(r"\berrno = ([0-9]{1,4})\b")  # in what HDF5 says of a failed write
_LINKS: Final = {h5l.TYPE_SOFT: "a soft link", h5l.TYPE_EXTERNAL: "an external link"}


def invalid(message: str) -> FormatError:
    """Return the error for a file that is damaged or breaks a rule."""
    return FormatError(message, code="source_invalid")


def refused(message: str) -> FormatError:
    """Return the error for a file that uses what is refused as unsafe."""
    return FormatError(message, code="source_refused")


def over_limit(message: str) -> FormatError:
    """Return the error for a count or size over a limit."""
    return FormatError(message, code="limit_exceeded")


@contextlib.contextmanager
def border(where: str) -> Iterator[None]:
    """Turn whatever h5py raises of bad bytes into a FormatError, and say in which file.

    What the operating system refuses becomes an InputOutputError.
    """
    try:
        yield
    except FormatError as error:
        error.at(where)
        raise
    except McodecError:
        raise
    except (
        OSError,
        LookupError,
        RuntimeError,
        ValueError,
        TypeError,
        ArithmeticError,
        MemoryError,
        AttributeError,
        SystemError,
    ) as error:
        raise _broken(where, error) from error


def _broken(where: str, error: Exception) -> McodecError:
    number = _system_number(error)
    if number in _SYSTEM:
        return InputOutputError(f"{where}: {os.strerror(number).lower()}")
    message = f"HDF5 cannot make sense of it ({one_line(error)})"
    return FormatError(message, code="source_invalid", where=where)


def _system_number(error: Exception) -> int:
    """Return the error number of a failed system call, or 0: h5py hides some in a text."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    found = _ERRNO.search(str(error))
    return int(found[1]) if found else 0


def name_text(raw: bytes) -> str:
    """Return a name as text, or raise ``source_refused`` if it is not UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise refused(f"the name {raw[:40]!r} is not UTF-8") from error


def link_name(raw: bytes) -> str:
    """Return the text of a link's name.

    Raises
    ------
    FormatError
        ``source_refused`` if it is not UTF-8, ``source_invalid`` if it cannot be a name.
    """
    name = name_text(raw)
    if not name or name == "." or "/" in name or "\0" in name:
        raise invalid(f"{name!r} cannot be a name in HDF5")
    return name


def child_path(parent: str, name: str) -> str:
    """Join a group's path and a link's name, within the limits on depth and length."""
    return check_path(f"{parent}/{name}" if parent else name)


def check_path(path: str) -> str:
    """Return a path if it is within the limits on depth and length."""
    if path.count("/") >= MAX_SOURCE_DEPTH:
        raise over_limit(f"groups are nested deeper than {MAX_SOURCE_DEPTH}")
    if len(path.encode()) > MAX_NAME_BYTES:
        raise over_limit(f"the path {path[:40]!r}... is longer than {MAX_NAME_BYTES} bytes")
    return path


def check_link(kind: int, path: str) -> None:
    """Refuse every link but a hard one; nothing has been followed yet."""
    if kind != h5l.TYPE_HARD:
        raise refused(
            f"{path!r} is {_LINKS.get(kind, 'a user-defined link')}: only hard links are read"
        )


def check_element(size: int, path: str) -> int:
    """Return the bytes of an element if they are within the limit."""
    if not 0 < size <= MAX_ELEMENT_BYTES:
        raise over_limit(f"{path!r} has elements of {size} bytes, over {MAX_ELEMENT_BYTES}")
    return size


def check_creation(plist: h5p.PropDCID, path: str) -> None:
    """Check where a dataset keeps its data, and through which filters, before it is touched.

    Parameters
    ----------
    plist : h5py.h5p.PropDCID
        The creation property list.
    path : str

    Raises
    ------
    FormatError
        ``source_refused`` for virtual datasets, external storage, and filters that are unknown,
        missing, or listed twice.
    """
    if plist.get_layout() == h5d.VIRTUAL:
        raise refused(f"{path!r} is a virtual dataset, which reads other files")
    if plist.get_external_count():
        raise refused(f"{path!r} keeps its data in other files")
    ids = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
    for code in ids:
        if code not in _FILTERS:
            raise refused(f"{path!r} uses the unknown filter {code}")
        if ids.count(code) > 1:
            raise refused(f"{path!r} uses the filter {_FILTERS[code]} twice")
        if not h5z.filter_avail(code):
            raise refused(f"{path!r} needs the filter {_FILTERS[code]}, which this HDF5 lacks")


def check_stored(declared: int, stored: int, path: str) -> None:
    """Refuse a dataset that declares far more bytes than the file holds of it."""
    if declared > decoded_budget(stored):
        raise FormatError(
            f"{path!r} declares {declared} bytes, but {stored} are stored", code="decoded_too_large"
        )


class Budget:
    """How many bytes may still be read into memory besides tensors."""

    def __init__(self) -> None:
        self._left = MAX_ATTRIBUTE_BYTES

    def take(self, count: int) -> None:
        """Count bytes that are about to be read, or raise ``limit_exceeded``."""
        self._left -= count
        if self._left < 0:
            raise over_limit(
                f"attributes and other data besides tensors are over {MAX_ATTRIBUTE_BYTES} bytes"
            )
