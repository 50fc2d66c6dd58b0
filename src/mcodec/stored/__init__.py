"""Chunks as they stand in a file: read, their hashes checked, decompressed, in one call.

The compiled half of `frames`: the same rules (spec/container.md, sections 4 and 5), for many chunks
at once and without the GIL, so that threads are not in each other's way. zstd and XXH3 are the
libraries of third_party/. ``MCODEC_BACKEND=reference`` does without, as the kernels do.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, Protocol

from mcodec.errors import MissingDependencyError

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable, Sequence

    Buffer = bytes | bytearray | memoryview


def _load() -> Any:
    if os.environ.get("MCODEC_BACKEND") == "reference":
        from mcodec.stored import reference

        return reference
    try:
        from mcodec.stored import _stored
    except ImportError as error:
        raise MissingDependencyError(
            f"the compiled reader of chunks cannot be loaded ({error}): "
            "install mcodec again, or set MCODEC_BACKEND=reference"
        ) from error
    return _stored


_impl: Any = _load()
REPEATS: Final = 3
VARIABLE: Final = (1 << 64) - 1  # in place of a stream's length


def plain_rows(rows: Buffer, index: int, lengths: array[int], mode: int, end: int) -> int:
    """Return how many rows hold the streams of one block, if all are plainly good; else 0.

    Parameters
    ----------
    rows
        A row table.
    index
        The block's first row.
    lengths
        Bytes of its streams, as 64-bit numbers; `VARIABLE` where they are not known.
    mode
        The block's.
    end
        Bytes of the file.
    """
    return int(_impl.plain_rows(rows, index, lengths, mode, end))


def overlap(rows: Buffer, front: int, length: int) -> int:
    """Return where the first chunk begins that overlaps another or the front; 0 if none does.

    All begin behind the header, as `container.rows` has checked.
    """
    return int(_impl.overlap(rows, front, length))


class Shapes(Protocol):
    """The shapes of a run's members and where these lie in it, as `types.RunSpec` has them."""

    @property
    def elements(self) -> int:
        """The run's elements."""

    def __len__(self) -> int: ...

    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Make the shapes."""

    def starts(self) -> tuple[int, ...]:
        """Make the first element of each member."""

    def sizes(self) -> tuple[int, ...]:
        """Make the number of elements of each member."""


class Tensors(Protocol):
    """The tensors of a task, no two of one name."""

    def __len__(self) -> int: ...

    def find(self, name: str) -> tuple[int, int] | None:
        """Return a tensor's run and member; None where no tensor has the name."""

    def names(self) -> list[str]:
        """Make the names."""

    def runs(self) -> tuple[int, ...]:
        """Make the run of each."""

    def members(self) -> tuple[int, ...]:
        """Make the member of each."""


def depth(text: Buffer) -> int:
    """Return how deep brackets nest in JSON, outside strings; -1 where that needs a closer look."""
    return int(_impl.depth(text))


def shapes(text: Buffer) -> Shapes | None:
    """Return a manifest's members of a run, by their JSON, if they are plainly good; else None."""
    found: Shapes | None = _impl.shapes(text)
    return found


def tensors(text: Buffer) -> Tensors | None:
    """Return a manifest's tensors of a task, by their JSON, if they are plainly good; else None.

    Whether their places are there is not looked at. The text is kept.
    """
    found: Tensors | None = _impl.tensors(text)
    return found


def sum_of(
    tensors: Tensors, runs: list[Shapes], items: list[int]
) -> tuple[int, tuple[int, ...], bool] | None:
    """Return the bytes of tensors, the runs that they lie in, and whether no two have one place.

    None where a place is not there, or the bytes are 2^64 or more.

    Parameters
    ----------
    tensors
        As `tensors` gave them.
    runs, items
        Members of each run of the file, and bytes of its elements.
    """
    found: tuple[int, tuple[int, ...], bool] | None = _impl.sum(tensors, runs, items)
    return found


def code(streams: Sequence[Any], cost: int) -> list[tuple[int, int, bytes | None]]:
    """Code streams whose bytes come again nowhere, each by itself.

    A stream of one byte is a ``fill``; one that a sample says is noise, or that Huffman codes do
    not make smaller, is ``raw``; others become zstd frames of Huffman codes, without matches.

    Parameters
    ----------
    streams
        Contiguous buffers.
    cost
        Bytes that a frame must save, at least.

    Returns
    -------
    list of (coder, fill, frame)
        The frame is None where there is none; the coder `REPEATS` where matches should be looked
        for, which this does not do.
    """
    found: list[tuple[int, int, bytes | None]] = _impl.code(streams, cost)
    return found


def code_symbols(symbols: Any, cost: int, bits: int) -> tuple[bytes | None, int]:
    """Code symbols as `code` does, and tell how many bytes they would take otherwise.

    Returns
    -------
    frame, apart
        The frame, or None; about how many bytes what is above the low `bits` takes and each of
        these as a plane, by their entropies.
    """
    found: tuple[bytes | None, int] = _impl.code_symbols(symbols, cost, bits)
    return found


def join(exponents: Any, high: Any, low: Any, last: int, step: int, symbols: Any) -> int:
    """Make symbols of the first window that has the largest exponent (spec/codecs/float.md).

    Parameters
    ----------
    exponents
        Bytes, one an element.
    high, low
        The first two mantissa planes.
    last
        Of a window's exponents, counted from its first.
    step
        From one window to the next.
    symbols
        Where they go.

    Returns
    -------
    int
        The window's first exponent; -1 if there are numbers that have no symbol in it.
    """
    return int(_impl.join(exponents, high, low, last, step, symbols))


def digest(parts: Sequence[Buffer]) -> int:
    """Return the XXH3-64 of parts that follow one another."""
    return int(_impl.digest(parts))


def join_bytes(parts: Iterable[Buffer]) -> bytes:
    """Return all parts one after another, as ``b"".join`` does, in huge pages where it can be."""
    joined: bytes = _impl.join_bytes(list(parts))
    return joined


def repeats(data: Any, mask: int) -> bool:
    """Tell whether numbers come again in the same order, as far as a sample of windows says.

    Parameters
    ----------
    data
        A contiguous buffer.
    mask
        The bits of each four bytes that count.
    """
    return bool(_impl.repeats(data, mask))


class ChunkError(ValueError):
    """A chunk is not what its row says; whoever reads it alone finds out how."""


class Scratch:
    """Memory that a thread reads chunks into, again and again."""

    __slots__ = ("memory",)

    def __init__(self) -> None:
        self.memory = bytearray()

    def place(
        self,
        source: int | Buffer | Sequence[tuple[int, Buffer]],
        rows: Buffer,
        lengths: array[int],
        *,
        verify: bool,
    ) -> memoryview:
        """Read chunks into the memory, in place of what was there, and cut them into streams.

        Parameters
        ----------
        source
            A file descriptor; the whole file, mapped; or parts of it that are in memory, each with
            its offset.
        rows
            The chunks' rows, 32 bytes each, checked (`container.rows`).
        lengths
            Bytes of all streams, as 64-bit numbers; those of one that is alone do not count.
        verify
            Whether to check hashes.

        Returns
        -------
        memoryview of 64-bit integers
            For `Placed`: the offset of each stream, then the length of each.

        Raises
        ------
        ChunkError
            A chunk is damaged, the file ends early, or the streams are not all of a chunk.
        OSError
            The file cannot be read.
        """
        found = _impl.place(source, rows, self.memory, verify, lengths)
        if isinstance(found, int):  # the memory that it takes
            self.memory = bytearray(found)
            found = _impl.place(source, rows, self.memory, verify, lengths)
        if isinstance(found, tuple):
            raise ChunkError(found)
        return memoryview(found).cast("q")
