"""container.md 4, and rule 13 of its section 6: which chunk holds which streams."""

from __future__ import annotations

import itertools
import struct
from typing import TYPE_CHECKING

from xxhash import xxh3_64_intdigest

from reference.basics import MAX_RAW, Refused, need
from reference.frames import read_frame
from reference.runs import FILL, RAW, ZSTD, Part, Placed, Row, Run, Stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reference.front import Header


def stagger(i: int, length: int) -> int:
    """The zero bytes behind stream i of a shared raw chunk, if it is not the last."""
    return 64 if i % 6 == 5 and length and length % 4096 == 0 else 0


def check_row(row: Row) -> None:
    need(row.coder <= ZSTD and row.reserved == bytes(3), "row_invalid", "coder or reserved")
    need(row.coder == FILL or row.fill == 0, "row_invalid", "a fill byte without fill")
    if row.coder == FILL:
        sound = row.offset == row.stored == 0 and row.hash == xxh3_64_intdigest(b"")
    elif row.coder == RAW:
        sound = row.stored == row.raw
    else:
        sound = row.stored >= 1
    sound = sound and row.streams >= 1
    need(sound, "row_invalid", "offset, stored, hash or streams against the coder")
    need(row.raw <= MAX_RAW, "limit_exceeded", "raw length of a chunk")


def check_place(row: Row, held: list[Stream], file_length: int) -> None:
    alone = row.coder == ZSTD or any(s.variable and not s.counted for s in held)
    need(len(held) == 1 or not alone, "row_length", "streams that cannot share a chunk")
    raw = sum(s.length for s in held)
    counted = any(s.counted for s in held)
    if row.coder == RAW:  # a counted stream before the last may be of any length up to its most
        raw += sum(64 if counted else stagger(i, s.length) for i, s in enumerate(held[:-1]))
    fits = row.raw <= raw if counted or held[0].variable else row.raw == raw
    need(fits, "row_length", f"raw length {row.raw}, the streams need {raw}")
    aligned = row.offset % (64 if row.stored >= 4096 else 8) == 0
    inside = 64 <= row.offset <= file_length - row.stored
    if row.stored == 0:
        inside = row.offset == 0
    need(aligned and inside, "row_bounds", f"a chunk of {row.stored} bytes at {row.offset}")


def cover(rows: Iterator[Row], run: Run, block: int | None, file_length: int) -> list[Placed]:
    """Take the rows of one block (None: of the head)."""
    placed: list[Placed] = []
    streams: list[Stream] = []
    done = mode = 0
    while not placed or done < len(streams):
        row = next(rows, None)
        if row is None:
            raise Refused("row_order", "rows are missing")
        check_row(row)
        need(row.first == done, "row_order", f"stream {row.first} where {done} is next")
        if not placed:
            mode = 0 if block is None else row.mode
            need(block is None or mode in run.codec.modes, "row_invalid", "mode")
            streams = run.codec.streams_of(run, block, mode)
        done += row.streams
        held = streams[row.first : done]
        need(done <= len(streams), "row_order", "more streams than the block has")
        need(row.mode == mode, "row_invalid", "two modes in one block")
        check_place(row, held, file_length)
        placed.append((row, held))
    return placed


def read_rows(data: bytes, h: Header, runs: list[Run]) -> list[tuple[int, int]]:
    """Rule 13: give each run the rows of its head and its blocks; return what lies where."""
    table = data[h.front_offset + h.padded : h.front_offset + h.front_length]
    rows = map(Row._make, struct.iter_unpack("<QIIQBBBBB3s", table))
    spans = [(0, 64), (h.front_offset, h.front_offset + h.front_length)]
    for run in runs:
        if run.codec.streams_of(run, None, 0):
            run.head = cover(rows, run, None, h.file_length)
        run.rowless = run.count == 0 or not run.codec.streams_of(run, 0, 0)
        for block in range(0 if run.rowless else run.block_count):
            run.blocks.append(cover(rows, run, block, h.file_length))
        for row, _ in itertools.chain(run.head, *run.blocks):
            if row.stored:
                spans.append((row.offset, row.offset + row.stored))
    need(next(rows, None) is None, "row_order", "rows are left over")
    spans.sort()
    for (_, end), (begin, _) in itertools.pairwise(spans):
        need(end <= begin, "row_overlap", f"two things at {begin}")
    return spans


def read_chunk(data: bytes, row: Row, held: list[Stream], part: Part) -> None:
    """Add the streams of a chunk to those of a block, or of a head."""
    stored = data[row.offset : row.offset + row.stored]
    need(row.hash == xxh3_64_intdigest(stored), "chunk_checksum", f"chunk at {row.offset}")
    if row.coder == FILL:
        raw = bytes([row.fill]) * row.raw
    else:
        raw = stored if row.coder == RAW else read_frame(stored, row.raw, "chunk_corrupt")
    at = 0
    for i, s in enumerate(held):
        length = s.length
        if s.counted:
            length = part.run.codec.counted(part, s.name)
        elif s.variable:
            length = row.raw
        zeros = stagger(i, length) if row.coder == RAW and i < len(held) - 1 else 0
        end = at + length + zeros
        need(end <= row.raw, "stream_invalid", f"{s.name} is longer than its chunk")
        need(not any(raw[end - zeros : end]), "stream_invalid", "bytes of a stagger")
        part.streams[s.name], at = raw[at : at + length], end
    need(at == row.raw, "stream_invalid", "the counted streams do not fill their chunk")
