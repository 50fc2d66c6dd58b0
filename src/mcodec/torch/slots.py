"""The places of a module that hold tensors: parameters and buffers, by key of its state_dict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mcodec.errors import UsageError
from mcodec.torch.names import listed, refuse

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from mcodec.types import TensorSpec

EXTRA_STATE: Final = "_extra_state"  # the last part of its key, as PyTorch has it


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

    def check_own(self) -> torch.nn.Module:
        """Return the module that has it; refuse a tensor that no module has under this name."""
        if self.module is None:
            message = f"{self.key!r} is no parameter or buffer of its module: no other tensor can"
            raise UsageError(f"{message} take its place")
        return self.module

    def put(self, tensor: torch.Tensor) -> None:
        """Make another tensor the module's parameter or buffer."""
        module = self.check_own()
        if self.name in module._parameters:
            import torch

            if not isinstance(tensor, torch.nn.Parameter):
                tensor = torch.nn.Parameter(tensor, requires_grad=self.tensor.requires_grad)
            module._parameters[self.name] = tensor
        else:
            module._buffers[self.name] = tensor
        self.tensor = tensor

    def refresh(self) -> bool:
        """Look again at what the module has; tell whether it is another tensor than before.

        Raises
        ------
        UsageError
            It has none any more.
        """
        if self.module is None:
            return False
        found = self.module._parameters.get(self.name)
        if found is None:
            found = self.module._buffers.get(self.name)
        if found is None:
            raise UsageError(f"the model has no {self.key!r} any more: make another switcher")
        changed, self.tensor = found is not self.tensor, found
        return changed


def slots_of(model: torch.nn.Module) -> dict[str, Slot]:
    """Return the tensors of a module by their keys; extra states of modules are left out.

    Raises
    ------
    UsageError
        A tensor has no shape yet, or is made for the state_dict alone, so that what is written to
        it would be lost.
    """
    import torch

    modules = dict(model.named_modules(remove_duplicate=False))
    slots = {}
    for key, value in model.state_dict(keep_vars=True).items():
        if not isinstance(value, torch.Tensor) or key.rpartition(".")[2] == EXTRA_STATE:
            continue
        if isinstance(value, torch.nn.parameter.UninitializedTensorMixin):
            raise UsageError(f"{key!r} of the model has no shape yet: run it once, then load")
        path, _, name = key.rpartition(".")
        module = modules.get(path)
        if module is not None and name not in module._parameters and name not in module._buffers:
            module = None
        if module is None and value.numel() and not _has(model, value):
            message = f"{key!r} of the model is made for its state_dict alone: load_state_dict"
            raise UsageError(f"{message}(mcodec.torch.load_file(…)) knows what to do with it")
        slots[key] = Slot(key, value, module, name)
    return slots


def _has(model: torch.nn.Module, tensor: torch.Tensor) -> bool:
    """Tell whether a tensor shares the memory of one of a module's own."""
    own = (*model.parameters(), *model.buffers())
    return _memory(tensor) in {_memory(other) for other in own}


def _memory(tensor: torch.Tensor) -> int:
    """Return what tensors that share memory have in common."""
    import torch

    lazy = isinstance(tensor, torch.nn.parameter.UninitializedTensorMixin)
    if lazy or tensor.is_meta or tensor.layout != torch.strided:
        return id(tensor)
    return int(tensor.untyped_storage().data_ptr())


def tied(slots: Mapping[str, Slot]) -> dict[str, str]:
    """Return for each key of a tensor that the module has twice the first key of it."""
    seen: dict[tuple[object, ...], str] = {}
    found = {}
    for key, slot in slots.items():
        tensor = slot.tensor
        if tensor.is_meta:
            place: tuple[object, ...] = (id(tensor), "meta")
        elif tensor.numel():
            place = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.device)
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
