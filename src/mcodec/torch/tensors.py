"""Tensors of PyTorch and the arrays that decoders write to: the same memory, or a copy."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

import torch

from mcodec.errors import UsageError
from mcodec.types import EXTENSION_DTYPES, ITEMSIZE, itemsize, numpy_dtype

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mcodec.types import TensorSpec

_INTEGERS: Final = {1: "uint8", 2: "int16", 4: "int32", 8: "int64"}  # by itemsize


def torch_dtype(spec: TensorSpec) -> torch.dtype:
    """Return PyTorch's dtype for a stored tensor.

    Raises
    ------
    UsageError
        It has none.
    """
    found = getattr(torch, spec.dtype, None) if spec.dtype in ITEMSIZE else None
    if not isinstance(found, torch.dtype):
        raise UsageError(f"tensor {spec.name!r}: PyTorch has no dtype {spec.dtype}")
    return found


@cache
def dtype_name(dtype: torch.dtype) -> str:
    """Return mcodec's name of a dtype: PyTorch's own, without the module."""
    return str(dtype).removeprefix("torch.")


def empty(spec: TensorSpec, device: torch.device | str = "cpu") -> torch.Tensor:
    """Return a tensor for a stored one, its values undefined."""
    return torch.empty(spec.shape, dtype=torch_dtype(spec), device=device)


def flat(tensor: torch.Tensor, dtype: str) -> NDArray[Any] | None:
    """Return a tensor's own memory as a one-dimensional array of a dtype.

    None where it is of another dtype, on a device, or not contiguous: decoders cannot write there.
    """
    if dtype_name(tensor.dtype) != dtype or tensor.device.type != "cpu":
        return None
    if dtype in EXTENSION_DTYPES:  # which NumPy has from elsewhere
        if tensor.layout != torch.strided or not tensor.is_contiguous():
            return None
        line = tensor.detach().reshape(-1).view(getattr(torch, _INTEGERS[itemsize(dtype)]))
        found: NDArray[Any] = line.numpy().view(numpy_dtype(dtype))
        return found
    try:
        array: NDArray[Any] = tensor.detach().numpy()
    except (TypeError, RuntimeError):  # sparse, quantized, or with a conjugate or negative bit
        return None
    return array.reshape(-1) if array.flags.c_contiguous else None
