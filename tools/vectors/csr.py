"""Sparse runs (spec/codecs/csr.md): a run of values with what is not stored taken out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vectors.models import plane, spread
from vectors.writer import Stream

if TYPE_CHECKING:
    from vectors.models import Members, Run

BLOCK = 2**18
MASK = 0
BYTE_STREAMS = ("exponent", "exponent.1", "exponent.0", "symbols", "codes")


def gaps(k: int) -> int:
    """Give the form of gaps with k low bits."""
    return 1 + k


def positions(stored: list[int], form: int) -> list[Stream]:
    """Give the streams of one block's positions; `stored` is 1 for a stored element."""
    if form == MASK:
        return [Stream("mask", plane(stored, 0))]
    k, high, found, last = form - 1, bytearray(), [], -1
    for position, one in enumerate(stored):
        if one:
            gap, last = position - last - 1, position
            found.append(gap)
            escapes, rest = divmod(gap >> k, 255)
            high += b"\xff" * escapes + bytes([rest])
    low = [
        Stream(f"gap.low.{j}", plane(found, j), variable=True, counted=True)
        for j in range(k - 1, -1, -1)
    ]
    return [Stream("gap", bytes(high), variable=True), *low]


def take(s: Stream, stored: list[int]) -> Stream:
    """Leave in a stream of values what belongs to stored elements."""
    if s.variable:  # compact signs: none belongs to an element that is not stored
        return s
    if s.name in BYTE_STREAMS:
        data = bytes(b for b, one in zip(s.data, stored, strict=True) if one)
    else:
        bits = [s.data[i // 8] >> i % 8 & 1 for i, one in enumerate(stored) if one]
        data = plane(bits, 0)
    return replace(s, data=data, variable=True, counted=True)


def csr(
    values: Run,
    members: Members,
    forms: tuple[int, ...] = (MASK,),
    also: tuple[int, ...] = (),
    **config: Any,
) -> Run:
    """Make a run sparse; keyword arguments are keys of the configuration.

    Parameters
    ----------
    values
        The same members under the codec of the values. Where a pattern is zero it decodes to zero.
    members
        The patterns, which say what is stored.
    forms
        Block i has the form `forms[i]`, or the last of them.
    also
        Places of elements that are stored although they are zero.
    """
    stored = [int(pattern != 0) for pattern in spread(members)]
    for place in also:
        stored[place] = 1
    blocks = []
    for i, (mode, streams) in enumerate(values.blocks):
        here = stored[i * BLOCK : (i + 1) * BLOCK]
        form = forms[min(i, len(forms) - 1)]
        kept = [*positions(here, form), *(take(s, here) for s in streams)]
        blocks.append((form << 4 | mode, kept))
    full = {"id": "csr", "values": values.config, **config}
    return replace(values, config=full, blocks=blocks, integers=None)
