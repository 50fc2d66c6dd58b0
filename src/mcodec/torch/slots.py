"""The places of a module that hold tensors: parameters and buffers, by key of its state_dict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcodec.errors import UsageError
from mcodec.torch.names import listed, refuse

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from mcodec.types import TensorSpec


@dataclass(slots=True)
class Slot:
    """A parameter or buffer.

    Attributes
    ----------
    key : str
        Its key in the state_dict.
    tensor : torch.Tensor
        What is there now.
    module : torch.nn.Module or None
        The module that has it; None where a hook of the state_dict made the key up.
    name : str
        Its name in that module.
    """

    key: str
    tensor: torch.Tensor
    module: torch.nn.Module | None
    name: str

    def put(self, tensor: torch.Tensor) -> None:
        """Make another tensor the module's parameter or buffer."""
        if self.module is None:
            raise UsageError(f"{self.key!r} is no parameter or buffer of its module: keep its kind")
        if self.name in self.module._parameters:
            import torch

            if not isinstance(tensor, torch.nn.Parameter):
                tensor = torch.nn.Parameter(tensor, requires_grad=self.tensor.requires_grad)
            self.module._parameters[self.name] = tensor
        else:
            self.module._buffers[self.name] = tensor
        self.tensor = tensor

    def refresh(self) -> None:
        """Look again at what the module has: `to` and others put new tensors there."""
        if self.module is not None:
            found = self.module._parameters.get(self.name)
            if found is None:
                found = self.module._buffers.get(self.name)
            if found is not None:
                self.tensor = found


def slots_of(model: torch.nn.Module) -> dict[str, Slot]:
    """Return the tensors of a module by their keys; what is no tensor is left out."""
    import torch

    modules = dict(model.named_modules(remove_duplicate=False))
    slots = {}
    for key, value in model.state_dict(keep_vars=True).items():
        if not isinstance(value, torch.Tensor):
            continue  # an extra state of some module
        if isinstance(value, torch.nn.parameter.UninitializedTensorMixin):
            raise UsageError(f"{key!r} of the model has no shape yet: run it once, then load")
        path, _, name = key.rpartition(".")
        module = modules.get(path)
        if module is not None and name not in module._parameters and name not in module._buffers:
            module = None
        slots[key] = Slot(key, value, module, name)
    return slots


def tied(slots: Mapping[str, Slot]) -> dict[str, str]:
    """Return for each key of a tensor that the module has twice the first key of it."""
    seen: dict[tuple[int, tuple[int, ...], tuple[int, ...], str], str] = {}
    found = {}
    for key, slot in slots.items():
        tensor = slot.tensor
        if tensor.is_meta:
            place = (id(tensor), (), (), "")
        elif tensor.numel():
            place = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), str(tensor.device))
        else:
            continue
        first = seen.setdefault(place, key)
        if first != key:
            found[key] = first
    return found


def check_keys(slots: Mapping[str, Slot], keys: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return the keys that the task lacks, and those that it has too many.

    A key whose tensor the module has under another key too is not missing if that one is there.
    """
    twins = tied(slots)
    known = {twins.get(key, key) for key in keys if key in slots}
    missing = [key for key in slots if key not in keys and twins.get(key, key) not in known]
    return missing, [key for key in keys if key not in slots]


def check_shapes(
    slots: Mapping[str, Slot], specs: Mapping[str, TensorSpec], model: str, task: str
) -> None:
    """Refuse tensors of other shapes than the module has.

    Raises
    ------
    StateDictError
        It names the first of them, with both shapes.
    """
    unequal = [
        f"{key} {list(spec.shape)}, and the model has {list(slots[key].tensor.shape)}"
        for key, spec in specs.items()
        if key in slots and tuple(slots[key].tensor.shape) != spec.shape
    ]
    if unequal:
        raise refuse(model, task, [f"size mismatch: {unequal[0]}", *listed("also", unequal[1:])])
