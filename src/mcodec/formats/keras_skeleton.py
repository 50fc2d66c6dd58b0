"""The skeleton of a Keras model: its files but the weights, and the skeleton of these."""

from __future__ import annotations

from typing import Final

import msgspec

from mcodec.formats import hdf5_skeleton
from mcodec.formats.base import read_skeleton
from mcodec.formats.hdf5_guards import invalid, over_limit
from mcodec.formats.keras_archive import WEIGHTS
from mcodec.formats.keras_names import check_names
from mcodec.limits import MAX_MEMBER_BYTES, MAX_MEMBERS_BYTES

FORMAT: Final = "keras"


class Member(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One file: the weights, or bytes to keep. An empty folder's name ends in ``/``."""

    name: str
    weights: bool = False
    data: bytes = b""
    deflated: bool = False


class KerasSkeleton(msgspec.Struct, tag_field="format", tag=FORMAT, forbid_unknown_fields=True):
    """The files in the order of the archive.

    Attributes
    ----------
    version : int
    folder : bool
        Whether the files lay in a folder, not in a zip archive.
    members : list of Member
    weights : msgspec.Raw
        The whole skeleton of the weights (`hdf5_skeleton.Skeleton`).
    """

    version: int
    folder: bool
    members: list[Member]
    weights: msgspec.Raw


def decode(data: bytes) -> KerasSkeleton:
    """Read a skeleton back, and check it.

    Raises
    ------
    FormatError
        ``source_invalid`` or ``source_refused`` if it breaks a rule of spec/skeletons.md,
        ``limit_exceeded`` if a count is over a limit, ``version_unsupported`` if a newer mcodec
        wrote it.
    """
    skeleton = read_skeleton(data, KerasSkeleton)
    check_names(member.name for member in skeleton.members)
    if [one.name for one in skeleton.members if one.weights] != [WEIGHTS]:
        raise invalid(f"the skeleton does not have the one place of {WEIGHTS!r}")
    left = MAX_MEMBERS_BYTES
    for member in skeleton.members:
        left -= len(member.data)
        if len(member.data) > MAX_MEMBER_BYTES or left < 0:
            raise over_limit(f"the skeleton has too many bytes for {member.name!r}")
        if member.data and (member.weights or member.name.endswith("/")):
            raise invalid(f"the skeleton has bytes for {member.name!r}")
        if skeleton.folder and member.deflated:
            raise invalid(f"{member.name!r} is deflated in a folder")
        if member.name.endswith("/") and not skeleton.folder:
            raise invalid(f"{member.name!r} is a folder in an archive")
    hdf5_skeleton.decode(bytes(skeleton.weights))
    return skeleton
