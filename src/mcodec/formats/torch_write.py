"""PyTorch checkpoints from tensors and a skeleton.

All records have their places at once, so that bytes come in any order; when all are there they are
read once more for the checksums that a zip archive has.
"""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING, Final

import msgspec

from mcodec.errors import FormatError, UsageError
from mcodec.formats.base import SKELETON_FILE, VERSION, carriable, skeleton_format
from mcodec.formats.files import TensorFile
from mcodec.formats.standins import DTYPES_FILE, stand_ins
from mcodec.formats.torch_emit import Place, emit
from mcodec.formats.torch_skeleton import (
    FORMAT,
    Mapping,
    Sparse,
    Tensor,
    TorchSkeleton,
    check_gradient,
    dtype_of,
    read_torch,
)
from mcodec.formats.torch_zip import directory, lay_out, local_header
from mcodec.storage import io_errors

if TYPE_CHECKING:
    from collections.abc import Mapping as MappingType
    from collections.abc import Sequence as SequenceType

    from mcodec.formats.torch_skeleton import Node
    from mcodec.types import TensorSpec

_FOLDER: Final = "archive"
_VERSION: Final = b"3\n"  # of torch's archives
_STEP: Final = 1 << 22


def create_torch(
    path: str,
    specs: SequenceType[TensorSpec],
    skeleton: bytes,
    metadata: MappingType[str, str],
    same_as: MappingType[int, int] | None = None,
) -> TorchSink:
    """Create a checkpoint, and return the sink for its tensors.

    Parameters
    ----------
    path : str
    specs : sequence of TensorSpec
    skeleton : bytes
        Of a checkpoint: the same objects. Another format's is carried beside a dict of all
        tensors by their names.
    metadata : mapping of str to str
        A checkpoint has no place for it.
    same_as : mapping of int to int, optional
        Tensors that are another one, to be tied where no skeleton says which.

    Raises
    ------
    FormatError
        ``source_invalid`` if the skeleton is damaged or does not fit the tensors.
    InputOutputError
        The file cannot be written.
    """
    if os.path.isdir(path):
        raise UsageError("a PyTorch checkpoint is one file, no folder", where=path)
    own = skeleton_format(skeleton) == FORMAT
    notes = ["PyTorch checkpoints have no place for metadata: it is left out"] if metadata else []
    if own:
        decoded = read_torch(skeleton)
    else:
        decoded = _plain(specs, carriable(skeleton, notes), same_as or {})
    by_name = {spec.name: spec for spec in specs}
    found = {node.name: node for node in decoded.nodes if isinstance(node, Tensor)}
    for name in sorted(found.keys() ^ by_name.keys()):
        fault = "is not there" if name in found else "has no place in it"
        raise FormatError(f"the checkpoint's tensor {name!r} {fault}", code="source_invalid")
    return TorchSink(path, specs, decoded, notes)


def _plain(
    specs: SequenceType[TensorSpec], carried: bytes, same_as: MappingType[int, int]
) -> TorchSkeleton:
    """Return the skeleton of a dict of tensors by name."""
    nodes: list[Node] = [Mapping("dict", list(range(1, 2 * len(specs) + 1)))]
    for index, spec in enumerate(specs):
        first = specs[same_as[index]].name if index in same_as else None
        nodes += [spec.name, Tensor(spec.name, same_as=first)]
    return TorchSkeleton(VERSION, nodes, carried)


def _places(
    nodes: list[Node], specs: MappingType[str, TensorSpec]
) -> tuple[dict[str, Place], dict[str, str]]:
    """Return where tensors lie, in the order of their storages, and the stand-ins' real dtypes."""
    places: dict[str, Place] = {}
    dtypes: dict[str, str] = {}
    for node in nodes:
        if not isinstance(node, Tensor):
            continue
        spec = specs[node.name]
        native = dtype_of(node, spec.dtype)
        held, named = stand_ins([spec], () if native is None else (spec.dtype,))
        dtypes.update(named)
        key = str(len(places))
        if node.same_as is not None:
            first = specs[node.same_as]
            if (first.dtype, first.shape) != (spec.dtype, spec.shape):
                raise FormatError(
                    f"{spec.name!r} cannot be {first.name!r} too", code="source_invalid"
                )
            key = places[first.name].key
        places[spec.name] = Place(key, native or held[0].dtype, held[0].shape)
        check_gradient(node, places[spec.name].dtype)
    for node in nodes:
        if isinstance(node, Sparse):
            values = nodes[node.parts[-1]]
            check_gradient(node, places[getattr(values, "name", "")].dtype)
    return places, dtypes


class TorchSink:
    """A checkpoint that is being written."""

    def __init__(
        self,
        path: str,
        specs: SequenceType[TensorSpec],
        skeleton: TorchSkeleton,
        notes: SequenceType[str],
    ) -> None:
        self.notes = notes
        self._path = path
        self._closed = False
        nodes = [node for node in skeleton.nodes if isinstance(node, Tensor)]
        places, dtypes = _places(skeleton.nodes, {spec.name: spec for spec in specs})
        index_of = {spec.name: index for index, spec in enumerate(specs)}
        self.same_as: MappingType[int, int] = {
            index_of[node.name]: index_of[node.same_as]
            for node in nodes
            if node.same_as is not None
        }
        sizes = {places[spec.name].key: spec.nbytes for spec in specs}
        texts = {"data.pkl": emit(skeleton.nodes, places), "byteorder": b"little"}
        extra = {"version": _VERSION}
        if skeleton.carried:
            extra[SKELETON_FILE] = skeleton.carried
        if dtypes:
            extra[DTYPES_FILE] = msgspec.json.encode(dtypes)
        named = [
            *((name, len(text)) for name, text in texts.items()),
            *((f"data/{key}", size) for key, size in sizes.items()),
            *((name, len(text)) for name, text in extra.items()),
        ]
        self._records = lay_out([(f"{_FOLDER}/{name}", size) for name, size in named])
        at = {name: record for (name, _), record in zip(named, self._records, strict=True)}
        with io_errors(path), open(path, "wb") as file:
            for record in self._records:
                file.seek(record.header)
                file.write(local_header(record))
            for name, text in {**texts, **extra}.items():
                file.seek(at[name].start)
                file.write(text)
            file.truncate(self._records[-1].end)
        offsets = [at[f"data/{places[spec.name].key}"].start for spec in specs]
        self._file = TensorFile(path, specs, offsets)

    def write(self, index: int, offset: int, data: memoryview) -> None:
        """Put `data` at byte `offset` of tensor `index`; tied ones are written by their first."""
        if index not in self.same_as:
            self._file.write(index, offset, data)

    def close(self) -> None:
        """Write the checksums and the directory, and sync; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        with io_errors(self._path), open(self._path, "r+b") as file:
            crcs = []
            for record in self._records:
                file.seek(record.start)
                crc, left = 0, record.size
                while left and (part := file.read(min(_STEP, left))):
                    crc = zlib.crc32(part, crc)
                    left -= len(part)
                crcs.append(crc)
                file.seek(record.crc_at)
                file.write(crc.to_bytes(4, "little"))
            file.seek(self._records[-1].end)
            file.write(directory(self._records, crcs))
        self._file.close()

    def discard(self) -> None:
        """Release the file; nothing if it is closed."""
        self._closed = True
        self._file.discard()
