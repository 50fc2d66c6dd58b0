"""Several blocks read in one call, into memory that is used again: what loading a task does.

Everything is checked as `ContainerReader.read_streams` does, by compiled code and without the GIL;
what it refuses is read again there, which says why.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from mcodec.container.chunks import ranges
from mcodec.container.rows import MODE, ROW, Row
from mcodec.errors import FormatError
from mcodec.stored import ChunkError
from mcodec.stored.placed import Placed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mcodec.container.rows import RowTable
    from mcodec.storage import ByteSource
    from mcodec.stored import Scratch
    from mcodec.types import StreamSpec

    Place = tuple[int, int]  # run, block
    Specs = Callable[[int, int, int], Sequence[StreamSpec]]


def read(
    source: ByteSource,
    table: RowTable,
    specs_of: Specs,
    places: Sequence[Place],
    scratch: Scratch,
    *,
    verify: bool,
) -> dict[Place, tuple[int, Placed]]:
    """Return the mode and the streams of blocks; those that need more than this are left out.

    The streams lie in `scratch`, up to its next read.
    """
    lengths = array("Q")
    rows: list[memoryview] = []
    plain: list[tuple[Place, int, int]] = []  # where a block's streams end among all
    known: dict[int, array[int] | None] = {}  # blocks are alike, and have the same tuple
    held = []
    for place in places:
        own = table.packed(*place)
        mode = own[MODE] if own else 0
        specs = specs_of(*place, mode)
        if id(specs) not in known:
            held.append(specs)  # so that its id stays its own
            known[id(specs)] = _lengths(specs)
        sizes = known[id(specs)]
        if sizes is not None:
            rows.append(own)
            lengths.extend(sizes)
            plain.append((place, mode, len(lengths)))
    mapping = source.mapping
    origin: int | memoryview | list[tuple[int, bytes | memoryview]] | None
    origin = source.descriptor if mapping is None else mapping
    try:
        if origin is None:
            wanted = [Row._make(row) for own in rows for row in ROW.iter_unpack(own)]
            extents = [(start, stop) for start, stop, _ in ranges(wanted) if stop > start]
            origin = [(start, source.read_at(start, stop - start)) for start, stop in extents]
        found = scratch.place(origin, b"".join(rows), lengths, verify=verify)
    except (ChunkError, FormatError):
        return {}
    memory, count = memoryview(scratch.memory), len(lengths)
    placed, at = {}, 0
    for place, mode, end in plain:
        parts = found[at:end], found[count + at : count + end]
        placed[place] = mode, Placed(memory, mapping, *parts)
        at = end
    return placed


def _lengths(specs: Sequence[StreamSpec]) -> array[int] | None:
    """Return the lengths of a block's streams; None where they are told by what they hold."""
    if any(spec.counted for spec in specs):
        return None
    return array("Q", [spec.length for spec in specs])
