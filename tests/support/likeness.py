"""Two modules with one `safe_open`: the same calls on both, and what comes of them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from operator import getitem
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Indices of a tensor of shape (2, 3, 4), and of those without an axis or an element.
BASIC: tuple[Any, ...] = (
    0, -1, -2, np.int64(1), (0, 1, 2), (0, 0, -4), (), ..., (...,), (..., 0), (0, ...), (0, ..., 1),
    np.s_[:], np.s_[0:1], np.s_[0:2:1], np.s_[::2], np.s_[1:1], np.s_[:, 1:3], np.s_[:, ::2, ::3],
    np.s_[:, -1], np.s_[:, 0:0], np.s_[1, 1:, 2], np.s_[..., 1:2], np.s_[:, :, :],
)  # fmt: skip
FURTHER: tuple[Any, ...] = (
    [], None, (None, 0), np.s_[:-1], np.s_[-3:], np.s_[1:0], np.s_[5:9], np.s_[0:99], np.s_[::-1],
    [0, 1], [1], ([1, 0],), np.s_[:, [0, 2]], np.s_[:, [2, 0, 0]], np.s_[:, [-1]],
    np.s_[:, [0], [1]], np.array([1, 0]), [True, False], range(2), (0, range(2)),
)  # fmt: skip
WRONG: tuple[Any, ...] = (
    2, 5, -3, (0, 1, 2, 3), (0, 0, -5), np.s_[:, :, :, :], 1.5, "a", np.s_[0.5:2], np.s_[::0],
    np.s_[:, [5]], (..., ...),
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What a call gave or raised; values with their types and all their bits."""

    value: Any
    error: BaseException | None = None


def outcome(call: Callable[[], Any]) -> Outcome:
    with warnings.catch_warnings():  # a framework's about an index, on both sides
        warnings.simplefilter("ignore")
        try:
            return Outcome(plain(call()))
        except Exception as error:
            return Outcome(None, error)


def plain(value: Any) -> Any:
    """Return what is to be compared of a value: a tensor's type, dtype, shape, device and bits."""
    if isinstance(value, dict):
        return {name: plain(tensor) for name, tensor in value.items()}
    if not hasattr(value, "dtype"):
        return type(value), value
    kind = (type(value), str(value.dtype), tuple(value.shape), str(getattr(value, "device", "")))
    return kind, bits(value)


def bits(tensor: Any) -> bytes:
    """Return the bytes of a tensor of any framework, in C order."""
    if type(tensor).__module__ == "torch":
        import torch

        flat = tensor.detach().cpu().contiguous().reshape(-1)
        return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
    return np.asarray(tensor).tobytes()


def calls(module: Any, path: str, framework: str) -> Iterator[tuple[str, Outcome]]:
    """Yield the names of calls and what they give, all that a loader may ask of a file."""
    with module.safe_open(path, framework) as file:
        names = file.keys()
        yield "keys", outcome(file.keys)
        yield "metadata", outcome(file.metadata)
        yield "offset_keys", outcome(lambda: sorted(file.offset_keys()))
        yield "get_tensors", outcome(lambda: dict(sorted(file.get_tensors().items())))
        for name in names:
            yield f"get_tensor {name}", outcome(partial(file.get_tensor, name))
            part = file.get_slice(name)
            yield f"get_shape {name}", outcome(part.get_shape)
            yield f"get_dtype {name}", outcome(part.get_dtype)
            for index in (..., (), 0, np.s_[:], np.s_[0:1]):
                yield f"{name}[{index}]", outcome(partial(getitem, part, index))
        for absent in ("absent", 3, None):
            yield f"get_tensor {absent}", outcome(partial(file.get_tensor, absent))
            yield f"get_slice {absent}", outcome(partial(file.get_slice, absent))
        part = file.get_slice(SLICED)
        for index in (*BASIC, *FURTHER, *WRONG):
            yield f"[{index}]", outcome(partial(getitem, part, index))
        builtins: tuple[Callable[[Any], Any], ...] = (iter, len, list)
        for call in builtins:
            yield call.__name__, outcome(partial(call, file))
    for call in (file.keys, file.offset_keys, file.metadata, file.get_tensors):
        yield f"{call.__name__} when closed", outcome(call)
    yield "get_tensor when closed", outcome(lambda: file.get_tensor(SLICED))
    yield "get_slice when closed", outcome(lambda: file.get_slice(SLICED))


SLICED = "block.0/weight"
