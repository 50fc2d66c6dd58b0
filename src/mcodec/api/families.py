"""Which tensors are versions of one another: fine-tuned, masked, or replaced (design, section 4).

Nothing is presumed equal: tensors meet by name, dtype and shape, or, where networks name their
layers by other numbers, by their place in the network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcodec.api.pairing import pair_tensors

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from mcodec.api.planning import Place
    from mcodec.types import TensorSpec


def find_families(
    models: Sequence[Sequence[TensorSpec]],
    bases: Collection[Place],
    later: Collection[Place],
    stored: Mapping[Place, Place],
) -> dict[Place, Place]:
    """Return for each tensor the first of its family, which is in no family itself.

    Parameters
    ----------
    models
        The tensors of each task, in model order.
    bases
        The tensors that others may stand on.
    later
        The tensors that may stand on others.
    stored
        Tensors that are stored as another one that they equal.

    Returns
    -------
    dict
        Later tensors, in order, to the earlier one that each may be told from.
    """
    names = [{tensor.name: index for index, tensor in enumerate(model)} for model in models]
    first: dict[Place, Place] = {}
    for task in range(1, len(models)):
        aligned: dict[int, int] | None = None
        for index, tensor in enumerate(models[task]):
            place = (task, index)
            if place not in later:
                continue
            kind = (tensor.dtype, tensor.shape)
            found = _by_name(models, names, task, tensor.name, kind)
            if found is None:
                if aligned is None:
                    groups = pair_tensors([models[0], models[task]])
                    aligned = {group[1]: group[0] for group in groups}
                if index not in aligned:
                    continue
                found = (0, aligned[index])
            found = stored.get(found, found)
            found = first.get(found, found)
            if found in bases and found[0] < task:
                first[place] = found
    return first


def _by_name(
    models: Sequence[Sequence[TensorSpec]],
    names: Sequence[Mapping[str, int]],
    task: int,
    name: str,
    kind: tuple[str, tuple[int, ...]],
) -> Place | None:
    """Return the first task's tensor of this name, dtype and shape among those before `task`."""
    for other in range(task):
        index = names[other].get(name)
        if index is not None:
            tensor = models[other][index]
            if (tensor.dtype, tensor.shape) == kind:
                return other, index
    return None
