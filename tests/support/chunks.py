"""Chunks of one stream each, read by compiled code."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from mcodec.container.rows import ROW
from mcodec.stored import Scratch
from mcodec.stored.placed import Placed

if TYPE_CHECKING:
    from collections.abc import Sequence

    Source = int | bytes | Sequence[tuple[int, bytes]]


def read_chunks(
    source: Source, rows: bytes, *, verify: bool = True, scratch: Scratch | None = None
) -> Placed:
    """Return the chunks of these rows; bytes are a whole file, mapped."""
    scratch = Scratch() if scratch is None else scratch
    lengths = array("Q", [raw for _, _, raw, *_ in ROW.iter_unpack(rows)])
    found = scratch.place(source, rows, lengths, verify=verify)
    mapping = memoryview(source) if isinstance(source, bytes) else None
    count = len(lengths)
    return Placed(memoryview(scratch.memory), mapping, found[:count], found[count:])
