"""Writes a `.mc` file: chunks as they come, then the front, then the rename.

Memory is bounded. Chunks are spooled in memory while they take at most 64 MiB together, since the
front then stands before them; past that they go straight to the file, with the front at its end.
A progressive file is spooled whole, on disk where it is large.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import xxhash

from mcodec import frames, outputs
from mcodec.container.header import SIZE, Header
from mcodec.container.layout import Chunk, digest_of, group, interleave
from mcodec.container.rows import EMPTY_HASH, ROW, Row, alignment
from mcodec.container.spool import Joined, Nowhere, OnDisk, Spool, Target, write_at
from mcodec.errors import UsageError
from mcodec.limits import MAX_FRONT, MAX_ROWS, MIB

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from mcodec.types import CodedStream, StreamSpec

SPOOL: Final = 64 * MIB
MANIFEST_LEVEL: Final = 9  # the front is small, and is read at every open
PAGE: Final = 64


@dataclass(frozen=True, slots=True)
class Part:
    """The coded streams of one block (or head, block -1) of one run."""

    run: int
    mode: int
    specs: Sequence[StreamSpec]
    coded: Sequence[CodedStream]


@dataclass(frozen=True, slots=True)
class Copy:
    """The chunks of one block (or head, block -1) of one run, ready to stand in the file.

    As another file has them, or as `layout.sealed` made them.
    """

    run: int
    mode: int
    chunks: Sequence[Chunk]


class ContainerWriter:
    """Collects blocks, and writes the file when `finish` is called.

    Blocks come in the order of their place: run by run, in a run the head and then block by block;
    in the interleaved layout the runs of a fused group come together, one `put` a block. Use it as
    a context manager: leaving it without `finish`, or by an error, leaves nothing behind.

    Parameters
    ----------
    path
        The file to make or replace; `Joined`, for a file in memory; None writes nothing, to learn
        how long the file would be.
    layout
        ``task``, ``interleaved`` or ``progressive``.
    """

    def __init__(self, path: str | os.PathLike[str] | Joined | None, layout: str) -> None:
        self._path = path if path is None or isinstance(path, Joined) else os.fspath(path)
        self._layout = layout
        # run -> its rows in order, with the level of each; offsets count from the payload's start
        self._rows: dict[int, list[tuple[int, Row]]] = {}
        self._size = 0
        self._stack = ExitStack()
        self._file: Target
        self._spool: Spool | OnDisk | None = Spool()  # None when chunks go straight to the file
        self._finished = False

    def __enter__(self) -> Self:
        if self._path is None:
            self._file = Nowhere()
            return self
        if isinstance(self._path, Joined):
            self._file = self._path
            return self
        with ExitStack() as stack:
            temporary = stack.enter_context(outputs.atomic_output(self._path))
            # Nothing is buffered: what is written is pieces of many chunks at once.
            self._file = stack.enter_context(open(temporary, "wb", buffering=0))
            self._folder = os.path.dirname(temporary)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None and not self._finished:
            with self._stack:
                raise UsageError("the writer was left without finish()")
        self._stack.__exit__(kind, error, trace)

    def put(self, parts: Sequence[Part | Copy]) -> None:
        """Place one block of a run, or of every run of a fused group.

        Chunks that are copied stay as they are: they have to come from a file of this layout.
        """
        chunks = [
            part.chunks if isinstance(part, Copy) else group(part.specs, part.coded, self._layout)
            for part in parts
        ]
        for member, position in interleave(chunks):
            part = parts[member]
            rows = self._rows.setdefault(part.run, [])
            rows.append(self._place(chunks[member][position], part.mode))
        if type(self._spool) is Spool and self._spool.size > SPOOL:
            if self._layout == "progressive" and not isinstance(self._path, Joined):
                self._spool = self._stack.enter_context(OnDisk(self._folder, self._spool))
            elif self._layout != "progressive":
                # From here on chunks go straight to the file, behind the header.
                self._spool.write_to(self._file, SIZE)
                self._spool = None

    def stored(self, run: int) -> int:
        """Return the bytes of a run's chunks so far."""
        return sum(row.stored for _, row in self._rows.get(run, ()))

    def finish(self, manifest: bytes) -> int:
        """Write header and front around the payload; return the bytes of the file."""
        rows = [entry for run in sorted(self._rows) for entry in self._rows[run]]
        if len(rows) > MAX_ROWS:
            raise UsageError(f"the model needs {len(rows)} rows; the format's limit is {MAX_ROWS}")
        stored = frames.compress(manifest, MANIFEST_LEVEL)
        header = Header(self._layout, 0, 0, len(stored), len(manifest), len(rows), 0)
        if max(header.front_length, len(manifest)) > MAX_FRONT:
            raise UsageError("the manifest is over the format's limit of 512 MiB")
        spool = self._spool
        front_offset = _up(SIZE + self._size, PAGE) if spool is None else SIZE
        payload = SIZE if spool is None else _up(front_offset + header.front_length, PAGE)
        if self._layout == "progressive":
            order = sorted(range(len(rows)), key=lambda index: rows[index][0])  # stable
            placed = self._copy_in_order([row for _, row in rows], order, payload)
        else:
            placed = [_moved(row, payload) for _, row in rows]
            if isinstance(spool, Spool):
                spool.write_to(self._file, payload)
        front = stored + bytes(header.manifest_padded - len(stored))
        front += b"".join(ROW.pack(*row) for row in placed)
        end = max((row.offset + row.stored for row in placed), default=0)
        length = max(front_offset + len(front), end)
        digest = xxhash.xxh3_64_intdigest(front)
        header = Header(
            self._layout, length, front_offset, len(stored), len(manifest), len(rows), digest
        )
        write_at(self._file, front_offset, [front])
        write_at(self._file, 0, [header.pack()])
        self._file.truncate(length)
        self._finished = True
        return length

    def _place(self, chunk: Chunk, mode: int) -> tuple[int, Row]:
        stored = chunk.stored
        if stored == 0:
            row = Row(0, 0, chunk.raw, EMPTY_HASH, chunk.coder, chunk.fill, *_streams(chunk), mode)
            return chunk.level, row
        offset = _up(self._size, alignment(stored))
        digest = digest_of(chunk)
        if self._spool is None:
            write_at(self._file, SIZE + offset, chunk.pieces)
        elif self._path is not None:
            self._spool.put(offset, chunk.pieces)
        self._size = offset + stored
        row = Row(offset, stored, chunk.raw, digest, chunk.coder, 0, *_streams(chunk), mode)
        return chunk.level, row

    def _copy_in_order(self, rows: list[Row], order: list[int], payload: int) -> list[Row]:
        """Copy the spooled chunks level by level, and return the rows with their final offsets."""
        placed = list(rows)
        at = payload
        for index in order:
            row = rows[index]
            if row.stored:
                at = _up(at, alignment(row.stored))
                assert self._spool is not None  # a progressive file is spooled whole
                write_at(self._file, at, self._spool.get(row.offset, row.stored))
                placed[index] = row._replace(offset=at)
                at += row.stored
        return placed


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _streams(chunk: Chunk) -> tuple[int, int]:
    return chunk.first, chunk.streams


def _moved(row: Row, payload: int) -> Row:
    return row._replace(offset=row.offset + payload) if row.stored else row
