"""Sharded Keras weights from tensors and the skeleton of such."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

from mcodec.errors import UsageError
from mcodec.formats.base import skeleton_format
from mcodec.formats.hdf5_guards import invalid
from mcodec.formats.hdf5_write import create_hdf5
from mcodec.formats.keras_shards_skeleton import FORMAT, ShardsSkeleton, decode
from mcodec.storage import io_errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mcodec.formats.base import TensorSink
    from mcodec.types import TensorSpec


def create_keras_shards(
    path: str, specs: Sequence[TensorSpec], skeleton: bytes, metadata: Mapping[str, str]
) -> KerasShardsSink:
    """Create an index and its shards in a folder, and return the sink for their tensors.

    Parameters
    ----------
    path : str
        An empty folder that is there.
    specs : sequence of TensorSpec
    skeleton : bytes
        Of sharded Keras weights.
    metadata : mapping of str to str
        Goes where an HDF5 file has it: into the first shard.

    Raises
    ------
    FormatError
        The skeleton breaks a rule, or does not fit the tensors.
    UsageError
        The skeleton is of another format, or the path is no folder.
    InputOutputError
        A file cannot be written.
    """
    if skeleton_format(skeleton) != FORMAT:
        raise UsageError(
            "only a task that came from sharded Keras weights can be written as such: name a"
            " .weights.h5 file instead",
            where=path,
        )
    if not os.path.isdir(path):
        raise UsageError(
            "sharded Keras weights are several files: name a folder, or a .weights.h5 file",
            where=path,
        )
    plan = decode(skeleton)
    places = _places(plan, specs)
    index = os.path.join(path, plan.name)
    with io_errors(index), open(index, "xb") as file:
        file.write(plan.index)
    sinks: list[TensorSink] = []
    with ExitStack() as made:
        for shard, numbers in zip(plan.shards, places, strict=True):
            target = os.path.join(path, shard.name)
            own = [specs[number] for number in numbers]
            kept = {} if sinks else metadata
            sinks.append(create_hdf5(target, own, bytes(shard.weights), kept))
            made.callback(sinks[-1].discard)
        made.pop_all()
    return KerasShardsSink(sinks, places)


def _places(plan: ShardsSkeleton, specs: Sequence[TensorSpec]) -> list[list[int]]:
    """Return the numbers of the tensors that lie in each shard."""
    left = {spec.name: number for number, spec in enumerate(specs)}
    places = []
    for shard in plan.shards:
        try:
            places.append([left.pop(name) for name in shard.tensors])
        except KeyError as error:
            name = error.args[0]
            raise invalid(f"{shard.name!r} needs the tensor {name!r}, which is not there") from None
    for name in left:
        raise invalid(f"the tensor {name!r} has no place in the shards of the skeleton")
    return places


class KerasShardsSink:
    """Shards that are being written.

    Parameters
    ----------
    sinks : sequence of TensorSink
        Of the shards.
    places : sequence of sequence of int
        For each shard, the numbers of its tensors.
    """

    def __init__(self, sinks: Sequence[TensorSink], places: Sequence[Sequence[int]]) -> None:
        self._sinks = sinks
        self._places: dict[int, tuple[TensorSink, int]] = {}
        same_as: dict[int, int] = {}
        for sink, numbers in zip(sinks, places, strict=True):
            self._places.update({number: (sink, own) for own, number in enumerate(numbers)})
            same_as.update({numbers[i]: numbers[j] for i, j in sink.same_as.items()})
        self.same_as: Mapping[int, int] = same_as
        self.notes: Sequence[str] = [note for sink in sinks for note in sink.notes]

    def write(self, index: int, offset: int, data: memoryview) -> None:
        """Put `data` at byte `offset` of tensor `index`."""
        sink, own = self._places[index]
        sink.write(own, offset, data)

    def close(self) -> None:
        """Finish all files and sync them."""
        for sink in self._sinks:
            sink.close()

    def discard(self) -> None:
        """Release all files; nothing if they are closed."""
        for sink in self._sinks:
            sink.discard()
