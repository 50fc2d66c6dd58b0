"""Zip archives of models, read strictly: nothing is extracted, and nothing in them is believed.

`zipfile` reads the central directory; what readers disagree on is refused: a name that stands
twice, members that overlap, a local header that says something else, encryption, odd methods.
"""

from __future__ import annotations

import contextlib
import os
import struct
import zipfile
import zlib
from typing import IO, TYPE_CHECKING, Final

from mcodec.errors import FormatError, InputOutputError, one_line
from mcodec.limits import MAX_NAME_BYTES, MAX_SOURCE_OBJECTS, decoded_budget
from mcodec.storage import io_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCAL: Final = struct.Struct("<4s5H3I2H")
_LOCAL_MAGIC: Final = b"PK\x03\x04"
_ENCRYPTED: Final = 0x41  # the flag of the old encryption and that of the strong one
_METHODS: Final = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflated"}
_STEP: Final = 1 << 20
_NO_CLOCK: Final = (1980, 1, 1, 0, 0, 0)


@contextlib.contextmanager
def zip_errors(path: str) -> Iterator[None]:
    """Turn whatever `zipfile` raises of bad bytes into a FormatError that names the file."""
    try:
        yield
    except FormatError as error:
        raise error.at(path) from error.__cause__
    except InputOutputError:
        raise
    except OSError as error:
        if error.errno is not None and error.strerror:
            raise InputOutputError(f"{path}: {error.strerror.lower()}") from error
        raise _invalid(f"the zip archive is damaged ({one_line(error)})").at(path) from error
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        ValueError,
        LookupError,
        struct.error,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise _invalid(f"the zip archive is damaged ({one_line(error)})").at(path) from error


class ZipDirectory:
    """The members of a zip archive, all checked against the file before one is read.

    Parameters
    ----------
    path : str
        A regular file of this machine.

    Attributes
    ----------
    members : dict of str to zipfile.ZipInfo
        By name, in the order of the archive's directory; entries of folders are left out.
    size : int
        Bytes of the archive.

    Raises
    ------
    FormatError
        ``source_invalid`` if it is damaged, ``source_refused`` for what is refused as unsafe,
        ``limit_exceeded`` and ``decoded_too_large`` for counts and sizes over a limit.
    InputOutputError
        The file cannot be read.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        with zip_errors(path):
            self._zip = zipfile.ZipFile(path)
            try:
                self._file: IO[bytes] = open(path, "rb")  # noqa: SIM115 (closed in close)
                self.size = self._file.seek(0, 2)
                self._offsets: dict[str, int] = {}
                self.members = self._check(self._zip.infolist())
            except BaseException:
                self.close()
                raise

    def _check(self, infos: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
        if len(infos) > MAX_SOURCE_OBJECTS:
            raise FormatError(f"{len(infos)} zip members are too many", code="limit_exceeded")
        members: dict[str, zipfile.ZipInfo] = {}
        total = 0
        for info in infos:
            name = info.filename
            if len(name.encode("utf-8", "surrogateescape")) > MAX_NAME_BYTES:
                raise FormatError(
                    f"the zip member {name[:40]!r}... has too long a name", code="limit_exceeded"
                )
            if name in members:
                raise _refused(f"the zip member {name!r} stands twice")
            if info.flag_bits & _ENCRYPTED:
                raise _refused(f"the zip member {name!r} is encrypted")
            if info.compress_type not in _METHODS:
                raise _refused(f"the zip member {name!r} is neither stored nor deflated")
            self._offsets[name] = self._local(info)
            if info.compress_type == zipfile.ZIP_STORED and info.file_size != info.compress_size:
                raise _invalid(f"the zip member {name!r} is stored, but its two sizes differ")
            total += info.file_size
            members[name] = info
        if total > decoded_budget(self.size):
            raise FormatError(
                f"the zip members inflate to {total} bytes, the archive has {self.size}",
                code="decoded_too_large",
            )
        self._no_overlap(infos)
        return {name: info for name, info in members.items() if not info.is_dir()}

    def _local(self, info: zipfile.ZipInfo) -> int:
        """Check a member's local header; return where its data begins."""
        self._file.seek(info.header_offset)
        head = self._file.read(_LOCAL.size)
        if len(head) < _LOCAL.size or head[:4] != _LOCAL_MAGIC:
            raise _invalid(f"the zip member {info.filename!r} has no header")
        fields = _LOCAL.unpack(head)
        name_bytes, extra_bytes, method = fields[9], fields[10], fields[3]
        name = self._file.read(name_bytes)
        expected = info.orig_filename.encode("utf-8" if info.flag_bits & 0x800 else "cp437")
        if name != expected or method != info.compress_type:
            raise _refused(
                f"the zip member {info.filename!r} is another in its own header: {name[:40]!r}"
            )
        start: int = info.header_offset + _LOCAL.size + name_bytes + extra_bytes
        if start + info.compress_size > self.size:
            raise _invalid(f"the zip member {info.filename!r} reaches past the end of the file")
        return start

    def _no_overlap(self, infos: list[zipfile.ZipInfo]) -> None:
        end = 0
        for info in sorted(infos, key=lambda info: info.header_offset):
            if info.header_offset < end:
                raise _refused(f"the zip member {info.filename!r} overlaps another")
            end = self._offsets[info.filename] + info.compress_size

    def stored_at(self, name: str) -> int | None:
        """Return where a stored member's bytes begin in the file; None for a deflated one."""
        stored = self.members[name].compress_type == zipfile.ZIP_STORED
        return self._offsets[name] if stored else None

    def read(self, name: str, limit: int) -> bytes:
        """Return a member's bytes, with its CRC checked.

        Raises
        ------
        FormatError
            ``limit_exceeded`` if they are more than `limit`, ``source_invalid`` if they are
            damaged.
        """
        info = self.members[name]
        if info.file_size > limit:
            raise FormatError(
                f"the zip member {name!r} has {info.file_size} bytes, over the limit of {limit}",
                code="limit_exceeded",
                where=self.path,
            )
        with self.open(name) as stream, zip_errors(self.path):
            return stream.read()

    def open(self, name: str) -> IO[bytes]:
        """Open a member to be read from its begin; `zipfile` checks the CRC at its end.

        Its own reads raise `zipfile` errors: wrap them in `zip_errors`.
        """
        with zip_errors(self.path):
            return self._zip.open(self.members[name])

    def check_crc(self, name: str) -> None:
        """Read a member to its end, so that its CRC is checked."""
        with self.open(name) as stream, zip_errors(self.path):
            while stream.read(_STEP):
                pass

    def close(self) -> None:
        """Release the file; a second call does nothing."""
        self._zip.close()
        if hasattr(self, "_file"):
            self._file.close()


@contextlib.contextmanager
def new_archive(path: str) -> Iterator[zipfile.ZipFile]:
    """Give an archive to be written; if the block ends well it is finished and synced.

    Raises
    ------
    InputOutputError
        The operating system refuses to write.
    """
    with io_errors(path):
        with zipfile.ZipFile(path, "w") as archive:
            yield archive
        with open(path, "rb") as file:
            os.fsync(file.fileno())


def member_info(name: str, *, deflated: bool) -> zipfile.ZipInfo:
    """Return how a member is written: with no clock, so that the same model is the same file."""
    info = zipfile.ZipInfo(name, _NO_CLOCK)
    info.compress_type = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
    info.external_attr = 0o600 << 16
    return info


def _invalid(message: str) -> FormatError:
    return FormatError(message, code="source_invalid")


def _refused(message: str) -> FormatError:
    return FormatError(message, code="source_refused")
