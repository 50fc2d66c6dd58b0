"""PyTorch checkpoints: tensors wherever they lie in one, all else in the skeleton.

A file is looked at by `torch_pickle` and `zips` before torch loads it, with ``weights_only`` and
mapped, so that the bytes of a tensor are read when they are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from mcodec.errors import FormatError, McodecError
from mcodec.formats.base import VERSION, read_skeleton, summary
from mcodec.formats.files import InputFile
from mcodec.formats.torch_archive import Archive, quiet_torch
from mcodec.formats.torch_paths import find, free_name, join, key_text
from mcodec.formats.torch_skeleton import (
    FORMAT,
    Mapping,
    Sequence,
    Sparse,
    Tensor,
    TorchSkeleton,
    read_torch,
)
from mcodec.formats.torch_values import Value, load_value
from mcodec.formats.torch_walk import Walk
from mcodec.formats.torch_write import create_torch
from mcodec.limits import decoded_budget
from mcodec.types import numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Mapping as MappingType
    from collections.abc import Sequence as SequenceType

    from numpy.typing import NDArray

    from mcodec.formats.torch_skeleton import Node
    from mcodec.types import TensorSpec

__all__ = ["TorchSource", "create_torch", "facts_torch", "inner_torch", "open_torch"]

_WORDS: Final = (1, 2, 4, 8)
_SHOWN: Final = 100  # characters of a fact


def open_torch(path: str, key: str = "") -> TorchSource:
    """Open a PyTorch checkpoint.

    Parameters
    ----------
    path : str
    key : str
        The place in it, such as ``model.state_dict``, of what is taken. Default: all of it.

    Raises
    ------
    FormatError
        It is damaged, or holds something else than tensors, numbers, texts and containers.
    UsageError
        There is nothing at `key`.
    InputOutputError
        The file cannot be read.
    MissingDependencyError
        torch is not installed.
    """
    file = InputFile(path)
    try:
        return TorchSource(file, key)
    except McodecError as error:
        if isinstance(error, FormatError) and not error.where:
            error.at(path)
        file.close()
        raise


class TorchSource:
    """A checkpoint that is open for reading."""

    format = FORMAT

    def __init__(self, file: InputFile, key: str = "") -> None:
        self._file = file
        self._archive = Archive(file)
        try:
            walk = Walk(self._archive.dtypes, key)
            with quiet_torch():
                walk.run(find(self._archive.value, key) if key else self._archive.value)
            self._check_total(walk, file.size)
            with quiet_torch():
                self._views = [_View.of(tensor) for tensor in walk.values]
        except BaseException:
            self._archive.close()
            raise
        self._skeleton = msgspec.json.encode(
            TorchSkeleton(VERSION, walk.nodes, self._archive.carried if not key else b"")
        )
        self.tensors: SequenceType[TensorSpec] = walk.tensors
        self.metadata: MappingType[str, str] = {}
        self.same_as: MappingType[int, int] = walk.same_as
        self.notes: SequenceType[str] = (f"what is not in {key!r} is left out",) if key else ()

    @staticmethod
    def _check_total(walk: Walk, size: int) -> None:
        """Refuse tensors that are far larger than the file: expanded ones, and many views."""
        total = sum(
            spec.nbytes for index, spec in enumerate(walk.tensors) if index not in walk.same_as
        )
        if total > decoded_budget(size):
            raise FormatError(
                f"its tensors take {total} bytes, the file has {size}", code="decoded_too_large"
            )

    def skeleton(self) -> bytes:
        """Return all of the checkpoint, or of the part that is taken, that is no tensor."""
        return self._skeleton

    def read(self, index: int, start: int, stop: int) -> NDArray[np.generic]:
        """Return elements [start, stop) of tensor `index`; a view is read in its own order."""
        view, dtype = self._views[index], numpy_dtype(self.tensors[index].dtype)
        self._archive.check(view.address)
        scale = dtype.itemsize // view.array.itemsize  # of a stand-in: bytes an element
        first, last = start * scale, stop * scale
        array = view.array
        place = self._archive.places.get(view.address)
        if array.flags.c_contiguous and place is not None:
            # Not through the mapping: its pages would stay, and a file that shrinks would kill us.
            found = np.empty(last - first, array.dtype)
            self._file.read_into(found, place + view.offset + first * array.itemsize)
        elif array.flags.c_contiguous:
            found = array.reshape(-1)[first:last].copy()
        else:
            found = array.flat[first:last]
        return view.resolved(found.view(np.uint8)).view(dtype)

    def close(self) -> None:
        """Release the file, and what of it is mapped."""
        self._views = []
        self._archive.close()
        self._file.close()


@dataclass(frozen=True, slots=True)
class _View:
    """A tensor's elements in its storage, as words without a meaning.

    Attributes
    ----------
    array : ndarray
    address : int
        Of the storage.
    offset : int
        Of the first element in the storage, in bytes.
    signs : tuple of int
        The places in an element, in bytes, of signs that are to be turned over.
    width : int
        Bytes of an element.
    """

    array: NDArray[Any]
    address: int
    offset: int
    signs: tuple[int, ...]
    width: int

    @classmethod
    def of(cls, tensor: Any) -> _View:
        """Return the view of a tensor; NumPy checks that it lies inside its storage."""
        import torch

        width, storage = tensor.element_size(), tensor.untyped_storage()
        dtype = f"<u{width}" if width in _WORDS else f"V{width}"
        shape = tuple(tensor.shape)
        if tensor.numel() == 0:
            array: NDArray[Any] = np.empty(shape, dtype)
        else:
            whole = torch.empty(0, dtype=torch.uint8).set_(storage).numpy()
            array = np.ndarray(
                shape,
                dtype,
                whole.data,
                tensor.storage_offset() * width,
                tuple(step * width for step in tensor.stride()),
            )
        # conj() and imag leave a mark on the tensor instead of new bytes.
        last, half = width - 1, width // 2 - 1
        places = (half, last) if tensor.is_complex() else (last,)
        signs = set(places) if tensor.is_neg() else set()
        signs ^= {last} if tensor.is_conj() else set()
        offset = tensor.storage_offset() * width
        return cls(array, storage.data_ptr(), offset, tuple(sorted(signs)), width)

    def resolved(self, data: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Turn over the signs in bytes that are the caller's."""
        for place in self.signs:
            data[place :: self.width] ^= np.uint8(0x80)
        return data


def inner_torch(skeleton: bytes) -> bytes:
    """Return the skeleton of another format that a checkpoint carries, or nothing.

    Raises
    ------
    FormatError
        ``source_invalid`` if it is no skeleton.
    """
    return read_skeleton(skeleton, TorchSkeleton).carried if skeleton else b""


def facts_torch(skeleton: bytes) -> dict[str, str]:
    """Return what a checkpoint holds besides tensors, as text by dotted path.

    Raises
    ------
    FormatError
        ``source_invalid`` if it is no skeleton.
    """
    if not skeleton:
        return {}
    nodes = read_torch(skeleton).nodes
    facts: dict[str, str] = {}
    stack = [(0, "")]
    while stack:
        index, name = stack.pop()
        node = nodes[index]
        inside: list[tuple[int, str]] = []
        if isinstance(node, Mapping):
            for key, item in zip(node.items[::2], node.items[1::2], strict=True):
                inside.append((item, join(name, key_text(key, nodes))))
            if node.attributes is not None:
                inside.append((node.attributes, join(name, "__dict__")))
        elif isinstance(node, Sequence):
            inside = [(item, join(name, place)) for place, item in enumerate(node.items)]
        elif isinstance(node, Tensor):
            continue
        if inside:
            stack.extend(reversed(inside))
        else:
            facts[free_name(name, facts)] = _fact(node)
    return facts


def _fact(node: Node) -> str:
    match node:
        case Value():
            text = node.text if node.type != "float" else str(load_value(node))
            text = f"{node.type} {text}"
        case Mapping() | Sequence():
            text = f"empty {node.type}"
        case Sparse():
            text = f"{node.layout} {tuple(node.shape)}"
        case _:
            text = repr(node)
    if len(text) <= _SHOWN:
        return text
    return f"{text[:40]}... {summary(text.encode('utf-8', 'backslashreplace'))}"
