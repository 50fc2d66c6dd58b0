"""How formats are told apart: by a file's first bytes, and the names in an archive or folder."""

from __future__ import annotations

import zipfile
from functools import cached_property
from typing import TYPE_CHECKING, Final

from mcodec.formats.files import InputFile

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from types import TracebackType
    from typing import Self

_SNIFFED: Final = 1 << 16  # bytes of a file that are looked at
_HDF5_SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"
_PICKLES: Final = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")  # protocols


class Sniffed:
    """A file that is looked at: what several formats ask of it is read once.

    Parameters
    ----------
    path : str

    Attributes
    ----------
    file : InputFile
    head : bytes
        The first bytes.
    """

    def __init__(self, path: str) -> None:
        self.file = InputFile(path)
        self.head = self.file.read(0, _SNIFFED)

    @cached_property
    def members(self) -> Collection[str]:
        """The names in a zip archive; none for other files, and for an archive that is damaged."""
        if not self.head.startswith(b"PK"):
            return ()
        try:
            with zipfile.ZipFile(self.file.path) as archive:
                return archive.namelist()
        except (zipfile.BadZipFile, OSError, ValueError, LookupError, NotImplementedError):
            return ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.file.close()


def begins(start: bytes) -> Callable[[Sniffed], bool]:
    """Tell a file by its magic bytes."""
    return lambda seen: seen.head.startswith(start)


def holds(test: Callable[[str], bool]) -> Callable[[Sniffed], bool]:
    """Tell a zip archive by a name in its directory."""
    return lambda seen: any(map(test, seen.members))


def is_hdf5(seen: Sniffed) -> bool:
    """Look for the signature at 0, 512, 1024, 2048, ...: what precedes it is the user block."""
    offset = 0
    while offset < seen.file.size:
        if seen.file.read(offset, len(_HDF5_SIGNATURE)) == _HDF5_SIGNATURE:
            return True
        offset = offset * 2 or 512
    return False


def is_safetensors(seen: Sniffed) -> bool:
    """Tell a header's length that fits, and its first byte."""
    length = int.from_bytes(seen.head[:8], "little")
    return seen.head[8:9] == b"{" and length <= seen.file.size - 8


def is_index(of: bytes) -> Callable[[Sniffed], bool]:
    """Tell a JSON file that names shards, by the first ones in it."""
    return lambda seen: (
        seen.file.path.endswith(".json")
        and seen.head.lstrip().startswith(b"{")
        and b'"weight_map"' in seen.head
        and of in seen.head
    )


def is_pickled(seen: Sniffed) -> bool:
    """Tell a checkpoint: an archive with a pickle in it, the older kind, or some other pickle."""
    return seen.head.startswith(_PICKLES) or any(n.endswith("/data.pkl") for n in seen.members)


def has(*ends: str) -> Callable[[Collection[str]], bool]:
    """Tell a folder by how a name in it ends."""
    return lambda names: any(name.endswith(ends) for name in names)
