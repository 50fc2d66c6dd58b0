"""Whether floats are integers of 8 bits times a scale: what quantisation leaves in a tensor.

A model that was quantised and written as floats does not say so; its values do. In a tensor, or in
each channel of it, the largest magnitude is some q of its step, and all others are whole multiples
of the same step, as near as the dtype can hold them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from mcodec.codec.scope import TENSOR, Scope
from mcodec.types import BLOCK, FLOATS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from mcodec.formats.base import TensorSource
    from mcodec.types import TensorSpec

    Numbers = NDArray[np.float64]

LEAST_SIZE: Final = 1024  # a tensor of fewer elements may be even by chance or by nature
_MOST: Final = 128  # of a magnitude in steps; up to 255 bfloat16 is even of itself, in one binade
_FEWEST: Final = 16  # a tensor of fewer different magnitudes is coarse by nature: signs, halves
_ENOUGH: Final = 256.0  # bits of evidence: a chance of 2^-256 for values that are not even
_ROOM: Final = 0.25  # of a step; where the dtype leaves more, its own numbers may be even
_PART: Final = 1024  # elements of a scope that are looked at
_GLANCE: Final = 16  # of these, those that rule nearly every step out


def find_grid(source: TensorSource, index: int) -> Scope | None:
    """Return the scope in which a tensor's values are even; None if they are not in any.

    Looks at the first block of the tensor.

    Parameters
    ----------
    source, index
        A tensor of a float dtype.

    Returns
    -------
    Scope or None
        ``tensor``, or an axis whose channels have steps of their own.
    """
    tensor = source.tensors[index]
    if tensor.size <= LEAST_SIZE:
        return None
    import numpy as np

    block = source.read(index, 0, min(tensor.size, BLOCK))
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
        values = np.abs(block.astype(np.float64))
    if not np.isfinite(values).all():
        return None
    axes = [axis for axis, side in enumerate(tensor.shape) if 1 < side < tensor.size]
    for scope in (TENSOR, *(Scope("axis", axis) for axis in axes)):
        if _is_even(tensor, values, scope):
            return scope
    return None


def _is_even(tensor: TensorSpec, values: Numbers, scope: Scope) -> bool:
    """Tell whether values are even in every scope, and whether that says something."""
    evidence = 0.0
    seen: set[int] = set()
    for part in _parts(tensor, values, scope):
        found = _steps(part, tensor.dtype)
        if found is None:
            return False
        bits, codes = found
        evidence += bits
        seen.update(codes)
        if evidence >= _ENOUGH and len(seen) >= _FEWEST:
            return True
    return False


def _parts(tensor: TensorSpec, values: Numbers, scope: Scope) -> Iterator[Numbers]:
    """Yield some magnitudes of each scope, from all over it, that are not zero."""
    import numpy as np

    where = scope.layout(tensor.shape, 0)
    inner = min(where.inner, values.size)
    rows = -(-values.size // (inner * where.count))
    spread = np.arange(0, rows * inner, -(-rows * inner // _PART))
    places = spread // inner * (inner * where.count) + spread % inner
    for number in range(where.count):
        own = places + number * inner
        part = values[own[own < values.size]]
        part = part[part > 0]
        if part.size > 1:
            yield part


def _steps(part: Numbers, dtype: str) -> tuple[float, list[int]] | None:
    """Return how much the evenness of magnitudes says, in bits, and what they are in steps.

    None if there is no step of which all are multiples.
    """
    import numpy as np

    largest = part.max()
    wide = np.arange(1, _MOST + 1)[:, None]  # what the largest is in steps
    glance = part[:_GLANCE]
    for q in wide[_fits(glance, largest, wide, dtype).all(axis=1)]:
        if _fits(part, largest, q, dtype).all():
            room = 2 * _tolerance(part[part < largest], largest, q, dtype)
            bits = -float(np.log2(room[room <= _ROOM]).sum()) - math.log2(_MOST)
            return max(0.0, bits), np.rint(part * q / largest).astype(int).tolist()
    return None


def _fits(
    part: Numbers, largest: np.float64, q: NDArray[np.int64], dtype: str
) -> NDArray[np.bool_]:
    """Tell which magnitudes are whole numbers of steps, if the largest is q of them."""
    import numpy as np

    steps = part * q / largest
    fits: NDArray[np.bool_] = np.abs(steps - np.rint(steps)) <= _tolerance(part, largest, q, dtype)
    return fits


def _tolerance(part: Numbers, largest: np.float64, q: NDArray[np.int64], dtype: str) -> Numbers:
    """Return by how much of a step magnitudes may be off: they and the largest were rounded."""
    own, other = _spacing(part, dtype), _spacing(largest, dtype)
    return 0.51 * (own * q / largest + part * q / largest * other / largest)


def _spacing(values: Numbers | np.float64, dtype: str) -> Numbers:
    """Return the distance of neighbours at magnitudes; steps were float32, so of that at best."""
    import numpy as np

    form = FLOATS["float32"] if dtype == "float64" else FLOATS[dtype]
    least = 2 - (1 << form.exponent - 1)
    exponents = np.maximum(np.frexp(values)[1] - 1, least)
    spacing: Numbers = np.ldexp(1.0, exponents - form.mantissa)
    return spacing
