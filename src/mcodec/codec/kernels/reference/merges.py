"""See `mcodec.codec.kernels.merge_all`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcodec.codec.kernels.reference.floats import merge_bfp, merge_float, merge_symbols

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def merge_all(calls: Sequence[tuple[str, tuple[Any, ...]]], near: bool = False) -> list[bool]:
    """See `mcodec.codec.kernels.merge_all`."""
    merges: dict[str, Callable[..., object]] = {
        "merge_bfp": merge_bfp,
        "merge_float": merge_float,
        "merge_symbols": merge_symbols,
    }
    valid = []
    for name, arguments in calls:
        if name not in merges:
            raise ValueError(f"calls: no merge {name!r}")
        valid.append(merges[name](*arguments) is not False)
    return valid
