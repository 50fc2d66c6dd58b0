"""An ONNX model that is being written back: arrays go to their places, as they were encoded."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Final

import numpy as np

from mcodec.errors import UsageError
from mcodec.formats.onnx_varints import encode
from mcodec.storage import io_errors
from mcodec.types import numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mcodec.formats.onnx_external import Place
    from mcodec.formats.onnx_skeleton import Scan
    from mcodec.types import TensorSpec

_CLOEXEC: Final = getattr(os, "O_CLOEXEC", 0)
_PIECE: Final = 1 << 18  # elements


class OnnxSink:
    """Takes the tensors of a model whose files are there, with holes for them.

    Varints have their places only when all before them are known: their arrays wait in a file
    without a name until the sink is closed.

    Parameters
    ----------
    path : str
        Of the model.
    specs : sequence of TensorSpec
        The tensors of `found`, in any order.
    found : Scan
        What the model holds.
    metadata : bool
        Whether there is metadata that has no place.
    """

    def __init__(self, path: str, specs: Sequence[TensorSpec], found: Scan, metadata: bool) -> None:
        lost = "ONNX models have no place for metadata that is added: it is left out"
        self.notes: Sequence[str] = (lost,) if metadata else ()
        self._spool: IO[bytes] | None = None
        self._path = path
        self._specs = specs
        self._files = found.files
        index_of = {spec.name: index for index, spec in enumerate(found.tensors)}
        order = [index_of[spec.name] for spec in specs]
        back = {there: here for here, there in enumerate(order)}
        self._found = [found.found[index] for index in order]
        self.same_as: Mapping[int, int] = {
            back[index]: back[first] for index, first in found.same_as.items()
        }
        self._waiting: dict[int, int] = {}
        self._open = True
        length = 0
        for index, one in enumerate(self._found):
            if one.place is not None and one.place.varint:
                self._waiting[index] = length
                length += specs[index].nbytes
        if self._waiting:
            with io_errors(path):
                self._spool = tempfile.TemporaryFile(  # noqa: SIM115
                    dir=os.path.dirname(path) or "."
                )

    def write(self, index: int, offset: int, data: memoryview) -> None:
        """Put `data` at byte `offset` of tensor `index`.

        Raises
        ------
        UsageError
            The bytes do not lie inside the tensor, or are not those that an array has which can
            only be written back unchanged.
        InputOutputError
            The operating system refuses to write.
        """
        view = data.cast("B") if data.nbytes else memoryview(b"")
        spec, found = self._specs[index], self._found[index]
        if offset < 0 or offset + len(view) > spec.nbytes:
            raise UsageError(f"bytes past the end of tensor {spec.name!r}", where=self._path)
        if found.place is None:
            kept = found.kept.view(np.uint8) if found.kept is not None else np.empty(0, np.uint8)
            if kept[offset : offset + len(view)].tobytes() != view:
                raise UsageError(
                    f"tensor {spec.name!r} is encoded so that it can only be written back"
                    " unchanged: keep it without loss",
                    where=self._path,
                )
        elif self._spool is not None and index in self._waiting:
            with io_errors(self._path):
                _put(self._spool.fileno(), self._waiting[index] + offset, view)
        elif view:
            self._fill(found.place, offset, view)

    def _fill(self, place: Place, offset: int, data: memoryview) -> None:
        """Write bytes of a tensor into its file; no file stays open, as there may be many."""
        path = self._path_of(place.file)
        with io_errors(path):
            fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | _CLOEXEC)
            try:
                _put(fd, place.offset + offset, data)
            finally:
                os.close(fd)

    def _path_of(self, file: str) -> str:
        return self._files.path(file) if file else self._path

    def close(self) -> None:
        """Write the varints, and sync all files; a second call does nothing.

        Raises
        ------
        UsageError
            The values of a tensor have changed so that their varints no longer fit.
        """
        if not self._open:
            return
        self._open = False
        try:
            for index, one in enumerate(self._found):
                if self._spool is not None and one.place is not None and one.place.varint:
                    self._encode(index, one.place, self._spool.fileno())
        finally:
            self._release()
        for file in ("", *self._files.sizes):
            path = self._path_of(file)
            with io_errors(path):
                fd = os.open(path, os.O_RDONLY | _CLOEXEC)
                try:
                    os.fsync(fd)
                finally:
                    os.close(fd)

    def _release(self) -> None:
        if self._spool is not None:
            self._spool.close()

    def discard(self) -> None:
        """Remove what waits; nothing if it is closed."""
        self._open = False
        with suppress(OSError):
            self._release()

    def __del__(self) -> None:
        self.discard()

    def _encode(self, index: int, place: Place, spool: int) -> None:
        spec = self._specs[index]
        dtype = numpy_dtype(spec.dtype)
        done = 0
        for start in range(0, spec.size, _PIECE):
            length = min(_PIECE, spec.size - start) * dtype.itemsize
            at = self._waiting[index] + start * dtype.itemsize
            with io_errors(self._path):
                raw = os.pread(spool, length, at).ljust(length, b"\0")
            data = encode(np.frombuffer(raw, dtype))
            if done + len(data) > place.length:
                break
            self._fill(place, done, memoryview(data))
            done += len(data)
        else:
            if done == place.length:
                return
        raise UsageError(
            f"the values of tensor {spec.name!r} have changed, and no longer take the bytes that"
            " they had: keep it without loss",
            where=self._path,
        )


def _put(fd: int, place: int, view: memoryview) -> None:
    while view:
        count = os.pwrite(fd, view, place)
        view, place = view[count:], place + count
