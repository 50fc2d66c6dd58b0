"""What `pack` chose for each tensor and why, for those who want to know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcodec.codec.plan import codec_string

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mcodec.api.auto import Choice, Cost
    from mcodec.api.planning import Place
    from mcodec.api.tasklist import Shares
    from mcodec.container.manifest import Manifest

ALIAS = "alias"


@dataclass(frozen=True, slots=True)
class ChoiceRow:
    """One choice: a tensor, or small ones of a task together.

    Attributes
    ----------
    task, tensors
        Their names.
    codec
        What codes them, as people type it; ``alias`` where they are stored as equal ones.
    read_bytes, file_bytes
        What one task has to read for them, all that they stand on included; what they add to the
        file.
    float_bytes
        What they would take as ``float``.
    costs
        By codec id what was tried, as estimated from some blocks.
    """

    task: str
    tensors: tuple[str, ...]
    codec: str
    read_bytes: int
    file_bytes: int
    float_bytes: int
    costs: Mapping[str, Cost]


def list_choices(
    manifest: Manifest,
    shares: Shares,
    choices: Sequence[Choice],
    stored: Mapping[Place, Place],
) -> Iterator[ChoiceRow]:
    """Yield what was chosen, with the bytes that it took in the file.

    Parameters
    ----------
    manifest, shares
        Of the file that was written.
    choices
        Of `auto`.
    stored
        The tensors that are stored as another one.
    """
    tasks = manifest.tasks

    def took(place: Place) -> int:
        tensor = tasks[place[0]].tensors[place[1]]
        return shares.of(tensor.run, tensor.member)

    for choice in choices:
        task = choice.places[0][0]
        tensors = tuple(tasks[task].tensors[index].name for _, index in choice.places)
        total = sum(map(took, choice.places))
        name = choice.codec.codec_id
        cost = choice.costs.get(name)
        beside = 0 if cost is None else cost.read - cost.file
        plain = choice.costs["float"].file if choice.costs else total
        text = codec_string(choice.codec.config())
        yield ChoiceRow(tasks[task].name, tensors, text, total + beside, total, plain, choice.costs)
    for (task, index), first in stored.items():
        read = took(first)
        name = tasks[task].tensors[index].name
        yield ChoiceRow(tasks[task].name, (name,), ALIAS, read, 0, read, {})
