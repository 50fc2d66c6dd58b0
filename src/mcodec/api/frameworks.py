"""Arrays as a framework's: what `safe_open` gives, bit for bit where the framework has the dtype.

Only PyTorch is imported before a tensor is asked for: it says which devices there are.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Final

from mcodec.api import slices
from mcodec.errors import MissingDependencyError, UsageError, one_line
from mcodec.types import EXTENSION_DTYPES

if TYPE_CHECKING:
    from numpy.typing import NDArray


class NumpyArrays:
    """NumPy's arrays (ml_dtypes for bfloat16 and float8), on the CPU.

    Parameters
    ----------
    device
        Where tensors are put; frameworks but PyTorch take ``"cpu"`` alone, as in safetensors.

    Raises
    ------
    UsageError
        The framework has no such device.
    MissingDependencyError
        The framework is not installed.
    """

    label = "NumPy"

    def __init__(self, device: Any) -> None:
        if device not in (None, "cpu"):
            raise UsageError(f"{self.label} takes device 'cpu', not {str(device)[:40]!r}")

    def tensor(self, array: NDArray[Any]) -> Any:
        """Return an array, which owns its memory and which nobody else holds, as a tensor."""
        return array

    def index(self, index: Any) -> Any:
        """Return what an index is to NumPy: as in safetensors, whatever says it is an integer."""
        if isinstance(index, tuple):
            return tuple(map(_as_integer, index))
        return _as_integer(index)

    def try_index(self, shape: tuple[int, ...], index: Any) -> None:
        """Raise what the framework raises for an index of a tensor of this shape."""
        slices.try_index(shape, index)

    def take(self, array: NDArray[Any], index: Any) -> Any:
        """Return a part of an array as a tensor that keeps no more memory than its own."""
        import numpy as np

        return self.tensor(np.asarray(slices.owned(array, index)))


class TorchArrays(NumpyArrays):
    """PyTorch's tensors, on any device of it."""

    label = "PyTorch"

    def __init__(self, device: Any) -> None:
        torch = _module("torch", self.label)
        try:
            self._device = torch.device("cpu" if device is None else device)
        except (RuntimeError, TypeError) as error:
            raise UsageError(f"no device {str(device)[:40]!r}: {one_line(error)}") from error

    def tensor(self, array: NDArray[Any]) -> Any:
        """Return a tensor on the array's memory, or a copy of it on another device."""
        return self.take(array, ...)

    def index(self, index: Any) -> Any:
        """PyTorch makes of an index what it does."""
        return index

    def try_index(self, shape: tuple[int, ...], index: Any) -> None:
        """Raise what PyTorch raises."""
        import torch

        torch.zeros((), dtype=torch.uint8).expand(shape)[index]

    def take(self, array: NDArray[Any], index: Any) -> Any:
        """Index integers of the same bytes: PyTorch indexes not all of its small floats."""
        import numpy as np
        import torch

        dtype = getattr(torch, array.dtype.name, None)
        if not isinstance(dtype, torch.dtype):
            raise UsageError(f"PyTorch {torch.__version__} has no dtype {array.dtype.name}")
        if array.dtype.name in EXTENSION_DTYPES or array.dtype.kind == "u":
            array = array.view(f"i{array.itemsize}")
        whole = torch.from_numpy(array)
        if isinstance(index, tuple):  # a list that a tuple holds, and not a tuple of integers
            index = tuple(torch.from_numpy(i) if isinstance(i, np.ndarray) else i for i in index)
        found = whole[index]
        if found.nbytes != whole.nbytes:
            found = found.clone(memory_format=torch.contiguous_format)
        return found.view(dtype).to(self._device)


class JaxArrays(NumpyArrays):
    """JAX's arrays, on its default device; without ``jax_enable_x64`` 64 bits become 32 in JAX."""

    label = "JAX"

    def tensor(self, array: NDArray[Any]) -> Any:
        """Return an array of JAX."""
        jax_numpy = _module("jax.numpy", self.label)
        return _made(self.label, jax_numpy.asarray, array)


class TensorFlowArrays(NumpyArrays):
    """TensorFlow's eager tensors, on its default device."""

    label = "TensorFlow"

    def tensor(self, array: NDArray[Any]) -> Any:
        """Return a tensor of TensorFlow."""
        tensorflow = _module("tensorflow", self.label)
        return _made(self.label, tensorflow.convert_to_tensor, array)


class MlxArrays(NumpyArrays):
    """MLX's arrays, on its default device."""

    label = "MLX"

    def tensor(self, array: NDArray[Any]) -> Any:
        """Return an array of MLX."""
        mlx = _module("mlx.core", self.label)
        if array.dtype.name == "bfloat16":
            return _made(self.label, mlx.array, array.view("u2")).view(mlx.bfloat16)
        return _made(self.label, mlx.array, array)


_FRAMEWORKS: Final[dict[str, type[NumpyArrays]]] = {
    **dict.fromkeys(("pt", "torch", "pytorch"), TorchArrays),
    **dict.fromkeys(("np", "numpy"), NumpyArrays),
    **dict.fromkeys(("tf", "tensorflow"), TensorFlowArrays),
    **dict.fromkeys(("jax", "flax"), JaxArrays),
    "mlx": MlxArrays,
}


def framework(name: str, device: Any = "cpu") -> NumpyArrays:
    """Return a framework by a name that safetensors has for it.

    Raises
    ------
    UsageError
        There is none of this name, or it has no such device.
    MissingDependencyError
        It is not installed.
    """
    kind = _FRAMEWORKS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise UsageError(f"no framework {str(name)[:40]!r}: choose from {', '.join(_FRAMEWORKS)}")
    return kind(device)


def _as_integer(item: Any) -> Any:
    """Return an item as an integer if it says that it is one (True is 1)."""
    try:
        return operator.index(item)
    except TypeError:
        return item


def _module(name: str, label: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise MissingDependencyError(
            f"framework {label} needs {package}, which is not installed: pip install {package}"
        ) from error


def _made(label: str, make: Any, array: NDArray[Any]) -> Any:
    """Call a framework's own function for arrays."""
    try:
        return make(array)
    except (TypeError, ValueError) as error:
        raise UsageError(f"no {label} tensor of {array.dtype.name}: {one_line(error)}") from error
