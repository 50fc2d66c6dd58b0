"""Runs and drafts that a case breaks: made of streams by hand, and changed in one place."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from vectors.family import Family
from vectors.models import Run, starts

if TYPE_CHECKING:
    from vectors.writer import Draft, Stream

ITEMSIZES = {"int8": 1, "uint8": 1, "float16": 2, "bfloat16": 2, "float32": 4, "float64": 8}


def crafted(
    config: dict[str, Any],
    dtype: str,
    shapes: list[list[int]],
    streams: list[Stream],
    *,
    mode: int = 0,
    head: list[Stream] | None = None,
    roles: list[list[tuple[int, int]]] | None = None,
    decoded: bytes | None = None,
) -> Run:
    """Make a run of one block from its streams; it decodes to zeros, or to `decoded`."""
    size = ITEMSIZES[dtype]
    content = bytes(starts(shapes)[-1] * size) if decoded is None else decoded
    blocks = [(mode, streams)]
    return Run(
        config, dtype, size, shapes, head or [], blocks, lambda *_, **__: content, roles=roles or []
    )


def alone(run: Run, *below: Run, share: bool = False) -> Draft:
    """Make a file of a task with one tensor, and the runs below it before it, in raw chunks."""
    family = Family(coding="raw", share=share)
    for other in below:
        family.add(other)
    return family.task("A", {"w": run}).draft()


def stored(draft: Draft, index: int, data: bytes) -> bytes:
    """Build a draft with other bytes in one raw chunk."""
    draft.chunks[index] = replace(draft.chunks[index], raw=len(data), stored=data)
    return draft.build()


def pinned(draft: Draft, run: int) -> Draft:
    """Make the pin of a run right for the places that it names."""
    runs = draft.manifest["runs"]
    places = [place for role in runs[run][6][1] for place in role]
    below = "".join(runs[place[0]][3] for place in places)
    runs[run][6] = [blake3(below.encode()).hexdigest(), runs[run][6][1]]
    return draft
