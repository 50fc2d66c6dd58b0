"""Chunks as they stand in a file: read, their hashes checked, decompressed, in one call.

The compiled half of `frames`: the same rules (spec/container.md, sections 4 and 5), for many chunks
at once and without the GIL, so that threads are not in each other's way. zstd and XXH3 are the
libraries of third_party/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcodec.stored import _stored

if TYPE_CHECKING:
    from collections.abc import Sequence

    Buffer = bytes | bytearray | memoryview


class ChunkError(ValueError):
    """A chunk is not what its row says; whoever reads it alone finds out how."""


class Scratch:
    """Memory that a thread reads chunks into, again and again."""

    __slots__ = ("memory",)

    def __init__(self) -> None:
        self.memory = bytearray()

    def read(
        self, source: int | Sequence[tuple[int, Buffer]], rows: Buffer, *, verify: bool
    ) -> list[int]:
        """Read chunks into the memory, in place of what was there.

        Parameters
        ----------
        source
            A file descriptor, or parts of the file that are in memory, each with its offset.
        rows
            The chunks' rows, 32 bytes each, checked (`container.rows`).
        verify
            Whether to check hashes.

        Returns
        -------
        list of int
            Where in `memory` the decoded bytes of each chunk begin; without meaning for ``fill``.

        Raises
        ------
        ChunkError
            A chunk is damaged, or the file ends early.
        OSError
            The file cannot be read.
        """
        found = _stored.read(source, rows, self.memory, verify)
        if isinstance(found, int):
            self.memory = bytearray(found)
            found = _stored.read(source, rows, self.memory, verify)
        if not isinstance(found, list):
            raise ChunkError(found)
        return found
