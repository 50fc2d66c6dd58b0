"""Elements of stored tensors: single tensors and parts of them, each in an array of its own."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

from mcodec.api.ahead import ahead
from mcodec.api.decode import RunDecoder
from mcodec.api.integers import IntegerDecoder
from mcodec.api.slices import gather, spans
from mcodec.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from mcodec.api.handle import File
    from mcodec.api.slices import Rows
    from mcodec.codec.base import View
    from mcodec.types import RunSpec, TensorSpec

    Place = tuple[int, int]  # run, member

CACHED_RUNS: Final = 4  # shared runs (256 KiB of float32 each) that a task keeps decoded


class Elements:
    """Reads tensors by their places under one view; from several threads.

    Parameters
    ----------
    file
        The open file.
    view
        How its runs are decoded.
    """

    def __init__(self, file: File, view: View) -> None:
        self._file = file
        self._reader = file.reader
        self._view = view
        # (run, levels, whether as integers) -> a run of many small tensors, decoded
        self._shared: dict[tuple[int, int | None, bool], NDArray[Any]] = {}
        self._lock = threading.Lock()

    def read(
        self, place: Place, start: int, stop: int, *, integers: bool = False, told: bool = False
    ) -> NDArray[Any]:
        """Return elements [start, stop) of a tensor in C order, one-dimensional.

        Parameters
        ----------
        place
            Its run and member.
        start, stop
            Inside the tensor.
        integers
            As int8 integers, of a run of the codec int8.
        told
            Whether the source has been told already that they will be read.

        Raises
        ------
        FormatError, UsageError
            As `Task.get_tensor` and `Task.get_quantized`.
        """
        run, member = place
        first = self._reader.runs[run].starts[member]
        start, stop = first + start, first + stop
        if is_shared(self._reader.runs[run]):
            return self._shared_run(run, integers, told)[start:stop].copy()
        touched = self._blocks(run, [(start, stop)])
        with nullcontext() if told else ahead(self._reader, touched, self._view):
            return self._decode(self.decoder(run, integers=integers), start, stop)

    def gather(self, place: Place, tensor: TensorSpec, axes: Sequence[Rows]) -> NDArray[Any]:
        """Return the elements of a tensor in these rows of its axes (`slices.gather`).

        Raises
        ------
        FormatError
            As `Task.get_tensor`.
        """
        run, member = place
        first = self._reader.runs[run].starts[member]
        if is_shared(self._reader.runs[run]):
            return gather(tensor, lambda low, high: self.read(place, low, high), axes)
        made: RunDecoder | None = None

        def read(low: int, high: int) -> NDArray[Any]:
            nonlocal made
            made = made or self.decoder(run)
            return self._decode(made, first + low, first + high)

        wanted = ((first + low, first + high) for low, high in spans(tensor, axes))
        with ahead(self._reader, self._blocks(run, wanted), self._view):
            return gather(tensor, read, axes)

    def scales(self, place: Place) -> NDArray[np.float32]:
        """Return a tensor's scales, as `Task.get_quantized` does."""
        run, member = place
        decoder = self.decoder(run, integers=True)
        assert isinstance(decoder, IntegerDecoder)
        return decoder.scales(member)

    def decoder(self, run: int, *, integers: bool = False) -> RunDecoder:
        """Return a decoder of a run, whose head is read now."""
        if not integers:
            return RunDecoder(self._reader, run, self._view)
        if not self._view.canonical:
            raise UsageError("integers have all planes: leave out planes, midpoint and dither")
        return IntegerDecoder(self._reader, run)

    def _blocks(self, run: int, wanted: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        size = self._reader.runs[run].block
        for start, stop in wanted:
            if start < stop:
                for block in range(start // size, -(-stop // size)):
                    yield run, block

    def _decode(self, decoder: RunDecoder, start: int, stop: int) -> NDArray[Any]:
        """Decode elements [start, stop) of a run."""
        out = decoder.empty(stop - start)
        if not out.size:
            return out
        parts = list(decoder.range(start, stop, out))
        executor = self._file.executor if len(parts) > 1 else None
        if executor is None:
            for block, part in parts:
                decoder.fill(start, block, part)
        else:
            for future in [executor.submit(decoder.fill, start, *part) for part in parts]:
                future.result()
        return out

    def _shared_run(self, run: int, integers: bool, told: bool) -> NDArray[Any]:
        """Return a run of many small tensors, decoded; the last few are kept."""
        key = run, self._reader.levels, integers
        with self._lock:
            array = self._shared.get(key)
            if array is None:
                with nullcontext() if told else ahead(self._reader, [(run, 0)], self._view):
                    array = self.decoder(run, integers=integers).block(0)
                if len(self._shared) >= CACHED_RUNS:
                    del self._shared[next(iter(self._shared))]
                self._shared[key] = array
        return array


def is_shared(spec: RunSpec) -> bool:
    """Tell whether a run holds many small tensors, and is kept when one of them was read."""
    return len(spec.shapes) > 1 and spec.blocks == 1
