"""safetensors files and sets, read lazily and given back byte for byte (spec/skeletons.md)."""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from mcodec.errors import FormatError
from mcodec.formats.afar import open_input
from mcodec.formats.safetensors_files import OpenFiles, Shard, read_shard
from mcodec.formats.safetensors_sets import INDEX_SUFFIX, Found, agreed, check_set, find_files
from mcodec.formats.safetensors_skeleton import (
    FORMAT,
    IndexPart,
    ShardPart,
    Skeleton,
    facts_safetensors,
    folder_safetensors,
    inner_safetensors,
)
from mcodec.formats.safetensors_write import create_safetensors
from mcodec.limits import MAX_SHARD_HEADERS
from mcodec.storage import is_url, shown
from mcodec.types import numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mcodec.formats.files import InputFile
    from mcodec.types import TensorSpec

__all__ = [
    "SafetensorsSource",
    "create_safetensors",
    "facts_safetensors",
    "folder_safetensors",
    "inner_safetensors",
    "open_safetensors",
]


_AHEAD: Final = 1 << 18  # bytes that are read at once where small arrays are read in their order


def open_safetensors(path: str) -> SafetensorsSource:
    """Open a safetensors file, or a set of them: a folder, or its index.

    Raises
    ------
    FormatError
        A file breaks a rule of the format, or the files are not those of the index.
    InputOutputError
        A file cannot be read.
    """
    if is_url(path):
        several = path.partition("?")[0].endswith(INDEX_SUFFIX)
    else:
        several = path.endswith(INDEX_SUFFIX) or os.path.isdir(path)
    try:
        return SafetensorsSource(find_files(path) if several else Found([path]))
    except FormatError as error:
        name = shown(path)
        raise (error if error.where.startswith(name) else error.at(name)) from error.__cause__


class SafetensorsSource:
    """A safetensors file, or a set of them, that is open for reading."""

    format = FORMAT

    def __init__(self, found: Found) -> None:
        self._found = found
        self._shards: list[Shard] = []
        self._files = OpenFiles(self._open)
        left = MAX_SHARD_HEADERS
        for number in range(len(found.paths)):
            self._shards.append(read_shard(self._files.get(number), left))
            left -= len(self._shards[-1].raw)
        headers = [shard.header for shard in self._shards]
        names = [os.path.basename(path) for path in found.paths]
        if found.is_set:
            check_set(dict(zip(names, headers, strict=True)), found.index)
        self._names = names
        self.tensors: Sequence[TensorSpec] = [one for h in headers for one in h.tensors]
        self.metadata: Mapping[str, str] = agreed(headers)
        self.same_as: Mapping[int, int] = {}
        self.notes: Sequence[str] = list(found.notes)
        self._places = [
            (number, shard.start + offset)
            for number, shard in enumerate(self._shards)
            for offset in shard.header.offsets
        ]

    def _open(self, number: int) -> InputFile:
        file = open_input(self._found.paths[number])
        if number < len(self._shards) and file.size != self._shards[number].size:
            raise FormatError("the file has changed", code="source_invalid", where=file.path)
        return file

    @property
    def paths(self) -> list[str]:
        """The files with its tensors: paths, or URLs."""
        return list(self._found.paths)

    def skeleton(self) -> bytes:
        """Return the headers, and the index of a set: all that gives them back byte for byte."""
        texts = [shard.raw.decode("utf-8") for shard in self._shards]
        if not self._found.is_set:
            return msgspec.json.encode(Skeleton(1, texts[0]))
        index = self._found.index
        part = IndexPart(index.name, index.text) if index else None
        shards = [ShardPart(*pair) for pair in zip(self._names, texts, strict=True)]
        return msgspec.json.encode(Skeleton(1, index=part, shards=shards))

    def read(self, index: int, start: int, stop: int) -> NDArray[np.generic]:
        """Return elements [start, stop) of tensor `index`."""
        number, base = self._places[index]
        dtype = numpy_dtype(self.tensors[index].dtype)
        out: NDArray[np.generic] = np.empty(stop - start, dtype)
        self._files.get(number).read_into(out, base + start * dtype.itemsize)
        return out

    def read_many(self, first: int) -> list[NDArray[np.generic]]:
        """Return whole tensors from `first` on that lie together, as many as one read should take.

        They share memory. None are returned where there is nothing to gain.
        """
        number, begin = self._places[first]
        end = begin
        starts = []
        for place, spec in zip(
            islice(self._places, first, None), islice(self.tensors, first, None), strict=True
        ):
            after = end + spec.nbytes
            if place != (number, end) or after - begin > _AHEAD:
                break
            starts.append(end - begin)
            end = after
        if len(starts) < 2:
            return []
        room = np.empty(end - begin, np.uint8)
        self._files.get(number).read_into(room, begin)
        specs = self.tensors[first : first + len(starts)]
        return [
            np.frombuffer(room, numpy_dtype(spec.dtype), spec.size, start)
            for spec, start in zip(specs, starts, strict=True)
        ]

    def close(self) -> None:
        """Release the files."""
        self._files.close()
