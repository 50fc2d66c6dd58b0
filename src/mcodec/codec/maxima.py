"""The largest magnitude of each scope of a tensor: what exponents and scales are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mcodec.codec.base import NotCodableError
from mcodec.codec.streams import patterns
from mcodec.types import FLOATS

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from mcodec.codec.scope import Scope
    from mcodec.types import TensorSpec


NOT_FINITE: Final = "it holds NaN or infinity"


def scope_maxima(
    tensor: TensorSpec, blocks: Iterable[NDArray[Any]], scope: Scope
) -> NDArray[np.uint64]:
    """Return the largest pattern without its sign of each scope of a whole tensor.

    Parameters
    ----------
    tensor
        Of a float dtype.
    blocks
        Its values in order, one-dimensional.
    scope
        ``tensor`` or ``axis``.
    """
    import numpy as np

    from mcodec.codec import kernels

    maxima = np.zeros(scope.count(tensor.shape), np.uint64)
    first = 0
    for values in blocks:
        if values.size:
            where = scope.layout(tensor.shape, first)
            kernels.scope_max(tensor.dtype, patterns(values), where, maxima)
        first += values.size
    return maxima


def numbers_of(dtype: str, maxima: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return patterns without signs as numbers.

    Raises
    ------
    NotCodableError
        One of them is a NaN or an infinity.
    """
    import numpy as np

    from mcodec.types import numpy_dtype

    form = FLOATS[dtype]
    if maxima.size and int(maxima.max()) >> form.mantissa == (1 << form.exponent) - 1:
        raise NotCodableError(NOT_FINITE)
    values = maxima.astype(f"<u{form.width // 8}").view(numpy_dtype(dtype))
    return values.astype(np.float64)
