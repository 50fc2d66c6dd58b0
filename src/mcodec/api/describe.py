"""The manifest of what was packed (spec/container.md, section 2)."""

from __future__ import annotations

from collections import defaultdict
from itertools import count, repeat
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from mcodec.api.sources import ArraySource
from mcodec.container.bases import pin
from mcodec.container.manifest import Bases, Manifest, Run, Task, Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mcodec.api.encode import RunEncoder
    from mcodec.api.planning import Place
    from mcodec.formats.base import TensorSource


def describe(
    names: Sequence[str],
    models: Sequence[TensorSource],
    encoders: Sequence[RunEncoder],
    stored: Mapping[Place, Place],
    skeletons: Mapping[int, int],
    meta: Mapping[str, Mapping[str, str]],
) -> Manifest:
    """Return the manifest of a file.

    Parameters
    ----------
    names, models
        The tasks.
    encoders
        One a run, in the order of the file, all blocks taken.
    stored
        Tensors that are stored as another one, which they equal.
    skeletons
        The tasks' numbers to the runs that hold their skeletons.
    meta
        Words and numbers to keep with tasks, by name.
    """
    codecs: list[dict[str, Any]] = []
    runs = []
    # By task and tensor: run and member.
    places: defaultdict[int, dict[int, tuple[int, int]]] = defaultdict(dict)
    for number, encoder in enumerate(encoders):
        config = encoder.plan.codec.config()
        if config not in codecs:
            codecs.append(config)
        members = list(encoder.plan.spec.shapes)
        runs.append(Run(codecs.index(config), encoder.plan.dtype, members, *encoder.certificate()))
        places[encoder.plan.task].update(
            zip(encoder.plan.members, zip(repeat(number), count()), strict=False)
        )
    for run, encoder in zip(runs, encoders, strict=True):
        if encoder.plan.bases:
            roles = [[places[task][i] for task, i in role] for role in encoder.plan.bases]
            run.bases = Bases(pin(runs[below].digest for role in roles for below, _ in role), roles)
    for (task, index), (other, first) in stored.items():
        places[task][index] = places[other][first]
    tasks = [
        Task(
            name,
            [
                Tensor(tensor.name, *places[task][index])
                for index, tensor in enumerate(model.tensors)
            ],
            dict(model.metadata),
            UNSET if model.format == ArraySource.format else model.format,
            skeletons.get(task, UNSET),
            sorted(model.same_as.items()),
            dict(meta.get(name, {})),
        )
        for task, (name, model) in enumerate(zip(names, models, strict=True))
    ]
    return Manifest(codecs, runs, tasks, _pairs(encoders))


def _pairs(encoders: Sequence[RunEncoder]) -> list[list[int]]:
    fused: dict[int, list[int]] = {}
    for number, encoder in enumerate(encoders):
        if encoder.plan.fused is not None:
            fused.setdefault(encoder.plan.fused, []).append(number)
    return list(fused.values())
