"""Sharded Keras weights: an index, and the HDF5 files in the same folder that it names."""

from __future__ import annotations

import os
import threading
from bisect import bisect_right
from itertools import islice
from typing import TYPE_CHECKING, Final

import msgspec

from mcodec.errors import FormatError
from mcodec.formats.base import VERSION, skeleton_format, summary
from mcodec.formats.files import InputFile
from mcodec.formats.hdf5 import Hdf5Source, open_hdf5
from mcodec.formats.hdf5_guards import invalid, over_limit, refused
from mcodec.formats.keras_index import shard_names
from mcodec.formats.keras_names import regular_size
from mcodec.formats.keras_shards_skeleton import (
    FORMAT,
    Shard,
    ShardsSkeleton,
    check_apart,
    decode,
)
from mcodec.formats.keras_shards_write import create_keras_shards
from mcodec.formats.registry import hook
from mcodec.limits import (
    MAX_FOLDER_FILES,
    MAX_KERAS_INDEX,
    MAX_MEMBERS_BYTES,
    MAX_TENSORS,
    decoded_budget,
)
from mcodec.storage import io_errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from mcodec.types import TensorSpec

__all__ = [
    "KerasShardsSource",
    "create_keras_shards",
    "facts_keras_shards",
    "folder_keras_shards",
    "inner_keras_shards",
    "open_keras_shards",
]

_INDEX: Final = ".weights.json"
_KEPT: Final = 8  # shards that are open at a time
_NAMED: Final = 5  # files that a message names


def open_keras_shards(path: str) -> KerasShardsSource:
    """Open sharded weights by their index, or by the folder that has one.

    Raises
    ------
    FormatError
        The index or a shard is damaged, not there, or uses something that is refused.
    InputOutputError
        A file cannot be read.
    """
    try:
        if not os.path.isdir(path):
            return KerasShardsSource(os.path.dirname(path), os.path.basename(path))
        with io_errors(path):
            names = sorted(islice(os.listdir(path), MAX_FOLDER_FILES + 1))
        if len(names) > MAX_FOLDER_FILES:
            raise over_limit(f"the folder has more than {MAX_FOLDER_FILES} files")
        found = [name for name in names if name.endswith(_INDEX)]
        if len(found) != 1:
            raise invalid(f"one index is needed, and there are {len(found)}: {_some(found)}")
        regular_size(os.path.join(path, found[0]), found[0])
        return KerasShardsSource(path, found[0], names)
    except FormatError as error:
        raise (error if error.where else error.at(path)) from error.__cause__


def _some(names: Sequence[str]) -> str:
    more = [f"and {len(names) - _NAMED} more"] if len(names) > _NAMED else []
    return ", ".join([repr(name[:80]) for name in names[:_NAMED]] + more)


class KerasShardsSource:
    """Sharded weights that are open for reading; tensors are named by their paths.

    Parameters
    ----------
    folder : str
    name : str
        Of the index in it.
    listed : sequence of str
        All that lies there, to say what is not taken.
    """

    format = FORMAT

    def __init__(self, folder: str, name: str, listed: Sequence[str] = ()) -> None:
        self._folder = folder
        self._name = name
        self._lock = threading.Lock()
        self._open: dict[int, Hdf5Source] = {}
        self._index = _read_index(os.path.join(folder, name))
        self._shards = shard_names(self._index, name)
        sizes = [regular_size(os.path.join(folder, shard), shard) for shard in self._shards]
        self.tensors: list[TensorSpec] = []
        self.metadata: Mapping[str, str] = {}
        self.same_as: dict[int, int] = {}
        self._starts: list[int] = []
        notes: list[str] = []
        for number, shard in enumerate(self._shards):
            source = self._source(number)
            start = len(self.tensors)
            if number == 0:
                self.metadata = source.metadata
            self._starts.append(start)
            self.tensors.extend(source.tensors)
            self.same_as.update({start + i: start + j for i, j in source.same_as.items()})
            notes.extend(f"{shard!r}: {note}" for note in source.notes)
            if len(self.tensors) > MAX_TENSORS:
                raise over_limit(f"the shards have more than {MAX_TENSORS} tensors")
        _check_tensors(self.tensors, sum(sizes))
        rest = [other for other in listed if other not in {name, *self._shards}]
        if rest:
            notes.append(f"files in the folder that are not taken: {_some(rest)}")
        self.notes: Sequence[str] = notes

    def _source(self, number: int) -> Hdf5Source:
        """Return an open shard; one that is dropped is closed when its last reader is done."""
        with self._lock:
            if number not in self._open:
                while len(self._open) >= _KEPT:
                    self._open.pop(next(iter(self._open)))
                shard = self._shards[number]
                path = os.path.join(self._folder, shard)
                regular_size(path, shard)
                source = open_hdf5(path)
                if number < len(self._starts):
                    self._check_again(number, source)
                self._open[number] = source
            return self._open[number]

    def _check_again(self, number: int, source: Hdf5Source) -> None:
        if list(source.tensors) != self.tensors[self._span(number)]:
            raise invalid(f"{self._shards[number]!r} has changed while it was read")

    def _span(self, number: int) -> slice:
        ends = [*self._starts[1:], len(self.tensors)]
        return slice(self._starts[number], ends[number])

    def skeleton(self) -> bytes:
        """Return the index, and the skeletons of all shards."""
        shards: list[Shard] = []
        total = 0
        for number, shard in enumerate(self._shards):
            weights = self._source(number).skeleton()
            total += len(weights)
            if total > MAX_MEMBERS_BYTES:
                raise over_limit(
                    f"the shards hold more than {MAX_MEMBERS_BYTES} bytes besides arrays"
                ).at(self._folder)
            names = [spec.name for spec in self.tensors[self._span(number)]]
            shards.append(Shard(shard, names, msgspec.Raw(weights)))
        try:
            check_apart(shards)
        except FormatError as error:
            raise error.at(self._folder) from error.__cause__
        return msgspec.json.encode(ShardsSkeleton(VERSION, self._name, self._index, shards))

    def read(self, index: int, start: int, stop: int) -> NDArray[np.generic]:
        """Return elements [start, stop) of tensor `index`."""
        # Of several shards that begin at one index, all but the last are empty.
        number = bisect_right(self._starts, index) - 1
        return self._source(number).read(index - self._starts[number], start, stop)

    def close(self) -> None:
        """Release the files."""
        with self._lock:
            for source in self._open.values():
                source.close()
            self._open.clear()


def _read_index(path: str) -> bytes:
    file = InputFile(path)
    try:
        if file.size > MAX_KERAS_INDEX:
            raise over_limit(f"the index has {file.size} bytes, over {MAX_KERAS_INDEX}")
        return file.read(0, file.size)
    finally:
        file.close()


def _check_tensors(tensors: Sequence[TensorSpec], stored: int) -> None:
    """Check what no shard can see alone: names of all tensors, and how large they are together."""
    seen: set[str] = set()
    for spec in tensors:
        if spec.name in seen:
            raise refused(f"the tensor {spec.name!r} is in two shards")
        seen.add(spec.name)
    declared = sum(spec.nbytes for spec in tensors)
    if declared > decoded_budget(stored):
        raise FormatError(
            f"the shards declare {declared} bytes, and have {stored}", code="decoded_too_large"
        )


def inner_keras_shards(skeleton: bytes) -> bytes:
    """Return b"": no model of another format is written as sharded Keras weights."""
    del skeleton
    return b""


def folder_keras_shards(skeleton: bytes) -> bool:
    """Return whether the skeleton is of sharded Keras weights: they always lie in a folder.

    Raises
    ------
    FormatError
        It is no skeleton.
    """
    return skeleton_format(skeleton) == FORMAT


def facts_keras_shards(skeleton: bytes) -> dict[str, str]:
    """Return the index, and what the shards hold besides arrays, as text.

    Raises
    ------
    FormatError
        The skeleton breaks a rule.
    """
    if not skeleton:
        return {}
    plan = decode(skeleton)
    facts = {f"index {plan.name!r}": summary(plan.index)}
    inner = hook("hdf5", "facts")
    if inner is not None:
        for shard in plan.shards:
            for key, value in inner(bytes(shard.weights)).items():
                facts[f"{shard.name!r}: {key}"] = value
    return facts
