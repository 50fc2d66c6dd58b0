"""See `mcodec.codec.kernels.merge_all`."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from mcodec.codec.kernels.checks import require
from mcodec.codec.kernels.reference.floats import merge_bfp, merge_float, merge_symbols

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


def merge_all(calls: Sequence[tuple[str, tuple[Any, ...]]], near: Sequence[bool]) -> list[bool]:
    """See `mcodec.codec.kernels.merge_all`."""
    merges: dict[str, Callable[..., object]] = {
        "merge_bfp": merge_bfp,
        "merge_float": merge_float,
        "merge_symbols": merge_symbols,
    }
    merges |= {"placed_symbols": _placed_symbols, "placed_bfp": _placed_bfp}
    valid = []
    for name, arguments in calls:
        if name not in merges:
            raise ValueError(f"calls: no merge {name!r}")
        valid.append(merges[name](*arguments) is not False)
    return valid


def _placed(
    memory: memoryview, offsets: Iterable[int], n: int, symbols: bool, start: int = 0
) -> list[Any]:
    """Return the streams at some offsets of a memory: the sign, symbols or None, planes.

    None are zeros, at the offset -1.
    """
    sizes = [-(-n // 8), n] if symbols else [-(-n // 8)]
    offsets = [int(offset) for offset in offsets]
    require(min(offsets, default=0) >= -1, "offsets: a stream is not in the memory")
    found: list[Any] = []
    for offset, size in zip_longest(offsets, sizes, fillvalue=sizes[0]):
        at = offset + (start if symbols and len(found) == 1 else start // 8)
        found.append(None if offset < 0 else memory[at : at + size])
    return found if symbols else [found[0], None, *found[1:]]


def _placed_symbols(dtype: str, out: Any, memory: Any, offsets: Any, first: int, mask: Any) -> bool:
    kept = out.size if mask is None else np.unpackbits(mask, count=out.size, bitorder="little")
    n = int(np.sum(kept))
    sign, symbols, *planes = _placed(memory, offsets, n, True)
    return merge_symbols(dtype, out, sign, symbols, first, planes, mask)


def _placed_bfp(*arguments: Any) -> None:
    *how, memory, offsets, wanted, start = arguments
    sign, symbols, *planes = _placed(memory, offsets, how[1].size, wanted, start)
    merge_bfp(*how, sign, planes, symbols)  # type: ignore[call-arg]
