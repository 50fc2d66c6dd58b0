"""The measured error of a lossy decode, as certificates hold it (design, section 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcodec.codec.streams import patterns

if TYPE_CHECKING:
    from numpy.typing import NDArray

Stats = tuple[float, float, float]
"""max |error|, sum of error², sum of weight²; not finite where a value is not."""

NO_ERROR: Stats = (0.0, 0.0, 0.0)


def measure(dtype: str, source: NDArray[Any], decoded: NDArray[Any]) -> Stats:
    """Return the error of a block of one tensor, in float64 and in one fixed order."""
    from mcodec.codec import kernels

    return kernels.error_stats(dtype, patterns(source), patterns(decoded))


def add(total: Stats, part: Stats) -> Stats:
    """Add the error of a tensor's next block."""
    peak = total[0] if total[0] >= part[0] else part[0]  # keeps a NaN of the new part
    return peak, total[1] + part[1], total[2] + part[2]
