"""Whether a model is quantised already: by its codecs, by its dtypes, or by its values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcodec.api.grids import find_grid
from mcodec.api.integersource import SCALE
from mcodec.api.planning import is_weight
from mcodec.api.tasksource import TaskSource
from mcodec.codec.base import Codec
from mcodec.engine import map_ordered

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor

    from mcodec.formats.base import TensorSource


def find_quantized(
    model: TensorSource, chosen: Sequence[int], executor: Executor | None
) -> str | None:
    """Return what shows that a model is quantised; None if nothing does.

    Parameters
    ----------
    model
    chosen
        Tensors of float dtypes, whose values are looked at.
    executor
        Threads, or None.
    """
    return _by_codec(model) or _by_dtype(model) or _by_values(model, chosen, executor)


def _by_codec(model: TensorSource) -> str | None:
    if isinstance(model, TaskSource):
        for name in model.task:
            codec = model.task.codec(name)
            if isinstance(codec, Codec) and codec.quantized is not None:
                return f"tensor {name!r} is stored as {codec.codec_id} integers"
    return None


def _by_dtype(model: TensorSource) -> str | None:
    """Look for integer kernels, and for blocks of integers (GGUF)."""
    names = {tensor.name for tensor in model.tensors}
    for tensor in model.tensors:
        if not is_weight(tensor):
            continue
        scaled = tensor.name + SCALE in names or f"{tensor.name}_scale" in names
        if tensor.dtype == "int8" or (tensor.dtype == "uint8" and scaled):
            return f"tensor {tensor.name!r} is {tensor.dtype}"
        if model.format == "gguf" and tensor.dtype.startswith("V"):
            return f"tensor {tensor.name!r} is made of blocks of integers"
    return None


def _by_values(model: TensorSource, chosen: Sequence[int], executor: Executor | None) -> str | None:
    def look(index: int) -> str | None:
        scope = find_grid(model, index)
        if scope is None:
            return None
        each = "" if scope.kind == "tensor" else f" in each channel of axis {scope.argument}"
        name = model.tensors[index].name
        return f"the values of tensor {name!r} are whole multiples of one step{each}"

    return next((found for found in map_ordered(executor, look, chosen) if found), None)
