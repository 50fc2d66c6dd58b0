"""All tensors of a source into a sink, a few MiB at a time, from several threads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from xxhash import xxh3_128

from mcodec import allowance
from mcodec.api.progress import Progress, no_progress
from mcodec.engine import map_ordered
from mcodec.errors import McodecError, UsageError
from mcodec.types import itemsize

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from concurrent.futures import Executor

    from mcodec.formats.base import TensorSink, TensorSource
    from mcodec.types import TensorSpec

_BATCH: Final = 256  # small tensors that make one piece of work


@dataclass(frozen=True, slots=True)
class Piece:
    """Elements [start, stop) of one tensor."""

    index: int
    start: int
    stop: int


def pieces(specs: Sequence[TensorSpec], wanted: Collection[int]) -> Iterator[list[Piece]]:
    """Cut tensors into work of a few MiB: a part of a large one, or many small ones.

    Where a tensor is cut depends on its own spec and on the memory's budget only, so that two files
    are cut alike.
    """
    most = allowance.current().piece
    batch: list[Piece] = []
    filled = 0
    for index in wanted:
        spec = specs[index]
        step = max(1, most // itemsize(spec.dtype))
        for start in range(0, spec.size or 1, step):
            stop = min(start + step, spec.size)
            batch.append(Piece(index, start, stop))
            filled += (stop - start) * itemsize(spec.dtype)
            if filled >= most or len(batch) >= _BATCH:
                yield batch
                batch, filled = [], 0
    if batch:
        yield batch


def _cost(_: list[Piece]) -> int:
    """Return what a piece of work holds: as it is read, and as it is put together or written."""
    return 4 * allowance.current().piece


class _Digests:
    """The digest of each tensor: the one of its pieces' digests, in order.

    Pieces are digested where they are read, while they are in the cache.
    """

    def __init__(self) -> None:
        self._sums: dict[int, xxh3_128] = {}

    def take(self, work: Sequence[Piece], found: Sequence[bytes]) -> None:
        """Add the digests of the next pieces."""
        for piece, digest in zip(work, found, strict=True):
            self._sums.setdefault(piece.index, xxh3_128()).update(digest)

    def values(self) -> dict[int, bytes]:
        """Return the digests by tensor."""
        return {index: total.digest() for index, total in self._sums.items()}


def copy(
    source: TensorSource,
    sink: TensorSink,
    executor: Executor | None,
    *,
    digests: bool,
    progress: Progress = no_progress,
    told: Callable[[Iterator[list[Piece]]], Iterator[list[Piece]]] = iter,
) -> dict[int, bytes]:
    """Copy every tensor of a source; return digests by tensor (of some of them, if not asked for).

    A tensor that the sink keeps as another one's second name is not written again. `told` is given
    the pieces in the order of reading, and tells those who fetch them (`api.ahead.Telling`).

    Raises
    ------
    UsageError
        The sink keeps two tensors as one, and they are not equal.
    """
    specs = source.tensors
    total = sum(spec.nbytes for spec in specs)
    ties = dict(sink.same_as)
    tied = {*ties, *ties.values()}
    # What is one array in the source is read once for both its names, if it is one in the target.
    known = {second for second, first in ties.items() if source.same_as.get(second) == first}

    def move(work: list[Piece]) -> tuple[list[Piece], list[bytes], int]:
        found, count = [], 0
        for piece in work:
            spec = specs[piece.index]
            try:
                data = source.read(piece.index, piece.start, piece.stop).view("u1").data
                if piece.index not in ties:
                    sink.write(piece.index, piece.start * itemsize(spec.dtype), data)
            except McodecError as error:
                raise placed(error, spec.name) from error.__cause__
            needed = digests or piece.index in tied
            found.append(xxh3_128(data).digest() if needed else b"")
            count += data.nbytes
        return work, found, count

    sums = _Digests()
    done = sum(specs[index].nbytes for index in known)
    wanted = [index for index in range(len(specs)) if index not in known]
    for work, found, count in map_ordered(executor, move, told(pieces(specs, wanted)), cost=_cost):
        sums.take(work, found)
        done += count
        progress(done, total)
    values = sums.values()
    for index in known:
        values[index] = values[ties[index]]
    check_ties(specs, ties, values)
    return values


def digest(
    source: TensorSource,
    executor: Executor | None,
    *,
    wanted: Collection[int] | None = None,
    progress: Progress = no_progress,
) -> dict[int, bytes]:
    """Read tensors of a source (all, if not said which); return their digests.

    Second names of a tensor are not read again.
    """
    specs = source.tensors

    def read(work: list[Piece]) -> tuple[list[Piece], list[bytes], int]:
        found, count = [], 0
        for piece in work:
            try:
                data = source.read(piece.index, piece.start, piece.stop).view("u1").data
            except McodecError as error:
                raise placed(error, specs[piece.index].name) from error.__cause__
            found.append(xxh3_128(data).digest())
            count += data.nbytes
        return work, found, count

    chosen = range(len(specs)) if wanted is None else sorted(wanted)
    first = {index: source.same_as.get(index, index) for index in chosen}
    sums = _Digests()
    order = list(dict.fromkeys(first.values()))
    total = sum(specs[index].nbytes for index in chosen)
    done = total - sum(specs[index].nbytes for index in order)
    for work, found, count in map_ordered(executor, read, pieces(specs, order), cost=_cost):
        sums.take(work, found)
        done += count
        progress(done, total)
    values = sums.values()
    return {index: values[place] for index, place in first.items()}


def check_ties(
    specs: Sequence[TensorSpec], ties: Mapping[int, int], digests: Mapping[int, bytes]
) -> None:
    """Refuse to write one array for two tensors that are not equal.

    Raises
    ------
    UsageError
        They are not.
    """
    for second, first in ties.items():
        a, b = specs[first], specs[second]
        if (a.dtype, a.shape, digests[first]) != (b.dtype, b.shape, digests[second]):
            raise UsageError(
                f"{a.name!r} and {b.name!r} are one array in the target, and they differ"
            )


def placed(error: McodecError, name: str) -> McodecError:
    """Name the tensor in an error whose message does not, and return the error."""
    return error if repr(name) in str(error) else error.at(f"tensor {name!r}")
