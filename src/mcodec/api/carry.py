"""Skeletons across formats: what a model came from travels inside what it is written as."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcodec.errors import FormatError, UsageError
from mcodec.formats import registry
from mcodec.formats.base import OWN_KEYS, skeleton_format

if TYPE_CHECKING:
    from collections.abc import Mapping


def origin(skeleton: bytes, notes: list[str]) -> bytes:
    """Return the skeleton of the first file of a chain of conversions.

    A file that was converted carries the skeleton of what it was made from; that one goes before
    its own. Carrying is one level deep: what is carried is always an origin. One that cannot be
    read, since it is damaged or a newer mcodec's, is left out with a note: the arrays are not.

    Raises
    ------
    FormatError
        ``source_invalid`` if `skeleton` itself is none, or of a format that is not known.
    """
    own = known_format(skeleton)
    inner = registry.hook(own, "inner") if own else None
    carried: bytes = inner(skeleton) if inner else b""
    try:
        return carried if known_format(carried) else skeleton
    except FormatError as error:
        notes.append(f"what the model was converted from is left out ({error})")
        return skeleton


def for_target(skeleton: bytes, target: str, notes: list[str]) -> bytes:
    """Return the skeleton that a target of format `target` is to be created with.

    The origin's if that is the target's format, so that the same file comes back; else a skeleton
    of the target's own format; else the origin's, for the target to carry.

    Raises
    ------
    FormatError
        As `origin`.
    """
    first = origin(skeleton, notes)
    if known_format(first) != target and known_format(skeleton) == target:
        return skeleton
    return first


def known_format(skeleton: bytes) -> str | None:
    """Return the format that a skeleton speaks of; None for an empty one.

    Raises
    ------
    FormatError
        ``source_invalid`` if it is no skeleton, or of a format that is not known.
    """
    found = skeleton_format(skeleton)
    if found is not None and found not in registry.FORMATS:
        raise FormatError(
            f"the skeleton is of a format that is not known: {found[:40]!r}", code="source_invalid"
        )
    return found


def plain_metadata(
    metadata: Mapping[str, str], given: bytes, chosen: bytes, target: str
) -> dict[str, str]:
    """Return the metadata that a target is created with, beside its skeleton.

    None of it is said twice: what is carried of a source holds its metadata already. Keys of
    mcodec's own are left out where the file is laid out anew.

    Parameters
    ----------
    metadata : mapping of str to str
        The source's.
    given, chosen : bytes
        The source's skeleton, and the one that the target is created with.
    target : str
        The target's format.

    Raises
    ------
    FormatError
        As `known_format`.
    """
    if chosen and known_format(chosen) == target:
        return dict(metadata)
    if chosen and chosen == given:
        return {}
    return {key: value for key, value in metadata.items() if not key.startswith(OWN_KEYS)}


def is_folder(skeleton: bytes, target: str) -> bool:
    """Tell whether a target is a folder of files, with the skeleton that it is created with."""
    if known_format(skeleton) != target:
        return False
    folder = registry.hook(target, "folder")
    return bool(folder and folder(skeleton))


def format_of_name(name: str) -> str:
    """Return the format that a person calls by an id or a suffix without its dot: ``h5``, ``pt``.

    Raises
    ------
    UsageError
        There is no such format.
    """
    found = name if name in registry.FORMATS else registry.format_for_suffix(f"x.{name}")
    if found is None or "/" in name:
        known = ", ".join(entry.suffixes[0][1:] for entry in registry.FORMATS.values())
        raise UsageError(f"unknown format {name!r}; the formats are {known}")
    return found
