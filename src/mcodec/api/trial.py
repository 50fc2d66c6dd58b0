"""What a codec would make of a tensor, measured on some of its blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mcodec.api.values import Values, base_arrays, read_block
from mcodec.codec import coder, error
from mcodec.container.header import ROW_SIZE
from mcodec.container.layout import group
from mcodec.types import RunSpec, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from mcodec.api.planning import Place
    from mcodec.codec.base import Bases, Codec, Coded

# Fewer zeros than this cost more to place than they save, with any codec of values.
SPARSE: Final = 1 / 64
_BLOCKS: Final = 4  # of a large tensor that are tried; smaller ones are tried whole
_PIECES: Final = 4  # that are left of a tensor that is thinned out


@dataclass(frozen=True, slots=True)
class Trial:
    """What a codec makes of a run.

    Attributes
    ----------
    bytes
        Of its chunks and their rows.
    peak
        The largest |error| of the blocks that were tried.
    noise, signal
        The sums of error² and of weight², of the whole run.
    """

    bytes: int
    peak: float
    noise: float
    signal: float


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
    weight
        What the bytes of these blocks count times.
    """

    values: Values
    run: RunSpec
    places: tuple[Place, ...]
    blocks: tuple[tuple[int, NDArray[Any]], ...]
    zeros: float
    weight: float

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
        total = 0
        for block, _, coded, _, _ in self._coded(codec, roles, surveys):
            total += _stored(codec, self.run, block, coded)
        return round(total * self.weight)

    def trial(
        self,
        codec: Codec,
        roles: Sequence[Sequence[Place]] = (),
        surveys: Sequence[Any] | None = None,
    ) -> Trial:
        """Return what `cost` does, and the error over the whole run as these blocks tell it."""
        import numpy as np

        total = 0
        stats = error.NO_ERROR
        for block, array, coded, head, below in self._coded(codec, roles, surveys):
            total += _stored(codec, self.run, block, coded)
            if codec.exact(self.run.dtype):
                continue
            decoded = np.zeros_like(array)
            streams = [coder.decode(stream) for stream in coded[1]]
            codec.decode(self.run, block, coded[0], streams, head, decoded, bases=below)
            stats = error.add(stats, error.measure(self.run.dtype, array, decoded))
        weight = self.weight
        return Trial(round(total * weight), stats[0], stats[1] * weight, stats[2] * weight)

    def _coded(
        self, codec: Codec, roles: Sequence[Sequence[Place]], surveys: Sequence[Any] | None
    ) -> Iterator[tuple[int, NDArray[Any], Coded, Any, Bases]]:
        """Yield each block's number and values, it coded, the head, and what it stands on."""
        head, _ = codec.encode_head(self.run, surveys or [None] * len(self.places))
        for block, array in self.blocks:
            below = base_arrays(self.values, self.run, block, roles)
            coded = codec.encode(self.run, block, array, head, planes_only=False, bases=below)
            yield block, array, coded, head, below


def _stored(codec: Codec, run: RunSpec, block: int, coded: Coded) -> int:
    """Return the bytes of a coded block's chunks and their rows."""
    chunks = group(codec.block_streams(run, block, coded[0]) or (), coded[1], "task")
    return sum(chunk.stored + ROW_SIZE for chunk in chunks)


def sample(values: Values, places: Sequence[Place]) -> Sample:
    """Read a few blocks, always the same, of the run that these tensors would make."""
    import numpy as np

    specs = values.specs(places)
    run = RunSpec.of(specs[0].dtype, [spec.shape for spec in specs])
    last = run.blocks - 1
    numbers = sorted({last * i // (_BLOCKS - 1) for i in range(_BLOCKS)}) if last > 0 else [0]
    blocks = []
    zeros = elements = sampled = 0
    for block in numbers:
        array = read_block(values, run, block, places, values.read)
        own = sum(part.stop - part.start for _, part in run.parts(block))  # gaps are zero
        zeros += own - int(np.count_nonzero(array.view(f"u{array.itemsize}")))
        elements += own
        blocks.append((block, array))
        sampled += array.size
    share = zeros / elements if elements else 0.0
    weight = values.weight(places[0]) * run.elements / max(1, sampled)
    return Sample(values, run, tuple(places), tuple(blocks), share, weight)


def sparse_of(values: Values, places: Sequence[Place]) -> set[Place]:
    """Return the small tensors of floats of which a part that may matter is zeros."""
    small, others = values.parted(places)
    found = {place for place in others if _is_sparse(values, place)}
    for some, arrays in values.read_smalls(small):
        if not _are_dense(arrays):
            found.update(place for place in some if _is_sparse(values, place))
    return found


def _are_dense(arrays: Sequence[NDArray[Any]]) -> bool:
    """Tell whether none can be sparse, by the zeros of all of them together."""
    import numpy as np

    if len({array.dtype for array in arrays}) > 1:
        return False
    whole = np.concatenate(arrays)
    zeros = whole.size - int(np.count_nonzero(whole.view(f"u{whole.itemsize}")))
    return zeros < SPARSE * min((array.size for array in arrays if array.size), default=1)


def _is_sparse(values: Values, place: Place) -> bool:
    import numpy as np

    size = values.spec(place).size
    bits = values.read(place, 0, size)
    return size > 0 and 1 - int(np.count_nonzero(bits.view(f"u{bits.itemsize}"))) / size >= SPARSE


class Thinned(Values):
    """The values of large tensors thinned out: a few pieces stand for the whole.

    Tensors are flat here, so this is for codecs that do not ask for shapes.

    Parameters
    ----------
    values
        All of them.
    most
        Elements that are left of a tensor, in `_PIECES` pieces spread over it; those that have no
        more are left as they are.
    """

    def __init__(self, values: Values, most: int) -> None:
        self.models = values.models
        self._values = values
        self._piece = most // _PIECES

    def spec(self, place: Place) -> TensorSpec:
        """Return a tensor's name and dtype, and how many values are left."""
        tensor = self._values.spec(place)
        if tensor.size <= self._piece * _PIECES:
            return tensor
        return TensorSpec(tensor.name, tensor.dtype, (self._piece * _PIECES,))

    def specs(self, places: Sequence[Place]) -> list[TensorSpec]:
        """Return what `spec` does of each."""
        return list(map(self.spec, places))

    def weight(self, place: Place) -> float:
        """Return how many values each one stands for."""
        return self._values.spec(place).size / max(1, self.spec(place).size)

    def read(self, place: Place, start: int, stop: int) -> NDArray[Any]:
        """Return elements [start, stop) of those that are left."""
        return self._read(self._values.read, place, start, stop)

    def decoded(self, place: Place, start: int, stop: int) -> NDArray[Any]:
        """Return the same of the canonical decode."""
        return self._read(self._values.decoded, place, start, stop)

    def _read(
        self, read: Callable[[Place, int, int], NDArray[Any]], place: Place, start: int, stop: int
    ) -> NDArray[Any]:
        import numpy as np

        size, piece = self._values.spec(place).size, self._piece
        if size <= piece * _PIECES:
            return read(place, start, stop)
        parts = []
        for number in range(start // piece, -(-stop // piece)):
            first = (size - piece) * number // (_PIECES - 1)
            low, high = max(start, number * piece), min(stop, (number + 1) * piece)
            parts.append(read(place, first + low - number * piece, first + high - number * piece))
        return np.concatenate(parts)
