"""Weights of `.mc` files in PyTorch: as a state_dict, into a model in place, or switched.

>>> import mcodec.torch
>>> mcodec.torch.load_model(model, "fused.mc", "B")                  # doctest: +SKIP
>>> switcher = mcodec.torch.TaskSwitcher(model, "fused.mc")          # doctest: +SKIP
>>> switcher.switch("B")                                             # doctest: +SKIP

Needs PyTorch: ``pip install mcodec[torch]``.
"""

from __future__ import annotations

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    from mcodec.errors import MissingDependencyError

    raise MissingDependencyError("mcodec.torch needs PyTorch: pip install mcodec[torch]") from error

from mcodec.torch.load import Keys, load_file, load_model
from mcodec.torch.names import StateDictError
from mcodec.torch.switcher import TaskSwitcher

__all__ = ["Keys", "StateDictError", "TaskSwitcher", "load_file", "load_model"]
