"""The formats that mcodec reads and writes: one literal row each.

A format is told by what the file or folder holds, and by its name only where that says nothing. A
name from a file or a person is only ever a key of `FORMATS`: nothing else is imported.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass, field
from itertools import islice
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from mcodec.errors import FormatError, UsageError
from mcodec.formats import sniff
from mcodec.formats.sniff import Sniffed
from mcodec.storage import io_errors, is_url, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from mcodec.formats.base import TensorSink, TensorSource
    from mcodec.types import TensorSpec


@dataclass(frozen=True, slots=True)
class Entry:
    """One format: where its code is, how its files are called and how they begin.

    Attributes
    ----------
    module : str
        Has ``open_<id>(path)``, ``create_<id>(path, specs, skeleton, metadata)`` and the hooks that
        `hook` lists.
    label : str
        Its name in messages.
    suffixes : tuple of str
        The first is the one that is written.
    matches : callable
        Whether a file is of this format, by its bytes.
    holds : callable
        Whether a folder is a model of this format, by the names in it.
    shares : bool
        Whether two tensors can be one array: then ``create_<id>`` also takes ``same_as``.
    """

    module: str
    label: str
    suffixes: tuple[str, ...]
    matches: Callable[[Sniffed], bool]
    holds: Callable[[Collection[str]], bool] = field(default=lambda _: False)
    shares: bool = False


_CONTAINER_MAGIC: Final = b"\x89MCD\r\n\x1a\n"
_LISTED: Final = 1 << 16  # names of a folder
_KERAS_MEMBERS: Final = frozenset({"config.json", "model.weights.h5"})

# In this order files are tried: a tensor's bytes may look like HDF5 after a user block. ONNX has
# no magic bytes, so its files are told by their name.
FORMATS: Final[dict[str, Entry]] = {
    "safetensors": Entry(
        "mcodec.formats.safetensors",
        "safetensors",
        (".safetensors", ".safetensors.index.json"),
        lambda seen: sniff.is_safetensors(seen) or sniff.is_index(b'.safetensors"')(seen),
        sniff.has(".safetensors", ".safetensors.index.json"),
    ),
    "keras": Entry(
        "mcodec.formats.keras",
        "Keras",
        (".keras",),
        sniff.holds(_KERAS_MEMBERS.__contains__),
        _KERAS_MEMBERS.issubset,
    ),
    "keras_shards": Entry(
        "mcodec.formats.keras_shards",
        "sharded Keras weights",
        (".weights.json",),
        sniff.is_index(b'.weights.h5"'),
        sniff.has(".weights.json"),
    ),
    "torch": Entry(
        "mcodec.formats.torch",
        "PyTorch",
        (".pt", ".pth", ".bin", ".ckpt", ".pt.tar", ".pth.tar"),
        sniff.is_pickled,
        shares=True,
    ),
    "npz": Entry("mcodec.formats.npz", "npz", (".npz",), sniff.holds(lambda n: n.endswith(".npy"))),
    "gguf": Entry("mcodec.formats.gguf", "GGUF", (".gguf",), sniff.begins(b"GGUF")),
    "npy": Entry("mcodec.formats.npy", "npy", (".npy",), sniff.begins(b"\x93NUMPY")),
    "hdf5": Entry(
        "mcodec.formats.hdf5",
        "HDF5",
        (".h5", ".hdf5", ".hdf", ".he5"),
        sniff.is_hdf5,
        shares=True,
    ),
    "onnx": Entry("mcodec.formats.onnx", "ONNX", (".onnx",), lambda _: False, sniff.has(".onnx")),
}


def format_for_suffix(path: str | os.PathLike[str]) -> str | None:
    """Return the id of the format that a path's suffix stands for, or None."""
    name = PurePath(path).name.lower()
    found = (
        (len(suffix), key)
        for key, entry in FORMATS.items()
        for suffix in entry.suffixes
        if name.endswith(suffix) and name != suffix
    )
    return max(found, default=(0, None))[1]  # the longest: x.weights.json is no plain .json


def suffix_for_format(name: str) -> str:
    """Return the suffix, with its dot, that files of a format get.

    Raises
    ------
    UsageError
        There is no such format.
    """
    return _entry(name).suffixes[0]


def open_source(path: str | os.PathLike[str], key: str = "") -> TensorSource:
    """Open a model for reading: a file, a folder of shards, or the index of one.

    Parameters
    ----------
    path : path
    key : str
        For PyTorch checkpoints: the place in it of the model, such as ``model.state_dict``; tensors
        are named from there. Default: all tensors by their whole names.

    Raises
    ------
    FormatError
        ``source_unknown`` if it is of no format in `FORMATS`; else what is wrong with it.
    UsageError
        A key for another format, or one that is not there.
    InputOutputError
        The file is not there or may not be read.
    """
    name = os.fspath(path)
    found = format_of(name)
    if key and found != "torch":
        raise UsageError(f"--key is for PyTorch checkpoints; {name} is {FORMATS[found].label}")
    opener = _function(found, "open")
    source: TensorSource = opener(name, key) if key else opener(name)
    return source


def is_container(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file, or what a URL leads to, is a `.mc` file: no source, but it holds some.

    Raises
    ------
    InputOutputError
        A file that is there may not be read.
    """
    name = os.fspath(path)
    if is_url(name) or not os.path.isfile(name):
        return is_url(name)  # `pack` alone takes models from there
    with Sniffed(name) as seen:
        return seen.head.startswith(_CONTAINER_MAGIC)


def open_as(name: str, path: str | os.PathLike[str]) -> TensorSource:
    """Open a model whose format is known, whatever its name.

    Raises
    ------
    FormatError, InputOutputError
        As `open_source`.
    """
    source: TensorSource = _function(name, "open")(os.fspath(path))
    return source


def create_sink(
    path: str | os.PathLike[str],
    format: str,
    specs: Sequence[TensorSpec],
    skeleton: bytes = b"",
    metadata: Mapping[str, str] | None = None,
    same_as: Mapping[int, int] | None = None,
) -> TensorSink:
    """Create, or overwrite, a model file for these tensors, and return the sink for their bytes.

    Parameters
    ----------
    path : path
        Written in place: a caller that wants it whole or absent gives a temporary name. A folder
        that is there and empty gets a model of several files, where the format's hook ``folder``
        says that the skeleton is of one.
    format : str
        An id of `FORMATS`.
    specs : sequence of TensorSpec
        `TensorSink.write` counts tensors in this order.
    skeleton : bytes
        What `TensorSource.skeleton` gave; one of another format is carried inside the file.
    metadata : mapping of str to str, optional
        For formats that have a place for it.
    same_as : mapping of int to int, optional
        Tensors that are another one, as in `TensorSource`; for formats that can share.

    Raises
    ------
    FormatError
        ``source_invalid`` if the skeleton is damaged, or needs a tensor that is not there.
    UsageError
        There is no such format, or it cannot hold a dtype or name of `specs`.
    InputOutputError
        The file cannot be written.
    """
    create = _function(format, "create")
    ties = {"same_as": same_as} if same_as and _entry(format).shares else {}
    sink: TensorSink = create(os.fspath(path), list(specs), skeleton, dict(metadata or {}), **ties)
    return sink


def hook(name: str, verb: str) -> Callable[..., Any] | None:
    """Return what a format offers besides ``open`` and ``create``, or None if it does not.

    - ``inner(skeleton)``: the skeleton of another format that a file carries, or ``b""``.
    - ``facts(skeleton)``: what the file holds besides arrays, as text by name, to be compared.
    - ``folder(skeleton)``: whether the skeleton is of a model of several files.

    Each takes the bytes of a skeleton of the format's own.
    """
    module = importlib.import_module(_entry(name).module)
    return getattr(module, f"{verb}_{name}", None)


def _entry(name: str) -> Entry:
    try:
        return FORMATS[name]
    except KeyError:
        raise UsageError(f"no format {name!r}: choose from {', '.join(FORMATS)}") from None


def _function(name: str, verb: str) -> Callable[..., Any]:
    module = importlib.import_module(_entry(name).module)
    function: Callable[..., Any] = getattr(module, f"{verb}_{name}")
    return function


def format_of(path: str) -> str:
    """Return the format of a file or folder: by what it holds, else by its name.

    Raises
    ------
    FormatError
        ``source_unknown`` if it is of none in `FORMATS`.
    InputOutputError
        It is not there or may not be read.
    """
    if is_url(path):
        return _behind_url(path)
    if os.path.isdir(path):
        return _detect_folder(path)
    with Sniffed(path) as seen:
        if seen.head.startswith(_CONTAINER_MAGIC):
            raise FormatError(
                "an .mc file is no source: unpack a task of it first",
                code="source_unknown",
                where=path,
            )
        found = next((name for name, entry in FORMATS.items() if entry.matches(seen)), None)
    return found or _known(path, format_for_suffix(path))  # by its name: its reader will complain


def _behind_url(url: str) -> str:
    """Return the format of a model behind a URL, by its name."""
    place = url.partition("?")[0]
    if place.endswith(FORMATS["safetensors"].suffixes):
        return "safetensors"
    raise UsageError(
        "of models behind a URL, only safetensors are read there (.safetensors, or the index of a "
        "set): download it first",
        where=shown(url),
    )


def _detect_folder(path: str) -> str:
    with io_errors(path), os.scandir(path) as entries:
        names = [entry.name for entry in islice(entries, _LISTED)]
    return _known(path, next((name for name, e in FORMATS.items() if e.holds(names)), None))


def _known(path: str, found: str | None) -> str:
    if found is None:
        labels = ", ".join(sorted(entry.label for entry in FORMATS.values()))
        raise FormatError(f"{path} is no model that mcodec reads ({labels})", code="source_unknown")
    return found
