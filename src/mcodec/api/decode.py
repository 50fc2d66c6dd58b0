"""Runs back to arrays: the container's reader and the codecs, joined."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

from mcodec.codec.base import CANONICAL, Codec, Partner, View
from mcodec.codec.streams import NeedAllPlanesError
from mcodec.errors import FormatError, UsageError
from mcodec.types import Fill, numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from mcodec.codec.base import Write
    from mcodec.codec.streams import Stream
    from mcodec.container.manifest import Task
    from mcodec.container.reader import ContainerReader

T = TypeVar("T")


class RunDecoder:
    """Decodes blocks of one run; may be used from several threads.

    Parameters
    ----------
    reader
        The open file.
    run
        The run's index.
    view
        Canonical, or a derived decode.
    head
        The streams of its head, where they have been read; they stay as they are.
    """

    def __init__(
        self,
        reader: ContainerReader,
        run: int,
        view: View = CANONICAL,
        head: Sequence[Stream | None] | None = None,
    ) -> None:
        self._reader = reader
        self._run = run
        self.spec = reader.runs[run]
        codec = reader.codec(run)
        assert isinstance(codec, Codec)
        self.codec = codec
        view = there(reader, view)
        self._view = view
        self._partner = self._find_partner() if view.dither else None
        self._bases = self._find_bases()
        if head is None:
            _, head = reader.read_streams(run, -1)
        with self.place("head"):
            self.head = codec.decode_head(self.spec, head)

    def empty(self, n: int) -> NDArray[Any]:
        """Return room for n elements."""
        import numpy as np

        return np.empty(n, numpy_dtype(self.spec.dtype))

    def block(self, block: int, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Decode a block, into `out` (its length, the run's dtype) if given."""
        start, stop = self.spec.span(block)
        if out is None:
            out = self.empty(stop - start)
        bases, partner = self._base_arrays(block), self._partner_block(block)

        def decode(mode: int, streams: Sequence[Stream | None]) -> None:
            head, view = self.head, self._view
            self.codec.decode(self.spec, block, mode, streams, head, out, view, partner, bases)

        self.use(block, decode)
        return out

    @property
    def canonical(self) -> bool:
        """Whether blocks are decoded from all their streams, and stand on nothing."""
        return self._view.canonical and not self._bases

    def streams(self, block: int) -> tuple[int, Sequence[Stream | None]]:
        """Return the mode and all streams of a block."""
        return self._reader.read_streams(self._run, block)

    def prepare(self, block: int, mode: int, streams: Sequence[Stream | None]) -> Write:
        """Return what writes a block of these streams into an array, any number of times.

        `streams` are all that the view needs, those that a cut-off file lacks None. What the block
        stands on is decoded now, and kept.
        """
        bases, partner = self._base_arrays(block), self._partner_block(block)
        head, view = self.head, self._view
        with self.place(f"block {block}"):
            return self.codec.prepare(self.spec, block, mode, streams, head, view, partner, bases)

    def use(self, block: int, decode: Callable[[int, Sequence[Stream | None]], T]) -> T:
        """Call with a block's mode and the streams that the view needs, and return the result.

        Called again with all streams if it raises NeedAllPlanesError.
        """
        whole = self._reader.levels
        level = level_of(self._reader, self.codec, self._view)
        mode, streams = self._reader.read_streams(self._run, block, level)
        with self.place(f"block {block}"):
            try:
                return decode(mode, streams)
            except NeedAllPlanesError:
                mode, streams = self._reader.read_streams(self._run, block, whole)
                return decode(mode, [_zero_if_missing(stream) for stream in streams])

    def range(self, start: int, stop: int, out: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield (block, its part of `out`) for the blocks of elements [start, stop)."""
        size = self.spec.block
        for block in range(start // size, -(-stop // size)):
            low, high = self.spec.span(block)
            low, high = max(low, start), min(high, stop)
            yield block, out[low - start : high - start]

    def fill(self, start: int, block: int, part: NDArray[Any]) -> None:
        """Decode the part of a block that `range(start, …)` named."""
        low, high = self.spec.span(block)
        if part.size == high - low:
            self.block(block, part)
        else:
            skip = max(0, start - low)
            part[:] = self.block(block)[skip : skip + part.size]

    def _find_bases(self) -> list[list[tuple[int, int]]]:
        """Return the places of each role below each member."""
        bases = self._reader.manifest.runs[self._run].stands_on
        if bases is None:
            return []
        if self._reader.levels is not None:
            message = f"the file is cut off, and run {self._run} needs all of what it stands on"
            raise FormatError(message, code="file_truncated").at(self._reader.name)
        return bases.roles

    def _base_arrays(self, block: int) -> list[NDArray[Any]]:
        """Return the canonical decode of what a block stands on, one array a role, gaps zero."""
        import numpy as np

        first, last = self.spec.span(block)
        arrays = []
        for places in self._bases:
            array = np.zeros(last - first, numpy_dtype(self._reader.runs[places[0][0]].dtype))
            decoded = _LastBlock(self._reader)
            for member, part in self.spec.parts(block):
                run, below = places[member]
                start = self._reader.runs[run].starts[below] + max(
                    0, first - self.spec.starts[member]
                )
                decoded.copy(run, start, array[part])
            arrays.append(array)
        return arrays

    def _find_partner(self) -> int | None:
        return next((b for a, b in _dithering(self._reader) if a == self._run), None)

    def _partner_block(self, block: int) -> Partner | None:
        if self._partner is None:
            return None
        codec = self._reader.codec(self._partner)
        assert isinstance(codec, Codec)
        mode, streams = self._reader.read_streams(self._partner, block, self._reader.levels)
        return Partner(codec, mode, streams)

    def place(self, where: str) -> _Place:
        """Return a context that says in an error where it happened."""
        return _Place(f"{self._reader.name}: run {self._run}, {where}")


class _LastBlock:
    """Copies elements of runs, and keeps the block that it decoded last for its next members.

    That no more is decoded than `container.bases.touched_bytes` counts rests on it.
    """

    def __init__(self, reader: ContainerReader) -> None:
        self._reader = reader
        self._decoder: RunDecoder | None = None
        self._run = self._block = -1
        self._values: Any = None

    def copy(self, run: int, start: int, out: NDArray[Any]) -> None:
        """Copy the elements of a run from `start` on."""
        if self._decoder is None or run != self._run:
            self._decoder, self._run, self._block = RunDecoder(self._reader, run), run, -1
        decoder = self._decoder
        for block, part in decoder.range(start, start + out.size, out):
            low, high = decoder.spec.span(block)
            if part.size == high - low and block != self._block:
                decoder.block(block, part)
                continue
            if block != self._block:
                self._values, self._block = decoder.block(block), block
            skip = max(0, start - low)
            part[:] = self._values[skip : skip + part.size]


class _Place:
    """Says in an error where it happened."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, FormatError):
            error.at(self._where)


def there(reader: ContainerReader, view: View) -> View:
    """Return a view with no more planes than a file has that is cut off."""
    if reader.levels is None:
        return view
    planes = reader.levels if view.planes is None else min(view.planes, reader.levels)
    return replace(view, planes=planes)


def level_of(reader: ContainerReader, codec: Codec, view: View) -> int | None:
    """Return the highest level that a view of a run reads at first; None for all."""
    level, whole = codec.level(there(reader, view)), reader.levels
    return whole if level is None or (whole is not None and whole < level) else level


def reads(
    reader: ContainerReader, run: int, block: int, view: View
) -> Iterator[tuple[int, int, int | None]]:
    """Yield (run, block, level) of what decoding a block reads: heads are block -1.

    That is the head, the block, what it is dithered with, and what it stands on.
    """
    codec = reader.codec(run)
    assert isinstance(codec, Codec)
    level = level_of(reader, codec, view)
    yield run, -1, level
    yield run, block, level
    if view.dither:
        yield from ((own, block, None) for of, own in _dithering(reader) if of == run)
    bases, spec = reader.manifest.runs[run].stands_on, reader.runs[run]
    for places in bases.roles if bases else ():
        for member, part in spec.parts(block):
            base, below = places[member]
            size = reader.runs[base].block
            first = spec.span(block)[0] + part.start - spec.starts[member]
            first += reader.runs[base].starts[below]
            yield base, -1, None
            for touched in range(first // size, -(-(first + part.stop - part.start) // size)):
                yield base, touched, None


def _zero_if_missing(stream: Any) -> Any:
    """Planes that a cut-off file does not hold count as zero."""
    return Fill(0, 0) if stream is None else stream


def check_view(reader: ContainerReader, task: Task, view: View) -> None:
    """Refuse a view that no run of a task can give."""
    if view.planes is not None and (type(view.planes) is not int or view.planes < 0):
        raise UsageError(f"planes must be an integer of 0 or more, not {view.planes!r}")
    if view.dither:
        if view.planes is not None or view.midpoint:
            raise UsageError("dither takes all planes: leave out planes and midpoint")
        if reader.levels is not None:
            raise UsageError("dither takes all planes, and the file is cut off")
        runs = {tensor.run for tensor in task.tensors}
        if not any(run in runs for run, _ in _dithering(reader)):
            message = f"task {task.name!r} has no fused partner behind it to dither with"
            raise UsageError(message)


def _dithering(reader: ContainerReader) -> Iterator[tuple[int, int]]:
    """Yield each run that can be decoded with dither, and the run whose top planes it takes."""
    for pair in reader.manifest.pairs:
        for run, next_run in pairwise(pair):
            codec, below = reader.codec(run), reader.codec(next_run)
            assert isinstance(codec, Codec)
            assert isinstance(below, Codec)
            if codec.dithers_with(below, reader.runs[run].dtype):
                yield run, next_run
