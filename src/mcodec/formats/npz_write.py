"""npz archives from tensors and a skeleton.

Bytes of tensors come in any order, and a zip archive wants each member's checksum: so they lie in
a file beside the archive until `close` writes them, one after another.
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec

from mcodec.errors import FormatError, UsageError
from mcodec.formats.base import SKELETON_FILE, carriable, read_skeleton, skeleton_format
from mcodec.formats.files import TensorFile
from mcodec.formats.npy_header import write_header
from mcodec.formats.standins import DTYPES_FILE
from mcodec.formats.zips import member_info, new_archive
from mcodec.limits import MAX_NAME_BYTES, MAX_SOURCE_OBJECTS
from mcodec.outputs import known_as
from mcodec.storage import io_errors
from mcodec.types import EXTENSION_DTYPES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mcodec.types import TensorSpec

FORMAT: Final = "npz"
SUFFIX: Final = ".npy"
_STEP: Final = 1 << 22


class Member(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One member of an archive: a tensor, or bytes to keep."""

    name: str
    tensor: bool = False
    data: bytes = b""
    deflated: bool = False

    @property
    def ours(self) -> bool:
        """Whether mcodec wrote it beside the arrays."""
        return self.name in (DTYPES_FILE, SKELETON_FILE)


class NpzSkeleton(msgspec.Struct, tag_field="format", tag=FORMAT, forbid_unknown_fields=True):
    """The members in the order of the archive."""

    version: int
    members: list[Member]

    def carried(self) -> bytes:
        """Return the skeleton of another format that lies in the archive, or nothing."""
        return next((member.data for member in self.members if member.name == SKELETON_FILE), b"")


def create_npz(
    path: str, specs: Sequence[TensorSpec], skeleton: bytes, metadata: Mapping[str, str]
) -> NpzSink:
    """Create an npz archive, and return the sink for its arrays.

    Parameters
    ----------
    path : str
    specs : sequence of TensorSpec
    skeleton : bytes
        Of an npz source: the same members in the same order. Another format's is carried.
    metadata : mapping of str to str
        npz has no place for it.

    Raises
    ------
    FormatError
        ``source_invalid`` if the skeleton is damaged or does not fit the tensors.
    UsageError
        A name that cannot be a member's.
    InputOutputError
        The file cannot be written.
    """
    notes = ["npz archives have no place for metadata: it is left out"] if metadata else []
    if skeleton_format(skeleton) == FORMAT:
        members = _own(skeleton, specs)
    else:
        members = _plain(specs, carriable(skeleton, notes))
    return NpzSink(path, specs, members, notes)


def _own(skeleton: bytes, specs: Sequence[TensorSpec]) -> list[Member]:
    members = read_skeleton(skeleton, NpzSkeleton).members
    if len(members) > MAX_SOURCE_OBJECTS:
        raise FormatError("the skeleton has too many members", code="limit_exceeded")
    names = {member.name for member in members}
    if len(names) != len(members) or any(_bad(name) for name in names):
        raise FormatError("the skeleton's names of members are invalid", code="source_invalid")
    wanted = {member.name for member in members if member.tensor}
    there = {spec.name + SUFFIX for spec in specs}
    for name in sorted(wanted ^ there):
        fault = "is not there" if name in wanted else "has no place in it"
        raise FormatError(f"the archive's array {name!r} {fault}", code="source_invalid")
    return members


def _plain(specs: Sequence[TensorSpec], carried: bytes) -> list[Member]:
    members = [Member(SKELETON_FILE, data=carried)] if carried else []
    named = {spec.name: spec.dtype for spec in specs if spec.dtype in EXTENSION_DTYPES}
    if named:
        members.append(Member(DTYPES_FILE, data=msgspec.json.encode(named)))
    for spec in specs:
        if _bad(spec.name + SUFFIX):
            raise UsageError(f"no npz archive can hold the name {spec.name!r}")
        members.append(Member(spec.name + SUFFIX, tensor=True))
    return members


def _bad(name: str) -> bool:
    """Tell whether a name cannot be a member's: zip readers cut at zero and take / for a folder."""
    return not name or "\0" in name or name.endswith("/") or len(name.encode()) > MAX_NAME_BYTES


class NpzSink:
    """An npz archive that is being written."""

    def __init__(
        self, path: str, specs: Sequence[TensorSpec], members: list[Member], notes: Sequence[str]
    ) -> None:
        self.same_as: Mapping[int, int] = {}
        self.notes = notes
        self._path = path
        self._members = members
        self._closed = False
        self._places: dict[str, tuple[TensorSpec, int]] = {}
        end = 0
        for spec in specs:
            self._places[spec.name + SUFFIX] = (spec, end)
            end += spec.nbytes
        with io_errors(path):
            # Beside the archive: the system's folder for such files may be small.
            folder = os.path.dirname(os.path.abspath(path))
            self._data = tempfile.NamedTemporaryFile(dir=folder, prefix=".npz.", suffix=".tmp")  # noqa: SIM115
        offsets = [self._places[spec.name + SUFFIX][1] for spec in specs]
        try:
            with io_errors(path):
                self._data.truncate(end)
            self._file = TensorFile(self._data.name, specs, offsets)
        except BaseException:
            self._data.close()
            raise

    def write(self, index: int, offset: int, data: memoryview) -> None:
        """Put `data` at byte `offset` of tensor `index`."""
        with known_as(self._data.name, self._path):
            self._file.write(index, offset, data)

    def close(self) -> None:
        """Write the archive and sync it; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            with new_archive(self._path) as archive:
                for member in self._members:
                    self._put(archive, member)
        finally:
            self._data.close()

    def discard(self) -> None:
        """Remove the file beside the archive; nothing if it is closed."""
        self._closed = True
        self._file.discard()
        with suppress(OSError):
            self._data.close()

    def _put(self, archive: zipfile.ZipFile, member: Member) -> None:
        info = member_info(member.name, deflated=member.deflated)
        if not member.tensor:
            archive.writestr(info, member.data)
            return
        spec, start = self._places[member.name]
        head = write_header(spec)
        info.file_size = len(head) + spec.nbytes
        with archive.open(info, "w", force_zip64=info.file_size >= zipfile.ZIP64_LIMIT) as out:
            out.write(head)
            self._data.seek(start)
            left = spec.nbytes
            while left:
                part = self._data.read(min(_STEP, left))
                out.write(part)
                left -= len(part)
