"""safetensors files and sets from tensors and a skeleton."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mcodec.errors import FormatError, UsageError
from mcodec.formats.base import OWN_KEYS, skeleton_format
from mcodec.formats.files import TensorFile
from mcodec.formats.safetensors_files import PREFIX, OpenFiles, write_header
from mcodec.formats.safetensors_header import parse_header
from mcodec.formats.safetensors_layout import build_header, replace_metadata
from mcodec.formats.safetensors_skeleton import FORMAT, Layout, read_layout
from mcodec.storage import io_errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mcodec.formats.base import TensorSink
    from mcodec.types import TensorSpec


def create_safetensors(
    path: str, specs: Sequence[TensorSpec], skeleton: bytes, metadata: Mapping[str, str]
) -> TensorSink:
    """Create safetensors files of the right size, and return the sink for their tensors.

    Parameters
    ----------
    path : str
        A file to write, or an empty folder, for the skeleton of a set.
    specs : sequence of TensorSpec
    skeleton : bytes
        Of a safetensors file of exactly these tensors: the file comes back byte for byte; of a
        set of files: into a folder they come back, into a file they are merged, and it carries the
        skeleton. Of another format: carried. Else the layout is the library's own.
    metadata : mapping of str to str
        Goes before that of the skeleton.

    Raises
    ------
    FormatError
        ``source_invalid`` if the skeleton is damaged, or of a set of other tensors.
    UsageError
        A name that safetensors does not have, a header that is too long, or a folder without the
        skeleton of a set.
    InputOutputError
        The files cannot be written.
    """
    own = read_layout(skeleton) if skeleton_format(skeleton) == FORMAT else None
    notes: list[str] = []
    words = {key: value for key, value in metadata.items() if not key.startswith(OWN_KEYS)}
    if len(words) < len(metadata):
        notes.append(f"metadata whose names begin with {OWN_KEYS!r} is left out")
    if os.path.isdir(path):
        return _Set(path, specs, _checked_set(own, specs), words, notes)
    raw = _header(specs, skeleton, own, words, notes)
    header = parse_header(raw)
    write_header(path, raw, header.length, new=False)
    base = PREFIX + len(raw)
    places = dict(zip((one.name for one in header.tensors), header.offsets, strict=True))
    file = TensorFile(path, specs, [base + places[spec.name] for spec in specs])
    file.notes = notes
    return file


def _header(
    specs: Sequence[TensorSpec],
    skeleton: bytes,
    own: Layout | None,
    metadata: Mapping[str, str],
    notes: list[str],
) -> bytes:
    """Return the header of one file."""
    if own is None:
        return build_header(specs, metadata, skeleton)
    words = metadata or own.metadata
    if not own.fits(specs):
        notes.append("the tensors are not those of the skeleton: the file is laid out anew")
        return build_header(specs, words)
    if own.is_set:
        return build_header(specs, words, skeleton)
    return _with_metadata(own, 0, words, own.metadata)


def _with_metadata(
    own: Layout, number: int, metadata: Mapping[str, str], common: Mapping[str, str]
) -> bytes:
    """Return the header of one file of a layout, with other metadata in place of the common one."""
    raw, header = own.raws[number], own.headers[number]
    if metadata == common:
        return raw
    kept = {key: value for key, value in header.metadata.items() if key not in common}
    return replace_metadata(raw, header, {**kept, **metadata})


def _checked_set(own: Layout | None, specs: Sequence[TensorSpec]) -> Layout:
    if own is None or not own.is_set:
        raise UsageError("only a model that came as a set of safetensors files makes a folder")
    if not own.fits(specs):
        raise FormatError(
            "the tensors are not those of the set that the model came as: write one file",
            code="source_invalid",
        )
    return own


class _Set:
    """A folder of safetensors files that is being written."""

    def __init__(
        self,
        folder: str,
        specs: Sequence[TensorSpec],
        layout: Layout,
        metadata: Mapping[str, str],
        notes: list[str],
    ) -> None:
        self.same_as: Mapping[int, int] = {}
        self.notes: Sequence[str] = notes
        common = layout.metadata
        words = metadata or common
        self._headers = layout.headers
        self._paths = [os.path.join(folder, name) for name in layout.names]
        raws = [_with_metadata(layout, n, words, common) for n in range(len(layout.names))]
        self._bases = [PREFIX + len(raw) for raw in raws]
        for path, raw, header in zip(self._paths, raws, layout.headers, strict=True):
            write_header(path, raw, header.length, new=True)
        if layout.index:
            self._paths.append(os.path.join(folder, layout.index.name))
            with io_errors(self._paths[-1]), open(self._paths[-1], "xb") as file:
                file.write(layout.index.text.encode("utf-8"))
        places = {
            spec.name: (shard, number)
            for shard, header in enumerate(layout.headers)
            for number, spec in enumerate(header.tensors)
        }
        self._places = [places[spec.name] for spec in specs]
        self._files = OpenFiles(self._open)
        self._closed = False

    def _open(self, shard: int) -> TensorFile:
        header, base = self._headers[shard], self._bases[shard]
        offsets = [base + offset for offset in header.offsets]
        return TensorFile(self._paths[shard], header.tensors, offsets)

    def write(self, index: int, offset: int, data: memoryview) -> None:
        """Put `data` at byte `offset` of tensor `index`."""
        shard, number = self._places[index]
        self._files.get(shard).write(number, offset, data)

    def close(self) -> None:
        """Release all files and sync them; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._files.close()
        for path in self._paths:
            with io_errors(path), open(path, "rb") as file:
                os.fsync(file.fileno())

    def discard(self) -> None:
        """Release all files; nothing if they are closed."""
        self._closed = True
        self._files.close()
