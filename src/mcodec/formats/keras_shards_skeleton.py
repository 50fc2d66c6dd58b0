"""The skeleton of sharded Keras weights: the index as it stood, and the skeleton of each shard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from mcodec.formats import hdf5_skeleton
from mcodec.formats.base import read_skeleton
from mcodec.formats.hdf5_guards import invalid, refused
from mcodec.formats.keras_index import shard_names

if TYPE_CHECKING:
    from collections.abc import Iterable

FORMAT: Final = "keras_shards"


class Shard(msgspec.Struct, forbid_unknown_fields=True):
    """One shard.

    Attributes
    ----------
    name : str
        Of the file.
    tensors : list of str
        The names of the tensors in it, in order.
    weights : msgspec.Raw
        Its whole skeleton (`hdf5_skeleton.Skeleton`).
    """

    name: str
    tensors: list[str]
    weights: msgspec.Raw


class ShardsSkeleton(msgspec.Struct, tag_field="format", tag=FORMAT, forbid_unknown_fields=True):
    """All shards in order.

    Attributes
    ----------
    version : int
    name : str
        Of the index.
    index : bytes
        The index as it stood.
    shards : list of Shard
    """

    version: int
    name: str
    index: bytes
    shards: list[Shard]


def decode(data: bytes) -> ShardsSkeleton:
    """Read a skeleton back, and check it.

    Raises
    ------
    FormatError
        ``source_invalid`` or ``source_refused`` if it breaks a rule of spec/skeletons.md,
        ``limit_exceeded`` if a count is over a limit, ``version_unsupported`` if a newer mcodec
        wrote it.
    """
    skeleton = read_skeleton(data, ShardsSkeleton)
    names = shard_names(skeleton.index, skeleton.name)
    if names != [shard.name for shard in skeleton.shards]:
        raise invalid("the shards of the skeleton are not those of its index")
    check_apart(skeleton.shards)
    return skeleton


def check_apart(shards: Iterable[Shard]) -> None:
    """Check the skeletons of all shards, and that no path but a group's is in two of them.

    Raises
    ------
    FormatError
        ``source_refused`` if one is.
    """
    first: dict[str, tuple[str, bool]] = {}
    for shard in shards:
        for item in hdf5_skeleton.decode(bytes(shard.weights)).objects:
            is_group = isinstance(item, hdf5_skeleton.Group)
            other, was_group = first.setdefault(item.path, (shard.name, is_group))
            if other != shard.name and not (is_group and was_group):
                raise refused(f"{item.path!r} is in two shards: {other!r} and {shard.name!r}")
