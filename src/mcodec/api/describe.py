"""The manifest of what was packed (spec/container.md, section 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from mcodec.api.sources import ArraySource
from mcodec.container.manifest import Manifest, Run, Task, Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence, Set

    from mcodec.api.encode import RunEncoder
    from mcodec.formats.base import TensorSource


def describe(
    names: Sequence[str],
    models: Sequence[TensorSource],
    encoders: Sequence[RunEncoder],
    skeletons: Set[int],
) -> Manifest:
    """Return the manifest of a file.

    Parameters
    ----------
    names, models
        The tasks.
    encoders
        One a run, in the order of the file, all blocks taken.
    skeletons
        The numbers of those runs that hold a task's skeleton.
    """
    codecs: list[dict[str, Any]] = []
    runs = []
    for encoder in encoders:
        config = encoder.plan.codec.config()
        if config not in codecs:
            codecs.append(config)
        members = [list(shape) for shape in encoder.plan.spec.shapes]
        runs.append(Run(codecs.index(config), encoder.plan.dtype, members, *encoder.certificate()))
    return Manifest(codecs, runs, _tasks(names, models, encoders, skeletons), _pairs(encoders))


def _tasks(
    names: Sequence[str],
    models: Sequence[TensorSource],
    encoders: Sequence[RunEncoder],
    skeletons: Set[int],
) -> list[Task]:
    places: dict[tuple[int, int], tuple[int, int]] = {}  # task, tensor -> run, member
    own: dict[int, int] = {}  # task -> the run of its skeleton
    for number, encoder in enumerate(encoders):
        run = encoder.plan
        if number in skeletons:
            own[run.task] = number
            continue
        for member, index in enumerate(run.members):
            places[run.task, index] = (number, member)
    return [
        Task(
            name,
            [
                Tensor(tensor.name, *places[task, model.same_as.get(index, index)])
                for index, tensor in enumerate(model.tensors)
            ],
            dict(model.metadata),
            UNSET if model.format == ArraySource.format else model.format,
            own.get(task, UNSET),
        )
        for task, (name, model) in enumerate(zip(names, models, strict=True))
    ]


def _pairs(encoders: Sequence[RunEncoder]) -> list[list[int]]:
    fused: dict[int, list[int]] = {}
    for number, encoder in enumerate(encoders):
        if encoder.plan.fused is not None:
            fused.setdefault(encoder.plan.fused, []).append(number)
    return list(fused.values())
