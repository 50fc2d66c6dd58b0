"""The values of what is being packed: as they came, and as they will decode."""

from __future__ import annotations

import threading
from collections import OrderedDict
from itertools import compress
from operator import not_
from typing import TYPE_CHECKING, Any, Final

from mcodec import allowance
from mcodec.api.smalls import SMALL, Smalls
from mcodec.codec import coder
from mcodec.storage import is_url
from mcodec.types import RUN_ALIGNMENT, RunSpec, itemsize, numpy_dtype, run_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from mcodec.api.planning import Coding, Place
    from mcodec.formats.base import TensorSource
    from mcodec.types import TensorSpec

_AT_ONCE: Final = 64  # small tensors, of 64 KiB each at most
_KEPT: Final = 8  # decoded blocks of lossy bases that are kept for those that stand on them


class Values:
    """Values of the models' tensors, by place (task and tensor). Safe to use from threads.

    Parameters
    ----------
    models
        The sources of the tasks, and behind them sources that no task shows (owner maps).
    codings
        By task and tensor; filled while codecs are chosen. A tensor that has none yet counts as
        lossless: nothing else is stood on while codecs are tried.
    """

    def __init__(self, models: list[TensorSource], codings: Sequence[Mapping[int, Coding]]) -> None:
        self.models = models
        self._codings = codings
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[Place, int], NDArray[Any]] = OrderedDict()
        self._small = Smalls(models)
        self._room = allowance.current().kept

    def __getstate__(self) -> dict[str, Any]:
        """Pickle all but what is kept of values."""
        kept = ("_lock", "_kept", "_small")
        return {key: own for key, own in self.__dict__.items() if key not in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin with nothing kept."""
        self.__dict__.update(state)
        self._lock = threading.Lock()
        self._kept = OrderedDict()
        self._small = Smalls(self.models)

    def spec(self, place: Place) -> TensorSpec:
        """Return a tensor's name, dtype and shape."""
        task, index = place
        return self.models[task].tensors[index]

    def specs(self, places: Sequence[Place]) -> list[TensorSpec]:
        """Return what `spec` does of each."""
        tensors = [model.tensors for model in self.models]
        return [tensors[task][index] for task, index in places]

    def is_small(self, place: Place) -> bool:
        """Whether a tensor is read whole, with its neighbours, and kept."""
        return self.spec(place).nbytes <= SMALL

    def parted(self, places: Sequence[Place]) -> tuple[list[Place], list[Place]]:
        """Return the small tensors, by `is_small`, and the others, each in order."""
        small = [tensor.nbytes <= SMALL for tensor in self.specs(places)]
        return list(compress(places, small)), list(compress(places, map(not_, small)))

    def are_here(self, task: int) -> bool:
        """Whether a model is in memory, or in files that this machine names by a path."""
        model = self.models[task]
        files = getattr(model, "paths", [getattr(model, "path", "")])
        return not any(map(is_url, files))

    def weight(self, place: Place) -> float:
        """Return what a tensor's bytes count times: 1 where all its values are here."""
        return 1.0

    def read(self, place: Place, start: int, stop: int) -> NDArray[Any]:
        """Return elements [start, stop), one-dimensional, as they came."""
        task, index = place
        model = self.models[task]
        if model.tensors[index].nbytes > SMALL:
            return model.read(index, start, stop)
        return self._small.read(place)[start:stop]

    def read_smalls(
        self, places: Sequence[Place]
    ) -> Iterator[tuple[Sequence[Place], list[NDArray[Any]]]]:
        """Yield small tensors, whole and one-dimensional as they came, some at a time."""
        for start in range(0, len(places), _AT_ONCE):
            some = places[start : start + _AT_ONCE]
            yield some, self._small.read_all(some)

    def run(self, run: RunSpec, block: int, places: Sequence[Place]) -> NDArray[Any]:
        """Return a block of the run that tensors make, as they came, gaps zero."""
        if not (len(places) > 1 == run.blocks and max(run.sizes) * itemsize(run.dtype) <= SMALL):
            return read_block(self, run, block, places, self.read)
        import numpy as np

        arrays = self._small.read_all(places)
        if any(size % RUN_ALIGNMENT for size in run.sizes[:-1]):
            gaps = np.zeros(RUN_ALIGNMENT, numpy_dtype(run.dtype))
            pairs = ((array, gaps[: -array.size % RUN_ALIGNMENT]) for array in arrays)
            arrays = [part for pair in pairs for part in pair][:-1]
        return np.concatenate(arrays)

    def blocks(self, place: Place, *, decoded: bool = False) -> Iterator[NDArray[Any]]:
        """Yield a tensor's values block by block, as they came or as they will decode."""
        tensor = self.spec(place)
        read = self.decoded if decoded else self.read
        if tensor.nbytes <= SMALL:  # it has no two blocks
            if tensor.size:
                yield read(place, 0, tensor.size)
            return
        run = run_of(tensor.dtype, tensor.shape)
        for block in range(run.blocks):
            yield read(place, *run.span(block))

    def decoded(self, place: Place, start: int, stop: int) -> NDArray[Any]:
        """Return elements [start, stop) of a tensor's canonical decode.

        It does not depend on the run that the tensor will lie in: scopes are counted in members.
        """
        import numpy as np

        tensor = self.spec(place)
        coding = self._coding(place)
        if coding is None or coding.codec.exact(tensor.dtype):
            return self.read(place, start, stop)
        run = run_of(tensor.dtype, tensor.shape)
        out = np.empty(stop - start, numpy_dtype(tensor.dtype))
        for block in range(start // run.block, -(-stop // run.block)):
            low, high = run.span(block)
            values = self._decoded_block(place, coding, run, block)
            part = values[max(low, start) - low : min(high, stop) - low]
            out[max(low, start) - start : min(high, stop) - start] = part
        return out

    def _coding(self, place: Place) -> Coding | None:
        task, index = place
        return self._codings[task].get(index) if task < len(self._codings) else None

    def _decoded_block(
        self, place: Place, coding: Coding, run: RunSpec, block: int
    ) -> NDArray[Any]:
        with self._lock:
            kept = self._kept.get((place, block))
        if kept is not None:
            return kept
        import numpy as np

        codec = coding.codec
        values = self.read(place, *run.span(block))
        head, _ = codec.encode_head(run, [coding.survey])
        bases = base_arrays(self, run, block, [[base] for base in coding.bases])
        mode, coded = codec.encode(run, block, values, head, planes_only=True, bases=bases)
        out = np.zeros(values.size, numpy_dtype(run.dtype))
        streams = [coder.decode(stream) for stream in coded]
        codec.decode(run, block, mode, streams, head, out, bases=bases)
        with self._lock:
            self._kept[place, block] = out
            most = min(_KEPT, self._room // max(1, out.nbytes))
            while len(self._kept) > most:
                self._kept.popitem(last=False)
        return out


def base_arrays(
    values: Values, run: RunSpec, block: int, roles: Sequence[Sequence[Place]]
) -> list[NDArray[Any]]:
    """Return what a block of a run stands on, one array a role, gaps zero.

    Parameters
    ----------
    values, run, block
        Where.
    roles
        For each role the tensor below each member.
    """
    return [read_block(values, run, block, places, values.decoded) for places in roles]


def read_block(
    values: Values,
    run: RunSpec,
    block: int,
    places: Sequence[Place],
    read: Callable[[Place, int, int], NDArray[Any]],
) -> NDArray[Any]:
    """Return a block of the run that tensors make, or of what they stand on, gaps zero.

    Parameters
    ----------
    values, run, block
        Where.
    places
        The tensor in, or below, each member.
    read
        `values.read` or `values.decoded`.
    """
    import numpy as np

    first, last = run.span(block)
    if len(places) == 1 and first < last:
        return read(places[0], first, last)
    array = np.zeros(last - first, numpy_dtype(values.spec(places[0]).dtype))
    for member, part in run.parts(block):
        skip = first - run.starts[member]
        array[part] = read(places[member], part.start + skip, part.stop + skip)
    return array
