"""What of a file is no tensor's: found, kept if it is not zero, and put back."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

import msgspec

from mcodec.errors import FormatError
from mcodec.limits import MAX_SOURCE_GAPS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mcodec.formats.files import InputFile
    from mcodec.types import TensorSpec

_PIECE: Final = 1 << 20


class Gap(msgspec.Struct, forbid_unknown_fields=True):
    """Bytes between tensors that are not all zero, as a skeleton keeps them."""

    offset: int
    data: bytes


def find_gaps(places: Iterable[tuple[int, int, str]], end: int, size: int) -> list[tuple[int, int]]:
    """Check that tensors lie side by side, and return what of [end, size) they leave free.

    Parameters
    ----------
    places : iterable of (int, int, str)
        First byte, last byte plus one, and name of each.
    end : int
        Where the first may begin.
    size : int
        Of the file.

    Raises
    ------
    FormatError
        ``source_invalid`` if two overlap, or one does not lie inside; ``limit_exceeded`` if too
        much is free: all of it will be read.
    """
    gaps: list[tuple[int, int]] = []
    for start, stop, name in sorted(places):
        if stop > size:
            raise FormatError(
                f"tensor {name!r} does not lie inside the file of {size} bytes",
                code="source_invalid",
            )
        if start == stop:
            continue
        if start < end:
            raise FormatError(f"tensor {name!r} overlaps another", code="source_invalid")
        gaps.append((end, start))
        end = stop
    gaps = [(start, stop) for start, stop in [*gaps, (end, size)] if start < stop]
    free = sum(stop - start for start, stop in gaps)
    if free > max(MAX_SOURCE_GAPS, size // 2):
        raise FormatError(f"{free} bytes of the file are no tensor's", code="limit_exceeded")
    return gaps


def read_gaps(file: InputFile, gaps: Sequence[tuple[int, int]]) -> list[Gap]:
    """Return the pieces of the gaps that are not zero: writers pad with zeros.

    Raises
    ------
    FormatError
        ``limit_exceeded`` if they are too many bytes for a skeleton.
    """
    found: list[Gap] = []
    kept = 0
    for start, stop in gaps:
        for offset in range(start, stop, _PIECE):
            data = file.read(offset, min(_PIECE, stop - offset))
            if not data.strip(b"\0"):
                continue
            found.append(Gap(offset, data))
            kept += len(data)
            if kept > MAX_SOURCE_GAPS:
                raise FormatError("too many bytes are no tensor's", code="limit_exceeded")
    return found


def check_gaps(kept: Sequence[Gap], gaps: Sequence[tuple[int, int]]) -> None:
    """Refuse bytes of a skeleton that would lie on a tensor, or outside the file.

    Raises
    ------
    FormatError
        ``source_invalid``.
    """
    for gap in kept:
        before = bisect_right(gaps, gap.offset, key=lambda free: free[0])
        if not before or gap.offset + len(gap.data) > gaps[before - 1][1]:
            raise FormatError(
                "the skeleton has bytes for a place that is not free", code="source_invalid"
            )


def check_tensors(planned: Sequence[TensorSpec], given: Sequence[TensorSpec]) -> None:
    """Refuse tensors that are not, each once, those that a skeleton speaks of.

    Raises
    ------
    FormatError
        ``source_invalid``.
    """
    for here, there, what in (
        (planned, given, "is not there as the skeleton has it"),
        (given, planned, "is not in the skeleton"),
    ):
        known = set(there)
        for spec in here:
            if spec not in known:
                raise FormatError(f"tensor {spec.name!r} {what}", code="source_invalid")
    if len(given) != len(planned):
        raise FormatError("a tensor is there twice", code="source_invalid")
