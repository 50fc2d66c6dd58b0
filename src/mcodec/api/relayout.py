"""`relayout`: the same chunks in another order; no weight is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcodec.api.handle import open as open_file
from mcodec.api.progress import Progress, no_progress
from mcodec.codec.base import Codec
from mcodec.container.header import LAYOUTS
from mcodec.container.writer import ContainerWriter, Part
from mcodec.errors import UsageError
from mcodec.types import itemsize

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from mcodec.container.reader import ContainerReader


@dataclass(frozen=True, slots=True)
class RelayoutReport:
    """What `relayout` did."""

    path: str
    file_bytes: int
    layout: str


def relayout(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    layout: str,
    *,
    progress: Progress = no_progress,
) -> RelayoutReport:
    """Copy a file's chunks into another order.

    The result is what `pack` would have written with that layout. Only blocks of `bfp` are coded
    anew, their integers as they were: a progressive file has no `symbols`.

    Parameters
    ----------
    path, out
        The file, and the one to make or replace; they may be the same.
    layout
        ``task``, ``interleaved`` (of a file with fused tasks) or ``progressive``.

    Raises
    ------
    UsageError
        There is no such layout, or the file cannot have it.
    FormatError
        The file is damaged.
    """
    if layout not in LAYOUTS:
        raise UsageError(f"layout is one of {', '.join(LAYOUTS)}, not {layout!r}")
    with open_file(path, jobs=1, max_decoded=1 << 62) as file:
        reader = file.reader
        if layout == "interleaved" and not reader.manifest.pairs:
            raise UsageError(
                "no tasks of this file are fused; pack with --bits, or with --layout interleaved"
            )
        codecs = [_codec(reader, run) for run in range(len(reader.runs))]
        if layout == "progressive" and not all(codec.by_levels for codec in codecs):
            raise UsageError("signs=compact needs all planes: it cannot be laid out progressive")
        fused = {run for pair in reader.manifest.pairs for run in pair}
        total, done = sum(spec.nbytes for spec in reader.runs), 0
        with ContainerWriter(out, layout) as writer:
            for group, block in _order(reader, layout):
                writer.put([_part(reader, run, block, layout, fused=run in fused) for run in group])
                for run in group:
                    start, stop = reader.runs[run].span(block)
                    done += (stop - start) * itemsize(reader.runs[run].dtype)
                progress(done, total)
            size = writer.finish(reader.manifest_bytes)
    return RelayoutReport(str(out), size, layout)


def _order(reader: ContainerReader, layout: str) -> Iterator[tuple[list[int], int]]:
    """Yield (runs, block) in the order that the writer wants."""
    pairs = reader.manifest.pairs if layout == "interleaved" else []
    group_of = {run: pair for pair in pairs for run in pair}
    for run, spec in enumerate(reader.runs):
        group = group_of.get(run, [run])
        if run != group[0]:
            continue
        for block in range(-1, spec.blocks):
            yield group, block


def _part(reader: ContainerReader, run: int, block: int, layout: str, *, fused: bool) -> Part:
    stored = reader.coded_streams(run, block)
    # Between other layouts the modes are the same, and nothing is coded anew.
    if block >= 0 and layout != reader.layout and "progressive" in (layout, reader.layout):
        planes_only = layout == "progressive" or fused
        codec, spec = _codec(reader, run), reader.runs[run]
        stored = codec.recode(spec, block, stored, planes_only=planes_only)
    mode, coded = stored
    return Part(run, mode, reader.specs(run, block, mode), coded)


def _codec(reader: ContainerReader, run: int) -> Codec:
    codec = reader.codec(run)
    assert isinstance(codec, Codec)  # what `registry.from_config` makes
    return codec
