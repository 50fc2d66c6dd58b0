"""Tensors whose shape differs between tasks: a parameter for each task, put in when it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcodec.torch.names import refuse
from mcodec.torch.slots import tied

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from mcodec.torch.slots import Slot

    Shapes = Mapping[str, Mapping[str, tuple[int, ...]]]  # by task, then key


class Heads:
    """The tensors of each task that are not the model's own.

    Parameters
    ----------
    slots
        The model's tensors, by key.
    shapes
        Of each task's tensors.
    allowed
        False refuses shapes that are not the model's.

    Raises
    ------
    StateDictError
        The tasks agree on a shape that is not the model's, or shapes differ and must not.
    UsageError
        They differ, and the tensor is none that can be put in and taken out.
    """

    def __init__(
        self, slots: Mapping[str, Slot], shapes: Shapes, model: str, *, allowed: bool
    ) -> None:
        import torch

        self._slots = slots
        self._twins = tied(slots)
        self._own: dict[str, dict[str, torch.Tensor]] = {task: {} for task in shapes}
        for key, slot in slots.items():
            wanted = {task: of_task[key] for task, of_task in shapes.items() if key in of_task}
            has = tuple(slot.tensor.shape)
            if all(shape == has for shape in wanted.values()):
                continue
            if not allowed or len(set(wanted.values())) == 1:
                task, shape = next(pair for pair in wanted.items() if pair[1] != has)
                unequal = f"size mismatch: {key} {list(shape)}, and the model has {list(has)}"
                raise refuse(model, task, [unequal])
            for one in self._places(key):
                one.check_own()
            device = "cpu" if slot.tensor.is_meta else slot.tensor.device
            for task, shape in wanted.items():
                made = torch.empty(shape, dtype=slot.tensor.dtype, device=device)
                if isinstance(slot.tensor, torch.nn.Parameter):
                    grad = slot.tensor.requires_grad
                    made = torch.nn.Parameter(made, requires_grad=grad)
                self._own[task][key] = made

    @property
    def nbytes(self) -> int:
        """The bytes of all of them."""
        return sum(t.nbytes for own in self._own.values() for t in own.values())

    def tensor(self, task: str, key: str) -> torch.Tensor | None:
        """Return a task's own tensor for a key; None where it is the model's."""
        return self._own[task].get(key)

    def follow(self, task: str) -> None:
        """Give a task's own tensors the dtype and device that the model's have by now.

        `to` and others see those of the task that is shown, and no other. What the tensors held is
        lost where that changes anything.
        """
        import torch

        for key, tensor in self._own[task].items():
            now = self._slots[key].tensor
            if (tensor.dtype, tensor.device) != (now.dtype, now.device):
                tensor.grad = None
                tensor.data = torch.empty_like(tensor, dtype=now.dtype, device=now.device)

    def show(self, task: str) -> None:
        """Put a task's own tensors into the model."""
        for key, tensor in self._own[task].items():
            for slot in self._places(key):
                slot.put(tensor)

    def _places(self, key: str) -> list[Slot]:
        """Return all places of the model that hold one tensor."""
        tied_to = [other for other, first in self._twins.items() if first == key]
        return [self._slots[name] for name in (key, *tied_to)]
