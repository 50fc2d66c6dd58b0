"""Hypothesis strategies: dtypes, shapes, arrays of any bits, models, finite floats."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from hypothesis import strategies as st

from mcodec.types import FLOATS, ITEMSIZE, itemsize, numpy_dtype
from support.cases import from_bytes

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy
    from numpy.typing import NDArray

MOST: Final = 300  # elements of a drawn array

opaque: SearchStrategy[str] = st.integers(1, 300).map("V{}".format)
dtypes: SearchStrategy[str] = st.sampled_from(tuple(ITEMSIZE)) | opaque
float_dtypes: SearchStrategy[str] = st.sampled_from(tuple(FLOATS))
names: SearchStrategy[str] = st.text(st.characters(codec="utf-8"), min_size=0, max_size=12)


@st.composite
def shapes(draw: DrawFn, most: int = MOST, least_dims: int = 0) -> tuple[int, ...]:
    """Draw a shape of at most `most` elements: scalars, empty axes and odd sizes among them."""
    shape: list[int] = []
    room = most
    for _ in range(draw(st.integers(least_dims, 4))):
        side = draw(st.integers(0, max(1, room)))
        shape.append(side)
        room //= max(1, side)
    return tuple(shape)


@st.composite
def arrays(draw: DrawFn, dtype: str | None = None) -> NDArray[Any]:
    """Draw an array of any dtype and any bits: raw noise, few values, or constant bytes."""
    name = draw(dtypes) if dtype is None else dtype
    shape = draw(shapes())
    size = math.prod(shape) * itemsize(name)
    kind = draw(st.sampled_from(("noise", "few", "constant", "drawn")))
    if kind == "drawn" and size <= 64:
        data = draw(st.binary(min_size=size, max_size=size))
    elif kind == "constant":
        data = bytes([draw(st.integers(0, 255))]) * size
    else:
        rng = np.random.default_rng(draw(st.integers(0, 2**32)))
        high = 3 if kind == "few" else 256
        data = rng.integers(0, high, size, np.uint8).tobytes()
    return from_bytes(name, data, shape)


def models(dtype: str | None = None) -> SearchStrategy[dict[str, NDArray[Any]]]:
    """Draw a model of none to six tensors."""
    return st.dictionaries(names, arrays(dtype), max_size=6)


@st.composite
def views(draw: DrawFn, array: NDArray[Any]) -> NDArray[Any]:
    """Draw another memory layout of an array: reversed, strided, transposed, or big-endian."""
    kind = draw(st.sampled_from(("same", "transposed", "reversed", "strided", "big")))
    if kind == "transposed":
        return array.T
    if kind == "reversed" and array.ndim:
        return array[::-1]
    if kind == "strided" and array.ndim:
        return np.repeat(array, 2, axis=array.ndim - 1)[..., ::2]
    native = array.dtype.kind in "biufc" and array.dtype.itemsize > 1
    return array.astype(array.dtype.newbyteorder(">")) if kind == "big" and native else array


@st.composite
def finite(draw: DrawFn, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Draw finite floats: any patterns, one binade, powers of two with ties, subnormals, zeros."""
    form = FLOATS[dtype]
    size = math.prod(shape)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    field = (1 << form.exponent) - 2
    kind = draw(st.sampled_from(("any", "near", "ties", "tiny", "mixed")))
    low, high = {"any": (0, field), "tiny": (0, 0), "mixed": (0, field)}.get(kind, (1, 1))
    if kind in ("near", "ties"):
        centre = draw(st.integers(0, field))
        low, high = max(0, centre - 12), centre
    exponent = rng.integers(low, high, size, np.uint64, endpoint=True)
    mantissa = rng.integers(0, (1 << form.mantissa) - 1, size, np.uint64, endpoint=True)
    if kind == "ties":  # few bits set, so that products end in exactly one half
        mantissa &= rng.integers(0, 7, size, np.uint64) << np.uint64(form.mantissa - 3)
    bits = exponent << np.uint64(form.mantissa) | mantissa
    bits[rng.random(size) < (0.5 if kind == "mixed" else 0.1)] = 0
    bits |= rng.integers(0, 1, size, np.uint64, endpoint=True) << np.uint64(form.width - 1)
    array: NDArray[Any] = bits.astype(f"<u{form.width // 8}").view(numpy_dtype(dtype))
    return array.reshape(shape)
