"""How tensors of a task get into tensors of PyTorch: straight, by way of a copy, or on a device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcodec.api.load import Job, Target, jobs_of, load
from mcodec.torch import tensors

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch

    from mcodec.api.task import Task


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to be written.

    Attributes
    ----------
    targets : list of Target
        Arrays that decoders write to.
    copies : list of pairs of tensors
        (to, from): the first is what the model has, the second the memory of a target.
    elsewhere : list of (name, tensor)
        Tensors on devices.
    """

    targets: list[Target]
    copies: list[tuple[torch.Tensor, torch.Tensor]]
    elsewhere: list[tuple[str, torch.Tensor]]

    def jobs(self, task: Task) -> list[Job]:
        """Return the blocks that the targets need."""
        return jobs_of(task.file.reader, self.targets)

    def copy(self) -> None:
        """Copy what could not be written straight."""
        import torch

        with torch.inference_mode():  # which may write to tensors of any mode
            for to, made in self.copies:
                to.copy_(made)


def plan(task: Task, pairs: Iterable[tuple[str, torch.Tensor]]) -> Plan:
    """Decide for each (tensor of the task, tensor of PyTorch) how it is written."""
    found = Plan([], [], [])
    for name, tensor in pairs:
        if not tensor.numel() or tensor.is_meta:
            continue
        if tensor.device.type != "cpu":
            found.elsewhere.append((name, tensor))
            continue
        spec = task.spec(name)
        array = tensors.flat(tensor, spec.dtype)
        if array is None:
            made = tensors.empty(spec)
            array = tensors.flat(made, spec.dtype)
            found.copies.append((tensor, made))
        assert array is not None
        found.targets.append(Target(name, *task.place(name), array))
    return found


def fill(task: Task, pairs: Iterable[tuple[str, torch.Tensor]]) -> None:
    """Decode tensors of a task into tensors of PyTorch, in place.

    Raises
    ------
    FormatError, InputOutputError
        The file is damaged or cannot be read; what the tensors hold is then undefined.
    """
    from mcodec.torch.ondevice import decode_into

    todo = plan(task, pairs)
    load(task.file.reader, todo.targets, task.view, task.file.executor)
    todo.copy()
    decode_into(task, todo.elsewhere)
