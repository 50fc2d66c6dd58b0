"""What a codec would make of a tensor, measured on some of its blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mcodec.api.values import base_arrays
from mcodec.container.header import ROW_SIZE
from mcodec.container.layout import group
from mcodec.types import RunSpec, numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mcodec.api.planning import Place
    from mcodec.api.values import Values
    from mcodec.codec.base import Codec

_BLOCKS: Final = 4  # of a large tensor that are tried; smaller ones are tried whole


@dataclass(frozen=True, slots=True)
class Sample:
    """Some blocks of tensors that lie, or would lie, in one run.

    Attributes
    ----------
    places
        The run's members.
    blocks : tuple of (int, array)
        Numbers and values.
    zeros
        The share of elements, gaps left out, whose pattern is zero.
    """

    values: Values
    run: RunSpec
    places: tuple[Place, ...]
    blocks: tuple[tuple[int, NDArray[Any]], ...]
    zeros: float

    def cost(
        self,
        codec: Codec,
        roles: Sequence[Sequence[Place]] = (),
        surveys: Sequence[Any] | None = None,
    ) -> int:
        """Return the bytes that the whole run would take in the file: its chunks and their rows.

        Parameters
        ----------
        codec
        roles
            For each of the codec's roles what each member stands on.
        surveys
            What the codec's survey found in each member; not for a codec that needs none.
        """
        head, _ = codec.encode_head(self.run, surveys or [None] * len(self.places))
        total = elements = 0
        for block, array in self.blocks:
            below = base_arrays(self.values, self.run, block, roles)
            mode, coded = codec.encode(self.run, block, array, head, planes_only=False, bases=below)
            chunks = group(codec.block_streams(self.run, block, mode) or (), coded, "task")
            total += sum(chunk.stored + ROW_SIZE for chunk in chunks)
            elements += array.size
        return total * self.run.elements // elements if elements else 0


def sample(values: Values, places: Sequence[Place]) -> Sample:
    """Read a few blocks, always the same, of the run that these tensors would make."""
    import numpy as np

    specs = [values.spec(place) for place in places]
    run = RunSpec.of(specs[0].dtype, [spec.shape for spec in specs])
    last = run.blocks - 1
    numbers = sorted({last * i // (_BLOCKS - 1) for i in range(_BLOCKS)}) if last > 0 else [0]
    blocks = []
    zeros = elements = 0
    for block in numbers:
        first, stop = run.span(block)
        array = np.zeros(stop - first, numpy_dtype(run.dtype))
        for member, part in run.parts(block):
            skip = max(0, first - run.starts[member])
            array[part] = values.read(places[member], skip, skip + part.stop - part.start)
            patterns = array[part].view(f"u{array.itemsize}")
            zeros += patterns.size - int(np.count_nonzero(patterns))
            elements += patterns.size
        blocks.append((block, array))
    return Sample(values, run, tuple(places), tuple(blocks), zeros / elements if elements else 0.0)
