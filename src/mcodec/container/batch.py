"""Several blocks read in one call, into memory that is used again: what loading a task does.

Everything is checked as `ContainerReader.read_streams` does, by compiled code and without the GIL;
what it refuses is read again there, which says why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mcodec.container.chunks import cuts, ranges, take
from mcodec.container.rows import ROW, Row
from mcodec.errors import FormatError
from mcodec.stored import ChunkError
from mcodec.types import FILL, Fill

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mcodec.container.chunks import Cuts, Stream
    from mcodec.container.rows import RowTable
    from mcodec.storage import ByteSource
    from mcodec.stored import Scratch
    from mcodec.types import StreamSpec

    Place = tuple[int, int]  # run, block
    Specs = Callable[[int, int, int], Sequence[StreamSpec]]

MODE: Final = Row._fields.index("mode")


def read(
    source: ByteSource,
    table: RowTable,
    specs_of: Specs,
    places: Sequence[Place],
    scratch: Scratch,
    *,
    verify: bool,
) -> dict[Place, tuple[int, list[Stream | None]]]:
    """Return the mode and the streams of blocks; those that need more than this are left out.

    The streams lie in `scratch`, up to its next read.
    """
    packed = {place: table.packed(*place) for place in places}
    rows = {place: list(ROW.iter_unpack(packed[place])) for place in places}
    specs = {place: specs_of(*place, own[0][MODE] if own else 0) for place, own in rows.items()}
    plain = [place for place in places if not any(spec.counted for spec in specs[place])]
    mapping = source.mapping
    origin: int | memoryview | list[tuple[int, bytes | memoryview]] | None
    origin = source.descriptor if mapping is None else mapping
    try:
        if origin is None:
            wanted = [Row._make(row) for place in plain for row in rows[place]]
            extents = [(start, stop) for start, stop, _ in ranges(wanted) if stop > start]
            origin = [(start, source.read_at(start, stop - start)) for start, stop in extents]
        starts = scratch.read(origin, b"".join(packed[place] for place in plain), verify=verify)
        found = {}
        known: dict[tuple[int, int, int], Cuts] = {}  # blocks are alike
        at = 0
        memory = memoryview(scratch.memory)
        for place in plain:
            own = rows[place]
            streams = _streams(
                own, specs[place], starts[at : at + len(own)], memory, mapping, known
            )
            found[place] = own[0][MODE] if own else 0, streams
            at += len(own)
    except (ChunkError, FormatError):
        return {}
    return found


def _streams(
    rows: Sequence[tuple[Any, ...]],
    specs: Sequence[StreamSpec],
    starts: Sequence[int],
    memory: memoryview,
    mapping: memoryview | None,
    known: dict[tuple[int, int, int], Cuts],
) -> list[Stream | None]:
    """Cut the decoded chunks of a block into its streams."""
    streams: list[Stream | None] = []
    for row, at in zip(rows, starts, strict=True):
        offset, _, raw, _, coder, fill, first, count, _, _ = row  # tuples: a block has many
        if coder == FILL:
            if count == 1:
                streams.append(Fill(fill, raw))
            else:
                streams.extend(Fill(fill, spec.length) for spec in specs[first : first + count])
            continue
        if mapping is not None and at < 0:
            data = mapping[offset : offset + raw]
        else:
            data = memory[at : at + raw]
        if count == 1:
            streams.append(data)
        else:
            key = id(specs), first, count
            places = known.get(key)
            if places is None:
                places = known[key] = cuts(specs[first : first + count])
            streams.extend(take(data, places))
    return streams
