"""Row tables and chunks without compiled code, used where ``MCODEC_BACKEND=reference``.

Nothing is told at a glance and nothing read at once: whoever asks goes the long way, by the rules
one by one, which is what the compiled code is compared with.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from array import array
    from collections.abc import Sequence

    from mcodec.stored import Buffer

_PLACE: Final = struct.Struct("<QI20x")  # of a row: where its chunk begins, and how long it is


def place(
    source: int | Buffer | Sequence[tuple[int, Buffer]],
    rows: Buffer,
    scratch: bytearray,
    verify: bool,
    lengths: array[int],
) -> tuple[int, str, str]:
    """Refuse: see `mcodec.stored.Scratch.place`."""
    return 0, "reference", "chunks are read one by one"


def plain_rows(rows: Buffer, index: int, lengths: array[int], mode: int, end: int) -> int:
    """Return 0: see `mcodec.stored.plain_rows`."""
    return 0


def overlap(rows: Buffer, front: int, length: int) -> int:
    """See `mcodec.stored.overlap`."""
    claims: list[tuple[int, int]] = [(front, length)]
    claims += [(at, size) for at, size in _PLACE.iter_unpack(rows) if size]
    end = 0
    for start, size in sorted(claims):
        if start < end:
            return start
        end = start + size
    return 0


def depth(text: Buffer) -> int:
    """Return -1: see `mcodec.stored.depth`."""
    return -1


def tensors(text: Buffer) -> None:
    """Return None: see `mcodec.stored.tensors`."""


def shapes(text: Buffer) -> None:
    """Return None: see `mcodec.stored.shapes`."""


def code(streams: Sequence[Any], cost: int) -> list[tuple[int, int, bytes | None]]:
    """Leave all streams to who looks for matches: see `mcodec.stored.code`."""
    return [(3, 0, None) for _ in streams]


def code_symbols(symbols: Any, cost: int, bits: int) -> tuple[bytes | None, int]:
    """Make no frame: see `mcodec.stored.code_symbols`."""
    return None, 0


def join(exponents: Any, high: Any, low: Any, last: int, step: int, symbols: Any) -> int:
    """See `mcodec.stored.join`."""
    import numpy as np

    above = int(exponents.max(initial=0)) - last
    first = max(0, -(-above // step)) * step
    one, two = (np.unpackbits(x, count=exponents.size, bitorder="little") for x in (high, low))
    mantissas = one << np.uint8(1) | two
    symbols[:] = (exponents - np.uint8(first)) << np.uint8(2) | mantissas
    if not first:
        return 0
    below = exponents <= first
    symbols[below] = 0
    return -1 if exponents[below].any() or mantissas[below].any() else first


def digest(parts: Sequence[Buffer]) -> int:
    """See `mcodec.stored.digest`."""
    import xxhash

    found = xxhash.xxh3_64()
    for part in parts:
        found.update(part)
    return found.intdigest()


def repeats(data: Any, mask: int) -> bool:
    """Return True: whoever codes looks for matches, as the zstandard package does."""
    return True


def join_bytes(parts: Sequence[Buffer]) -> bytes:
    """See `mcodec.stored.join_bytes`."""
    return b"".join(parts)
