"""Sets of safetensors files: a folder of shards, mostly with an index that says which is where.

Names in an index are not to be trusted: a shard is a plain name of a regular file in the folder of
the index, no link but that of a cache to its own blobs. All tensors of all shards are taken, or the
set is refused.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np

from mcodec.errors import FormatError
from mcodec.formats.afar import open_input
from mcodec.formats.safetensors_json import StrictJson
from mcodec.limits import MAX_FOLDER_FILES, MAX_INDEX_BYTES, MAX_SHARDS, MAX_TENSORS
from mcodec.storage import io_errors, is_url

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from mcodec.formats.safetensors_header import Header

SUFFIX: Final = ".safetensors"
INDEX_SUFFIX: Final = ".json"
_FOLDER_INDEX: Final = ".safetensors.index.json"
_BLOB: Final = re.compile(r"\.\./\.\./blobs/[0-9a-f]{40,64}")
_IN_URL: Final = re.compile(r"[A-Za-z0-9._-]+")  # what means nothing else in a URL
_LONGEST_NAME: Final = 255  # bytes that file systems allow
_SHOWN: Final = 5
_JSON: Final = StrictJson("the index", floats=True)


@dataclass(frozen=True, slots=True)
class Index:
    """The index of a set.

    Attributes
    ----------
    name : str
        Its file's.
    text : str
        As it stands.
    places : dict of str to str
        Names of tensors to those of shards.
    """

    name: str
    text: str
    places: dict[str, str]


@dataclass(frozen=True, slots=True)
class Found:
    """The files of a model, none of them opened yet.

    Attributes
    ----------
    paths : list of str
        At least one, in natural order of their names.
    index : Index or None
    is_set : bool
        Whether it is more than one lone file.
    notes : list of str
    """

    paths: list[str]
    index: Index | None = None
    is_set: bool = False
    notes: Collection[str] = ()


def find_files(path: str) -> Found:
    """Find the files of the model that a folder or an index is.

    Raises
    ------
    FormatError
        ``source_invalid`` if the index is damaged or names a file that is not there,
        ``source_refused`` for names and files that are not followed, ``limit_exceeded``.
    InputOutputError
        The operating system refuses to read.
    """
    if is_url(path):
        return _behind_url(path)
    if not os.path.isdir(path):
        folder, name = os.path.split(path)
        return _indexed(folder, name, _names(folder))
    names = _names(path)
    indexes = [name for name in names if name.endswith(_FOLDER_INDEX)]
    if len(indexes) > 1:
        raise FormatError(
            f"the folder has several models ({_few(indexes)}): name the index of one",
            code="source_invalid",
        )
    if indexes:
        _check_regular(path, indexes[0])
        return _indexed(path, indexes[0], names)
    shards = [name for name in names if name.endswith(SUFFIX)]
    if not shards:
        raise FormatError("the folder has no safetensors file", code="source_invalid")
    return _found(path, shards, None, names)


def _indexed(folder: str, name: str, names: list[str]) -> Found:
    check_name(name, INDEX_SUFFIX)
    index = _read_index(os.path.join(folder, name), name)
    return _found(folder, list(set(index.places.values())), index, names)


def _behind_url(url: str) -> Found:
    """Find the files of an index that is behind a URL: those beside it."""
    place, query, _ = url.partition("?")
    if query:
        raise FormatError("shards cannot be found by a signed URL", code="source_refused")
    folder, _, name = place.rpartition("/")
    check_name(name, INDEX_SUFFIX)
    index = _read_index(url, name)
    shards = list(set(index.places.values()))
    check_names(shards)
    for shard in shards:
        if not _IN_URL.fullmatch(shard):
            raise FormatError(f"{shard[:80]!r} is no name to put into a URL", code="source_refused")
    paths = [f"{folder}/{shard}" for shard in sorted(shards, key=natural_key)]
    return Found(paths, index, is_set=True)


def _read_index(path: str, name: str) -> Index:
    file = open_input(path)
    try:
        if file.size > MAX_INDEX_BYTES:
            raise FormatError(
                f"an index of {file.size} bytes is over the limit of {MAX_INDEX_BYTES}",
                code="limit_exceeded",
            )
        raw = np.empty(file.size, np.uint8)
        file.read_into(raw, 0)
        return parse_index(name, raw.tobytes())
    except FormatError as error:
        raise (error if error.where else error.at(file.path)) from error.__cause__
    finally:
        file.close()


def _found(folder: str, shards: list[str], index: Index | None, names: list[str]) -> Found:
    check_names(shards)
    for name in shards:
        _check_regular(folder, name)
    paths = [os.path.join(folder, name) for name in sorted(shards, key=natural_key)]
    taken = {*shards, index.name if index else ""}
    left = [name for name in names if name not in taken]
    notes = [f"not taken, though in the folder: {_few(left)}"] if left else []
    return Found(paths, index, index is not None or len(shards) > 1, notes)


def _names(folder: str) -> list[str]:
    with io_errors(folder), os.scandir(folder or ".") as entries:
        names = [entry.name for entry in islice(entries, MAX_FOLDER_FILES + 1)]
    if len(names) > MAX_FOLDER_FILES:
        raise FormatError(
            f"the folder has more than {MAX_FOLDER_FILES} files", code="limit_exceeded"
        )
    return sorted(names, key=natural_key)


def natural_key(name: str) -> list[tuple[int, str]]:
    """Return what sorts names with numbers in them by the numbers."""
    return [
        (int(part), part) if part.isdigit() and part.isascii() else (-1, part)
        for part in re.split(r"([0-9]+)", name)
    ]


def _few(names: Iterable[str]) -> str:
    """Name the first of some files."""
    every = list(names)
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(repr(name[:80]) for name in every[:_SHOWN]) + more


def check_name(name: str, suffix: str) -> None:
    """Refuse the name of a file that is no plain one, in the set's own folder.

    Raises
    ------
    FormatError
        ``source_refused``.
    """
    plain = name.isprintable() and not any(c in "/\\:" for c in name)
    if not plain or not name.endswith(suffix) or len(name.encode()) > _LONGEST_NAME:
        raise FormatError(
            f"{name[:80]!r} is no plain name of a {suffix} file in the set's folder",
            code="source_refused",
        )


def check_names(names: Collection[str]) -> None:
    """Refuse the names of a set's shards.

    Raises
    ------
    FormatError
        ``source_refused`` for a name that is no plain one, ``source_invalid`` for none or the same
        twice, ``limit_exceeded`` for too many.
    """
    if len(names) > MAX_SHARDS:
        raise FormatError(
            f"{len(names)} shards are more than the {MAX_SHARDS} allowed", code="limit_exceeded"
        )
    if not names or len(set(names)) != len(names):
        raise FormatError("the set has no shard, or one twice", code="source_invalid")
    for name in names:
        check_name(name, SUFFIX)


def _check_regular(folder: str, name: str) -> None:
    path = os.path.join(folder, name)
    with io_errors(path):
        try:
            mode = (os.stat if _is_cached(folder, path) else os.lstat)(path).st_mode
        except FileNotFoundError:
            raise FormatError(
                f"the set names {name!r}, which is not there", code="source_invalid", where=folder
            ) from None
    if not stat.S_ISREG(mode):
        what = "a link, and links are not followed" if stat.S_ISLNK(mode) else "no regular file"
        raise FormatError(f"{name!r} is {what}", code="source_refused", where=folder)


def _is_cached(folder: str, path: str) -> bool:
    """Tell a link of Hugging Face's cache: ``snapshots/<revision>/x`` to ``../../blobs/<hash>``."""
    if os.path.basename(os.path.dirname(os.path.abspath(folder or "."))) != "snapshots":
        return False
    try:
        return _BLOB.fullmatch(os.readlink(path)) is not None
    except OSError:  # no link
        return False


def parse_index(name: str, data: bytes) -> Index:
    """Read an index: ``weight_map`` from tensors to shards, and anything else, which is kept.

    Raises
    ------
    FormatError
        ``source_invalid`` if it is not the JSON that it has to be, ``limit_exceeded``.
    """
    entries = _JSON.read(data)
    if not isinstance(entries, dict) or "weight_map" not in entries:
        raise _JSON.invalid("it has no weight_map")
    places = _JSON.texts(entries["weight_map"], "weight_map")
    if len(places) > MAX_TENSORS:
        raise FormatError(
            f"{len(places)} tensors are more than the {MAX_TENSORS} allowed", code="limit_exceeded"
        )
    if not places:
        raise _JSON.invalid("its weight_map is empty")
    return Index(name, data.decode("utf-8"), places)


def check_set(headers: Mapping[str, Header], index: Index | None) -> None:
    """Compare what lies in the shards with what the index says: each tensor is there once.

    Parameters
    ----------
    headers : mapping of str to Header
        By the names of the shards.
    index : Index or None

    Raises
    ------
    FormatError
        ``source_invalid`` for the first tensor that is twice, missing or not in the index;
        ``limit_exceeded`` for too many.
    """
    seen: dict[str, str] = {}
    for shard, header in headers.items():
        for spec in header.tensors:
            first = seen.setdefault(spec.name, shard)
            if first != shard:
                raise _unfit(f"tensor {spec.name!r} is in {first!r} and in {shard!r}")
        if len(seen) > MAX_TENSORS:
            raise FormatError(
                f"the set has more than the {MAX_TENSORS} tensors allowed", code="limit_exceeded"
            )
    if index is None or seen == index.places:
        return
    for name, shard in index.places.items():
        if seen.get(name) != shard:
            raise _unfit(f"the index names tensor {name!r} of {shard!r}, which is not there")
    name = next(name for name in seen if name not in index.places)
    raise _unfit(f"tensor {name!r} of {seen[name]!r} is not in the index")


def _unfit(what: str) -> FormatError:
    return FormatError(what, code="source_invalid")


def agreed(headers: Iterable[Header]) -> dict[str, str]:
    """Return the metadata that all shards of a set have in common."""
    every = [header.metadata for header in headers]
    return {
        key: value
        for key, value in every[0].items()
        if all(other.get(key) == value for other in every[1:])
    }
