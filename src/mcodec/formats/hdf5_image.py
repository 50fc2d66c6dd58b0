"""The bytes of an HDF5 file by address, for what is not left to the library to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcodec.formats.hdf5_guards import invalid

if TYPE_CHECKING:
    from mcodec.formats.files import InputFile


class Image:
    """One HDF5 file by address.

    Parameters
    ----------
    file : InputFile
    base : int
        Bytes before the superblock (the user block): addresses count from there.
    address_bytes, length_bytes : int
        Of the file's addresses and lengths.
    """

    def __init__(self, file: InputFile, base: int, address_bytes: int, length_bytes: int) -> None:
        self._file = file
        self.size = file.size
        self.base = base
        self.address_bytes = address_bytes
        self.length_bytes = length_bytes

    def read(self, address: int, length: int) -> bytes:
        """Return `length` bytes from an address.

        Raises
        ------
        FormatError
            ``source_invalid`` if they do not lie inside the file.
        """
        self._check(address, length)
        data = self._file.read(self.base + address, length)
        if len(data) != length:
            raise invalid("the file ends early")
        return data

    def _check(self, address: int, length: int) -> None:
        if not 0 < length <= self.size - self.base - address:
            raise invalid(f"{length} bytes at address {address} do not fit the file")

    def once(self) -> OnceImage:
        """Return the same file, of which no more can be read than its size."""
        return OnceImage(self._file, self.base, self.address_bytes, self.length_bytes)


class OnceImage(Image):
    """A file of which no more can be read than its size.

    The parts of a structure do not overlap in a file that is honest. So whatever follows addresses
    through one of these comes to an end, and fills no more memory than the file does: after that,
    `read` raises ``source_invalid``.
    """

    def __init__(self, file: InputFile, base: int, address_bytes: int, length_bytes: int) -> None:
        super().__init__(file, base, address_bytes, length_bytes)
        self._used = 0

    def _check(self, address: int, length: int) -> None:
        super()._check(address, length)
        self._used += length
        if self._used > self.size:
            raise invalid("parts of the file overlap")


class Fields:
    """Takes the fields of a structure, one after another.

    Parameters
    ----------
    data : bytes
        Begins with the structure.
    image : Image
        Of the file, for the sizes of addresses and lengths.
    """

    def __init__(self, data: bytes, image: Image) -> None:
        self._data = data
        self._image = image
        self._at = 0

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes, or raise ``source_invalid`` if they are not there."""
        part = self._data[self._at : self._at + count]
        if len(part) != count:
            raise invalid("a structure of the file is cut off")
        self._at += count
        return part

    def number(self, count: int) -> int:
        """Return the next number of `count` bytes."""
        return int.from_bytes(self.take(count), "little")

    def length(self) -> int:
        """Return the next length."""
        return self.number(self._image.length_bytes)

    def address(self) -> int | None:
        """Return the next address; None for the undefined one."""
        count = self._image.address_bytes
        found = self.number(count)
        return None if found == (1 << 8 * count) - 1 else found
