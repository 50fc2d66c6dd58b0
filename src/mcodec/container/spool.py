"""Chunks that wait until it is known where in the file they stand.

In memory they are kept as the pieces that they came in, so that nothing is copied before it is
written; on disk they lie in a file that has no name, so that nothing is left of it.
"""

from __future__ import annotations

from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, Final, Protocol

from mcodec.outputs import write_pieces
from mcodec.stored import join_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType
    from typing import Self

    Pieces = Sequence[bytes | memoryview]

_STEP: Final = 1 << 20  # bytes that are copied at a time


class Target(Protocol):
    """Where a writer puts things: an unbuffered file, or something that behaves like one."""

    def truncate(self, size: int, /) -> int:
        """End the file there."""

    def fileno(self) -> int:
        """Return the descriptor."""


class Nowhere:
    """A file that forgets what is written, to learn how long one would be."""

    def truncate(self, size: int, /) -> int:
        """End nothing."""
        return size

    def fileno(self) -> int:
        """Return no descriptor."""
        return -1


class Joined:
    """A file in memory: what is written is kept as it came, and joined once."""

    def __init__(self) -> None:
        self._written: dict[int, list[bytes | memoryview]] = {}
        self._size = 0

    def put(self, offset: int, pieces: Iterable[bytes | memoryview]) -> None:
        """Take what stands from a place on."""
        self._written[offset] = list(pieces)

    def truncate(self, size: int, /) -> int:
        """End the file there."""
        self._size = size
        return size

    def fileno(self) -> int:
        """Return no descriptor."""
        return -1

    def value(self) -> bytes:
        """Return the bytes of the file."""
        parts: list[bytes | memoryview] = []
        end = 0
        for offset, pieces in sorted(self._written.items()):
            parts += [bytes(offset - end), *pieces]
            end = offset + sum(map(len, pieces))
        return join_bytes([*parts, bytes(self._size - end)])


class Spool:
    """Chunks in memory, in the order of their places.

    Parameters
    ----------
    keeps
        Whether they are kept, or only counted.
    """

    def __init__(self, *, keeps: bool = True) -> None:
        self._keeps = keeps
        self._chunks: dict[int, Pieces] = {}
        self.size = 0

    def put(self, offset: int, pieces: Pieces) -> None:
        """Keep a chunk, behind those before."""
        if self._keeps:
            self._chunks[offset] = pieces
        self.size = offset + sum(map(len, pieces))

    def get(self, offset: int, size: int) -> Pieces:
        """Return a chunk; nothing where none is kept."""
        return self._chunks[offset] if self._keeps else ()

    def write_to(self, file: Target, payload: int) -> None:
        """Write all chunks, as if the place 0 were at `payload`."""
        write_at(file, payload, self._gapless())

    def _gapless(self) -> Iterable[bytes | memoryview]:
        end = 0
        for offset, pieces in self._chunks.items():
            if offset > end:
                yield bytes(offset - end)
            yield from pieces
            end = offset + sum(map(len, pieces))


class OnDisk:
    """Chunks in a file without a name, in a folder.

    Parameters
    ----------
    folder
        Where there is room for it: that of the output.
    waiting
        What has waited in memory.
    """

    def __init__(self, folder: str, waiting: Spool) -> None:
        self._file: Any = TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 (see __exit__)
        self.size = waiting.size
        try:
            waiting.write_to(self._file, 0)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def write_to(self, file: Target, payload: int) -> None:
        """Write all chunks, as if the place 0 were at `payload`."""
        for offset in range(0, self.size, _STEP):
            step = min(_STEP, self.size - offset)
            write_at(file, payload + offset, self.get(offset, step))

    def put(self, offset: int, pieces: Pieces) -> None:
        """Keep a chunk."""
        write_at(self._file, offset, pieces)
        self.size = offset + sum(map(len, pieces))

    def get(self, offset: int, size: int) -> Pieces:
        """Return a chunk, of 64 MiB at most."""
        self._file.seek(offset)
        parts = []
        while size:
            part = self._file.read(size)
            if not part:
                raise OSError("the temporary file beside the output ends early")
            parts.append(part)
            size -= len(part)
        return parts


def write_at(file: Target, offset: int, pieces: Iterable[bytes | memoryview]) -> None:
    """Write pieces one after another from a place on, many in one call."""
    if isinstance(file, Joined):
        file.put(offset, pieces)
        return
    descriptor = file.fileno()
    if descriptor >= 0:
        write_pieces(descriptor, offset, pieces)
