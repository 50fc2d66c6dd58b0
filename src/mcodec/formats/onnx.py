"""ONNX models, read lazily and given back byte for byte (spec/skeletons.md).

The onnx library is not used: it loads a model whole, and takes what readers do not agree on.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from mcodec.errors import FormatError, UsageError
from mcodec.formats.base import VERSION, skeleton_format, summary
from mcodec.formats.files import InputFile
from mcodec.formats.gaps import Gap, check_gaps, check_tensors, read_gaps
from mcodec.formats.onnx_external import plain_location
from mcodec.formats.onnx_sink import OnnxSink
from mcodec.formats.onnx_skeleton import (
    FORMAT,
    DataFile,
    Skeleton,
    check_sizes,
    decode,
    scan,
)
from mcodec.formats.onnx_wire import invalid
from mcodec.limits import MAX_ONNX_REST
from mcodec.storage import io_errors
from mcodec.types import numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mcodec.types import TensorSpec

_SUFFIX: Final = ".onnx"
_MODEL: Final = "model.onnx"


def open_onnx(path: str) -> OnnxSource:
    """Open an ONNX model: its file, or the folder that holds just one.

    Raises
    ------
    FormatError
        The model breaks a rule of the format, or names a file outside its folder.
    InputOutputError
        The model cannot be read.
    """
    if os.path.isdir(path):
        path = _model_in(path)
    file = InputFile(path)
    try:
        return OnnxSource(file)
    except FormatError as error:
        file.close()
        raise error.at(path) from error.__cause__


def _model_in(folder: str) -> str:
    with io_errors(folder):
        names = [name for name in os.listdir(folder) if name.endswith(_SUFFIX)]
    if len(names) != 1:
        raise FormatError(
            f"the folder has {len(names)} .onnx files, not one", code="source_invalid", where=folder
        )
    return os.path.join(folder, names[0])


class OnnxSource:
    """An ONNX model that is open for reading."""

    format = FORMAT

    def __init__(self, file: InputFile) -> None:
        self.metadata: Mapping[str, str] = {}
        self._file = file
        self._scan = scan(file)
        rest = file.size - sum(length for _, length in self._scan.holes())
        if rest > MAX_ONNX_REST:
            raise FormatError(
                f"{rest} bytes of the model are no arrays: over the limit of {MAX_ONNX_REST}",
                code="limit_exceeded",
            )
        self.tensors: Sequence[TensorSpec] = self._scan.tensors
        self.same_as: Mapping[int, int] = self._scan.same_as
        self.notes: Sequence[str] = ()

    def skeleton(self) -> bytes:
        """Return all but the arrays, so that the model can be given back byte for byte."""
        holes = self._scan.holes()
        ends = [0, *(offset + length for offset, length in holes)]
        starts = [*(offset for offset, _ in holes), self._file.size]
        rest = b"".join(
            self._file.read(end, start - end) for end, start in zip(ends, starts, strict=True)
        )
        files = [
            DataFile(name, size, self._data_gaps(name))
            for name, size in self._scan.files.sizes.items()
        ]
        model = _model_name(self._file.path) if files else ""
        return msgspec.json.encode(Skeleton(VERSION, rest, holes, model, files))

    def _data_gaps(self, location: str) -> list[Gap]:
        file = InputFile(self._scan.files.path(location))
        try:
            return read_gaps(file, self._scan.gaps[location])
        finally:
            file.close()

    def read(self, index: int, start: int, stop: int) -> NDArray[np.generic]:
        """Return elements [start, stop) of tensor `index`."""
        found = self._scan.found[index]
        if found.kept is not None:
            kept: NDArray[np.generic] = found.kept[start:stop].copy()
            return kept
        if found.varints is not None:
            return found.varints.read(start, stop)
        dtype = numpy_dtype(found.dtype)
        out: NDArray[np.generic] = np.empty(stop - start, dtype)
        if found.place is None or not len(out):
            return out
        offset = found.place.offset + start * dtype.itemsize
        if not found.place.file:
            self._file.read_into(out, offset)
            return out
        # Models may have a file a tensor: none is held open.
        file = InputFile(self._scan.files.path(found.place.file))
        try:
            file.read_into(out, offset)
        finally:
            file.close()
        return out

    def close(self) -> None:
        """Release the file."""
        self._file.close()


def _model_name(path: str) -> str:
    """Return the model's name, if it is one that a skeleton may have."""
    name = os.path.basename(path)
    try:
        return plain_location(name)
    except FormatError:
        return _MODEL


def create_onnx(
    path: str, specs: Sequence[TensorSpec], skeleton: bytes, metadata: Mapping[str, str]
) -> OnnxSink:
    """Create the ONNX model that the skeleton was taken from, and return the sink for its tensors.

    Parameters
    ----------
    path : str
        A file; if `folder_onnx` says so an empty folder that is there.
    specs, skeleton, metadata
        As for every format.

    Raises
    ------
    FormatError
        The skeleton breaks a rule, or speaks of other tensors.
    UsageError
        The skeleton is none of an ONNX model.
    InputOutputError
        A file cannot be written.
    """
    if skeleton_format(skeleton) != FORMAT:
        message = "ONNX can only be written back for what came from one"
        raise UsageError(message, where=path)
    plan = decode(skeleton)
    if plan.files and not os.path.isdir(path):
        message = "the model has data files beside it: name a folder for them, without .onnx"
        raise UsageError(message, where=path)
    check_sizes(plan, specs)
    model = os.path.join(path, plan.model) if plan.files else path
    _write_rest(model, plan)
    for data in plan.files:
        _write_data(os.path.join(path, *data.location.split("/")), data)
    file = InputFile(model)
    try:
        found = scan(file, frozenset(plan.holes))
    except FormatError as error:
        raise error.at("the skeleton") from error.__cause__
    finally:
        file.close()
    if found.holes() != plan.holes:
        raise invalid("the holes of the skeleton are not its tensors'")
    if found.files.sizes.keys() != {data.location for data in plan.files}:
        raise invalid("the files of the skeleton are not those of its tensors")
    for data in plan.files:
        check_gaps(data.gaps, found.gaps[data.location])
    check_tensors(found.tensors, specs)
    return OnnxSink(model, specs, found, bool(metadata))


def _write_rest(path: str, plan: Skeleton) -> None:
    with io_errors(path), open(path, "wb") as file:
        done = 0
        end = 0
        for offset, length in plan.holes:
            file.write(plan.rest[done : done + offset - end])
            done += offset - end
            end = offset + length
            file.seek(end)
        file.write(plan.rest[done:])
        os.truncate(file.fileno(), plan.size)


def _write_data(path: str, data: DataFile) -> None:
    with io_errors(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "xb") as file:
            os.truncate(file.fileno(), data.size)
            for gap in data.gaps:
                if gap.offset < 0 or gap.offset + len(gap.data) > data.size:
                    raise invalid("bytes of the skeleton do not lie inside their file")
                file.seek(gap.offset)
                file.write(gap.data)


def folder_onnx(skeleton: bytes) -> bool:
    """Return whether the model has data files beside it, so that its target is a folder.

    Raises
    ------
    FormatError
        The skeleton breaks a rule.
    """
    return skeleton_format(skeleton) == FORMAT and bool(decode(skeleton).files)


def inner_onnx(skeleton: bytes) -> bytes:
    """Return b"": ONNX models carry no other format's skeleton."""
    del skeleton
    return b""


def facts_onnx(skeleton: bytes) -> dict[str, str]:
    """Return how much the model holds besides arrays, and its hash: enough to tell a change.

    Raises
    ------
    FormatError
        The skeleton breaks a rule.
    """
    rest = decode(skeleton).rest
    return {"the model besides its arrays": summary(rest)}
