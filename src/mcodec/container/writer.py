"""Writes a `.mc` file: chunks as they come, then the front, then the rename.

Memory is bounded. Chunks are spooled while they take at most 64 MiB together, since the front then
stands before them; past that they go straight to the file, with the front at its end. A progressive
file is spooled whole. The spool is in memory as far as the memory's budget goes, else on disk.
"""

from __future__ import annotations

import os
import struct
from array import array
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import xxhash

from mcodec import allowance, frames, outputs
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
_PLACE: Final = struct.Struct("<QI")  # what a row begins with: offset, stored bytes


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
        self._rows: dict[int, _Rows] = {}  # by run
        self._size = 0
        self._stack = ExitStack()
        self._file: Target
        # None when chunks go straight to the file.
        self._spool: Spool | OnDisk | None = Spool(keeps=self._path is not None)
        self._in_memory = min(SPOOL, allowance.current().spool)
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
            chunk = chunks[member][position]
            rows = self._rows.setdefault(part.run, _Rows())
            rows.add(self._place(chunk, part.mode), chunk.level)
        spool = self._spool
        if spool is None:
            return
        if spool.size > SPOOL and self._layout != "progressive":
            spool.write_to(self._file, SIZE)
            self._spool = None  # from here on chunks go straight to the file, behind the header
        elif type(spool) is Spool and spool.size > self._in_memory and isinstance(self._path, str):
            self._spool = self._stack.enter_context(OnDisk(self._folder, spool))

    def stored(self, run: int) -> int:
        """Return the bytes of a run's chunks so far."""
        rows = self._rows.get(run)
        return 0 if rows is None else rows.stored

    def finish(self, manifest: bytes) -> int:
        """Write header and front around the payload; return the bytes of the file."""
        order = sorted(self._rows)
        rows = bytearray().join(self._rows[run].packed for run in order)
        count = len(rows) // ROW.size
        if count > MAX_ROWS:
            raise UsageError(f"the model needs {count} rows; the format's limit is {MAX_ROWS}")
        stored = frames.compress(manifest, MANIFEST_LEVEL)
        header = Header(self._layout, 0, 0, len(stored), len(manifest), count, 0)
        if max(header.front_length, len(manifest)) > MAX_FRONT:
            raise UsageError("the manifest is over the format's limit of 512 MiB")
        spool = self._spool
        front_offset = _up(SIZE + self._size, PAGE) if spool is None else SIZE
        payload = SIZE if spool is None else _up(front_offset + header.front_length, PAGE)
        if self._layout == "progressive":
            levels = [level for run in order for level in self._rows[run].levels]
            in_order = sorted(range(count), key=levels.__getitem__)  # stable
            end = self._copy_in_order(rows, in_order, payload)
        else:
            end = _move(rows, payload)
            if spool is not None:
                spool.write_to(self._file, payload)
        front = [memoryview(stored + bytes(header.manifest_padded - len(stored))), memoryview(rows)]
        digest = xxhash.xxh3_64()
        for piece in front:
            digest.update(piece)
        length = max(front_offset + sum(map(len, front)), end)
        header = Header(
            self._layout,
            length,
            front_offset,
            len(stored),
            len(manifest),
            count,
            digest.intdigest(),
        )
        write_at(self._file, front_offset, front)
        write_at(self._file, 0, [header.pack()])
        self._file.truncate(length)
        self._finished = True
        return length

    def _place(self, chunk: Chunk, mode: int) -> Row:
        stored = chunk.stored
        if stored == 0:
            return Row(0, 0, chunk.raw, EMPTY_HASH, chunk.coder, chunk.fill, *_streams(chunk), mode)
        offset = _up(self._size, alignment(stored))
        digest = digest_of(chunk)
        if self._spool is None:
            write_at(self._file, SIZE + offset, chunk.pieces)
        else:
            self._spool.put(offset, chunk.pieces)
        self._size = offset + stored
        return Row(offset, stored, chunk.raw, digest, chunk.coder, 0, *_streams(chunk), mode)

    def _copy_in_order(self, rows: bytearray, order: list[int], payload: int) -> int:
        """Copy the spooled chunks level by level, correct the rows, and return where the last ends.

        The rows are as in `_move`.
        """
        at = payload
        for index in order:
            offset, stored = _PLACE.unpack_from(rows, index * ROW.size)
            if stored:
                at = _up(at, alignment(stored))
                assert self._spool is not None  # a progressive file is spooled whole
                write_at(self._file, at, self._spool.get(offset, stored))
                _PLACE.pack_into(rows, index * ROW.size, at, stored)
                at += stored
        return at if at > payload else 0


class _Rows:
    """The rows of a run in order, packed, with the level of each.

    There are many, and each would take ten times as much as an object of its own. Offsets count
    from the payload's start.
    """

    def __init__(self) -> None:
        self.packed = bytearray()
        self.levels = array("H")
        self.stored = 0  # bytes of all chunks

    def add(self, row: Row, level: int) -> None:
        """Add a row behind the others."""
        self.packed += ROW.pack(*row)
        self.levels.append(level)
        self.stored += row.stored


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _streams(chunk: Chunk) -> tuple[int, int]:
    return chunk.first, chunk.streams


def _move(rows: bytearray, payload: int) -> int:
    """Add to the offsets of packed rows, and return where the last chunk ends."""
    end = 0
    for at in range(0, len(rows), ROW.size):
        offset, stored = _PLACE.unpack_from(rows, at)
        if stored:
            _PLACE.pack_into(rows, at, offset + payload, stored)
            end = max(end, offset + payload + stored)
    return end
