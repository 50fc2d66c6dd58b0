"""What can be packed: model files by path, and mappings of names to arrays."""

from __future__ import annotations

import os
import string
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from mcodec.api.reopening import OpenModels, PathSource, descriptors, most_open
from mcodec.api.smalls import SMALL
from mcodec.errors import UsageError
from mcodec.limits import MAX_NAME_BYTES
from mcodec.types import BLOCK, EXTENSION_DTYPES, ITEMSIZE, TensorSpec, dtype_name, numpy_dtype

if TYPE_CHECKING:
    from contextlib import ExitStack

    from numpy.typing import NDArray

    from mcodec.formats.base import TensorSource

PathLike = str | os.PathLike[str]
Arrays = Mapping[str, Any]
Sources = PathLike | Sequence[PathLike] | Mapping[str, PathLike | Arrays]

_TOGETHER: Final = 64  # small arrays that are made ready at once
_LETTERS: Final = string.ascii_uppercase


class ArraySource:
    """A mapping of names to arrays, as a source."""

    format = "arrays"

    def __init__(self, arrays: Arrays) -> None:
        self._arrays = [(str(name), _array(str(name), value)) for name, value in arrays.items()]
        self.tensors: Sequence[TensorSpec] = [_spec(name, array) for name, array in self._arrays]
        self.metadata: Mapping[str, str] = {}
        self.same_as: Mapping[int, int] = {}
        self.notes: Sequence[str] = ()

    def skeleton(self) -> bytes:
        """Arrays have nothing besides."""
        return b""

    def read(self, index: int, start: int, stop: int) -> NDArray[Any]:
        """Return elements [start, stop) in C order, little-endian."""
        found = self._read(index, start, stop)
        found.setflags(write=False)  # it may be the caller's
        return found

    def _read(self, index: int, start: int, stop: int) -> NDArray[Any]:
        import numpy as np

        array = self._arrays[index][1]
        target = numpy_dtype(self.tensors[index].dtype)
        if array.dtype == target and array.flags.c_contiguous:
            flat = array.reshape(-1)
            return flat if stop - start == flat.size else flat[start:stop]
        part = _part(array, start, stop)
        if part.dtype.byteorder == ">" or (part.dtype.kind == "c" and not part.dtype.isnative):
            part = part.byteswap().view(part.dtype.newbyteorder("<"))
        return np.ascontiguousarray(part).view(target)

    def read_many(self, first: int) -> list[NDArray[Any]]:
        """Return whole tensors from `first` on, several at once: those that are not large.

        They are for who writes to none of them.
        """
        found = []
        for index in range(first, min(first + _TOGETHER, len(self._arrays))):
            array = self._arrays[index][1]
            if array.nbytes > SMALL:
                break
            found.append(self._read(index, 0, array.size))
        return found

    def identity(self) -> list[object]:
        """Return what tells these arrays from others: a digest of each."""
        from blake3 import blake3

        found: list[object] = []
        for index, spec in enumerate(self.tensors):
            hasher = blake3()
            for start in range(0, spec.size, BLOCK):
                hasher.update(
                    self.read(index, start, min(spec.size, start + BLOCK)).view("u1").data
                )
            found.append([spec.name, spec.dtype, spec.shape, hasher.hexdigest()])
        return found

    def close(self) -> None:
        """Nothing to release."""


def _part(array: NDArray[Any], start: int, stop: int) -> NDArray[Any]:
    """Return elements [start, stop) in C order, without a copy of all the others."""
    if array.flags.c_contiguous:
        return array.reshape(-1)[start:stop]
    width = array.size // len(array) if len(array) else 0
    if not 0 < width <= BLOCK:
        return array.flat[start:stop]  # slow, but takes what was asked for and no more
    first = start // width
    rows = array[first : -(-stop // width)].reshape(-1)
    return rows[start - first * width : stop - first * width]


def _array(name: str, value: Any) -> NDArray[Any]:
    import numpy as np

    try:
        return _from_torch(value) if type(value).__module__ == "torch" else np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:  # torch: bfloat16, gradients, a GPU
        message = f"tensor {name!r} cannot be had as a NumPy array: {error}"
        raise UsageError(" ".join(message.split())) from error


def _from_torch(tensor: Any) -> NDArray[Any]:
    """Return a torch tensor's values; NumPy has no bfloat16 and float8, so these go by bits."""
    dtype = str(tensor.dtype).removeprefix("torch.")
    tensor = tensor.detach().cpu()
    if dtype in ITEMSIZE and dtype not in EXTENSION_DTYPES:
        array: NDArray[Any] = tensor.numpy()
        return array
    import torch

    plain = {1: torch.uint8, 2: torch.int16}[tensor.element_size()]
    bits: NDArray[Any] = tensor.contiguous().view(plain).numpy()
    return bits.view(numpy_dtype(dtype))


def _spec(name: str, array: NDArray[Any]) -> TensorSpec:
    dtype = dtype_name(array.dtype)
    if dtype is None:
        message = f"tensor {name!r} has dtype {array.dtype}; only numbers and bytes can be packed"
        raise UsageError(message)
    return TensorSpec(name, dtype, tuple(array.shape))


def open_source(source: PathLike | Arrays, *, key: str = "", sandbox: bool = False) -> TensorSource:
    """Open one model: a path by its format, or a mapping of arrays.

    Parameters
    ----------
    source
    key
        The place of the model in a PyTorch checkpoint.
    sandbox
        Let another process read it, under a memory and a time limit.

    Raises
    ------
    FormatError, InputOutputError
        It cannot be read.
    UsageError
        A key for what is no checkpoint.
    """
    if isinstance(source, Mapping):
        if key:
            raise UsageError("--key is for PyTorch checkpoints, not for arrays")
        return ArraySource(source)
    if sandbox:
        from mcodec.formats import sandbox as other

        return other.open_source(os.fspath(source), key)
    from mcodec.formats import registry

    return registry.open_source(os.fspath(source), key)


def open_sources(
    stack: ExitStack,
    named: Mapping[str, PathLike | Arrays],
    key: str | Mapping[str, str],
    sandbox: bool,
    *,
    elsewhere: bool = False,
) -> list[TensorSource]:
    """Open models, to be closed with `stack`; a key is for all of them, or by name.

    Where they are more than may be open at once, and where other processes open them too
    (`elsewhere`), each is opened when it is read.

    Raises
    ------
    FormatError, InputOutputError, UsageError
        As `open_source`; a key for a name that is not there.
    """
    keys = key if isinstance(key, Mapping) else dict.fromkeys(named, key)
    for name in keys:
        if name not in named:
            raise UsageError(f"a key for {name!r}, and the tasks are {', '.join(named)}")
    most = most_open()
    if elsewhere or sum(map(descriptors, named.values())) > most:
        few = OpenModels(most)
        stack.callback(few.close)
        return [_reopened(one, keys.get(name, ""), sandbox, few) for name, one in named.items()]
    models = []
    for name, source in named.items():
        models.append(open_source(source, key=keys.get(name, ""), sandbox=sandbox))
        stack.callback(models[-1].close)
    return models


def _reopened(source: PathLike | Arrays, key: str, sandbox: bool, few: OpenModels) -> TensorSource:
    """Return a model that is opened when it is read; it has been looked at once."""
    if isinstance(source, Mapping):
        return open_source(source, key=key)
    model = PathSource(os.fspath(source), key, sandbox, few)
    _ = model.tensors  # what is no model is said at once
    return model


def name_sources(sources: Sources) -> dict[str, PathLike | Arrays]:
    """Give every source its task name: those of a mapping, else A, B, C and so on.

    Raises
    ------
    UsageError
        There is none, one is neither a path nor a mapping, or a name is empty.
    """
    if isinstance(sources, Mapping):
        named: dict[str, PathLike | Arrays] = dict(sources)
        if any(not name or not isinstance(name, str) for name in named):
            raise UsageError("the name of a task is a string that is not empty")
    else:
        if not isinstance(sources, Iterable | os.PathLike):
            raise UsageError(f"nothing to pack in {type(sources).__name__}; give paths or arrays")
        several = [sources] if isinstance(sources, str | os.PathLike) else list(sources)
        named = {default_name(index): source for index, source in enumerate(several)}
    if not named:
        raise UsageError("nothing to pack: give at least one model")
    for name, source in named.items():
        if not isinstance(source, str | os.PathLike | Mapping):
            raise UsageError(
                f"task {name!r} is neither a path nor a mapping of names to arrays, "
                f"but {type(source).__name__}"
            )
    check_names(named, "task")
    return named


def check_names(names: Iterable[str], what: str) -> None:
    """Refuse names that a file cannot hold.

    Raises
    ------
    UsageError
        A name is there twice, is over 4,096 bytes of UTF-8, or has none.
    """
    seen: set[str] = set()
    for name in names:
        try:
            size = len(name.encode())
        except UnicodeEncodeError:
            raise UsageError(f"the name {name!r} of a {what} is not Unicode text") from None
        if size > MAX_NAME_BYTES:
            raise UsageError(f"the name {name[:40]!r}… of a {what} is over {MAX_NAME_BYTES} bytes")
        if name in seen:
            raise UsageError(f"two {what}s are named {name!r}")
        seen.add(name)


def default_name(index: int) -> str:
    """Return A, B, …, Z, AA, AB, … for 0, 1 and so on."""
    name = ""
    index += 1
    while index:
        index, letter = divmod(index - 1, len(_LETTERS))
        name = _LETTERS[letter] + name
    return name
