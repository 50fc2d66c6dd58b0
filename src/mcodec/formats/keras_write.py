"""Keras models from tensors and the skeleton of one."""

from __future__ import annotations

import os
import tempfile
import zipfile
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from mcodec.errors import UsageError
from mcodec.formats.base import skeleton_format
from mcodec.formats.hdf5_write import create_hdf5
from mcodec.formats.keras_archive import WEIGHTS
from mcodec.formats.keras_skeleton import FORMAT, KerasSkeleton, Member, decode
from mcodec.formats.zips import member_info, new_archive
from mcodec.outputs import known_as
from mcodec.storage import io_errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mcodec.formats.base import TensorSink
    from mcodec.types import TensorSpec

_STEP: Final = 1 << 22


def create_keras(
    path: str, specs: Sequence[TensorSpec], skeleton: bytes, metadata: Mapping[str, str]
) -> TensorSink:
    """Create a Keras model, and return the sink for its weights.

    Parameters
    ----------
    path : str
        A file; or an empty folder that is there, if the model lay in one.
    specs : sequence of TensorSpec
    skeleton : bytes
        Of a Keras source.
    metadata : mapping of str to str
        Goes where an HDF5 file has it: into the weights.

    Raises
    ------
    FormatError
        The skeleton breaks a rule, or does not fit the tensors.
    UsageError
        The skeleton is none of a Keras model, or one of a file where a folder is named.
    InputOutputError
        A file cannot be written.
    """
    if skeleton_format(skeleton) != FORMAT:
        raise UsageError(
            "a .keras file holds a model's configuration besides its weights, so only a task that"
            " came from one can be written as one: name a .h5 or .weights.h5 file instead",
            where=path,
        )
    plan = decode(skeleton)
    if not os.path.isdir(path):
        return KerasSink(path, specs, plan, metadata)
    if not plan.folder:
        raise UsageError("the model was one .keras file: name a file, not a folder", where=path)
    for member in plan.members:
        _place(os.path.join(path, *member.name.removesuffix("/").split("/")), member)
    return create_hdf5(os.path.join(path, WEIGHTS), specs, bytes(plan.weights), metadata)


def _place(path: str, member: Member) -> None:
    """Write one file, or empty folder, of a model that is a folder."""
    with io_errors(path):
        if member.name.endswith("/"):
            os.makedirs(path, exist_ok=True)
            return
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "xb") as file:
            file.write(member.data)


class KerasSink:
    """A ``.keras`` file that is being written: its weights lie beside it until it is closed."""

    def __init__(
        self,
        path: str,
        specs: Sequence[TensorSpec],
        plan: KerasSkeleton,
        metadata: Mapping[str, str],
    ) -> None:
        self._path = path
        self._members = plan.members
        self._closed = False
        with io_errors(path):
            # Beside the archive: the system's folder for such files may be small.
            folder = os.path.dirname(os.path.abspath(path))
            self._data = tempfile.NamedTemporaryFile(dir=folder, prefix=".keras.", suffix=".tmp")  # noqa: SIM115
        try:
            with known_as(self._data.name, self._path):
                self._weights: TensorSink = create_hdf5(
                    self._data.name, specs, bytes(plan.weights), metadata
                )
        except BaseException:
            self._data.close()
            raise
        self.same_as: Mapping[int, int] = self._weights.same_as
        self.notes: Sequence[str] = self._weights.notes

    def write(self, index: int, offset: int, data: memoryview) -> None:
        """Put `data` at byte `offset` of tensor `index`."""
        with known_as(self._data.name, self._path):
            self._weights.write(index, offset, data)

    def close(self) -> None:
        """Write the archive and sync it; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            with known_as(self._data.name, self._path):
                self._weights.close()
            with new_archive(self._path) as archive:
                for member in self._members:
                    self._put(archive, member)
        finally:
            self._data.close()

    def discard(self) -> None:
        """Remove the file beside the archive; nothing if it is closed."""
        self._closed = True
        self._weights.discard()
        with suppress(OSError):
            self._data.close()

    def _put(self, archive: zipfile.ZipFile, member: Member) -> None:
        if member.name.endswith("/"):
            return  # an archive needs no empty folders
        info = member_info(member.name, deflated=member.deflated)
        if not member.weights:
            archive.writestr(info, member.data)
            return
        info.file_size = self._data.seek(0, os.SEEK_END)
        self._data.seek(0)
        # What is deflated may grow a little.
        large = info.file_size * 1.05 >= zipfile.ZIP64_LIMIT
        with archive.open(info, "w", force_zip64=large) as out:
            while part := self._data.read(_STEP):
                out.write(part)
