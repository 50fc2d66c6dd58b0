"""A task's weights as tensors, or straight into a model that is there."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from mcodec.api.handle import open as open_file
from mcodec.errors import UsageError
from mcodec.torch import tensors
from mcodec.torch.names import keys_of, listed, refuse
from mcodec.torch.slots import check_keys, check_shapes, slots_of, tied
from mcodec.torch.writing import fill

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Iterator, Mapping

    import torch

    from mcodec.api.handle import Task
    from mcodec.torch.names import Rename
    from mcodec.torch.slots import Slot

    Path = str | os.PathLike[str] | Task


class Keys(NamedTuple):
    """What `load_model` did not find: as `load_state_dict` returns it."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def load_file(
    path: Path,
    task: str | None = None,
    device: str | int | torch.device = "cpu",
    *,
    prefix: str = "",
    rename: Rename | None = None,
    **options: Any,
) -> dict[str, torch.Tensor]:
    """Load a task as a state_dict.

    Parameters
    ----------
    path
        A `.mc` file, a URL, or an open task.
    task
        Its name; may be left out where the file has one.
    device
        Where the tensors go. Elsewhere than on the CPU planes are sent, not floats, and put
        together there.
    prefix, rename
        As `load_model`.
    options
        As `mcodec.open` has them: ``verify``, ``backend``, ``jobs``, …

    Returns
    -------
    dict
        Tensors that own their memory, in the file's order; those that the source had as one array
        (tied weights) are one tensor.

    Raises
    ------
    FormatError, InputOutputError, UnknownTaskError
        As `mcodec.open` and `Task.load`.
    UsageError
        PyTorch lacks a dtype.
    """
    import torch

    where = torch.device(device)
    with opened(path, task, options) as weights:
        order = {name: index for index, name in enumerate(weights)}
        made: dict[int, tuple[str, torch.Tensor]] = {}  # by index of the array in the source
        found = {}
        for key, name in keys_of(weights, prefix, rename).items():
            index = weights.ties.get(order[name], order[name])
            if index not in made:
                made[index] = name, tensors.empty(weights.spec(name), where)
            found[key] = made[index][1]
        fill(weights, made.values())
    return found


def load_model(
    model: torch.nn.Module,
    path: Path,
    task: str | None = None,
    *,
    prefix: str = "",
    rename: Rename | None = None,
    dtype: torch.dtype | None = None,
    strict: bool = True,
    **options: Any,
) -> Keys:
    """Load a task into a model's own parameters and buffers, in place.

    Blocks are decoded straight into the memory of contiguous CPU tensors of the stored dtype; other
    tensors are decoded beside it and copied. Parameters on the meta device are made on the CPU.

    Parameters
    ----------
    model
        Its tensors keep their identity, device and dtype.
    path, task, options
        As `load_file`.
    prefix
        Only tensors whose names begin with it are taken, and it is cut off.
    rename
        What is left of a name to the key of the state_dict: a mapping, or a function, which leaves
        a tensor out by returning None.
    dtype
        Give the model's floating tensors this dtype first.
    strict
        Refuse a task that lacks a key or has one too many.

    Returns
    -------
    Keys
        What was missing and unexpected; nothing if `strict`.

    Raises
    ------
    StateDictError
        Keys or shapes do not fit; the model is as it was.
    FormatError, InputOutputError
        The file is damaged or cannot be read; after it has begun, what the model holds is
        undefined (`TaskSwitcher` leaves it whole).
    """
    with opened(path, task, options) as weights:
        slots, keys = slots_of(model), keys_of(weights, prefix, rename)
        what, name = type(model).__name__, weights.name
        missing, extra = check_keys(slots, keys)
        if strict and (missing or extra):
            complaints = [*listed("missing keys", missing), *listed("unexpected keys", extra)]
            raise refuse(what, name, complaints)
        used = {key: tensor for key, tensor in keys.items() if key in slots}
        specs = {key: weights.spec(tensor) for key, tensor in used.items()}
        check_shapes(slots, specs, what, name)
        for spec in specs.values():
            tensors.torch_dtype(spec)  # refuses what cannot be loaded, before anything is changed
        twins = tied(slots)
        last = {twins.get(key, key): tensor for key, tensor in used.items()}
        materialize(slots, last, dtype)
        fill(weights, [(name, slots[key].tensor) for key, name in last.items()])
    return Keys(missing, extra)


@contextmanager
def opened(path: Path, task: str | None, options: Mapping[str, Any]) -> Iterator[Task]:
    """Give a task of a file that is opened for the purpose, or an open one."""
    from mcodec.api.task import Task

    if isinstance(path, Task):
        if task is not None or options:
            raise UsageError("an open task needs no name and no options")
        yield path
        return
    with open_file(path, **options) as file:
        yield file.task(task)


def materialize(
    slots: Mapping[str, Slot], wanted: Collection[str], dtype: torch.dtype | None = None
) -> None:
    """Give tensors that have no memory some, and floating ones another dtype.

    Parameters
    ----------
    slots
        The model's tensors. They keep their identity, but for those of the meta device.
    wanted
        The first keys of those that will be written to: others stay on the meta device, and
        keep their values under another dtype.
    dtype
        None leaves all dtypes.
    """
    import torch

    twins = tied(slots)
    for key, slot in slots.items():
        tensor, first = slot.tensor, twins.get(key, key)
        other = dtype is not None and tensor.is_floating_point() and tensor.dtype != dtype
        if tensor.is_meta:
            if first != key:
                slot.put(slots[first].tensor)
            elif key in wanted or other:
                device = "cpu" if key in wanted else "meta"
                to = dtype if other else None
                slot.put(torch.empty_like(tensor, dtype=to, device=device))
        elif other:
            grad = tensor.grad if tensor.is_leaf else None
            if grad is not None:
                tensor.grad = None
            tensor.data = slots[first].tensor.data if first != key else tensor.data.to(dtype)
            if grad is not None:
                tensor.grad = grad.to(dtype)
