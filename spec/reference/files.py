"""container.md as a whole: a file that is opened, its section 8, and the decode of runs."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import Any

from blake3 import blake3

from reference.basics import need
from reference.checks import (
    check_bases,
    check_budget,
    check_counts,
    check_pairs,
    check_tasks,
    read_run,
)
from reference.codecs import Ask, read_codec
from reference.front import read_header, read_manifest
from reference.rows import read_chunk, read_rows
from reference.runs import Part, Place, Placed, Run


@dataclass
class File:
    """An open file: what rules 1 to 13 of section 6 have passed."""

    data: bytes
    length: int  # File_Length
    runs: list[Run]
    tasks: list[dict[str, Any]]
    pairs: list[list[int]]
    spans: list[tuple[int, int]]
    levels: float  # the last level that is whole
    canonical: dict[int, bytes] = field(default_factory=dict)  # decodes of runs below others


def open_file(data: bytes, partial: bool, budget: int | None) -> File:
    h = read_header(data, partial)
    m = read_manifest(data, h)
    check_counts(m)
    codecs = [read_codec(config) for config in m["codecs"]]
    runs = [read_run(item, codecs, m["codecs"]) for item in m["runs"]]
    check_bases(m["runs"], runs)
    check_tasks(m["tasks"], runs)
    pairs = m.get("pairs", [])
    check_pairs(pairs, runs)
    check_budget(m["tasks"], runs, budget or max(2**30, 1000 * h.file_length))
    spans = read_rows(data, h, runs)
    return File(data, h.file_length, runs, m["tasks"], pairs, spans, last_level(data, runs))


def last_level(data: bytes, runs: list[Run]) -> float:
    """The last level whose chunks, and those before it, are whole; infinity for a whole file."""
    last = math.inf
    for run in runs:
        for row, held in itertools.chain(run.head, *run.blocks):
            if row.offset + row.stored > len(data):
                last = min(last, min(s.level for s in held) - 1)
    need(last >= 0, "file_truncated", "level 0 is not whole")
    return last


def read_streams(f: File, placed: list[Placed], part: Part) -> None:
    for row, held in placed:
        if min(s.level for s in held) <= f.levels:
            read_chunk(f.data, row, held, part)
    levels = {s.name: s.level for _, held in placed for s in held}
    for name in [name for name in part.streams if levels.get(name, 0) > f.levels]:
        del part.streams[name]


def read_head(f: File, run: Run) -> dict[str, bytes]:
    part = Part(run, -1, 0, range(0))
    read_streams(f, run.head, part)
    return part.streams


def read_part(f: File, run: Run, head: dict[str, bytes], block: int) -> Part:
    """A block's streams, and what it stands on."""
    start, n = run.extent(block)
    placed = [] if run.rowless else run.blocks[block]
    mode = placed[0][0].mode if placed else 0
    bases = [base_of(f, run, role, start, n) for role in run.roles]
    part = Part(run, block, mode, range(start, start + n), bases, dict(head))
    read_streams(f, placed, part)
    return part


def base_of(f: File, run: Run, role: list[Place], start: int, n: int) -> bytes:
    """What the elements of a block stand on in one role; zeros in gaps."""
    need(len(f.data) == f.length, "file_truncated", "a run with bases in a file that is cut off")
    size = f.runs[role[0][0]].itemsize
    result = bytearray(n * size)
    for i, begin, end in run.members(start, n):
        index, member = role[i]
        if index not in f.canonical:
            f.canonical[index] = decode_run(f, index, Ask(), dither=False)
        shift = f.runs[index].starts[member] - run.starts[i]
        part = f.canonical[index][(begin + shift) * size : (end + shift) * size]
        result[(begin - start) * size : (end - start) * size] = part
    return bytes(result)


def next_of_pair(f: File, index: int) -> Run | None:
    """The run whose planes are the low bits of run `index` in a decode with dither."""
    for pair in f.pairs:
        if index in pair[:-1]:
            run, below = f.runs[index], f.runs[pair[pair.index(index) + 1]]
            if run.codec.dithers(run, below.codec):
                return below
    return None


def check_gaps(run: Run, block: int, decoded: bytes) -> None:
    start, n = run.extent(block)
    at = start
    for _, begin, end in [*run.members(start, n), (0, start + n, 0)]:
        gap = decoded[(at - start) * run.itemsize : (begin - start) * run.itemsize]
        need(not any(gap), "digest_mismatch", "a gap that is not zero")
        at = end


def decode_run(f: File, index: int, ask: Ask, dither: bool) -> bytes:
    """Check a run against its digest, where all of it is there, and decode it as asked."""
    run = f.runs[index]
    if f.levels != math.inf:  # section 8
        planes = f.levels if ask.planes is None else min(f.levels, ask.planes)
        ask = ask._replace(planes=int(planes))
    head = read_head(f, run)
    under = next_of_pair(f, index) if dither and f.levels == math.inf else None
    under_head = read_head(f, under) if under else {}
    last = max((s.level for b in run.blocks for _, held in b for s in held), default=0)
    digest, result = blake3(), []
    for block in range(run.block_count):
        fields = run.codec.parse(read_part(f, run, head, block))
        canonical = run.codec.decode(run, fields, Ask())
        digest.update(canonical)
        check_gaps(run, block, canonical)
        if under:
            fields_below = under.codec.parse(read_part(f, under, under_head, block))
            ask = Ask(below=under.codec.noise(under, fields_below))
        derived = under or ask.planes is not None or ask.mid is not None
        result.append(run.codec.decode(run, fields, ask) if derived else canonical)
    whole = last <= f.levels
    need(not whole or digest.hexdigest() == run.digest, "digest_mismatch", f"run {index}")
    return b"".join(result)


def decode_members(f: File, ask: Ask, dither: bool) -> dict[Place, bytes]:
    """Check all runs, and give the bytes of the members of those that tensors name."""
    used = {run for task in f.tasks for _, run, _ in task["tensors"]}
    members = {}
    for i, run in enumerate(f.runs):
        decoded = decode_run(f, i, ask, dither)
        for m, (start, shape) in enumerate(zip(run.starts, run.shapes, strict=True)):
            if i in used:
                end = start + math.prod(shape)
                members[i, m] = decoded[start * run.itemsize : end * run.itemsize]
    return members


def check_padding(f: File) -> None:
    for (_, end), (begin, _) in itertools.pairwise([*f.spans, (len(f.data), 0)]):
        need(not f.data[end:begin].strip(b"\0"), "padding_nonzero", f"padding behind {end}")
