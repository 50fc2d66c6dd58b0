"""Modules of PyTorch that hold arrays of any kind, and their bits."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

import mcodec
from mcodec.types import numpy_dtype
from support import cases

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]


def key(name: str) -> str:
    """Return the key of a tensor in a module that `holder` made; modules allow no dots in it."""
    return "t:" + name.replace(".", "_")


def tensor(array: NDArray[Any]) -> Any:
    """Return an array as a tensor of the same bits, and of its own memory."""
    import torch

    name = str(array.dtype.name)
    line = torch.frombuffer(bytearray(array.tobytes() or b"\0" * 16), dtype=torch.uint8)
    values = line[: array.nbytes].view(getattr(torch, name))
    return values.reshape(array.shape).clone()


def holder(arrays: Arrays, *, zero: bool = False) -> Any:
    """Return a module with a parameter for each float array, and a buffer for each other."""
    import torch

    module = torch.nn.Module()
    for name, array in arrays.items():
        made = tensor(np.zeros_like(array) if zero else array)
        if made.is_floating_point() and made.element_size() > 1:
            module.register_parameter(key(name), torch.nn.Parameter(made))
        else:
            module.register_buffer(key(name), made)
    return module


def raw(value: Any) -> bytes:
    """Return the bytes of a tensor in C order."""
    import torch

    line = value.detach().cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
    if not line.numel():
        return b""
    return bytes(line.view(torch.uint8).numpy().tobytes())


def bits(module: Any) -> dict[str, bytes]:
    """Return the bytes of all parameters and buffers, by key."""
    return {name: raw(value) for name, value in module.state_dict(keep_vars=True).items()}


def bits_of(arrays: Arrays) -> dict[str, bytes]:
    """Return what `bits` gives of a module that holds these arrays."""
    return {key(name): np.asarray(array).tobytes() for name, array in arrays.items()}


def same(value: Any, array: NDArray[Any]) -> bool:
    """Tell whether a tensor has an array's dtype, shape and bits."""
    kind = str(value.dtype).removeprefix("torch.")
    like = numpy_dtype(kind) == array.dtype and tuple(value.shape) == array.shape
    return bool(like) and raw(value) == array.tobytes()


def digest(module: Any) -> str:
    """Return a hash of all that a module holds."""
    whole = hashlib.blake2b()
    for part in bits(module).values():
        whole.update(part)
    return whole.hexdigest()


def family(dtype: str = "float32") -> dict[str, dict[str, NDArray[Any]]]:
    """Return three networks: B shares a layer and fine-tunes and masks others, C is far away."""
    one = cases.network(1, dtype)
    tuned, far = cases.network(2, dtype), cases.network(3, dtype)
    tuned["body/kernel"] = one["body/kernel"]
    rng = np.random.default_rng(4)
    near = one["tall/kernel"].astype(np.float64) * (1 + 1e-3 * rng.normal(size=(129, 131)))
    tuned["tall/kernel"] = near.astype(one["tall/kernel"].dtype)
    kept = rng.random(one["stem/kernel"].shape) < 0.5
    tuned["stem/kernel"] = np.where(kept, one["stem/kernel"], np.zeros((), kept.dtype)).astype(
        one["stem/kernel"].dtype
    )
    far["tall/kernel"] = np.where(
        rng.random((129, 131)) < 0.1, far["tall/kernel"], np.zeros_like(far["tall/kernel"])
    )
    far["body/bias"][:3] = np.nan, -np.inf, -0.0
    return {"A": one, "B": tuned, "C": far}


def network(seed: int = 0) -> Any:
    """Return a small network with buffers, among them integers."""
    import torch

    torch.manual_seed(seed)
    made = torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.Flatten(), torch.nn.Linear(8, 4)
    )
    made[1].running_mean.normal_()
    made[1].num_batches_tracked.fill_(seed + 5)
    return made


def pack(path: Path, model: Any, **options: Any) -> Path:
    """Pack a module, or a state_dict, as task A."""
    state = model if isinstance(model, dict) else model.state_dict()
    arrays = {}
    for name, value in state.items():
        kind = str(value.dtype).removeprefix("torch.")
        arrays[name] = cases.from_bytes(kind, raw(value), tuple(value.shape))
    mcodec.pack({"A": arrays}, path, jobs=1, **options)
    return path
