"""Sums over tensors for a report, each byte of the file counted once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mcodec.api.listing import StreamRow, sqnr_db
from mcodec.api.reportfigures import GROUPS, CodecStream, Group, Quality, group_of
from mcodec.codec.plan import codec_string

if TYPE_CHECKING:
    from mcodec.api.listing import TensorRow

Place = tuple[int, int]  # run, member
Stats = tuple[float, float, float]  # max |error|, sum of error², sum of weight²


class Sum:
    """Adds tensors up."""

    __slots__ = (
        *("tensors", "weights", "source_bytes", "stored_bytes", "streams"),
        *("exact", "lossy", "not_finite", "peak", "noise", "signal"),
    )

    def __init__(self) -> None:
        self.tensors = self.weights = self.source_bytes = self.stored_bytes = 0
        self.streams: dict[str, int] = {}
        self.exact = self.lossy = self.not_finite = 0
        self.peak = self.noise = self.signal = 0.0

    def add(self, row: TensorRow, stats: Stats | None, *, again: bool = False) -> None:
        """Add a tensor; its streams only if they do not count already (`again`)."""
        self.tensors += 1
        self.weights += row.spec.size
        self.source_bytes += row.spec.nbytes
        if stats is None:
            self.not_finite += 1
        elif stats[0] == 0:
            self.exact += 1
        else:
            self.lossy += 1
            self.peak = max(self.peak, stats[0])
            self.noise += stats[1]
            self.signal += stats[2]
        if again:
            return
        for stream in row.streams:
            group = group_of(stream.name)
            self.stored_bytes += stream.stored_bytes
            self.streams[group] = self.streams.get(group, 0) + stream.stored_bytes

    def quality(self) -> Quality:
        """Return what the certificates say; an SQNR whose sums overflow is not said."""
        finite = math.isfinite(self.noise) and math.isfinite(self.signal)
        sqnr = sqnr_db(self.signal, self.noise) if finite else None
        return Quality(self.exact, self.lossy, self.not_finite, self.peak, sqnr)

    def group(self, name: str) -> Group:
        """Return the sums under a name."""
        return Group(
            name,
            self.tensors,
            self.weights,
            self.source_bytes,
            self.stored_bytes,
            {group: self.streams[group] for group in GROUPS if group in self.streams},
            self.quality(),
        )


class Whole:
    """Adds up what the file stores, each place once, whichever tasks name it."""

    def __init__(self) -> None:
        self.total = Sum()
        self.codecs: dict[str, Sum] = {}
        self.first: dict[Place, str] = {}
        self.by_run: Counter[int] = Counter()
        self.bits: list[tuple[float, int, bool]] = []  # a weight's bits, weights, exact
        self.streams: dict[tuple[str, str], _Stream] = {}  # kind of codec, name

    def add(
        self,
        place: Place,
        label: str,
        row: TensorRow,
        stats: Stats | None,
    ) -> str:
        """Add a tensor, and return the label of the one that was stored for it, if another."""
        if place in self.first:
            return self.first[place]
        self.first[place] = label
        self.by_run[place[0]] += row.stored_bytes
        codec = self.codecs.setdefault(codec_string(row.codec), Sum())
        for each in (self.total, codec):
            each.add(row, stats)
        if row.spec.size:
            exact = stats is not None and stats[0] == 0
            self.bits.append((8 * row.stored_bytes / row.spec.size, row.spec.size, exact))
        kind = _kind(row.codec)
        for stream in row.streams:
            self.streams.setdefault((kind, stream.name), _Stream()).add(stream)
        return ""

    def stream_rows(self) -> tuple[CodecStream, ...]:
        """Return all streams, kind by kind, groups in their order and planes from the top down."""
        order = {group: index for index, group in enumerate(GROUPS)}
        kinds = {
            kind: index for index, kind in enumerate(dict.fromkeys(k for k, _ in self.streams))
        }
        return tuple(
            CodecStream(kind, self.streams[kind, name].row(name))
            for kind, name in sorted(
                self.streams,
                key=lambda key: (kinds[key[0]], order[group_of(key[1])], *_plane(key[1])),
            )
        )


class _Stream:
    """Adds a stream up over tensors."""

    def __init__(self) -> None:
        self.raw = self.stored = 0
        self.coders: set[str] = set()

    def add(self, stream: StreamRow) -> None:
        self.raw += stream.raw_bytes
        self.stored += stream.stored_bytes
        self.coders.update(stream.coder.split("+"))

    def row(self, name: str) -> StreamRow:
        return StreamRow(name, "+".join(sorted(self.coders)), self.raw, self.stored)


def _kind(config: Mapping[str, Any]) -> str:
    """Return a codec's id, with those of the codecs that it carries."""
    inside = [f"{key}={_kind(one)}" for key, one in config.items() if isinstance(one, Mapping)]
    return f"{config['id']}({','.join(inside)})" if inside else str(config["id"])


def _plane(name: str) -> tuple[str, int]:
    """Return a stream's name without its number, and a number that puts high planes first."""
    first = name.partition(" ")[0]
    stem, _, number = first.rpartition(".")
    return (stem, -int(number)) if number.isdecimal() else (first, 0)
