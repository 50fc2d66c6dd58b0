"""npz archives: arrays read lazily, other members kept byte for byte (spec/skeletons.md)."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

import msgspec
import numpy as np

from mcodec.errors import FormatError
from mcodec.formats.base import SKELETON_FILE, VERSION, read_skeleton, summary
from mcodec.formats.files import InputFile
from mcodec.formats.npy_header import NpyHeader, read_header
from mcodec.formats.npy_values import in_c_order, load, place, swapped
from mcodec.formats.npz_write import (
    FORMAT,
    SUFFIX,
    Member,
    NpzSkeleton,
    create_npz,
)
from mcodec.formats.standins import DTYPES_FILE, read_dtypes
from mcodec.formats.zips import ZipDirectory, zip_errors
from mcodec.limits import MAX_CARRIED, MAX_MEMBER_BYTES, MAX_MEMBERS_BYTES
from mcodec.types import TensorSpec, itemsize, numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["NpzSource", "create_npz", "facts_npz", "inner_npz", "open_npz"]

_STEP: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class _Place:
    member: str
    header: NpyHeader
    stored_at: int | None


def open_npz(path: str) -> NpzSource:
    """Open an npz archive.

    Raises
    ------
    FormatError
        It is damaged, or holds objects.
    InputOutputError
        The file cannot be read.
    """
    file = InputFile(path)
    try:
        return NpzSource(file)
    except FormatError as error:
        file.close()
        raise (error if error.where else error.at(path)) from error.__cause__


class NpzSource:
    """An npz archive that is open for reading."""

    format = FORMAT

    def __init__(self, file: InputFile) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._checked: set[str] = set()
        self._whole: tuple[int, NDArray[np.generic]] | None = None
        self._stream: tuple[int, int, IO[bytes]] | None = None  # tensor, next byte, its stream
        self._zip = ZipDirectory(file.path)
        try:
            named = self._dtypes()
            self._places: list[_Place] = []
            specs: list[TensorSpec] = []
            for member in self._zip.members:
                if member.endswith(SUFFIX):
                    self._add(member, named, specs)
        except BaseException:
            self._zip.close()
            raise
        self.tensors: Sequence[TensorSpec] = specs
        self.metadata: Mapping[str, str] = {}
        self.same_as: Mapping[int, int] = {}
        self.notes: Sequence[str] = ()

    def _dtypes(self) -> dict[str, str]:
        """Return the dtypes that NumPy has no name for, from the member that says them."""
        if DTYPES_FILE not in self._zip.members:
            return {}
        return read_dtypes(self._zip.read(DTYPES_FILE, MAX_MEMBER_BYTES))

    def _add(self, member: str, named: Mapping[str, str], specs: list[TensorSpec]) -> None:
        with self._zip.open(member) as stream, zip_errors(self._file.path):
            header = read_header(stream, self._zip.members[member].file_size, repr(member))
        if header.dtype is None:
            return
        name = member.removesuffix(SUFFIX)
        dtype = named.get(name, header.dtype)
        if dtype != header.dtype and f"V{itemsize(dtype)}" != header.dtype:
            raise FormatError(f"{member!r} cannot be {dtype}", code="source_invalid")
        specs.append(TensorSpec(name, dtype, header.shape))
        self._places.append(_Place(member, header, self._zip.stored_at(member)))

    def skeleton(self) -> bytes:
        """Return the order of the members, and those that are no tensors."""
        tensors = {place.member for place in self._places}
        members, left = [], MAX_MEMBERS_BYTES
        for name, info in self._zip.members.items():
            data = b""
            if name not in tensors:
                limit = MAX_CARRIED if name == SKELETON_FILE else min(MAX_MEMBER_BYTES, left)
                data = self._zip.read(name, limit)
                left -= 0 if name == SKELETON_FILE else len(data)
            members.append(Member(name, name in tensors, data, deflated=info.compress_type != 0))
        return msgspec.json.encode(NpzSkeleton(VERSION, members))

    def read(self, index: int, start: int, stop: int) -> NDArray[np.generic]:
        """Return elements [start, stop) of tensor `index`."""
        one, spec = self._places[index], self.tensors[index]
        if one.stored_at is None or one.header.fortran:
            with self._lock, zip_errors(self._file.path):
                return self._decoded(index, start, stop)
        with self._lock:
            if one.member not in self._checked:
                self._zip.check_crc(one.member)
                self._checked.add(one.member)
        return place(self._file, one.header, numpy_dtype(spec.dtype), start, stop, one.stored_at)

    def _decoded(self, index: int, start: int, stop: int) -> NDArray[np.generic]:
        one, spec = self._places[index], self.tensors[index]
        if not one.header.fortran:
            return self._inflated(index, start, stop)
        if self._whole is None or self._whole[0] != index:
            self._whole = None  # its memory goes before the next one's is taken
            if one.stored_at is None:
                whole = in_c_order(self._inflated(index, 0, spec.size), spec.shape)
            else:
                self._zip.check_crc(one.member)
                whole = load(self._file, one.header, spec, one.stored_at)
            self._whole = (index, whole)
        return self._whole[1][start:stop].copy()

    def _inflated(self, index: int, start: int, stop: int) -> NDArray[np.generic]:
        """Return elements of a deflated member: cheap in order, else from its begin again."""
        one, spec = self._places[index], self.tensors[index]
        out: NDArray[np.generic] = np.empty(stop - start, numpy_dtype(spec.dtype))
        view = out.view(np.uint8).data if out.size else memoryview(b"")
        first = one.header.start + start * out.itemsize
        if self._stream is None or self._stream[0] != index or self._stream[1] > first:
            self._end_stream()
            self._stream = (index, 0, self._zip.open(one.member))
        _, at, stream = self._stream
        while at < first:
            at += len(self._take(stream, min(_STEP, first - at), one.member))
        done = 0
        while done < len(view):
            part = self._take(stream, min(_STEP, len(view) - done), one.member)
            view[done : done + len(part)] = part
            done += len(part)
        if stop == spec.size:
            stream.read(1)  # at the end the checksum is compared
        self._stream = (index, first + done, stream)
        return swapped(out, one.header)

    def _take(self, stream: IO[bytes], count: int, member: str) -> bytes:
        part = stream.read(count)
        if not part:
            raise FormatError(f"{member!r} ends early", code="source_invalid")
        return part

    def _end_stream(self) -> None:
        if self._stream is not None:
            self._stream[2].close()
            self._stream = None

    def close(self) -> None:
        """Release the file."""
        self._end_stream()
        self._zip.close()
        self._file.close()


def inner_npz(skeleton: bytes) -> bytes:
    """Return the skeleton of another format that an archive carries, or nothing."""
    return read_skeleton(skeleton, NpzSkeleton).carried() if skeleton else b""


def facts_npz(skeleton: bytes) -> dict[str, str]:
    """Return the members that are no tensors, as text."""
    if not skeleton:
        return {}
    return {
        f"member {member.name!r}": summary(member.data)
        for member in read_skeleton(skeleton, NpzSkeleton).members
        if not member.tensor and not member.ours
    }
