"""Keras models, ``.keras`` archives and the same unzipped: weights are tensors, the rest is kept.

The weights are read where they lie in the archive. The configuration is bytes to carry: it can
name any Python function, and is never looked at.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from mcodec.errors import FormatError, McodecError
from mcodec.formats.base import VERSION, skeleton_format, summary
from mcodec.formats.hdf5 import Hdf5Source
from mcodec.formats.hdf5_guards import border
from mcodec.formats.keras_archive import WEIGHTS, FolderArchive, ZipArchive
from mcodec.formats.keras_skeleton import FORMAT, KerasSkeleton, Member, decode
from mcodec.formats.keras_write import create_keras
from mcodec.formats.registry import hook

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from mcodec.formats.keras_archive import Archive
    from mcodec.types import TensorSpec

__all__ = [
    "KerasSource",
    "create_keras",
    "facts_keras",
    "folder_keras",
    "inner_keras",
    "open_keras",
]


def open_keras(path: str) -> KerasSource:
    """Open a ``.keras`` archive, or the folder of an unzipped one.

    Raises
    ------
    FormatError
        It is damaged, or uses something that is refused (docs/architecture.md, "Guards").
    InputOutputError
        A file cannot be read.
    """
    try:
        archive = FolderArchive(path) if os.path.isdir(path) else ZipArchive(path)
        try:
            return KerasSource(archive)
        except BaseException:
            archive.close()
            raise
    except FormatError as error:
        raise (error if error.where else error.at(path)) from error.__cause__


class KerasSource:
    """A Keras model that is open for reading; tensors are named by their paths in the weights.

    Parameters
    ----------
    archive : Archive
        Closed with the source.
    """

    format = FORMAT

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        file = archive.weights()
        try:
            with border(file.path):
                self._weights = Hdf5Source(file)
        except McodecError:
            file.close()
            raise
        self.tensors: Sequence[TensorSpec] = self._weights.tensors
        self.metadata: Mapping[str, str] = self._weights.metadata
        self.same_as: Mapping[int, int] = self._weights.same_as
        self.notes: Sequence[str] = self._weights.notes

    def skeleton(self) -> bytes:
        """Return the files besides the weights, and the skeleton of the weights."""
        members = [self._member(name) for name in self._archive.names]
        weights = msgspec.Raw(self._weights.skeleton())
        return msgspec.json.encode(KerasSkeleton(VERSION, self._archive.folder, members, weights))

    def _member(self, name: str) -> Member:
        deflated = self._archive.deflated(name)
        if name == WEIGHTS:
            return Member(name, weights=True, deflated=deflated)
        data = b"" if name.endswith("/") else self._archive.read(name)
        return Member(name, data=data, deflated=deflated)

    def read(self, index: int, start: int, stop: int) -> NDArray[np.generic]:
        """Return elements [start, stop) of tensor `index`."""
        return self._weights.read(index, start, stop)

    def close(self) -> None:
        """Release the files."""
        self._weights.close()
        self._archive.close()


def inner_keras(skeleton: bytes) -> bytes:
    """Return b"": no model of another format is written as one of Keras."""
    del skeleton
    return b""


def folder_keras(skeleton: bytes) -> bool:
    """Return whether the files of the model lay in a folder.

    Raises
    ------
    FormatError
        The skeleton breaks a rule.
    """
    return skeleton_format(skeleton) == FORMAT and decode(skeleton).folder


def facts_keras(skeleton: bytes) -> dict[str, str]:
    """Return the files besides the weights, and what the weights hold besides arrays, as text.

    Raises
    ------
    FormatError
        The skeleton breaks a rule.
    """
    if not skeleton:
        return {}
    plan = decode(skeleton)
    facts = {
        f"member {member.name!r}": summary(member.data)
        for member in plan.members
        if not member.weights
    }
    inner = hook("hdf5", "facts")
    return {**facts, **(inner(bytes(plan.weights)) if inner else {})}
