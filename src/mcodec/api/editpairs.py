"""New tensors that join the fused groups of a file (design: "Fusing two tasks")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcodec.api.pairing import pair_tensors
from mcodec.api.runs import RunPlan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mcodec.api.editstored import StoredTensors
    from mcodec.api.planning import Coding
    from mcodec.types import TensorSpec


def join_pairs(
    stored: StoredTensors,
    pairs: Sequence[Sequence[int]],
    model: Sequence[TensorSpec],
    own: Mapping[int, Coding],
    task: int,
) -> list[RunPlan]:
    """Return runs of new tensors that have the geometry and the codec of a file's fused runs.

    The new model's tensors are paired with those of the task that names a group's first run, as
    `pack` pairs models. A group is joined where every member of its runs has a partner that is
    stored, all of one codec configuration.

    Parameters
    ----------
    stored
        What the file has.
    pairs
        Its fused groups. Runs in none stay so, for their chunks may be of another form.
    model, own
        The new tensors, and the codings of those that are stored.
    task
        Its number among the sources.
    """
    aligned: dict[int, dict[int, int]] = {}
    taken: set[int] = set()
    runs: list[RunPlan] = []
    for group, pair in enumerate(pairs):
        shapes = stored.reader.runs[pair[0]].shapes
        members = [(pair[0], member) for member in range(len(shapes))]
        partners = [stored.places[member] for member in members if member in stored.places]
        if len(partners) < len(shapes) or len({number for number, _ in partners}) > 1:
            continue
        number = partners[0][0]
        if number not in aligned:
            aligned[number] = _align(stored.sources[number].tensors, model)
        indices = [aligned[number].get(index, -1) for _, index in partners]
        if _fit(stored.codec(pair[0]).codec_id, indices, own) and not taken.intersection(indices):
            taken.update(indices)
            codec, dtype = own[indices[0]].codec, model[indices[0]].dtype
            run = RunPlan(task, codec, dtype, indices, [*shapes], (task,), group)
            runs.append(run.seal())
    return runs


def _align(theirs: Sequence[TensorSpec], model: Sequence[TensorSpec]) -> dict[int, int]:
    return {group[0]: group[1] for group in pair_tensors([theirs, model])}


def _fit(codec_id: str, indices: Sequence[int], own: Mapping[int, Coding]) -> bool:
    """Tell whether all of these are stored, alone, under one codec of this id."""
    if len(set(indices)) < len(indices) or any(index not in own for index in indices):
        return False
    codecs = {own[index].codec for index in indices}
    return len(codecs) == 1 and codecs.pop().codec_id == codec_id and not own[indices[0]].bases
